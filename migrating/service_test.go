package migrating

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promcollectors "github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tachikoma/tacho"
	prombridge "github.com/tachikoma/tacho/bridge/prometheus"
)

// formats are the values of Accept of a Prometheus server.
var formats = map[string]string{
	"text":        "text/plain;version=0.0.4",
	"OpenMetrics": "application/openmetrics-text;version=1.0.0",
	"protobuf":    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}

// startDefault makes the default registry of client_golang as it is at the start of a program.
func startDefault(t *testing.T) {
	registerer, gatherer := prometheus.DefaultRegisterer, prometheus.DefaultGatherer
	t.Cleanup(func() { prometheus.DefaultRegisterer, prometheus.DefaultGatherer = registerer, gatherer })
	reg := prometheus.NewRegistry()
	reg.MustRegister(promcollectors.NewGoCollector(), promcollectors.NewProcessCollector(promcollectors.ProcessCollectorOpts{}))
	prometheus.DefaultRegisterer, prometheus.DefaultGatherer = reg, reg
}

// run starts a version of the service, and lets it work.
func run(t *testing.T, start func(*parts) (*service, error)) *service {
	t.Helper()
	startDefault(t)
	p, err := newParts()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	s, err := start(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	s.work()
	s.raft.IncrCounter([]string{"raft", "apply"}, 4)
	s.raft.SetGauge([]string{"raft", "peers"}, 3)
	s.raft.AddSample([]string{"raft", "commitTime"}, 1.5)
	for _, h := range []http.Handler{s.public, s.admin, s.public} {
		requestAll(t, h)
	}
	waitForConnection(t, p)
	callAll(t, s)
	return s
}

func requestAll(t *testing.T, h http.Handler) {
	t.Helper()
	for _, request := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/orders/1", "", 200},
		{"GET", "/orders/404", "", 404},
		{"POST", "/orders", "an order of 20 bytes", 201},
		{"GET", "/unknown", "", 404},
	} {
		r := httptest.NewRequest(request.method, request.path, strings.NewReader(request.body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, "4bf92f35")))
		if w.Code != request.status {
			t.Fatalf("%s %s: status %d", request.method, request.path, w.Code)
		}
	}
}

// waitForConnection changes the statistics of both pools.
func waitForConnection(t *testing.T, p *parts) {
	t.Helper()
	held, err := p.db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for p.db.Stats().WaitCount == 0 { // the time of a context can be over before the wait
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		if _, err := p.db.Conn(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.pool.Acquire(ctx); err == nil {
		t.Fatal("the pool has a connection")
	}
}

// callAll makes gRPC calls of two kinds, and a call of a method that the service does not implement.
func callAll(t *testing.T, s *service) {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	go s.server.Serve(lis)
	defer s.server.Stop()
	conn, err := grpc.NewClient("passthrough:bufconn", append(s.dial,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := pb.NewTestServiceClient(conn)
	ctx := context.Background()
	if _, err := client.EmptyCall(ctx, &pb.Empty{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UnaryCall(ctx, &pb.SimpleRequest{}); err == nil {
		t.Fatal("a call of a method that the service does not have succeeded")
	}
	stream, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	s.server.GracefulStop() // the handlers returned
}

// A series is what a Prometheus server reads of a series.
type series struct {
	labels     labels.Labels
	family     string
	properties map[string]string // of the series and the family
}

// scrape returns all series of a scrape.
func scrape(t *testing.T, h http.Handler, accept string) map[string]series {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	contentType := w.Header().Get("Content-Type")
	if want, _, _ := strings.Cut(accept, ";"); w.Code != 200 || !strings.HasPrefix(contentType, want) {
		t.Fatalf("status %d, type %q, want %q\n%s", w.Code, contentType, want, w.Body)
	}
	p, err := textparse.New(w.Body.Bytes(), contentType, labels.NewSymbolTable(),
		textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true})
	if err != nil {
		t.Fatal(err)
	}
	all, family := map[string]series{}, map[string]map[string]string{}
	property := func(name, key, value string) {
		if family[name] == nil {
			family[name] = map[string]string{}
		}
		family[name][key] = value
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, w.Body)
		}
		s := series{properties: map[string]string{}}
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			property(string(name), "type", string(kind))
			continue
		case textparse.EntryHelp:
			name, help := p.Help()
			property(string(name), "help", string(help))
			continue
		case textparse.EntrySeries:
			_, at, v := p.Series()
			s.properties["value"] = fmt.Sprint(v)
			if at != nil {
				s.properties["timestamp"] = fmt.Sprint(*at)
			}
		case textparse.EntryHistogram:
			_, _, h, _ := p.Histogram()
			s.properties["native histogram"] = h.String()
		default:
			continue
		}
		for x := (exemplar.Exemplar{}); p.Exemplar(&x); x = (exemplar.Exemplar{}) {
			s.properties["exemplars"] += fmt.Sprintf("%v %v ", x.Labels, x.Value)
		}
		p.Labels(&s.labels)
		s.family = familyOf(s.labels.Get(model.MetricNameLabel), family)
		for name, value := range family[s.family] { // a family with this name can follow
			s.properties[name] = value
		}
		if p.StartTimestamp() != 0 { // the parser of OpenMetrics then has another series
			s.properties["time of creation"] = "known"
		}
		key := s.key()
		if _, twice := all[key]; twice {
			t.Fatalf("%s occurs twice", key)
		}
		all[key] = s
	}
	return all
}

func (s series) key() string {
	if _, native := s.properties["native histogram"]; native {
		return s.labels.String() + " native"
	}
	return s.labels.String()
}

func familyOf(name string, families map[string]map[string]string) string {
	for _, suffix := range []string{"", "_bucket", "_count", "_sum", "_total", "_created", "_info"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && families[base] != nil {
			return base
		}
	}
	return name
}

// varies matches the series whose values are of the process, or durations.
var varies = regexp.MustCompile(`^(go_(goroutines|threads|gc|memstats|sched)|process_)|_(duration|time)_.*(ns|seconds_total)$|^http_.*_seconds_(bucket|sum)$|^(grpc_.*|shop_pack)_seconds_(bucket|sum)$`)

// agedQuantiles matches the summary of go-metrics, whose quantiles are those of the last 10 seconds.
var agedQuantiles = regexp.MustCompile(`^raft_commitTime$`)

// values leaves out the values that two runs of the program do not share.
func (s series) values() map[string]string {
	properties := map[string]string{}
	for key, value := range s.properties {
		properties[key] = value
	}
	name := s.labels.Get(model.MetricNameLabel)
	if le := s.labels.Get("le"); varies.MatchString(name) && le != "+Inf" || agedQuantiles.MatchString(name) {
		delete(properties, "value")
	}
	if varies.MatchString(name) {
		delete(properties, "exemplars")
	}
	return properties
}

// A pattern selects series as "name{label="value",other}". The label other can have any value. A
// star in a name stands for any text.
type pattern struct {
	name   string
	labels []label
}

type label struct{ name, value string }

var patternSyntax = regexp.MustCompile(`^([\w*]+)(?:\{(.*)\})?$`)

func parsePattern(t *testing.T, text string) pattern {
	t.Helper()
	m := patternSyntax.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("bad pattern %q", text)
	}
	p := pattern{name: m[1]}
	for _, l := range strings.Split(m[2], ",") {
		if l != "" {
			name, value, _ := strings.Cut(l, "=")
			p.labels = append(p.labels, label{name, strings.Trim(value, `"`)})
		}
	}
	return p
}

func (p pattern) matches(s series) bool {
	name := regexp.MustCompile("^" + strings.ReplaceAll(p.name, "*", ".*") + "$")
	if !name.MatchString(s.labels.Get(model.MetricNameLabel)) && !name.MatchString(s.family) {
		return false
	}
	for _, l := range p.labels {
		if got := s.labels.Get(l.name); got == "" || l.value != "" && got != l.value {
			return false
		}
	}
	return true
}

// renamed returns the labels of a series that matches p with the name and the labels of now.
func (p pattern) renamed(s series, now pattern) labels.Labels {
	b := labels.NewBuilder(s.labels)
	for _, l := range p.labels {
		b.Del(l.name)
	}
	for _, l := range now.labels {
		if l.value == "" {
			l.value = s.labels.Get(l.name)
		}
		b.Set(l.name, l.value)
	}
	if p.name != now.name {
		name := s.labels.Get(model.MetricNameLabel)
		b.Set(model.MetricNameLabel, now.name+strings.TrimPrefix(name, p.name))
	}
	return b.Labels()
}

// comparison compares the scrapes of the two versions.
type comparison struct {
	used map[string]bool // the entries of the lists that were needed
}

func (c *comparison) compare(t *testing.T, before, after map[string]series) {
	found := map[string]bool{}
	type sum struct {
		from   []string
		values float64
	}
	sums := map[string]*sum{}
	for _, key := range sortedKeys(before) {
		old := before[key]
		ls, gone := old.labels, false
		for _, ch := range changes {
			p := parsePattern(t, ch.before)
			if current := (series{labels: ls, family: old.family}); ch.property == "" && p.matches(current) {
				c.used[ch.before] = true
				if ch.after == "" {
					gone = true
					break
				}
				ls = p.renamed(current, parsePattern(t, ch.after))
			}
		}
		if gone {
			continue
		}
		renamed := series{labels: ls, properties: old.properties}.key()
		now, ok := after[renamed]
		if !ok {
			t.Errorf("%s is missing, want %s", key, renamed)
			continue
		}
		found[renamed] = true
		values, want := now.values(), old.values()
		if v, ok := want["value"]; ok { // several series can become one
			if sums[renamed] == nil {
				sums[renamed] = &sum{}
			}
			x := sums[renamed]
			x.from = append(x.from, key)
			x.values += number(t, v)
			delete(want, "value")
		}
		for _, name := range sortedKeys(want) {
			if values[name] == want[name] {
				continue
			}
			if entry := c.property(t, old, name); entry != "" {
				c.used[entry] = true
			} else {
				t.Errorf("%s: the %s is\n%q, want\n%q", renamed, name, values[name], want[name])
			}
		}
	}
	for _, key := range sortedKeys(sums) {
		got, x := number(t, after[key].properties["value"]), sums[key]
		if got == x.values || math.IsNaN(got) && math.IsNaN(x.values) {
			continue
		}
		if entry := c.property(t, before[x.from[0]], "value"); entry != "" {
			c.used[entry] = true
		} else {
			t.Errorf("%s is %v, want %v of %v", key, got, x.values, x.from)
		}
	}
	for _, key := range sortedKeys(after) {
		if found[key] {
			continue
		}
		i := slices.IndexFunc(added, func(a addition) bool { return parsePattern(t, a.series).matches(after[key]) })
		if i < 0 {
			t.Errorf("%s is new", key)
		} else {
			c.used[added[i].series] = true
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// property returns the entry of changes for a property of a series.
func (c *comparison) property(t *testing.T, s series, name string) string {
	for _, ch := range changes {
		if ch.property == name && parsePattern(t, ch.before).matches(s) {
			return ch.before + " " + name
		}
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// TestService compares the scrapes of the two versions of the service, series by series. What differs
// is in the lists of changes and additions, and each entry of the lists is needed.
func TestService(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the families of the process differ on other systems")
	}
	before := run(t, newBefore)
	scrape(t, before.metrics, formats["text"]) // for the metrics of promhttp itself
	after := run(t, newAfter)
	c := &comparison{used: map[string]bool{}}
	for name, accept := range formats {
		t.Run(name, func(t *testing.T) {
			old := scrape(t, before.metrics, accept)
			hasAllParts(t, old)
			c.compare(t, old, scrape(t, after.metrics, accept))
		})
	}
	for _, ch := range changes {
		if entry := strings.TrimSpace(ch.before + " " + ch.property); !c.used[entry] {
			t.Errorf("the change %q is not needed", entry)
		}
	}
	for _, a := range added {
		if !c.used[a.series] {
			t.Errorf("the addition %q is not needed", a.series)
		}
	}
}

// hasAllParts checks that each part of the service has series.
func hasAllParts(t *testing.T, all map[string]series) {
	t.Helper()
	for name, atLeast := range map[string]int{
		"go_*": 30, "process_*": 7, "go_sql_*": 9, "pgxpool_*": 13, "raft_*": 5, "grpc_server_*": 100, "grpc_client_*": 10,
		"http_*": 40, "cache_hits_total": 2, "shop_*": 20, "meter_*": 8, "job_runs_total": 1, "audit_writes_total": 1,
	} {
		n, p := 0, parsePattern(t, name)
		for _, s := range all {
			if p.matches(s) {
				n++
			}
		}
		if n < atLeast {
			t.Errorf("%d series of %s, want at least %d", n, name, atLeast)
		}
	}
}

// TestTimesOfCreation checks that the times of creation need no change with WithCreated.
func TestTimesOfCreation(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the families of the process differ on other systems")
	}
	before := run(t, newBefore)
	scrape(t, before.metrics, formats["text"]) // for the metrics of promhttp itself
	after := run(t, newAfterCreated)
	c := &comparison{used: map[string]bool{}}
	old := scrape(t, before.metrics, formats["protobuf"])
	known := 0
	for _, s := range old {
		if s.properties["time of creation"] != "" {
			known++
		}
	}
	if known < 100 {
		t.Errorf("%d series have a time of creation", known)
	}
	c.compare(t, old, scrape(t, after.metrics, formats["protobuf"]))
	if c.used["* time of creation"] {
		t.Error("a series has no time of creation")
	}
}

// TestPromhttpCanStay checks that a service can keep the middleware of promhttp and all its series.
func TestPromhttpCanStay(t *testing.T) {
	before := prometheus.NewRegistry()
	requestAll(t, serveBefore(before, newRoutes()))
	reg := tacho.NewRegistry()
	libraries := prombridge.NewRegisterer(reg)
	requestAll(t, serveBefore(libraries, newRoutes()))

	old := scrape(t, promhttp.HandlerFor(before, promhttp.HandlerOpts{}), formats["text"])
	now := scrape(t, reg.Handler(), formats["text"])
	if len(old) < 40 || len(now) != len(old) {
		t.Errorf("%d series before, %d after", len(old), len(now))
	}
	for key, s := range old {
		if want := s.values(); !maps.Equal(now[key].values(), want) {
			t.Errorf("%s is\n%v, want\n%v", key, now[key].values(), want)
		}
	}
}
