package tacho

import (
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// refused returns the error that a definition panics with, or nil.
func refused(t *testing.T, define func(*Registry)) *DefinitionError {
	t.Helper()
	return refusedIn(t, NewRegistry(), define)
}

func refusedIn(t *testing.T, r *Registry, define func(*Registry)) *DefinitionError {
	t.Helper()
	_, err := Try(func() int { define(r); return 0 })
	if err == nil {
		return nil
	}
	var d *DefinitionError
	if !errors.As(err, &d) {
		t.Fatalf("a %T: %v", err, err)
	}
	return d
}

func TestBadDefinitions(t *testing.T) {
	labels := func(names ...string) func(*Registry) {
		return func(r *Registry) { r.CounterVec("x", "", names) }
	}
	name := func(s string) func(*Registry) {
		return func(r *Registry) { r.Counter(s, "") }
	}
	buckets := func(bounds ...float64) func(*Registry) {
		return func(r *Registry) { r.Histogram("x", "", bounds) }
	}
	for what, c := range map[string]struct {
		define func(*Registry)
		reason string
	}{
		"empty name":       {name(""), "name must match"},
		"digit first":      {name("1a"), "name must match"},
		"dash":             {name("a-b"), "name must match"},
		"space":            {name("a b"), "name must match"},
		"newline":          {name("a\nb"), "name must match"},
		"not ASCII":        {name("é"), "name must match"},
		"empty label":      {labels(""), "label name"},
		"label digit":      {labels("1"), "label name"},
		"label colon":      {labels("a:b"), "label name"},
		"reserved label":   {labels("__name__"), "label name"},
		"label twice":      {labels("a", "b", "a"), "used twice"},
		"const and label":  {func(r *Registry) { r.CounterVec("x", "", []string{"a"}, WithConstLabels("a", "1")) }, "used twice"},
		"odd consts":       {func(r *Registry) { r.Counter("x", "", WithConstLabels("a")) }, "pairs"},
		"bad const":        {func(r *Registry) { r.Counter("x", "", WithConstLabels("a-b", "1")) }, "label name"},
		"le":               {func(r *Registry) { r.HistogramVec("x", "", nil, []string{"le"}) }, `"le"`},
		"const le":         {func(r *Registry) { r.Histogram("x", "", nil, WithConstLabels("le", "1")) }, `"le"`},
		"NaN bucket":       {buckets(math.NaN()), "finite"},
		"-Inf bucket":      {buckets(math.Inf(-1), 1), "finite"},
		"+Inf not last":    {buckets(math.Inf(1), 1), "finite"},
		"+Inf twice":       {buckets(1, math.Inf(1), math.Inf(1)), "finite"},
		"equal buckets":    {buckets(1, 1), "increase"},
		"falling buckets":  {buckets(2, 1), "increase"},
		"zeros":            {buckets(math.Copysign(0, -1), 0), "increase"},
		"registry's label": {func(r *Registry) { NewRegistry(WithConstLabels("a", "1")).GaugeVec("x", "", []string{"a"}) }, "used twice"},
		"reserved metric":  {name("tacho_errors_total"), "already defined"},
		"no linear":        {func(*Registry) { LinearBuckets(0, 1, 0) }, "at least one"},
		"flat linear":      {func(*Registry) { LinearBuckets(0, 0, 2) }, "increase"},
		"flat exponential": {func(*Registry) { ExponentialBuckets(1, 1, 2) }, "increase"},
		"exponential zero": {func(*Registry) { ExponentialBuckets(0, 2, 2) }, "increase"},
		"endless":          {func(*Registry) { ExponentialBuckets(1e300, 1e300, 2) }, "finite"},
	} {
		err := refused(t, c.define)
		if err == nil {
			t.Errorf("%s: accepted", what)
		} else if !strings.Contains(err.Reason, c.reason) || !strings.HasPrefix(err.Error(), "tacho: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestGoodDefinitions(t *testing.T) {
	r := NewRegistry()
	r.Counter(":a:b_9", "")
	r.GaugeVec("le", "", []string{"le", "_", "_a"}) // le is special for histograms alone
	r.Gauge("x", "")
	r.Counter("x_total", "")
	r.Histogram("h", "", []float64{1, math.Inf(1)})
	r.Counter("h_total", "") // shares no sample with the histogram
	r.Histogram("only_inf", "", []float64{})
	if got := r.Histogram("def", "", nil).Snapshot().Buckets; len(got) != len(DefBuckets)+1 {
		t.Errorf("nil buckets: %v", got)
	}
	if got := r.Histogram("h", "", []float64{1}).Snapshot().Buckets; len(got) != 2 || !math.IsInf(got[1].UpperBound, 1) {
		t.Errorf("folded buckets: %v", got)
	}
	if got := r.Histogram("only_inf", "", []float64{}).Snapshot().Buckets; len(got) != 1 {
		t.Errorf("no buckets: %v", got)
	}
}

func TestConflicts(t *testing.T) {
	for what, c := range map[string]struct{ first, second func(*Registry) }{
		"type":           {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.Gauge("x", "") }},
		"value type":     {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.FloatCounter("x", "") }},
		"help":           {func(r *Registry) { r.Counter("x", "a") }, func(r *Registry) { r.Counter("x", "b") }},
		"labels":         {func(r *Registry) { r.CounterVec("x", "", []string{"a", "b"}) }, func(r *Registry) { r.CounterVec("x", "", []string{"b", "a"}) }},
		"some labels":    {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.CounterVec("x", "", []string{"a"}) }},
		"consts":         {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.Counter("x", "", WithConstLabels("a", "b")) }},
		"buckets":        {func(r *Registry) { r.Histogram("x", "", nil) }, func(r *Registry) { r.Histogram("x", "", []float64{1}) }},
		"function":       {func(r *Registry) { r.GaugeFunc("x", "", nil) }, func(r *Registry) { r.GaugeFunc("x", "", nil) }},
		"func and gauge": {func(r *Registry) { r.GaugeFunc("x", "", nil) }, func(r *Registry) { r.FloatGauge("x", "") }},
		"_bucket":        {func(r *Registry) { r.Histogram("x", "", nil) }, func(r *Registry) { r.Counter("x_bucket", "") }},
		"_sum":           {func(r *Registry) { r.Histogram("x", "", nil) }, func(r *Registry) { r.Gauge("x_sum", "") }},
		"_count":         {func(r *Registry) { r.Histogram("x", "", nil) }, func(r *Registry) { r.Gauge("x_count", "") }},
		"_created":       {func(r *Registry) { r.Counter("x_total", "") }, func(r *Registry) { r.Gauge("x_created", "") }},
		"bare _created":  {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.Gauge("x_created", "") }},
		"nested":         {func(r *Registry) { r.Histogram("x", "", nil) }, func(r *Registry) { r.Histogram("x_count", "", nil) }},
	} {
		for _, order := range [][2]func(*Registry){{c.first, c.second}, {c.second, c.first}} {
			r := NewRegistry()
			order[0](r)
			err := refusedIn(t, r, order[1])
			if err == nil {
				t.Errorf("%s: accepted", what)
				continue
			}
			if !regexp.MustCompile(`^tacho: metric "x[a-z_]*": .*definition_test\.go:\d+\)$`).MatchString(err.Error()) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestSameDefinitionSameMetric(t *testing.T) {
	r := NewRegistry()
	define := func() []any {
		return []any{r.Counter("a", "h"), r.FloatCounter("b", "h"), r.Gauge("c", "h"), r.FloatGauge("d", "h"),
			r.Histogram("e", "h", nil), r.CounterVec("f", "h", []string{"x"}, WithConstLabels("y", "z"))}
	}
	if first := define(); !slices.Equal(first, define()) {
		t.Error("the same definition returned another metric")
	}
	r.Histogram("g", "h", []float64{1, math.Inf(1)})
	r.Histogram("g", "h", []float64{1}) // means the same
}

func TestDefinitionKeepsNothingOfTheCallers(t *testing.T) {
	r := NewRegistry()
	labels, bounds := []string{"a"}, []float64{1, 2}
	v := r.HistogramVec("x", "", bounds, labels)
	labels[0], bounds[0] = "b", 9
	v.With("1").Observe(1.5)
	if got := text(t, r); !strings.Contains(got, `x_bucket{a="1",le="1"} 0`) {
		t.Error(got)
	}
}

func TestUnregister(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("x", "", nil)
	if r.Unregister("y") || r.Unregister("x_sum") || r.Unregister("tacho_errors_total") || !r.Unregister("x") || r.Unregister("x") {
		t.Error("wrong answer")
	}
	h.Observe(1)
	if got := text(t, r); got != "" {
		t.Error(got)
	}
	r.Gauge("x_sum", "") // the names of its samples are free again
	r.Counter("x", "").Inc()
	if got := text(t, r); !strings.Contains(got, "x 1\n") || !strings.Contains(got, "x_sum 0\n") {
		t.Error(got)
	}
}

func TestTry(t *testing.T) {
	r := NewRegistry()
	c, err := Try(func() *Counter { return r.Counter("x", "") })
	if err != nil || c != r.Counter("x", "") {
		t.Errorf("%v, %v", c, err)
	}
	if c, err = Try(func() *Counter { return r.Counter("-", "") }); err == nil || c != nil {
		t.Errorf("%v, %v", c, err)
	}
	defer func() {
		if p := recover(); p != "another" {
			t.Errorf("panic %v", p)
		}
	}()
	Try(func() int { panic("another") })
}

func TestBucketHelpers(t *testing.T) {
	if got := LinearBuckets(-1, 0.5, 3); !slices.Equal(got, []float64{-1, -0.5, 0}) {
		t.Error(got)
	}
	if got := ExponentialBuckets(1, 10, 4); !slices.Equal(got, []float64{1, 10, 100, 1000}) {
		t.Error(got)
	}
}

func TestDefaultRegistry(t *testing.T) {
	old := Default
	defer func() { Default = old }()
	Default = NewRegistry()
	Default.Counter("x", "").Inc()
	if text(t, Default) == text(t, old) {
		t.Error("Default cannot be replaced")
	}
}
