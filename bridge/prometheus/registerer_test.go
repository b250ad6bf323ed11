package prombridge

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/tachikoma/tacho"
)

// TestRegisterer: a library that registers with client_golang shows its metrics in a tacho registry,
// and gets the errors of client_golang.
func TestRegisterer(t *testing.T) {
	reg := tacho.NewRegistry()
	r := NewRegisterer(reg)
	c := promauto.With(prometheus.WrapRegistererWithPrefix("lib_", r)).NewCounterVec(prometheus.CounterOpts{Name: "x_total"}, []string{"l"})
	c.WithLabelValues("v").Inc()
	again := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lib_x_total"}, []string{"l"})
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(again); !errors.As(err, &already) {
		t.Errorf("error %v", err)
	}
	if err := r.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "lib_x_total"})); err == nil || errors.As(err, &already) {
		t.Errorf("error %v", err)
	}
	func() {
		defer func() {
			if err, ok := recover().(error); !ok || !errors.As(err, &already) {
				t.Errorf("panic %v", err)
			}
		}()
		r.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "y"}), again)
	}()
	if got := text(t, reg); got != "# TYPE lib_x_total counter\nlib_x_total{l=\"v\"} 1\n# TYPE y gauge\ny 0\n" {
		t.Errorf("got\n%s", got)
	}
	if r.Unregister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "z"})) || !r.Unregister(again) || r.Unregister(again) {
		t.Error("Unregister reports the wrong result")
	}
	if got := text(t, reg); got != "# TYPE y gauge\ny 0\n" {
		t.Errorf("got\n%s", got)
	}
	noErrors(t, reg)
}

// A poolCollector is like the Collectors of libraries for pools of connections, such as pgxpool. It has
// const metrics of the statistics at the time of the scrape. Their Desc has const labels.
type poolCollector struct {
	acquired *prometheus.Desc
	total    *prometheus.Desc
	stat     func() (acquired int, total uint64)
}

func newPoolCollector(stat func() (int, uint64), labels prometheus.Labels) *poolCollector {
	return &poolCollector{
		prometheus.NewDesc("pgxpool_acquired_conns", "Connections in use.", nil, labels),
		prometheus.NewDesc("pgxpool_acquire_count", "Acquisitions of connections.", nil, labels),
		stat,
	}
}

func (c *poolCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.acquired
	to <- c.total
}

func (c *poolCollector) Collect(to chan<- prometheus.Metric) {
	acquired, total := c.stat()
	to <- prometheus.MustNewConstMetric(c.acquired, prometheus.GaugeValue, float64(acquired))
	to <- prometheus.MustNewConstMetric(c.total, prometheus.CounterValue, float64(total))
}

// TestPools: the pools of a library, with other const labels, share the families. A tacho registry with
// const labels adds its own. A pool that is unregistered loses its series, and the other pool keeps them.
func TestPools(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithConstLabels("service", "missions"))
	r := NewRegisterer(reg)
	acquired := map[string]int{}
	pool := func(r prometheus.Registerer, name string, labels prometheus.Labels) prometheus.Collector {
		c := newPoolCollector(func() (int, uint64) { return acquired[name], uint64(10 * acquired[name]) }, labels)
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	check := func(want string) {
		t.Helper()
		for range 3 {
			if got := text(t, reg); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		}
		noErrors(t, reg)
	}
	primary := pool(r, "primary", prometheus.Labels{"db": "primary"})
	acquired["primary"] = 3
	pool(prometheus.WrapRegistererWith(prometheus.Labels{"db": "replica"}, r), "replica", nil)
	acquired["replica"] = 5
	check(`# HELP pgxpool_acquire_count Acquisitions of connections.
# TYPE pgxpool_acquire_count counter
pgxpool_acquire_count{service="missions",db="primary"} 30
pgxpool_acquire_count{service="missions",db="replica"} 50
# HELP pgxpool_acquired_conns Connections in use.
# TYPE pgxpool_acquired_conns gauge
pgxpool_acquired_conns{service="missions",db="primary"} 3
pgxpool_acquired_conns{service="missions",db="replica"} 5
`)
	// The same pool again is refused. A second Registerer, of another library, joins the families.
	if err := r.Register(newPoolCollector(nil, prometheus.Labels{"db": "primary"})); err == nil {
		t.Error("a second pool with the same labels is registered")
	}
	pool(NewRegisterer(reg), "audit", prometheus.Labels{"db": "audit"})
	acquired["audit"], acquired["primary"] = 7, 4
	if !r.Unregister(primary) {
		t.Error("the pool is not unregistered")
	}
	check(`# HELP pgxpool_acquire_count Acquisitions of connections.
# TYPE pgxpool_acquire_count counter
pgxpool_acquire_count{service="missions",db="audit"} 70
pgxpool_acquire_count{service="missions",db="replica"} 50
# HELP pgxpool_acquired_conns Connections in use.
# TYPE pgxpool_acquired_conns gauge
pgxpool_acquired_conns{service="missions",db="audit"} 7
pgxpool_acquired_conns{service="missions",db="replica"} 5
`)
}

// TestRegistererLetsGo: a Registerer whose Collectors are unregistered is not kept, and can be used
// again.
func TestRegistererLetsGo(t *testing.T) {
	reg := tacho.NewRegistry()
	freed := make(chan bool, 1)
	func() {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"})
		r := NewRegisterer(reg)
		for range 3 {
			r.MustRegister(g)
			if got := text(t, reg); !strings.Contains(got, "x 0\n") {
				t.Error(got)
			}
			r.Unregister(g)
			if got := text(t, reg); got != "" {
				t.Error(got)
			}
		}
		runtime.AddCleanup(r.(*registerer).Registry, func(int) { freed <- true }, 0)
	}()
	for end := time.Now().Add(30 * time.Second); len(freed) == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		runtime.GC() // a cleanup runs in another goroutine
	}
	if len(freed) == 0 {
		t.Error("the registry keeps the Registerer")
	}
	runtime.KeepAlive(reg)
}
