package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
	"github.com/tachikoma/tacho/tachotest"
)

// TestRemoteWrite checks that the samples pushed to Prometheus 3 by remote write equal
// the samples of a scrape.
func TestRemoteWrite(t *testing.T) {
	taken := 0
	for i := range 200 {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		data := make([]byte, 10*i)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		if checkRemoteWrite(t, newRandomRegistry(t, &generator{data}, i%2 == 1).reg) {
			taken++
		}
	}
	if taken < 100 {
		t.Errorf("%d of 200 pushes succeeded, want at least 100", taken)
	}
	many := tacho.NewRegistry(tacho.WithCreated())
	v := many.HistogramVec("h", "", []float64{1, 2}, []string{"n"})
	for i := range 1500 {
		v.With(string(rune('一' + i))).Observe(1.5)
	}
	if !checkRemoteWrite(t, many) {
		t.Error("push rejected")
	}
}

func checkRemoteWrite(t *testing.T, reg *tacho.Registry) (taken bool) {
	t.Helper()
	stored := teststorage.NewAppendable()
	handler := remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), stored,
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType}, false, false)
	web := httptest.NewServer(handler)
	defer web.Close()
	p, err := push.New(push.RemoteWrite{URL: web.URL, Labels: []string{"b", "pushed"}},
		push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().UnixMilli()
	if err := p.Push(context.Background()); err != nil {
		if strings.Contains(err.Error(), "too far in the future") {
			return false // the timestamp of a collector
		}
		t.Fatal(err)
	}
	after := time.Now().UnixMilli()

	var scraped body
	if err := reg.WriteOpenMetrics(&scraped); err != nil {
		t.Fatal(err)
	}
	want := map[string]*sample{}
	samples := scrapedSamples(t, scraped, typeOpenMetrics)
	exposed := map[string]bool{}
	for _, s := range samples {
		exposed[s.key()] = true
	}
	var text body
	if err := reg.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, s := range scrapedSamples(t, text, typeText) {
		// OpenMetrics leaves out some samples of histograms and summaries, which remote write has.
		if quantile := slices.ContainsFunc(s.labels, func(l label) bool { return l.name == "quantile" }); !exposed[s.key()] &&
			(quantile || strings.HasSuffix(s.name, "_sum") || strings.HasSuffix(s.name, "_count")) {
			samples = append(samples, s)
		}
	}
	for _, s := range samples {
		// A label with an empty value equals a missing label. A label of the sample with
		// the name of a target label gets the prefix exported_.
		s.labels = slices.DeleteFunc(s.labels, func(l label) bool { return l.value == "" })
		for i := range s.labels {
			if s.labels[i].name == "b" {
				s.labels[i].name = "exported_b"
			}
		}
		s.labels = append(s.labels, label{"b", "pushed"})
		want[s.key()] = s
	}
	for _, got := range stored.ResultSamples() {
		s := &sample{value: got.V}
		s.name, s.labels = split(got.L)
		w := want[s.key()]
		if w == nil {
			t.Errorf("%s was pushed twice, or is not in the scrape", s.key())
			continue
		}
		delete(want, s.key())
		if s.name == "tacho_errors_total" {
			continue // each scrape increments the errors
		}
		if w.value != s.value && !(math.IsNaN(w.value) && math.IsNaN(s.value)) {
			t.Errorf("%s is %v, want %v", s.key(), s.value, w.value)
		}
		if w.at != nil && *w.at != got.T || w.at == nil && (got.T < before || got.T > after) {
			t.Errorf("%s has timestamp %d, want %v, or %d to %d without a timestamp", s.key(), got.T, timestampOf(w), before, after)
		}
	}
	for key := range want {
		t.Errorf("%s was not pushed", key)
	}
	return true
}

// scrapedSamples parses a scrape with textparse and returns the samples in order.
func scrapedSamples(t *testing.T, data []byte, contentType string) (samples []*sample) {
	t.Helper()
	p, err := textparse.New(data, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry == textparse.EntrySeries {
			samples = append(samples, readSample(p))
		}
	}
}

// A body is an io.Writer that keeps the written bytes.
type body []byte

func (b *body) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func timestampOf(s *sample) any {
	if s.at == nil {
		return "none"
	}
	return *s.at
}

// nativeRegistry returns a registry with native histograms of random values: without and with classic
// buckets, and some without observations.
func nativeRegistry(rnd *rand.Rand, opts ...tacho.Option) *tacho.Registry {
	reg := tacho.NewRegistry(opts...)
	for i := range 6 {
		config := tacho.NativeConfig{Factor: factor(minSchema + rnd.IntN(maxSchema-minSchema+1)), MaxBuckets: 1 + rnd.IntN(300)}
		if rnd.IntN(2) == 0 {
			config.ZeroThreshold = rnd.Float64()
		}
		var bounds []float64
		if i%2 == 1 {
			bounds = []float64{-1, 0.5, 1, 10}
		}
		v := reg.HistogramVec(fmt.Sprintf("h%d_seconds", i), "Help.", bounds, []string{"b", "Z"}, tacho.WithNative(config))
		for j := range 3 {
			h := v.With(fmt.Sprint(j), "z")
			if j == 0 && rnd.IntN(2) == 0 {
				continue
			}
			for _, x := range sampleValues(rnd) {
				h.ObserveExemplar(x, "trace_id", "abc")
			}
		}
	}
	return reg
}

// pushed pushes a registry to the handler of Prometheus and returns the stored samples.
func pushed(t *testing.T, target push.RemoteWrite, reg *tacho.Registry) []teststorage.Sample {
	t.Helper()
	stored := teststorage.NewAppendable()
	handler := remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), stored,
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType}, false, false)
	web := httptest.NewServer(handler)
	defer web.Close()
	target.URL = web.URL
	p, err := push.New(target, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	return stored.ResultSamples()
}

// TestRemoteWriteNative checks that Prometheus 3 stores native histograms that equal those of a
// scrape in protobuf, and the classic series of histograms of both kinds.
func TestRemoteWriteNative(t *testing.T) {
	compared, both := 0, 0
	for i := range 100 {
		reg := nativeRegistry(rand.New(rand.NewPCG(uint64(i), 2)))
		var scraped, text body
		if err := errors.Join(reg.WriteProtobuf(&scraped), reg.WriteText(&text)); err != nil {
			t.Fatal(err)
		}
		natives := map[string]*histogram.Histogram{}
		p := textparse.NewProtobufParser(scraped, false, false, false, false, labels.NewSymbolTable())
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if entry == textparse.EntryHistogram {
				var ls labels.Labels
				p.Labels(&ls)
				_, _, h, _ := p.Histogram()
				natives[ls.String()] = h
			}
		}
		classic := map[string]float64{}
		for _, s := range scrapedSamples(t, text, typeText) {
			if strings.HasPrefix(s.name, "h1") || strings.HasPrefix(s.name, "h3") || strings.HasPrefix(s.name, "h5") {
				classic[s.key()] = s.value
			}
		}
		for _, s := range pushed(t, push.RemoteWrite{}, reg) {
			if s.H == nil {
				x := &sample{}
				x.name, x.labels = split(s.L)
				if want, ok := classic[x.key()]; !ok || want != s.V && !(math.IsNaN(want) && math.IsNaN(s.V)) {
					t.Errorf("%s is %v, want %v (%v)", x.key(), s.V, want, ok)
				}
				delete(classic, x.key())
				both++
				continue
			}
			want := natives[s.L.String()]
			// A scrape compacts histograms, and the handler stores them as they are.
			if want == nil || !s.H.Copy().Compact(0).Equals(want) || s.FH != nil {
				t.Errorf("%s is %v, want %v", s.L, s.H, want)
			}
			delete(natives, s.L.String())
			compared++
		}
		for name := range natives {
			t.Errorf("%s was not pushed", name)
		}
		for name := range classic {
			t.Errorf("%s was not pushed", name)
		}
	}
	if compared < 1500 || both < 5000 {
		t.Errorf("only %d native and %d classic samples were compared", compared, both)
	}
}

// TestRemoteWriteNoNative checks that a push with NoNativeHistograms has the samples of the text
// format.
func TestRemoteWriteNoNative(t *testing.T) {
	for i := range 20 {
		reg := nativeRegistry(rand.New(rand.NewPCG(uint64(i), 3)), tacho.WithCreated())
		var text body
		if err := reg.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{}
		for _, s := range scrapedSamples(t, text, typeText) {
			want[s.key()] = s.value
		}
		created := 0
		for _, s := range pushed(t, push.RemoteWrite{NoNativeHistograms: true}, reg) {
			x := &sample{}
			x.name, x.labels = split(s.L)
			if strings.HasSuffix(x.name, "_created") {
				created++
				continue
			}
			if v, ok := want[x.key()]; s.H != nil || !ok || v != s.V && !(math.IsNaN(v) && math.IsNaN(s.V)) {
				t.Errorf("%s is %v, want %v (%v)", x.key(), s, v, ok)
			}
			delete(want, x.key())
		}
		if len(want) > 0 || created != 18 {
			t.Errorf("%v were not pushed; %d times of creation", want, created)
		}
	}
}

// A remoteStorage is a TSDB of Prometheus behind its remote write handler.
type remoteStorage struct {
	*httptest.Server
	db *teststorage.TestStorage
}

func newRemoteStorage(t *testing.T) *remoteStorage {
	t.Helper()
	db := teststorage.New(t)
	handler := remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), db,
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType}, false, false)
	s := &remoteStorage{httptest.NewServer(handler), db}
	t.Cleanup(s.Close)
	return s
}

// query returns the results of a PromQL query at a time, sorted.
func (s *remoteStorage) query(t *testing.T, expr string, at time.Time) string {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})
	defer engine.Close()
	q, err := engine.NewInstantQuery(context.Background(), s.db, nil, expr, at)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, sample := range v {
		lines = append(lines, fmt.Sprintf("%s %v", sample.Metric, sample.F))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// awaitPush checks the result of a push. A query afterwards is later than the samples of the push.
func awaitPush(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
}

// TestRemoteWriteStaleMarkers checks that a query shows no series after its end, and none
// after Shutdown.
func TestRemoteWriteStaleMarkers(t *testing.T) {
	s := newRemoteStorage(t)
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"n"})
	p, err := push.New(push.RemoteWrite{URL: s.URL}, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		if got := s.query(t, "g", time.Now()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	v.With("a").Set(1)
	v.With("b").Set(2)
	awaitPush(t, p.Push(context.Background()))
	expect("{__name__=\"g\", n=\"a\"} 1\n{__name__=\"g\", n=\"b\"} 2")
	v.Delete("a")
	awaitPush(t, p.Push(context.Background()))
	expect("{__name__=\"g\", n=\"b\"} 2")
	v.With("b").Set(3)
	awaitPush(t, p.Shutdown(context.Background()))
	expect("")
	if got := s.query(t, "max_over_time(g[1m])", time.Now()); got != "{n=\"a\"} 1\n{n=\"b\"} 3" {
		t.Errorf("got the last values %q", got)
	}
}

// TestRemoteWriteNativeStaleMarkers checks that a query shows no native histogram after its end.
func TestRemoteWriteNativeStaleMarkers(t *testing.T) {
	s := newRemoteStorage(t)
	reg := tacho.NewRegistry()
	v := reg.HistogramVec("h", "", nil, []string{"n"}, tacho.WithNative())
	p, err := push.New(push.RemoteWrite{URL: s.URL}, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		if got := s.query(t, "histogram_count(h)", time.Now()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	v.With("a").Observe(1)
	v.With("b").Observe(2)
	awaitPush(t, p.Push(context.Background()))
	expect("{n=\"a\"} 1\n{n=\"b\"} 1")
	v.Delete("a")
	v.With("b").Observe(2.01)
	awaitPush(t, p.Push(context.Background()))
	expect("{n=\"b\"} 2")
	v.With("a").Observe(-3)
	awaitPush(t, p.Push(context.Background()))
	expect("{n=\"a\"} 1\n{n=\"b\"} 2")
	v.With("b").Observe(3)
	awaitPush(t, p.Shutdown(context.Background()))
	expect("")
	if got := s.query(t, "histogram_count(last_over_time(h[1m]))", time.Now()); got != "{n=\"a\"} 1\n{n=\"b\"} 3" {
		t.Errorf("got the last values %q", got)
	}
}

// TestRemoteWriteRefusedSamples checks that two samples outside the bounds of Prometheus
// cost no other sample.
func TestRemoteWriteRefusedSamples(t *testing.T) {
	s := newRemoteStorage(t)
	reg, own := tacho.NewRegistry(), tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"n"})
	for i := range 2500 {
		v.With(string(rune('一' + i))).Set(1)
	}
	p, err := push.New(push.RemoteWrite{URL: s.URL}, push.Config{Registry: reg, Metrics: own})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err != nil { // sets the lower bound
		t.Fatal(err)
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.At(time.Unix(1e9, 0)).Gauge("g_old", "", 1)
		e.At(time.Now().Add(time.Hour)).Gauge("a_future", "", 1)
	})
	for range 3 {
		err := p.Push(context.Background())
		if err == nil || !strings.Contains(err.Error(), "dropped samples: 2") {
			t.Errorf("got error %v, want 2 dropped samples", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if got := s.query(t, "sum(count_over_time(g[1m]))", time.Now()); got != "{} 10000" {
		t.Errorf("got %q samples, want all of 4 pushes", got)
	}
	if got := tachotest.Value(t, own, "push_samples_dropped_total", "target", strings.TrimPrefix(s.URL, "http://"), "reason", "out_of_bounds"); got != 6 {
		t.Errorf("%v samples counted as out_of_bounds, want 6", got)
	}
}

// TestRemoteWriteEmptyPush checks that Prometheus accepts a push without samples.
func TestRemoteWriteEmptyPush(t *testing.T) {
	s := newRemoteStorage(t)
	p, err := push.New(push.RemoteWrite{URL: s.URL}, push.Config{Registry: tacho.NewRegistry(), Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err != nil {
		t.Error(err)
	}
	s.Server.Close()
	if err := p.Shutdown(context.Background()); err == nil {
		t.Error("push to a server that does not run succeeded")
	}
}
