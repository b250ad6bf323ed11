package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promexemplar "github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
	"github.com/tachikoma/tacho/tachotest"
)

var (
	onlyV1  = remoteapi.MessageTypes{remoteapi.WriteV1MessageType}
	onlyV2  = remoteapi.MessageTypes{remoteapi.WriteV2MessageType}
	bothV12 = append(slices.Clone(onlyV1), onlyV2...)
)

// A remote2 is the remote write handler of Prometheus. It checks the requests of version 2.0.
type remote2 struct {
	*httptest.Server
	mu       sync.Mutex
	types    remoteapi.MessageTypes
	versions string // the version of each request
	statuses []int
}

func newRemote2(t *testing.T, to storage.AppendableV2, types remoteapi.MessageTypes) *remote2 {
	t.Helper()
	s := &remote2{types: types}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Header.Get("X-Prometheus-Remote-Write-Version") == "2.0.0" {
			s.versions += "2"
			r.Body = io.NopCloser(bytes.NewReader(body))
			decode := remoteapi.SnappyDecodeMiddleware(slog.New(slog.DiscardHandler))
			decode(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { checkRequest2(t, r.Body) })).ServeHTTP(httptest.NewRecorder(), r)
		} else {
			s.versions += "1"
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		recorder := httptest.NewRecorder()
		remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), to, s.types, false, true).ServeHTTP(recorder, r)
		s.statuses = append(s.statuses, recorder.Code)
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	}))
	t.Cleanup(s.Close)
	return s
}

// checkRequest2 checks the rules of the specification for a decompressed body, with the types of
// Prometheus.
func checkRequest2(t *testing.T, body io.Reader) {
	t.Helper()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
		return
	}
	var request writev2.Request
	if err := request.Unmarshal(data); err != nil {
		t.Errorf("%v: %q", err, data)
		return
	}
	known := writev2.Request{Symbols: request.Symbols, Timeseries: request.Timeseries}
	if n := request.Size() - known.Size(); n != 0 {
		t.Errorf("the request has %d bytes of unknown fields: %q", n, data)
	}
	if len(request.Symbols) == 0 || request.Symbols[0] != "" {
		t.Errorf("the symbols begin with %q", request.Symbols[:min(1, len(request.Symbols))])
	}
	seen := map[string]bool{}
	for _, s := range request.Symbols {
		if seen[s] {
			t.Errorf("the symbol %q occurs twice", s)
		}
		seen[s] = true
	}
	used := map[uint32]bool{0: true}
	checkLabels := func(what string, refs []uint32) {
		last := ""
		for i := 0; i+1 < len(refs); i += 2 {
			name, value := request.Symbols[refs[i]], request.Symbols[refs[i+1]]
			if name <= last || value == "" && what == "series" {
				t.Errorf("%s with the label %s=%q after the label %s", what, name, value, last)
			}
			last = name
		}
		if len(refs)%2 != 0 {
			t.Errorf("%d references of labels", len(refs))
		}
		for _, ref := range refs {
			used[ref] = true
		}
	}
	for _, s := range request.Timeseries {
		checkLabels("series", s.LabelsRefs)
		if len(s.LabelsRefs) == 0 || (len(s.Samples) > 0) == (len(s.Histograms) > 0) {
			t.Errorf("%v: want labels, and either samples or histograms", s)
		}
		for _, e := range s.Exemplars {
			checkLabels("exemplar", e.LabelsRefs)
			if e.Timestamp == 0 {
				t.Errorf("%v: the exemplar has no time", s)
			}
		}
		used[s.Metadata.HelpRef], used[s.Metadata.UnitRef] = true, true
	}
	for i, s := range request.Symbols {
		if !used[uint32(i)] {
			t.Errorf("the symbol %q is not used", s)
		}
	}
}

// push2 pushes a registry once by version 2.0, or by version 1.0.
func push2(t *testing.T, target push.RemoteWrite, reg *tacho.Registry, types remoteapi.MessageTypes) ([]teststorage.Sample, error) {
	t.Helper()
	stored := teststorage.NewAppendable()
	target.URL = newRemote2(t, stored, types).URL
	p, err := push.New(target, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Push(context.Background())
	return stored.ResultSamples(), err
}

// TestRemoteWrite2 checks that a push by version 2.0 has the samples of one by version 1.0. It has start
// times instead of series with the time of creation. If Prometheus refuses samples, it writes all others,
// and the error has the number of the refused ones.
func TestRemoteWrite2(t *testing.T) {
	complete := 0
	for i := range 200 {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		data := make([]byte, 10*i)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		if checkRemoteWrite2(t, newRandomRegistry(t, &generator{data}, i%2 == 1).reg, bothV12) {
			complete++
		}
	}
	if complete < 100 {
		t.Errorf("%d of 200 pushes succeeded, want at least 100", complete)
	}
	many := tacho.NewRegistry(tacho.WithCreated())
	v := many.HistogramVec("h", "", []float64{1, 2}, []string{"n"})
	for i := range 1500 {
		v.With(string(rune('一' + i))).Observe(1.5)
	}
	if !checkRemoteWrite2(t, many, bothV12) {
		t.Error("push rejected")
	}
}

func checkRemoteWrite2(t *testing.T, reg *tacho.Registry, types remoteapi.MessageTypes) (complete bool) {
	t.Helper()
	target := push.RemoteWrite{Labels: []string{"b", "pushed"}}
	before := time.Now().UnixMilli()
	old, err := push2(t, target, reg, bothV12)
	if err != nil && !strings.Contains(err.Error(), "too far in the future") {
		t.Fatal(err)
	}
	target.Version2 = true
	got, err := push2(t, target, reg, types)
	after := time.Now().UnixMilli()
	missing := 0
	if err != nil {
		if _, scanErr := fmt.Sscanf(err.Error()[strings.LastIndex(err.Error(), "dropped samples"):], "dropped samples: %d)", &missing); scanErr != nil || !strings.Contains(err.Error(), "too far in the future") {
			t.Fatal(err)
		}
	}
	want := map[string]teststorage.Sample{}
	for _, s := range old {
		want[s.L.String()+fmt.Sprint(s.H == nil)] = s
	}
	for _, s := range got {
		key := s.L.String() + fmt.Sprint(s.H == nil)
		w, ok := want[key]
		delete(want, key)
		switch {
		case !ok:
			t.Errorf("%s is not in a push by version 1.0, or twice in one by version 2.0", key)
		case s.L.Get("__name__") == "tacho_errors_total": // each scrape increments the errors
		case w.H != nil && !w.H.Equals(s.H), w.V != s.V && !(math.IsNaN(w.V) && math.IsNaN(s.V)):
			t.Errorf("%s is %v %v, want %v %v", key, s.V, s.H, w.V, w.H)
		}
		if s.T != w.T && (s.T < before || s.T > after || w.T < before || w.T > after) {
			t.Errorf("%s has the time %d, want %d", key, s.T, w.T)
		}
	}
	for key, w := range want {
		if types.Contains(remoteapi.WriteV2MessageType) && strings.HasSuffix(w.L.Get("__name__"), "_created") {
			continue
		}
		if missing--; missing < 0 {
			t.Errorf("%s was not pushed", key)
		}
	}
	return err == nil
}

// TestRemoteWrite2Fallback checks a push to a Prometheus that accepts only version 1.0: the first push,
// which is converted, and the next one.
func TestRemoteWrite2Fallback(t *testing.T) {
	for i := range 50 {
		reg := nativeRegistry(rand.New(rand.NewPCG(uint64(i), 8)))
		want := map[string]teststorage.Sample{}
		for _, s := range pushed(t, push.RemoteWrite{}, reg) {
			want[s.L.String()] = s
		}
		stored := teststorage.NewAppendable()
		s := newRemote2(t, stored, onlyV1)
		p, err := push.New(push.RemoteWrite{URL: s.URL, Version2: true}, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			stored.ResultReset()
			if err := p.Push(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := stored.ResultSamples()
			if len(got) != len(want) {
				t.Errorf("push %d: %d samples, want %d", n, len(got), len(want))
			}
			for _, s := range got {
				w := want[s.L.String()]
				if w.H != nil && !w.H.Equals(s.H) || w.V != s.V && !(math.IsNaN(w.V) && math.IsNaN(s.V)) {
					t.Errorf("push %d: %s is %v %v, want %v %v", n, s.L, s.V, s.H, w.V, w.H)
				}
			}
		}
		if s.versions != "211" {
			t.Errorf("requests of the versions %s, want 211", s.versions)
		}
	}
}

// richSample is a sample of a scrape in protobuf, with all that remote write 2.0 has.
type richSample struct {
	v         float64
	h         *histogram.Histogram
	st        int64
	m         metadata.Metadata
	exemplars []string
}

func remoteExemplar(e promexemplar.Exemplar) string { return fmt.Sprint(e.Labels, e.Value, e.Ts) }

// scrapeAll parses an exposition in protobuf. Exemplars without a time have the time 0.
func scrapeAll(t *testing.T, data []byte) map[string]richSample {
	t.Helper()
	all := map[string]richSample{}
	p := textparse.NewProtobufParser(data, false, true, false, false, labels.NewSymbolTable())
	var m metadata.Metadata
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var s richSample
		var ls labels.Labels
		switch entry {
		case textparse.EntryType:
			_, m.Type = p.Type()
			continue
		case textparse.EntryHelp:
			_, help := p.Help()
			m = metadata.Metadata{Help: string(help)} // the unit and the type follow
			continue
		case textparse.EntryUnit:
			_, unit := p.Unit()
			m.Unit = string(unit)
			continue
		case textparse.EntrySeries:
			_, _, s.v = p.Series()
		case textparse.EntryHistogram:
			_, _, s.h, _ = p.Histogram()
		default:
			continue
		}
		p.Labels(&ls)
		s.st = p.StartTimestamp()
		s.m = m
		for e := (promexemplar.Exemplar{}); p.Exemplar(&e); e = (promexemplar.Exemplar{}) {
			s.exemplars = append(s.exemplars, remoteExemplar(e))
		}
		all[ls.String()] = s
	}
}

// richRegistry returns a registry with all kinds of metrics, times of creation and exemplars.
func richRegistry() *tacho.Registry {
	reg := tacho.NewRegistry(tacho.WithCreated())
	c := reg.CounterVec("requests_total", "Requests.", []string{"code"})
	c.With("200").AddExemplar(3, "trace_id", "abc", "span_id", "def")
	c.With("500").Inc()
	reg.Gauge("temperature_celsius", "Temperature.", tacho.WithUnit("celsius")).Set(-7)
	reg.Counter("without_suffix", "No suffix.").Add(5)
	h := reg.HistogramVec("classic_seconds", "Classic.", []float64{1, 2}, []string{"a"}, tacho.WithUnit("seconds"))
	n := reg.HistogramVec("native_seconds", "Native.", nil, []string{"a"}, tacho.WithNative())
	b := reg.HistogramVec("both_seconds", "Both.", []float64{1, 2}, []string{"a"}, tacho.WithNative())
	for _, v := range []*tacho.HistogramVec{h, n, b} {
		for i, x := range []float64{.5, 1.5, 7, -3, 100} {
			v.With("x").ObserveExemplar(x, "trace_id", fmt.Sprint(i))
			time.Sleep(time.Millisecond) // the times of exemplars differ
		}
		v.With("no observation")
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.Summary("quantiles_seconds", "Summary.", tacho.SummarySnapshot{Count: 4, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: .5, Value: 3}}})
		e.At(time.Now().Add(-time.Second)).Gauge("timed", "With a time.", 4)
	})
	time.Sleep(2 * time.Millisecond) // a push is later than all start times
	return reg
}

// hasMetadata reports whether the requests of version 2.0 have metadata. The requests that are only
// converted from version 1.0 have none.
func hasMetadata(samples []teststorage.Sample) bool {
	return slices.ContainsFunc(samples, func(s teststorage.Sample) bool { return s.M.Type != "" && s.M.Type != model.MetricTypeUnknown })
}

// TestRemoteWrite2Rich checks metadata, start times and exemplars against a scrape in protobuf.
func TestRemoteWrite2Rich(t *testing.T) {
	reg := richRegistry()
	var data body
	if err := reg.WriteProtobuf(&data); err != nil {
		t.Fatal(err)
	}
	want := scrapeAll(t, data)
	got, err := push2(t, push.RemoteWrite{Version2: true}, reg, onlyV2)
	if err != nil {
		t.Fatal(err)
	}
	if !hasMetadata(got) {
		t.Skip("the encoder of version 2.0 is missing")
	}
	starts, exemplars := 0, 0
	for _, s := range got {
		w, ok := want[s.L.String()]
		if !ok {
			if !strings.HasSuffix(s.L.Get("__name__"), "_created") {
				t.Errorf("%s is not in the scrape", s.L)
			}
			continue
		}
		delete(want, s.L.String())
		if w.h != nil && (s.H == nil || !s.H.Copy().Compact(0).Equals(w.h)) || w.v != s.V {
			t.Errorf("%s is %v %v, want %v %v", s.L, s.V, s.H, w.v, w.h)
		}
		if s.ST != w.st {
			t.Errorf("%s has the start time %d, want %d", s.L, s.ST, w.st)
		}
		if s.ST > 0 {
			starts++
		}
		if s.M != w.m {
			t.Errorf("%s has the metadata %+v, want %+v", s.L, s.M, w.m)
		}
		var texts []string
		for _, e := range s.ES {
			texts = append(texts, remoteExemplar(e))
		}
		slices.Sort(texts)
		slices.Sort(w.exemplars)
		if !slices.Equal(texts, w.exemplars) {
			t.Errorf("%s has the exemplars %v, want %v", s.L, texts, w.exemplars)
		}
		exemplars += len(texts)
	}
	for key := range want {
		t.Errorf("%s was not pushed", key)
	}
	if starts < 10 || exemplars < 10 {
		t.Errorf("only %d start times and %d exemplars were compared", starts, exemplars)
	}
}

// TestRemoteWrite2Exemplars checks that a push succeeds whose exemplars Prometheus already has. It
// responds with the status 400 to exemplars that are older than the newest one of their series.
func TestRemoteWrite2Exemplars(t *testing.T) {
	db := teststorage.New(t)
	s := newRemote2(t, db, onlyV2)
	reg, own := richRegistry(), tacho.NewRegistry()
	for range 2 { // the second pusher does not know which exemplars Prometheus has
		p, err := push.New(push.RemoteWrite{URL: s.URL, Version2: true}, push.Config{Registry: reg, Metrics: own})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			awaitPush(t, p.Push(context.Background()))
		}
		p.Close()
	}
	if s.versions != "2222" {
		t.Errorf("requests of the versions %s, want 2222", s.versions)
	}
	q, err := db.ExemplarQuerier(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	stored, err := q.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "native_seconds")})
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) == 0 {
		t.Skip("the encoder of version 2.0 is missing")
	}
	if n := len(stored[0].Exemplars); n != 5 {
		t.Errorf("Prometheus has %d exemplars of the native histogram, want 5", n)
	}
	if !slices.Equal(s.statuses, []int{204, 204, 400, 204}) {
		t.Errorf("the statuses are %v, want one refusal of exemplars", s.statuses)
	}
	target := strings.TrimPrefix(s.URL, "http://")
	if n := tachotest.Value(t, own, "push_attempts_total", "target", target, "result", "success"); n != 4 {
		t.Errorf("%v attempts succeeded, want 4", n)
	}
}

// TestRemoteWrite2Storage pushes into a TSDB of Prometheus, with stale markers and with samples that
// Prometheus refuses. Each refused sample is counted, and no request is sent again.
func TestRemoteWrite2Storage(t *testing.T) {
	db := teststorage.New(t)
	s := &remoteStorage{db: db}
	web := newRemote2(t, db, bothV12)
	s.Server = web.Server
	reg, own := tacho.NewRegistry(), tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"n"})
	h := reg.HistogramVec("h", "", nil, []string{"n"}, tacho.WithNative())
	for i := range 2500 {
		v.With(string(rune('一' + i))).Set(1)
	}
	h.With("a").Observe(1)
	h.With("b").Observe(2)
	refused := false
	reg.Collect(func(e *tacho.Emitter) {
		if refused {
			e.At(time.Unix(1e9, 0)).Gauge("g_old", "", 1)
			e.At(time.Now().Add(time.Hour)).Gauge("a_future", "", 1)
		}
	})
	p, err := push.New(push.RemoteWrite{URL: s.URL, Version2: true}, push.Config{Registry: reg, Metrics: own})
	if err != nil {
		t.Fatal(err)
	}
	awaitPush(t, p.Push(context.Background())) // sets the lower bound
	refused = true
	for range 3 {
		err := p.Push(context.Background())
		if err == nil || !strings.Contains(err.Error(), "dropped samples: 2") || !strings.Contains(err.Error(), "(remote write 2.0)") {
			t.Errorf("got error %v, want 2 dropped samples", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	refused = false
	h.Delete("b")
	awaitPush(t, p.Push(context.Background()))
	if got := s.query(t, "histogram_count(h)", time.Now()); got != `{n="a"} 1` {
		t.Errorf("got %q, want only one histogram", got)
	}
	if got := s.query(t, "sum(count_over_time(g[1m]))", time.Now()); got != "{} 12500" {
		t.Errorf("got %q samples, want all of 5 pushes", got)
	}
	if web.versions != "2222222222" {
		t.Errorf("requests of the versions %s, want 10 of version 2.0", web.versions)
	}
	if got := tachotest.Value(t, own, "push_samples_dropped_total", "target", strings.TrimPrefix(s.URL, "http://"), "reason", "out_of_bounds"); got != 6 {
		t.Errorf("%v samples counted as out_of_bounds, want 6", got)
	}
	awaitPush(t, p.Shutdown(context.Background()))
	for _, expr := range []string{"g", "histogram_count(h)"} {
		if got := s.query(t, expr, time.Now()); got != "" {
			t.Errorf("%s has the values %q after Shutdown", expr, got)
		}
	}
	if got := s.query(t, "sum(last_over_time(g[1m]))", time.Now()); got != "{} 2500" {
		t.Errorf("got the last values %q", got)
	}
}

// TestRemoteWrite2StaleMarkers checks the bits of stale markers, also of native histograms.
func TestRemoteWrite2StaleMarkers(t *testing.T) {
	stored := teststorage.NewAppendable()
	s := newRemote2(t, stored, onlyV2)
	reg := tacho.NewRegistry(tacho.WithCreated())
	reg.Histogram("both", "", []float64{1}, tacho.WithNative()).Observe(1)
	p, err := push.New(push.RemoteWrite{URL: s.URL, Version2: true}, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	awaitPush(t, p.Push(context.Background()))
	first := stored.ResultSamples()
	stored.ResultReset()
	awaitPush(t, p.Shutdown(context.Background()))
	all := stored.ResultSamples()
	markers := map[string]bool{}
	for _, s := range all[len(all)/2:] { // the second half, after the last push
		v := s.V
		if s.H != nil {
			v = s.H.Sum
		}
		if !value.IsStaleNaN(v) || s.ST != 0 {
			t.Errorf("%s ends with %v %v and the start time %d", s.L, s.V, s.H, s.ST)
		}
		markers[s.L.String()] = true
	}
	if len(all) != 2*len(first) || len(markers) != len(first) || len(first) < 5 {
		t.Errorf("%d samples and %d stale markers of %d series", len(all), len(markers), len(first))
	}
}

// TestRemoteWrite2Changes checks a Prometheus that is replaced by one with another version, and an
// empty push.
func TestRemoteWrite2Changes(t *testing.T) {
	stored := teststorage.NewAppendable()
	s := newRemote2(t, stored, bothV12)
	reg := tacho.NewRegistry()
	p, err := push.New(push.RemoteWrite{URL: s.URL, Version2: true}, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	awaitPush(t, p.Push(context.Background()))
	g := reg.Gauge("g", "")
	for i, types := range []remoteapi.MessageTypes{bothV12, onlyV1, onlyV1, onlyV2, onlyV2} {
		s.types = types
		g.Set(int64(i))
		if err := p.Push(context.Background()); (err != nil) != (i == 3) {
			t.Errorf("push %d: error %v", i, err)
		}
		time.Sleep(time.Millisecond)
	}
	// The receiver that accepts only version 2.0 refuses one push.
	if s.versions != "2221112" {
		t.Errorf("requests of the versions %s, want 2221112", s.versions)
	}
	var values []float64
	for _, s := range stored.ResultSamples() {
		values = append(values, s.V)
	}
	if !slices.Equal(values, []float64{0, 1, 2, 4}) {
		t.Errorf("got the values %v", values)
	}
}
