package prombridge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/process"
	"google.golang.org/protobuf/proto"
)

// gauge returns a family of one gauge.
func gauge(name string, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}}}
}

// TestGoAndProcess: the go_* and process_* families of client_golang give way to those of tacho,
// without an error in 100 scrapes. Their other families are shown.
func TestGoAndProcess(t *testing.T) {
	from := prometheus.NewRegistry()
	from.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	steps := []func(*tacho.Registry){
		func(r *tacho.Registry) { goruntime.Register(r) }, func(r *tacho.Registry) { process.Register(r) },
		func(r *tacho.Registry) { Collect(r, from) },
	}
	for range steps {
		steps = append(steps[1:], steps[0])
		own, reg := tacho.NewRegistry(), tacho.NewRegistry()
		for i, step := range steps {
			step(reg)
			if i == 0 {
				goruntime.Register(own)
				process.Register(own)
			}
		}
		for range 100 {
			text(t, reg)
		}
		noErrors(t, reg)
		shown := helps(t, reg)
		for name, help := range helps(t, own) {
			if shown[name] != help {
				t.Errorf("%s has help %q, want %q", name, shown[name], help)
			}
		}
		for _, f := range families {
			if _, ok := shown[f.GetName()]; !ok {
				t.Errorf("%s is not shown", f.GetName())
			}
		}
	}
}

// helps returns the help of each family of a scrape.
func helps(t *testing.T, reg *tacho.Registry) map[string]string {
	families, err := NewGatherer(reg).Gather()
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for _, f := range families {
		list[f.GetName()] = f.GetHelp()
	}
	return list
}

// TestGatherErrors: the families beside an error are shown. Each such scrape counts once, and reports
// once.
func TestGatherErrors(t *testing.T) {
	failed := errors.New("one collector failed")
	var reports []error
	reg := tacho.NewRegistry()
	Collect(reg, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return []*dto.MetricFamily{gauge("x", 1)}, prometheus.MultiError{failed, errors.New("another")}
	}), OnError(nil), OnError(func(err error) { reports = append(reports, err) }))
	for i := range 3 {
		want := fmt.Sprintf("# HELP tacho_gather_errors_total Scrapes in which a Prometheus gatherer returned an error.\n# TYPE tacho_gather_errors_total counter\ntacho_gather_errors_total %d\n# TYPE x gauge\nx 1\n", i+1)
		if got := text(t, reg); got != want {
			t.Errorf("got\n%s", got)
		}
	}
	var all prometheus.MultiError
	if len(reports) != 3 || !errors.As(reports[0], &all) || all[0] != failed || !strings.Contains(reports[0].Error(), "another") {
		t.Errorf("reports %v", reports)
	}
	// The name may have another use, and a report may panic.
	reg = tacho.NewRegistry()
	reg.Gauge("tacho_gather_errors_total", "").Set(5)
	Collect(reg, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return []*dto.MetricFamily{gauge("x", 1)}, failed }))
	if got := text(t, reg); got != "# TYPE tacho_gather_errors_total gauge\ntacho_gather_errors_total 5\n# TYPE x gauge\nx 1\n" {
		t.Errorf("got\n%s", got)
	}
}

// TestBadGatherers: a Gatherer that panics or does not return costs its own families only.
func TestBadGatherers(t *testing.T) {
	t.Parallel() // the scrape takes 5 seconds
	release := make(chan struct{})
	defer close(release)
	reg := tacho.NewRegistry()
	Collect(reg, fixed(gauge("good", 1)))
	Collect(reg, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { panic("gather") }))
	Collect(reg, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { <-release; return nil, nil }))
	got := text(t, reg)
	if !strings.Contains(got, "good 1\n") || !strings.Contains(got, `reason="panic"`) || !strings.Contains(got, `reason="timeout"`) {
		t.Errorf("got\n%s", got)
	}
}

// TestTwoGatherers: families of one name of several Gatherers are joined, and a series that repeats is
// shown once.
func TestTwoGatherers(t *testing.T) {
	reg := tacho.NewRegistry()
	for _, shard := range []string{"1", "2", "2"} {
		f := gauge("x", 1)
		f.Metric[0].Label = []*dto.LabelPair{{Name: proto.String("shard"), Value: &shard}}
		Collect(reg, fixed(f))
	}
	if got := text(t, reg); got != "# TYPE x gauge\nx{shard=\"1\"} 1\nx{shard=\"2\"} 1\n" {
		t.Errorf("got\n%s", got)
	}
	noErrors(t, reg)
}

// TestLoops: a scrape that contains itself ends, and shows the other families.
func TestLoops(t *testing.T) {
	t.Parallel()
	direct := tacho.NewRegistry()
	direct.Gauge("own", "").Set(1)
	Collect(direct, NewGatherer(direct))
	if got := text(t, direct); !strings.Contains(got, "own 1\n") {
		t.Errorf("got\n%s", got)
	}
	if testing.Short() {
		t.Skip("the scrape takes 5 seconds")
	}
	reg, prom := tacho.NewRegistry(), prometheus.NewRegistry()
	reg.Gauge("own", "").Set(1)
	prom.MustRegister(NewCollector(reg))
	Collect(reg, prom)
	if got := text(t, reg); !strings.Contains(got, "own 1\n") || !strings.Contains(got, `reason="timeout"`) {
		t.Errorf("got\n%s", got)
	}
	families, err := prom.Gather()
	if err != nil || !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "own" }) {
		t.Errorf("%v %v", families, err)
	}
}

// TestNilArguments: a nil argument panics at once.
func TestNilArguments(t *testing.T) {
	reg := tacho.NewRegistry()
	for name, f := range map[string]func(){
		"gatherer":   func() { Collect(reg, nil) },
		"option":     func() { Collect(reg, fixed(), nil) },
		"registry":   func() { Collect(nil, fixed()) },
		"gathered":   func() { NewGatherer(nil) },
		"collected":  func() { NewCollector(nil) },
		"registered": func() { NewRegisterer(nil) },
		"registerer": func() { NewRegisterer(reg, nil) },
	} {
		if _, err := tacho.Try(func() int { f(); return 0 }); err == nil {
			t.Errorf("%s: no panic", name)
		}
	}
	if got := text(t, reg); got != "" {
		t.Error(got)
	}
}

// TestLargeFamilies: a family that the protobuf format writes in several messages is one family.
func TestLargeFamilies(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative())
	v := reg.GaugeVec("x", "Help.", []string{"z", "a"})
	const n = 5000
	for i := range n {
		v.With(fmt.Sprint(i), "1").Set(int64(i))
	}
	h := reg.HistogramVec("y", "", []float64{1}, []string{"l"}) // a message for each series
	for i := range 20 {
		h.With(fmt.Sprint(i)).ObserveExemplar(float64(i), "id", "1")
	}
	reg.Gauge("z", "").Set(1)
	families, err := NewGatherer(reg).Gather()
	if err != nil || len(families) != 3 || len(families[0].Metric) != n || len(families[1].Metric) != 20 || families[2].GetName() != "z" {
		t.Fatalf("%v, %d families", err, len(families))
	}
	sum := 0.
	for _, m := range families[0].Metric {
		if sum += m.Gauge.GetValue(); m.Label[0].GetName() != "a" {
			t.Fatalf("the labels %v are not sorted", m.Label)
		}
	}
	if sum != n*(n-1)/2 {
		t.Errorf("sum %v", sum)
	}
	if got, want := normalized(t, inRegistry(NewCollector(reg))), normalized(t, NewGatherer(reg)); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("a Collector has %d series, a Gatherer %d", len(got), len(want))
	}
}

// TestCollectorClash: client_golang reports a family that another Collector has with another help.
func TestCollectorClash(t *testing.T) {
	reg, prom := tacho.NewRegistry(), prometheus.NewRegistry()
	reg.Gauge("x", "Help.").Set(1)
	reg.Gauge("y", "").Set(1)
	x := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "Another help."})
	prom.MustRegister(NewCollector(reg), x)
	families, err := prom.Gather()
	if err == nil || len(families) != 2 || len(families[0].Metric) != 1 {
		t.Errorf("%v, families %v", err, families)
	}
}

// TestConcurrentScrapes: scrapes in both directions can overlap with registrations.
func TestConcurrentScrapes(t *testing.T) {
	reg, prom := tacho.NewRegistry(tacho.WithNative()), library(t)
	c, h := reg.Counter("c_total", ""), reg.Histogram("h", "", nil)
	Collect(reg, prom, WithCreated())
	registerer := NewRegisterer(reg)
	out := inRegistry(NewCollector(reg))
	var group sync.WaitGroup
	for i := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range 20 {
				c.Inc()
				h.ObserveExemplar(float64(n), "id", "1")
				g := prometheus.NewGauge(prometheus.GaugeOpts{Name: fmt.Sprintf("g_%d", i)})
				registerer.MustRegister(g)
				families, err := out.Gather()
				if err != nil {
					t.Error(err)
				}
				if names := maps.Collect(func(yield func(string, bool) bool) {
					for _, f := range families {
						if !yield(f.GetName(), true) {
							return
						}
					}
				}); !names[fmt.Sprintf("g_%d", i)] || !names["lib_native_seconds"] || !names["h"] {
					t.Errorf("families %v", names)
				}
				if !registerer.Unregister(g) {
					t.Error("not unregistered")
				}
			}
		}()
	}
	group.Wait()
	noErrors(t, reg)
}

// TestPanicIsReported: OnError gets the panic of a Gatherer, which costs its own families only.
func TestPanicIsReported(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Gauge("own", "").Set(1)
	var reports []error
	defer Collect(reg, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { panic("test") }),
		OnError(func(err error) { reports = append(reports, err) }))()
	var b strings.Builder
	for range 2 {
		b.Reset()
		if err := reg.WriteText(&b); err != nil {
			t.Fatal(err)
		}
	}
	if len(reports) != 2 || !strings.Contains(reports[0].Error(), "panicked: test") {
		t.Errorf("reports %v", reports)
	}
	if !strings.Contains(b.String(), "own 1\n") || !strings.Contains(b.String(), `reason="panic"`) {
		t.Errorf("got\n%s", b.String())
	}
}
