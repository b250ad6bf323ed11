package tacho

import (
	"errors"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

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
			t.Errorf("%s: the definition is accepted", what)
		} else if !strings.Contains(err.Reason, c.reason) || !strings.HasPrefix(err.Error(), "tacho: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestGoodDefinitions(t *testing.T) {
	r := NewRegistry()
	r.Counter(":a:b_9", "")
	r.GaugeVec("le", "", []string{"le", "_", "_a"}) // "le" is special only for a histogram
	r.Gauge("x", "")
	r.Counter("x_total", "")
	r.Histogram("h", "", []float64{1, math.Inf(1)})
	r.Counter("h_total", "") // has no sample in common with the histogram
	r.Histogram("only_inf", "", []float64{})
	if got := r.Histogram("def", "", nil).Snapshot().Buckets; len(got) != len(DefBuckets)+1 {
		t.Errorf("nil buckets: %v", got)
	}
	if got := r.Histogram("h", "", []float64{1}).Snapshot().Buckets; len(got) != 2 || !math.IsInf(got[1].UpperBound, 1) {
		t.Errorf("buckets that end in +Inf: %v", got)
	}
	if got := r.Histogram("only_inf", "", []float64{}).Snapshot().Buckets; len(got) != 1 {
		t.Errorf("no buckets: %v", got)
	}
}

func TestConflicts(t *testing.T) {
	zero := func() float64 { return 0 }
	for what, c := range map[string]struct{ first, second func(*Registry) }{
		"type":           {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.Gauge("x", "") }},
		"value type":     {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.FloatCounter("x", "") }},
		"help":           {func(r *Registry) { r.Counter("x", "a") }, func(r *Registry) { r.Counter("x", "b") }},
		"labels":         {func(r *Registry) { r.CounterVec("x", "", []string{"a", "b"}) }, func(r *Registry) { r.CounterVec("x", "", []string{"b", "a"}) }},
		"some labels":    {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.CounterVec("x", "", []string{"a"}) }},
		"consts":         {func(r *Registry) { r.Counter("x", "") }, func(r *Registry) { r.Counter("x", "", WithConstLabels("a", "b")) }},
		"buckets":        {func(r *Registry) { r.Histogram("x", "", nil) }, func(r *Registry) { r.Histogram("x", "", []float64{1}) }},
		"function":       {func(r *Registry) { r.GaugeFunc("x", "", zero) }, func(r *Registry) { r.GaugeFunc("x", "", zero) }},
		"func and gauge": {func(r *Registry) { r.GaugeFunc("x", "", zero) }, func(r *Registry) { r.FloatGauge("x", "") }},
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
				t.Errorf("%s: the definition is accepted", what)
				continue
			}
			if !regexp.MustCompile(`^tacho: metric "x[a-z_]*": .*definition_test\.go:\d+\)$`).MatchString(err.Error()) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestSameDefinitionSameMetric: equal definitions return the same metric.
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
	r.Histogram("g", "h", []float64{1}) // the same buckets
}

// TestDefinitionCopiesSlices: the caller may change its slices after the definition.
func TestDefinitionCopiesSlices(t *testing.T) {
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
		t.Error("wrong result of Unregister")
	}
	h.Observe(1)
	if got := text(t, r); got != "" {
		t.Error(got)
	}
	r.Gauge("x_sum", "") // the names of the samples of x can be used again
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
	// Bounds are the decimals that a person would write, so that le="1" is a bucket.
	if got := LinearBuckets(.1, .1, 10); !slices.Equal(got, []float64{.1, .2, .3, .4, .5, .6, .7, .8, .9, 1}) {
		t.Error(got)
	}
	if got := ExponentialBuckets(.1, 1.5, 4); !slices.Equal(got, []float64{.1, .15, .225, .3375}) {
		t.Error(got)
	}
	if got := len(LinearBuckets(0, 1, 65000)); got != 65000 {
		t.Errorf("%d bounds, want 65000", got)
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

// TestErrorHasFirstDefinition: First is the line of the first definition. It is not the
// line of a repeated definition or of the refused definition.
func TestErrorHasFirstDefinition(t *testing.T) {
	r := NewRegistry()
	_, file, line, _ := runtime.Caller(0)
	r.Counter("x", "help")
	r.Counter("x", "help")
	err := refusedIn(t, r, func(r *Registry) { r.Counter("x", "other") })
	if want := file + ":" + strconv.Itoa(line+1); err == nil || err.First != want || err.Metric != "x" {
		t.Fatalf("%v, want %s", err, want)
	}
	if want := `tacho: metric "x": already defined with help "help" (first defined at ` + err.First + `)`; err.Error() != want {
		t.Errorf("%s, want %s", err, want)
	}
	err = refused(t, func(r *Registry) { r.Counter("-", "") })
	if err == nil || err.First != "" || strings.Contains(err.Error(), "first defined") {
		t.Errorf("there is no first definition: %v", err)
	}
}

// TestRefusedDefinitionChangesNothing: a refused definition reserves no name, and does not
// change the metric that it conflicts with.
func TestRefusedDefinitionChangesNothing(t *testing.T) {
	r := NewRegistry()
	r.Gauge("x_sum", "").Set(1)
	if refusedIn(t, r, func(r *Registry) { r.Histogram("x", "", nil) }) == nil {
		t.Fatal("the definition is accepted")
	}
	r.Gauge("x", "").Set(2)
	r.Gauge("x_bucket", "").Set(3)
	if refusedIn(t, r, func(r *Registry) { r.Gauge("x", "other") }) == nil {
		t.Fatal("the definition is accepted")
	}
	want := "# TYPE x gauge\nx 2\n# TYPE x_bucket gauge\nx_bucket 3\n# TYPE x_sum gauge\nx_sum 1\n"
	if got := text(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestUnregisterKeepsSharedNames: a histogram x and a counter x_total both reserve
// x_created. The name can be used again after both are unregistered.
func TestUnregisterKeepsSharedNames(t *testing.T) {
	for _, order := range [][2]string{{"x", "x_total"}, {"x_total", "x"}} {
		r := NewRegistry()
		r.Histogram("x", "", nil)
		r.Counter("x_total", "")
		created := func() *DefinitionError {
			return refusedIn(t, r, func(r *Registry) { r.Gauge("x_created", "") })
		}
		if created() == nil {
			t.Error("x_created is accepted beside x and x_total")
		}
		r.Unregister(order[0])
		if err := created(); err == nil || !strings.Contains(err.Reason, order[1]) {
			t.Errorf("without %s: %v", order[0], err)
		}
		r.Unregister(order[1])
		if err := created(); err != nil {
			t.Error(err)
		}
	}
}

// TestUnregisterOfFunctions: the name of an unregistered function can be used again.
func TestUnregisterOfFunctions(t *testing.T) {
	r := NewRegistry()
	r.GaugeFunc("x", "", func() float64 { return 1 })
	if !r.Unregister("x") {
		t.Error("Unregister does not find the function")
	}
	r.GaugeFunc("x", "", func() float64 { return 2 })
	if got := text(t, r); got != "# TYPE x gauge\nx 2\n" {
		t.Error(got)
	}
}

// TestTryRepanics: Try returns a *DefinitionError, and panics with any other value.
func TestTryRepanics(t *testing.T) {
	for _, p := range []any{errors.New("tacho: another error"), DefinitionError{}, 7} {
		func() {
			defer func() {
				if got := recover(); got != p {
					t.Errorf("the panic %v became %v", p, got)
				}
			}()
			Try(func() int { panic(p) })
			t.Errorf("Try returns after the panic %v", p)
		}()
	}
	_, err := Try(func() []float64 { return LinearBuckets(0, 1, -1) })
	var d *DefinitionError
	if !errors.As(err, &d) || d.Metric != "" || err.Error() != "tacho: "+d.Reason {
		t.Errorf("%T %v", err, err)
	}
}

func TestBucketHelpersRefuse(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for what, define := range map[string]func() []float64{
		"linear, negative count":      func() []float64 { return LinearBuckets(0, 1, -5) },
		"linear, falling":             func() []float64 { return LinearBuckets(0, -1, 2) },
		"linear, NaN start":           func() []float64 { return LinearBuckets(nan, 1, 1) },
		"linear, NaN width":           func() []float64 { return LinearBuckets(0, nan, 2) },
		"linear, Inf start, one":      func() []float64 { return LinearBuckets(inf, 1, 1) },
		"linear, NaN width, one":      func() []float64 { return LinearBuckets(0, nan, 1) },
		"linear, a billion":           func() []float64 { return LinearBuckets(0, 1, 1e9) },
		"exponential, a billion":      func() []float64 { return ExponentialBuckets(1, 1.0000001, 1e9) },
		"exponential, one too many":   func() []float64 { return ExponentialBuckets(1, 1.01, 65001) },
		"linear, +Inf width":          func() []float64 { return LinearBuckets(0, inf, 2) },
		"linear, width lost":          func() []float64 { return LinearBuckets(1e300, 1, 2) },
		"exponential, no count":       func() []float64 { return ExponentialBuckets(1, 2, 0) },
		"exponential, negative start": func() []float64 { return ExponentialBuckets(-1, 2, 2) },
		"exponential, small factor":   func() []float64 { return ExponentialBuckets(1, 0.5, 2) },
		"exponential, NaN factor":     func() []float64 { return ExponentialBuckets(1, nan, 2) },
		"exponential, +Inf start":     func() []float64 { return ExponentialBuckets(inf, 2, 1) },
	} {
		if got, err := Try(define); err == nil {
			t.Errorf("%s: accepted, the bounds are %v", what, got)
		}
	}
	if got := LinearBuckets(5, 0, 1); !slices.Equal(got, []float64{5}) { // the width is not used
		t.Error(got)
	}
}

// TestDefinitionErrorQuotes: the text of an error is one line of valid UTF-8, for any name.
func TestDefinitionErrorQuotes(t *testing.T) {
	for name, want := range map[string]string{
		"a b":        `"a b"`,
		"caf\u00e9":  "\"caf\u00e9\"",
		"a\"b\\c":    `"a\"b\\c"`,
		"a\nb\x7f":   `"a\x0ab\x7f"`,
		"a\xffb\xc3": `"a\xffb\xc3"`,
	} {
		err := DefinitionError{Metric: name, Reason: "bad"}
		if got, want := err.Error(), "tacho: metric "+want+": bad"; got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
