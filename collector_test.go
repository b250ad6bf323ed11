package tacho

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/sortkeys"
	"github.com/tachikoma/tacho/internal/testkit"
)

func TestCollectorMistakes(t *testing.T) {
	r := NewRegistry()
	r.Counter("defined_total", "").Inc()
	r.Histogram("hist", "", nil)
	r.Collect(func(e *Emitter) {
		e.Gauge("ok", "First help.", 1, "a", "1", "b", "2")
		e.Gauge("ok", "Another help.", 2, "b", "2", "a", "1")
		e.Gauge("ok", "", 3, "a", "2")
		e.Gauge("odd", "", 1, "a")
		e.Gauge("bad name", "", 1)
		e.Gauge("badlabel", "", 1, "__x", "1")
		e.Gauge("twicelabel", "", 1, "x", "1", "x", "2")
		e.Counter("ok", "", 1, "a", "3")
		e.Counter("defined_total", "", 9)
		e.Gauge("hist_sum", "", 9)
		e.Gauge("defined_created", "", 9)
		e.Counter("negative_total", "", -1)
		e.Counter("nan_total", "", math.NaN())
		e.Histogram("h2", "", HistogramSnapshot{Count: 1, Buckets: []Bucket{{2, 1}, {1, 1}}})
		e.Histogram("h3", "", HistogramSnapshot{Count: 1, Buckets: []Bucket{{1, 2}}})
		e.Histogram("h4", "", HistogramSnapshot{Count: 2, Buckets: []Bucket{{1, 1}, {math.Inf(1), 1}}})
		e.Histogram("h5", "", HistogramSnapshot{}, "le", "1")
		e.Summary("s1", "", SummarySnapshot{Quantiles: []Quantile{{.5, 1}, {.5, 1}}})
		e.Summary("s2", "", SummarySnapshot{Quantiles: []Quantile{{1.5, 1}}})
		e.Summary("s3", "", SummarySnapshot{Quantiles: []Quantile{{math.NaN(), 1}}})
		e.Summary("s4", "", SummarySnapshot{}, "quantile", "1")
		e.Summary("s5", "", SummarySnapshot{Count: 1})
		e.Gauge("s5_sum", "", 1)
		e.Histogram("h6", "", HistogramSnapshot{Count: 1, Sum: 1, Buckets: []Bucket{{math.Inf(1), 1}}})
		e.Gauge("h6_count", "", 1)
	})
	got := text(t, r)
	for _, want := range []string{
		"# HELP ok First help.\n# TYPE ok gauge\nok{a=\"1\",b=\"2\"} 1\nok{a=\"2\"} 3\n",
		"defined_total 1\n", "h6_bucket{le=\"+Inf\"} 1\nh6_sum 1\nh6_count 1\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	testkit.ParseText(t, got) // fails the test if a series repeats
	r.Collect(func(*Emitter) {})
	counts := text(t, r) // has the samples that the first scrape refused
	for _, want := range []string{
		`{metric="ok",reason="duplicate"}`, `{metric="odd",reason="invalid"}`, `{metric="",reason="invalid"}`, `{metric="badlabel",reason="invalid"}`,
		`{metric="twicelabel",reason="invalid"}`, `{metric="ok",reason="conflict"}`, `{metric="defined_total",reason="conflict"}`, `{metric="hist_sum",reason="conflict"}`,
		`{metric="defined_created",reason="conflict"}`, `{metric="negative_total",reason="negative"}`, `{metric="nan_total",reason="nan"}`, `{metric="h2",reason="invalid"}`,
		`{metric="s1",reason="invalid"}`, `{metric="s2",reason="invalid"}`, `{metric="s3",reason="invalid"}`, `{metric="s4",reason="invalid"}`,
		`{metric="s5_sum",reason="conflict"}`, `{metric="h3",reason="invalid"}`, `{metric="h4",reason="invalid"}`, `{metric="h5",reason="invalid"}`, `{metric="h6_count",reason="conflict"}`,
	} {
		if !strings.Contains(counts, "tacho_errors_total"+want) {
			t.Errorf("no %s in\n%s", want, counts)
		}
	}
}

// TestTimesThatScrapersRefuse: the parser of Prometheus accepts no minus sign in a time of
// the text format. It refuses the whole scrape because of one bad time.
func TestTimesThatScrapersRefuse(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.At(time.UnixMilli(-1)).Gauge("early", "", 1)
		e.At(time.UnixMilli(math.MinInt64)).Gauge("first", "", 1)
		e.At(time.UnixMilli(math.MaxInt64)).Gauge("last", "", 1)
		e.At(time.Time{}).Gauge("none", "", 1)
		e.At(time.UnixMilli(0)).Gauge("epoch", "", 1)
		e.At(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)).Gauge("late", "", 1)
	})
	text(t, r)
	got := text(t, r)
	for _, want := range []string{"epoch 1 0\n", "late 1 253402300799000\n", `{metric="early",reason="invalid"} 2`,
		`{metric="first",reason="invalid"} 2`, `{metric="last",reason="invalid"} 2`, `{metric="none",reason="invalid"} 2`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestCollectorPanics(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) { e.Gauge("a", "", 1, "c", "first") })
	r.Collect(func(e *Emitter) {
		e.Gauge("a", "", 2, "c", "second")
		e.Gauge("b", "", 1)
		panic("collector")
	})
	r.Collect(func(e *Emitter) { e.Gauge("c", "", 3) })
	r.GaugeFunc("f", "", func() float64 { panic("function") })
	r.CounterFunc("g", "", func() float64 { panic("g") })
	got := text(t, r)
	want := `# TYPE a gauge
a{c="first"} 1
# TYPE c gauge
c 3
# HELP tacho_errors_total Recordings and collected samples that were refused.
# TYPE tacho_errors_total counter
tacho_errors_total{metric="",reason="panic"} 1
tacho_errors_total{metric="f",reason="panic"} 1
tacho_errors_total{metric="g",reason="panic"} 1
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestCollectorMayUseTheRegistry: the registry calls functions of the program without a
// lock.
func TestCollectorMayUseTheRegistry(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	r.Collect(func(e *Emitter) {
		v.With("collector").Inc()
		r.Gauge("defined_late", "").Set(1)
	})
	r.GaugeFunc("f", "", func() float64 { v.With("function").Inc(); r.Unregister("nothing"); return 1 })
	if got := text(t, r); !strings.Contains(got, `x{a="collector"} 1`) || !strings.Contains(got, "defined_late 1") {
		t.Error(got)
	}
}

// TestRefusal: counters from functions and collectors take every value that is not negative
// and not NaN, as FloatCounter.Add does.
func TestRefusal(t *testing.T) {
	for v, want := range map[float64]string{
		0: "", 5e-324: "", 0.5: "", 1: "", math.Inf(+1): "",
		-5e-324: reasonNegative, -0.5: reasonNegative, -1: reasonNegative, math.Inf(-1): reasonNegative,
		math.NaN(): reasonNaN,
	} {
		if got := refusal(v); got != want {
			t.Errorf("%v: reason %q, want %q", v, got, want)
		}
		r := NewRegistry()
		added := r.FloatCounter("added", "")
		added.Add(v)
		r.CounterFunc("read", "", func() float64 { return v })
		r.Collect(func(e *Emitter) { e.Counter("emitted", "", v) })
		got := text(t, r)
		number := strconv.FormatFloat(v, 'g', -1, 64)
		for _, name := range []string{"added", "read", "emitted"} {
			if strings.Contains(got, "\n"+name+" "+number+"\n") != (want == "") {
				t.Errorf("%v:\n%s", v, got)
			}
		}
	}
	if got := refusal(math.Copysign(0, -1)); got != "" {
		t.Errorf("-0: reason %q", got)
	}
}

// TestShapesAreShared: each list of label names is checked once for all values. A bad name
// that contains the separator of names does not count as two names.
func TestShapesAreShared(t *testing.T) {
	r := NewRegistry()
	shapes := 0
	sep := string([]byte{sortkeys.Sep})
	r.Collect(func(e *Emitter) {
		for i := range 100 {
			v := strconv.Itoa(i)
			e.Gauge("x", "", 1, "a", v)
			e.Gauge("x", "", 1, "a", v, "b", v)
			e.Gauge("x", "", 1, "b", v, "a", v+v)
		}
		shapes = len(e.collection.shapes)
		e.Gauge("bad", "", 1, "c"+sep+"d", "1")
		e.Gauge("y", "", 1, "c", "1", "d", "2")
		e.Gauge("bad", "", 1, "a"+sep+"b", "1")
		e.Gauge("y", "", 2, "a", "1", "b", "2")
	})
	got := text(t, r)
	if shapes != 3 {
		t.Errorf("%d shapes for 3 lists of names", shapes)
	}
	if strings.Contains(got, "bad{") || !strings.Contains(got, `y{c="1",d="2"} 1`) || !strings.Contains(got, `y{a="1",b="2"} 2`) {
		t.Errorf("got\n%s", got)
	}
}

// TestSilentCollectorsCostNothing: a collector that emits nothing does not make a scrape copy
// the families of another collector.
func TestSilentCollectorsCostNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	r := NewRegistry()
	var made []*collection
	r.Collect(func(e *Emitter) {
		made = append(made, e.collection)
		for i := range 1000 {
			e.Gauge("g"+strconv.Itoa(i), "", 1)
		}
	})
	text(t, r)
	loud, silent := &call{ok: true, emitted: made[0]}, &call{ok: true, emitted: &collection{reg: r}}
	allocs := func(calls ...*call) float64 {
		return testing.AllocsPerRun(10, func() { mergeCollected(r, calls, nil) })
	}
	want := allocs(loud)
	for _, calls := range [][]*call{{silent, loud}, {loud, silent}, {silent, loud, silent, silent}} {
		if got := allocs(calls...); got != want {
			t.Errorf("%v allocations with %d silent collectors, want %v as without", got, len(calls)-1, want)
		}
	}
	if got := allocs(silent, silent); got != 0 {
		t.Errorf("%v allocations with silent collectors only", got)
	}
}

// TestEmptyLabelIsNoLabel: for Prometheus a label with an empty value is no label. So two
// samples that differ only in such a label are the same series.
func TestEmptyLabelIsNoLabel(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Gauge("x", "", 1, "a", "")
		e.Gauge("x", "", 2)
		e.Gauge("x", "", 3, "b", "")
		e.Gauge("x", "", 4, "a", "", "b", "1")
		e.Gauge("x", "", 5, "b", "1")
	})
	testkit.ParseText(t, text(t, r)) // fails the test if a series repeats
	if got := vecOf[Counter](r.errors).With("x", reasonDuplicate).Value(); got != 3 {
		t.Errorf("%d duplicates counted, want 3", got)
	}
}

// TestInvalidLabelValuesAreOneSeries: invalid UTF-8 is replaced in the output, so samples
// that differ only in their invalid bytes are the same series. The values after an invalid
// value still belong to the key.
func TestInvalidLabelValuesAreOneSeries(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Gauge("x", "", 1, "a", "\xff", "b", "1")
		e.Gauge("x", "", 2, "a", "\xfe", "b", "1")
		e.Gauge("x", "", 3, "a", "\uFFFD", "b", "1")
		e.Gauge("x", "", 4, "a", "\xff", "b", "2")
		e.Gauge("x", "", 5, "b", "\xff", "a", "\xff")
		e.Gauge("x", "", 6, "a", "\uFFFD", "b", "\uFFFD")
	})
	testkit.ParseText(t, text(t, r)) // fails the test if a series repeats
	if got := vecOf[Counter](r.errors).With("x", reasonDuplicate).Value(); got != 3 {
		t.Errorf("%d duplicates counted, want 3 in\n%s", got, text(t, r))
	}
}

// TestEmptyConstantLabelChangesNoOrder: a constant label with an empty value is no label
// either, so the samples have the order that they have without the label.
func TestEmptyConstantLabelChangesNoOrder(t *testing.T) {
	emit := func(e *Emitter) {
		e.Gauge("x", "", 1, "b", "1")
		e.Gauge("x", "", 2)
		e.Gauge("x", "", 3, "d", "1")
	}
	plain, labeled := NewRegistry(), NewRegistry(WithConstLabels("c", ""))
	plain.Collect(emit)
	labeled.Collect(emit)
	got := strings.NewReplacer(`{c=""}`, "", `c="",`, "").Replace(text(t, labeled))
	if want := text(t, plain); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestDefinitionDuringAScrape: a scrape has a family once, also if the family is emitted
// and then defined during the scrape.
func TestDefinitionDuringAScrape(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Gauge("x", "", 1)
		e.Gauge("y_sum", "", 1)
		r.Gauge("x", "").Set(2)
		r.Histogram("y", "", nil)
	})
	r.Collect(func(*Emitter) {})
	testkit.ParseText(t, text(t, r)) // fails the test if a family repeats
	got := text(t, r)
	if strings.Count(got, "\nx ") != 1 || strings.Count(got, "\ny_sum ") != 1 {
		t.Error(got)
	}
}

// TestDefinedHistogramConflictsWithEmittedSample: a scrape has a name once, also if it is
// the name of an emitted family and of a sample of a histogram that is then defined.
func TestDefinedHistogramConflictsWithEmittedSample(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Gauge("y_sum", "", 1)
		r.Histogram("y", "", nil)
	})
	if got := text(t, r); strings.Count(got, "\ny_sum ") != 1 {
		t.Errorf("y_sum repeats:\n%s", got)
	}
}

// TestPanickingCollectorReleasesNames: the samples of a collector that panicked are left
// out. Another collector may use their names with another type and help.
func TestPanickingCollectorReleasesNames(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Gauge("x", "Of the first collector.", 1)
		e.Histogram("y", "", HistogramSnapshot{})
		panic("collector")
	})
	r.Collect(func(e *Emitter) {
		e.Counter("x", "Of the second collector.", 2)
		e.Gauge("y_sum", "", 3)
	})
	got := text(t, r)
	if !strings.Contains(got, "# HELP x Of the second collector.\n# TYPE x counter\nx 2\n") || !strings.Contains(got, "y_sum 3\n") {
		t.Error(got)
	}
}

// TestCollectedHistogram: a histogram and its emitted snapshot have the same samples.
func TestCollectedHistogram(t *testing.T) {
	r := NewRegistry()
	h := r.HistogramVec("x", "", []float64{1, 2}, []string{"a"}).With("1")
	for _, v := range []float64{0.5, 1.5, 1.5, 9} {
		h.Observe(v)
	}
	r.Collect(func(e *Emitter) { e.Histogram("y", "", h.Snapshot(), "a", "1") })
	got := text(t, r)
	x, y, ok := strings.Cut(got, "# TYPE y ")
	if !ok || strings.ReplaceAll(x, "x", "y") != "# TYPE y "+y {
		t.Error(got)
	}
}

// TestRefusedSamplesChangeNoOthers: a refused sample does not set the type of its family,
// and does not change other samples. This holds for every scrape.
func TestRefusedSamplesChangeNoOthers(t *testing.T) {
	r := NewRegistry()
	r.Gauge("defined", "")
	r.Collect(func(e *Emitter) {
		e.Gauge("x", "", 1, "bad name", "v")
		e.Counter("x", "", -1)
		e.Histogram("x", "", HistogramSnapshot{Buckets: []Bucket{{math.NaN(), 0}}})
		e.Histogram("defined", "", HistogramSnapshot{})
		e.Gauge("defined_sum", "", 4)
		e.Untyped("x", "", 5)
	})
	for scrape := range 3 {
		got := text(t, r)
		if !strings.Contains(got, "# TYPE x untyped\nx 5\n") || !strings.Contains(got, "defined_sum 4\n") {
			t.Error(got)
		}
		if n := vecOf[Counter](r.errors).With("x", reasonInvalid).Value(); n != uint64(2*(scrape+1)) {
			t.Errorf("%d invalid samples counted after %d scrapes", n, scrape+1)
		}
	}
}

// TestFaultsAreBounded: the number of series of tacho_errors_total is limited, also if a
// collector emits bad samples with new names at every scrape.
// TestFaultsAreBounded: bad samples with new or long names make no more series than the
// limit. A name that has a series keeps it, and what the program defined has no limit.
func TestFaultsAreBounded(t *testing.T) {
	r := NewRegistry()
	n := 0
	stop := r.Collect(func(e *Emitter) {
		e.Gauge("known", "", 1, "odd")
		for range 100 {
			n++
			e.Gauge("new_name_"+strconv.Itoa(n), "", 1, "odd")
		}
		e.Gauge(strings.Repeat("x", maxChargedName+1), "", 1, "odd")
	})
	for range 30 {
		text(t, r)
	}
	stop()
	v := r.CounterVec("defined_total", "", []string{"l"})
	v.With()
	sum, known, overflow, longest := 0., 0., 0., 0
	for _, s := range testkit.ParseText(t, text(t, r)) {
		switch s.Name {
		case "tacho_errors_total":
			sum += s.Value
		case "tacho_series_overflow_total":
			overflow += s.Value
		}
		for _, l := range s.Labels {
			if longest = max(longest, len(l.Value)); l.Value == "known" {
				known = s.Value
			}
		}
	}
	if series := vecOf[Counter](r.errors).Len(); series > maxCharged+2 || sum != float64(n+30+30+1) {
		t.Errorf("%d series count %v refused samples, want %d", series, sum, n+30+30+1)
	}
	if known != 30 || overflow == 0 || longest > 100 {
		t.Errorf("known %v, overflow %v, longest value %d; want 30, above 0, and no long name", known, overflow, longest)
	}
	if got := vecOf[Counter](r.errors).With("defined_total", reasonLabelCount).Value(); got != 1 {
		t.Errorf("the program's own metric has %d faults, want 1", got)
	}
}
