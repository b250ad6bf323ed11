package tacho

import (
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// extremes returns arguments of a type: the zero value, and the extremes of numbers and
// strings.
func extremes(t reflect.Type) (list []reflect.Value) {
	list = append(list, reflect.Zero(t))
	add := func(values ...any) {
		for _, v := range values {
			list = append(list, reflect.ValueOf(v).Convert(t))
		}
	}
	switch t.Kind() {
	case reflect.Float64:
		add(1.5, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324)
	case reflect.Int64:
		add(int64(math.MaxInt64), int64(math.MinInt64))
	case reflect.Int:
		add(math.MaxInt32, math.MinInt32)
	case reflect.Uint64:
		add(uint64(math.MaxUint64))
	case reflect.String:
		add(strings.Repeat("\xff", 1<<20), "a\x00b")
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			add([]string{"one"}, []string{"trace_id", "1"}, []string{"\xff", strings.Repeat("x", 1<<20)})
		}
	}
	return list
}

// callAll calls every exported method of the zero value that p points to, each argument with
// each of its extremes.
func callAll(t *testing.T, p reflect.Value) {
	for i := range p.NumMethod() {
		name := p.Type().Elem().Name() + "." + p.Type().Method(i).Name
		m := p.Method(i)
		first := make([]reflect.Value, m.Type().NumIn())
		for i := range first {
			first[i] = reflect.Zero(m.Type().In(i))
		}
		call := func(args []reflect.Value) {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("%s%v panics: %v", name, args, v)
				}
			}()
			if m.Type().IsVariadic() {
				m.CallSlice(args)
			} else {
				m.Call(args)
			}
		}
		call(first)
		for i := range first {
			for _, v := range extremes(m.Type().In(i)) {
				args := append([]reflect.Value(nil), first...)
				args[i] = v
				call(args)
			}
		}
	}
}

// TestZeroMetrics: no method of a zero metric panics, and a zero metric that grew stripes
// still records.
func TestZeroMetrics(t *testing.T) {
	for _, m := range []any{new(Counter), new(FloatCounter), new(Gauge), new(FloatGauge), new(Histogram), new(Emitter)} {
		callAll(t, reflect.ValueOf(m))
	}
	var c Counter
	c.Inc()
	widen(&c.wide, 8)
	c.Inc()
	c.AddExemplar(1, "trace_id", "1")
	var f FloatCounter
	widen(&f.wide, 8)
	f.Add(2)
	f.Add(-1)
	var g Gauge
	g.Dec()
	if c.Value() != 3 || f.Value() != 2 || g.Value() != -1 {
		t.Errorf("%d, %v and %d, want 3, 2 and -1", c.Value(), f.Value(), g.Value())
	}
}

// TestMetricsTakeAnyArgument: no method of a metric in a registry panics, and the scrapes
// stay valid.
func TestMetricsTakeAnyArgument(t *testing.T) {
	r := NewRegistry()
	for _, m := range []any{r.Counter("c", ""), r.FloatCounter("f", ""), r.Gauge("g", ""), r.FloatGauge("h", ""), r.Histogram("i", "", nil)} {
		callAll(t, reflect.ValueOf(m))
	}
	for _, v := range []any{
		r.CounterVec("cv", "", []string{"l"}), r.HistogramVec("iv", "", nil, []string{"l"}),
	} {
		p := reflect.ValueOf(v)
		for _, name := range []string{"With", "Delete"} {
			for _, values := range extremes(reflect.TypeFor[[]string]()) {
				p.MethodByName(name).CallSlice([]reflect.Value{values})
			}
		}
	}
	if err := errors.Join(r.WriteText(io.Discard), r.WriteOpenMetrics(io.Discard), r.WriteJSON(io.Discard)); err != nil {
		t.Error(err)
	}
}

// TestZeroRegistry: a registry that NewRegistry did not make refuses definitions. Its other
// methods do nothing.
func TestZeroRegistry(t *testing.T) {
	for _, r := range []*Registry{nil, new(Registry)} {
		for what, define := range map[string]func(){
			"Counter":         func() { r.Counter("x", "") },
			"FloatCounter":    func() { r.FloatCounter("x", "") },
			"Gauge":           func() { r.Gauge("x", "") },
			"FloatGauge":      func() { r.FloatGauge("x", "") },
			"Histogram":       func() { r.Histogram("x", "", nil) },
			"CounterVec":      func() { r.CounterVec("x", "", nil) },
			"FloatCounterVec": func() { r.FloatCounterVec("x", "", nil) },
			"GaugeVec":        func() { r.GaugeVec("x", "", nil) },
			"FloatGaugeVec":   func() { r.FloatGaugeVec("x", "", nil) },
			"HistogramVec":    func() { r.HistogramVec("x", "", nil, nil) },
			"CounterFunc":     func() { r.CounterFunc("x", "", func() float64 { return 1 }) },
			"GaugeFunc":       func() { r.GaugeFunc("x", "", func() float64 { return 1 }) },
			"Collect":         func() { r.Collect(func(*Emitter) {}) },
		} {
			wantDefinitionError(t, what, "NewRegistry", define)
		}
	}
	var r Registry
	if r.Unregister("x") {
		t.Error("Unregister removed a metric of a zero registry")
	}
	for _, write := range []func(io.Writer) error{r.WriteText, r.WriteOpenMetrics, r.WriteJSON} {
		if err := write(io.Discard); err != nil {
			t.Error(err)
		}
	}
}

// wantDefinitionError fails unless define panics with a DefinitionError whose text contains
// want and is short.
func wantDefinitionError(t *testing.T, what, want string, define func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p := recover(); p != nil {
			t.Errorf("%s panics: %v", what, p)
		}
	}()
	_, err := Try(func() int { define(); return 0 })
	switch d, ok := err.(*DefinitionError); {
	case !ok:
		t.Errorf("%s: %v, want a DefinitionError", what, err)
	case !strings.Contains(d.Reason, want):
		t.Errorf("%s: %v, want %q", what, err, want)
	case len(err.Error()) > 2000:
		t.Errorf("%s: the error has %d bytes", what, len(err.Error()))
	}
}

// TestNilDefinitions: a nil option and a nil function are refused.
func TestNilDefinitions(t *testing.T) {
	r := NewRegistry()
	for what, define := range map[string]func(){
		"NewRegistry, option": func() { NewRegistry(nil) },
		"Counter, option":     func() { r.Counter("x", "", WithUnit(""), nil) },
		"GaugeFunc, option":   func() { r.GaugeFunc("x", "", func() float64 { return 1 }, nil) },
		"CounterFunc":         func() { r.CounterFunc("x", "", nil) },
		"GaugeFunc":           func() { r.GaugeFunc("x", "", nil) },
		"Collect":             func() { r.Collect(nil) },
	} {
		wantDefinitionError(t, what, "nil", define)
	}
	if got := text(t, r); got != "" {
		t.Errorf("a refused definition is exposed:\n%s", got)
	}
}

// TestHugeDefinitions: the error of a definition with huge strings is short, and memory for
// a huge histogram is not allocated.
func TestHugeDefinitions(t *testing.T) {
	huge := strings.Repeat("a", 3<<20)
	bad := huge + "-"
	utf8 := strings.Repeat("\u00e9", 1<<20) + "\xff"
	for what, define := range map[string]func(*Registry){
		"name":             func(r *Registry) { r.Counter(bad, "") },
		"name, not UTF-8":  func(r *Registry) { r.Counter(utf8, "") },
		"label":            func(r *Registry) { r.CounterVec("x", "", []string{bad}) },
		"label twice":      func(r *Registry) { r.CounterVec("x", "", []string{huge, huge}) },
		"const label":      func(r *Registry) { r.Counter("x", "", WithConstLabels(bad, "")) },
		"unit":             func(r *Registry) { r.Counter("x", "", WithUnit(huge)) },
		"help":             func(r *Registry) { r.Counter("x", huge); r.Counter("x", "") },
		"another unit":     func(r *Registry) { r.Counter("x_"+huge, "", WithUnit(huge)); r.Counter("x_"+huge, "") },
		"other labels":     func(r *Registry) { r.CounterVec("x", "", []string{huge}); r.Counter("x", "") },
		"many labels":      func(r *Registry) { r.CounterVec("x", "", distinct(1000)); r.Counter("x", "") },
		"sample name":      func(r *Registry) { r.Histogram(huge, "", nil); r.Counter(huge+"_sum", "") },
		"the same escaped": func(r *Registry) { NewRegistry(WithUTF8Names()).CounterVec("x", "", []string{huge + ".", huge + "/"}) },
		"buckets":          func(r *Registry) { r.Histogram("x", "", append(LinearBuckets(0, 1, 65000), 1e9)) },
		"a billion":        func(r *Registry) { r.Histogram("x", "", LinearBuckets(0, 1, 1e9)) },
		"another billion":  func(r *Registry) { r.Histogram("x", "", ExponentialBuckets(1, 1.00001, 1e9)) },
	} {
		r := NewRegistry()
		wantDefinitionError(t, what, "", func() { define(r) })
	}
}

// distinct returns n label names.
func distinct(n int) (names []string) {
	for i := range n {
		names = append(names, "l"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	return names
}

// TestOptionsTakeAnyNumber: a limit or a time that is zero or negative means what the
// documentation of its option says.
func TestOptionsTakeAnyNumber(t *testing.T) {
	for _, n := range []int{0, -1, math.MinInt32} {
		r := NewRegistry(WithMaxSeries(n))
		v := r.CounterVec("x", "", []string{"l"}, WithMaxSeries(n), WithIdleExpiry(time.Duration(n)))
		v.With("a").Inc()
		v.With("b").Inc()
		for range 3 {
			if got := text(t, r); !strings.Contains(got, `x{l="a"} 1`) || v.Len() != 2 {
				t.Errorf("%d: %d series, %s", n, v.Len(), got)
			}
		}
	}
}
