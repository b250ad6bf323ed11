package registration

import (
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
)

func text(t *testing.T, reg *tacho.Registry) string {
	t.Helper()
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func value() float64 { return 3 }

// register defines four families. The last name conflicts if the test defined it.
func register(reg *tacho.Registry) (stop func()) {
	r := New(reg)
	defer r.Undo()
	r.CounterFunc("a_total", "A.", value)
	g := r.FloatGauge("b", "B.", value)
	g.With().Set(2)
	r.GaugeFunc("c", "C.", value)
	r.FloatGauge("d", "D.", value)
	return r.Collect(func(e *tacho.Emitter) { e.Gauge("e", "E.", 5) })
}

func TestStop(t *testing.T) {
	reg := tacho.NewRegistry()
	stop := register(reg)
	for _, want := range []string{"a_total 3\n", "b 2\n", "c 3\n", "e 5\n"} {
		if got := text(t, reg); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	stop()
	if got := text(t, reg); got != "" {
		t.Errorf("after stop: got\n%s", got)
	}
	reg.Gauge("c", "Of other code.").Set(1)
	stop()
	if got := text(t, reg); !strings.Contains(got, "c 1\n") {
		t.Errorf("the second stop removed a gauge of other code, got\n%s", got)
	}
}

// TestConflictChangesNothing checks each name, with the same and with another definition.
func TestConflictChangesNothing(t *testing.T) {
	for name, define := range map[string]func(*tacho.Registry){
		"a_total":        func(reg *tacho.Registry) { reg.FloatCounter("a_total", "A.").Add(7) },
		"the same b":     func(reg *tacho.Registry) { reg.FloatGauge("b", "B.").Set(7) },
		"another b":      func(reg *tacho.Registry) { reg.Gauge("b", "Another.").Set(7) },
		"c":              func(reg *tacho.Registry) { reg.FloatGauge("c", "C.").Set(7) },
		"the same d":     func(reg *tacho.Registry) { reg.FloatGauge("d", "D.").Set(7) },
		"a vector d":     func(reg *tacho.Registry) { reg.GaugeVec("d", "D.", []string{"x"}).With("y").Set(7) },
		"a_total, again": func(reg *tacho.Registry) { reg.CounterFunc("a_total", "A.", value) },
	} {
		reg := tacho.NewRegistry()
		define(reg)
		before := text(t, reg)
		if _, err := tacho.Try(func() struct{} { register(reg); return struct{}{} }); err == nil {
			t.Errorf("%s: no conflict", name)
		}
		if got := text(t, reg); got != before {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, before)
		}
	}
}
