//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
)

// TestPushJoined: a joined registry is pushed with the metrics of the pusher, which no part has.
func TestPushJoined(t *testing.T) {
	a, b := tacho.NewRegistry(tacho.WithNative()), tacho.NewRegistry()
	a.Histogram("h", "", nil).Observe(1)
	b.Counter("x_total", "").Inc()
	for name, target := range map[string]func(url string) Target{
		"Pushgateway": func(url string) Target { return Pushgateway{URL: url, Job: "j"} },
		"RemoteWrite": func(url string) Target { return RemoteWrite{URL: url} },
		"OTLP":        func(url string) Target { return OTLP{URL: url} },
	} {
		s := serve(t, nil)
		p, err := New(target(s.URL), Config{Registry: tacho.Join(a, b)})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Push(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		body := s.seen()[1].body
		for _, want := range []string{"x_total", "h", "push_attempts_total"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %q", name, want, body)
			}
		}
		for _, r := range []*tacho.Registry{a, b} {
			var text strings.Builder
			if err := r.WriteText(&text); err != nil || strings.Contains(text.String(), "push_") {
				t.Errorf("a part has metrics of the pusher: %v\n%s", err, &text)
			}
		}
	}
	var refused *tacho.DefinitionError
	if _, err := New(Pushgateway{URL: "http://x", Job: "j"}, Config{Registry: a, Metrics: tacho.Join(a)}); !errors.As(err, &refused) {
		t.Errorf("a joined registry as Metrics: %v", err)
	}
}

// TestPushSub: a sub-registry is pushed alone, also after it is closed.
func TestPushSub(t *testing.T) {
	r := tacho.NewRegistry()
	r.Counter("other_total", "").Inc()
	sub := r.Sub(tacho.WithConstLabels("s", "1"))
	sub.Counter("x_total", "").Inc()
	s := serve(t, nil)
	p, err := New(Pushgateway{URL: s.URL, Job: "j"}, Config{Registry: sub})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	sub.Close()
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	first, second := s.seen()[0].body, s.seen()[1].body
	if !strings.Contains(first, "x_total") || strings.Contains(first, "other_total") || strings.Contains(second, "x_total") {
		t.Errorf("pushed %q and then %q", first, second)
	}
}

// TestPushWhileSubsClose: sub-registries are closed and made while a registry, a sub-registry and a
// joined registry are pushed. Every push succeeds. The series of closed sub-registries get stale markers.
func TestPushWhileSubsClose(t *testing.T) {
	r := tacho.NewRegistry()
	kept := r.Sub(tacho.WithConstLabels("s", "kept"))
	kept.Counter("x_total", "").Inc()
	closing := r.Sub(tacho.WithConstLabels("s", "closing"))
	closing.Counter("x_total", "").Inc()
	closing.Collect(func(e *tacho.Emitter) { e.Gauge("e", "", 1) })
	short := func(n int) *tacho.Registry {
		s := r.Sub(tacho.WithConstLabels("s", fmt.Sprint("short", n%10)))
		s.HistogramVec("h", "", nil, []string{"l"}).With("1").Observe(1)
		s.GaugeFunc("f", "", func() float64 { s.Close(); return 1 }) // Close while the push waits
		return s
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var open []*tacho.Registry
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				if open = append(open, short(n)); len(open) == 10 {
					open[0].Close()
					open = open[1:]
				}
				runtime.Gosched() // WebAssembly has one thread, and no preemption
			}
		}
	}()
	for _, reg := range []*tacho.Registry{r, closing, tacho.Join(closing, kept)} {
		s := serve(t, nil)
		for _, target := range []Target{Pushgateway{URL: s.URL, Job: "j"}, VictoriaMetrics{URL: s.URL}, RemoteWrite{URL: s.URL}, OTLP{URL: s.URL}} {
			p, err := New(target, Config{Registry: reg, Metrics: tacho.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if err := p.Push(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}
	}
	close(stop)
	<-stopped

	s := serve(t, nil)
	p, err := New(RemoteWrite{URL: s.URL}, Config{Registry: tacho.Join(closing, kept), Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		closing.Close()
	}
	stale := 0
	for _, line := range readRequest(t, s.seen()[1].body) {
		if isStale := strings.Contains(line, "stale"); isStale != strings.Contains(line, `s="closing"`) {
			t.Errorf("series %s", line)
		} else if isStale {
			stale++
		}
	}
	if stale != 2 {
		t.Errorf("%d stale markers", stale)
	}
}
