package prombridge

import (
	"errors"
	"runtime"
	"strings"
	"testing"

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
	for range 10 {
		runtime.GC()
	}
	select {
	case <-freed:
	default:
		t.Error("the registry keeps the Registerer")
	}
	runtime.KeepAlive(reg)
}
