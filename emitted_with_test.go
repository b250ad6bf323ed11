package tacho

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/testkit"
)

// noErrors fails the test if a scrape of r shows a refused sample.
func noErrors(t testing.TB, r *Registry) {
	t.Helper()
	text(t, r)
	if got := text(t, r); strings.Contains(got, "tacho_errors_total") {
		t.Errorf("refused samples:\n%s", got)
	}
}

// TestEmittedProperties: each format shows the times of creation, units and exemplars for which it
// has a place.
func TestEmittedProperties(t *testing.T) {
	r := NewRegistry()
	x := Exemplar{0.5, []string{"id", "x"}, time.UnixMilli(2500)}
	r.Collect(func(e *Emitter) {
		e = e.Created(time.UnixMilli(1500)).Exemplars(x).Unit("seconds")
		e.Counter("c_seconds_total", "", 1)
		e.Counter("c_seconds", "", 1)
		e.Gauge("g_seconds", "", 1)
		e.Untyped("u_seconds", "", 1)
		e.Info("i_seconds_info", "")
		e.Histogram("h_seconds", "", HistogramSnapshot{Count: 1, Buckets: []Bucket{{0.25, 0}, {0.5, 1}}})
		e.Summary("s_seconds", "", SummarySnapshot{Count: 1, Quantiles: []Quantile{{0.5, 1}}})
	})
	// The counter c_seconds has the name that OpenMetrics gives to c_seconds_total, so OpenMetrics shows
	// c_seconds_total with type unknown.
	const wantOpen = `# TYPE c_seconds unknown
# UNIT c_seconds seconds
c_seconds 1.0
# TYPE c_seconds_total unknown
c_seconds_total 1.0
# TYPE g_seconds gauge
# UNIT g_seconds seconds
g_seconds 1.0
# TYPE h_seconds histogram
# UNIT h_seconds seconds
h_seconds_bucket{le="0.25"} 0
h_seconds_bucket{le="0.5"} 1 # {id="x"} 0.5 2.5
h_seconds_bucket{le="+Inf"} 1
h_seconds_sum 0.0
h_seconds_count 1
h_seconds_created 1.5
# TYPE i_seconds info
i_seconds_info 1.0
# TYPE s_seconds summary
# UNIT s_seconds seconds
s_seconds{quantile="0.5"} 1.0
s_seconds_sum 0.0
s_seconds_count 1
s_seconds_created 1.5
# TYPE u_seconds unknown
# UNIT u_seconds seconds
u_seconds 1.0
# EOF
`
	if got := open(t, r); got != wantOpen {
		t.Errorf("OpenMetrics: got\n%s", got)
	}
	const value = `exemplar:{label:{name:"id" value:"x"} value:0.5 timestamp:{seconds:2 nanos:500000000}}`
	const created = `{seconds:1 nanos:500000000}`
	proto := protobufText(t, r)
	for _, want := range []string{
		`name:"c_seconds_total" type:COUNTER unit:"seconds" metric:{counter:{value:1 ` + value + ` created:` + created + `}}`,
		`bucket:{cumulative_count:1 upper_bound:0.5 ` + value + `} created:` + created,
		`quantile:{quantile:0.5 value:1} created:` + created,
		`name:"g_seconds" type:GAUGE unit:"seconds" metric:{gauge:{value:1}}`,
		`name:"i_seconds_info" type:GAUGE metric:`,
	} {
		if !strings.Contains(proto, want) {
			t.Errorf("protobuf: no %s in\n%s", want, proto)
		}
	}
	plain := NewRegistry()
	plain.Collect(func(e *Emitter) {
		e.Counter("c_seconds_total", "", 1)
		e.Counter("c_seconds", "", 1)
		e.Gauge("g_seconds", "", 1)
		e.Untyped("u_seconds", "", 1)
		e.Info("i_seconds_info", "")
		e.Histogram("h_seconds", "", HistogramSnapshot{Count: 1, Buckets: []Bucket{{0.25, 0}, {0.5, 1}}})
		e.Summary("s_seconds", "", SummarySnapshot{Count: 1, Quantiles: []Quantile{{0.5, 1}}})
	})
	if got, want := text(t, r), text(t, plain); got != want {
		t.Errorf("text: got\n%s\nwant\n%s", got, want)
	}
	if got, want := jsonText(t, r), jsonText(t, plain); got != want {
		t.Errorf("JSON: got\n%s\nwant\n%s", got, want)
	}
	noErrors(t, r)
}

// TestEmittedCounterExemplar: a counter whose name ends in _total shows its latest exemplar and its
// time of creation in OpenMetrics, and the time of the sample before the exemplar.
func TestEmittedCounterExemplar(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		late, early := Exemplar{2, []string{"id", "late"}, time.UnixMilli(2000)}, Exemplar{1, []string{"id", "early"}, time.UnixMilli(1000)}
		e.Exemplars(late, early).Counter("a_total", "", 3)
		e.Exemplars(early, late).At(time.UnixMilli(5000)).Created(time.UnixMilli(500)).Counter("b_total", "", 3)
		e.Exemplars(early).Exemplars().Counter("c_total", "", 3)
		e.Created(time.UnixMilli(500)).Created(time.Time{}).Counter("d_total", "", 3)
		e.Unit("parts").Unit("").Counter("e_parts_total", "", 3)
	})
	const want = `# TYPE a counter
a_total 3.0 # {id="late"} 2.0 2
# TYPE b counter
b_total 3.0 5 # {id="late"} 2.0 2
b_created 0.5
# TYPE c counter
c_total 3.0
# TYPE d counter
d_total 3.0
# TYPE e_parts counter
e_parts_total 3.0
# EOF
`
	if got := open(t, r); got != want {
		t.Errorf("got\n%s", got)
	}
	noErrors(t, r)
}

// TestEmittedUnit: the unit of a family is the unit of its first sample, also if several collectors
// emit the family.
func TestEmittedUnit(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Unit("a").Gauge("x_a", "", 1, "n", "1")
		e.Unit("b").Gauge("x_a", "", 1, "n", "2")
		e.Gauge("x_b", "", 1, "n", "1")
		e.Unit("b").Gauge("x_b", "", 1, "n", "2")
	})
	r.Collect(func(e *Emitter) {
		e.Gauge("x_a", "", 1, "n", "3")
		e.Unit("other").Gauge("x_b", "", 1, "n", "3")
		e.Unit("_c").Gauge("x__c", "", 1)
		e.Unit("x").Gauge("x", "", 1)
	})
	got := open(t, r)
	if strings.Count(got, "# UNIT") != 2 || !strings.Contains(got, "# UNIT x_a a\n") || !strings.Contains(got, "# UNIT x__c _c\n") {
		t.Errorf("got\n%s", got)
	}
	noErrors(t, r)
}

// TestBadProperties: bad exemplars, times of creation and units are left out and counted. The
// sample is shown.
func TestBadProperties(t *testing.T) {
	good := time.UnixMilli(1000)
	id := []string{"id", "1"}
	bad := map[string]struct {
		with   func(e *Emitter) *Emitter
		reason string
		n      int
	}{
		"a_seconds_total": {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{1, nil, good}) }, "exemplar", 1},
		"b_seconds_total": {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{1, []string{"odd"}, good}) }, "exemplar", 1},
		"c_seconds_total": {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{1, []string{"bad name", ""}, good}) }, "exemplar", 1},
		"d_seconds_total": {func(e *Emitter) *Emitter {
			return e.Exemplars(Exemplar{1, []string{"id", strings.Repeat("x", 127)}, good})
		}, "exemplar", 1},
		"e_seconds_total":  {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{1, []string{"id", "\x00"}, good}) }, "exemplar", 1},
		"f_seconds_total":  {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{1, id, time.Time{}}) }, "exemplar", 1},
		"g_seconds_total":  {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{1, id, time.UnixMilli(-1)}) }, "exemplar", 1},
		"h_seconds_total":  {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{1, id, time.UnixMilli(maxTime + 1)}) }, "exemplar", 1},
		"i_seconds_total":  {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{-1, id, good}) }, "exemplar", 1},
		"j_seconds_total":  {func(e *Emitter) *Emitter { return e.Exemplars(Exemplar{math.NaN(), id, good}, Exemplar{-1, id, good}) }, "exemplar", 2},
		"k_seconds_total":  {func(e *Emitter) *Emitter { return e.Created(time.UnixMilli(-1)) }, "invalid", 1},
		"l_seconds_total":  {func(e *Emitter) *Emitter { return e.Created(time.UnixMilli(maxTime + 1)) }, "invalid", 1},
		"m_seconds_total":  {func(e *Emitter) *Emitter { return e.Unit("s\n# EOF") }, "invalid", 1},
		"n_seconds_total":  {func(e *Emitter) *Emitter { return e.Unit("é") }, "invalid", 1},
		"o_s.conds_total":  {func(e *Emitter) *Emitter { return e.Unit("s.conds") }, "invalid", 1},
		"p\"_s\n\\d_total": {func(e *Emitter) *Emitter { return e.Unit("s\n\\d") }, "invalid", 1},
	}
	r := NewRegistry(WithUTF8Names())
	r.Collect(func(e *Emitter) {
		for name, b := range bad {
			b.with(e).Counter(name, "", 1)
		}
	})
	open(t, r)
	got := open(t, r)
	testkit.ParseOpenMetrics(t, got)
	for _, word := range []string{"_created", "# {", "# UNIT"} {
		if strings.Contains(got, word) {
			t.Errorf("%q in\n%s", word, got)
		}
	}
	shown := jsonText(t, r)
	for name, b := range bad {
		if !strings.Contains(shown, strconv.Quote(name)+`:[{"labels":{},"value":1}]`) {
			t.Errorf("%q is not shown in\n%s", name, shown)
		}
		if want := `{"labels":{"metric":` + strconv.Quote(name) + `,"reason":"` + b.reason + `"},"value":` + strconv.Itoa(3*b.n) + "}"; !strings.Contains(shown, want) {
			t.Errorf("no %s in\n%s", want, shown)
		}
	}
}

// TestEmittedTimesOfInfos: a time of creation is no time of a sample, so samples with and without
// make one info.
func TestEmittedTimesOfInfos(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Info("x_info", "", "a", "1")
		e.Created(time.UnixMilli(1)).Info("x_info", "", "a", "2")
	})
	if got := open(t, r); !strings.Contains(got, "# TYPE x info\n") {
		t.Error(got)
	}
}

// TestEmittedExemplarsOfOneTime: the last exemplar of the latest time is shown, also if an earlier one
// follows it in the list.
func TestEmittedExemplarsOfOneTime(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		list := []Exemplar{
			{1, []string{"id", "first"}, time.UnixMilli(2000)},
			{1, []string{"id", "second"}, time.UnixMilli(2000)},
			{1, []string{"id", "early"}, time.UnixMilli(1000)},
		}
		e.Exemplars(list...).Counter("a_total", "", 3)
		e.Exemplars(list...).Histogram("b", "", HistogramSnapshot{Count: 1, Buckets: []Bucket{{1, 1}}})
	})
	got := open(t, r)
	for _, want := range []string{"a_total 3.0 # {id=\"second\"} 1.0 2\n", "b_bucket{le=\"1.0\"} 1 # {id=\"second\"} 1.0 2\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestEmittedHistogramExemplars: each classic bucket shows the latest exemplar with a value in the
// bucket, and a native histogram all exemplars in the order of their times, each once.
func TestEmittedHistogramExemplars(t *testing.T) {
	list := []Exemplar{}
	for i, x := range []struct {
		v  float64
		at int64
	}{{3, 9000}, {math.Inf(-1), 1000}, {1, 3000}, {1, 3000}, {0.5, 2000}, {1.5, 5000}, {math.Inf(+1), 9000}, {-1, 9000}} {
		id := strconv.Itoa(i)
		if i == 3 {
			id = "2" // the same exemplar again
		}
		list = append(list, Exemplar{x.v, []string{"id", id}, time.UnixMilli(x.at)})
	}
	for _, buckets := range [][]Bucket{{{1, 2}, {2, 3}}, nil} {
		r := NewRegistry(WithNative())
		r.Collect(func(e *Emitter) {
			s := HistogramSnapshot{Count: 4, Buckets: buckets, Native: &NativeSnapshot{Positive: []NativeBucket{{0, 4}}}}
			e.Exemplars(list...).Histogram("h", "", s)
		})
		want := `# TYPE h histogram
h_bucket{le="1.0"} 2 # {id="7"} -1.0 9
h_bucket{le="2.0"} 3 # {id="5"} 1.5 5
h_bucket{le="+Inf"} 4 # {id="6"} +Inf 9
`
		if buckets == nil {
			want = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4 # {id=\"7\"} -1.0 9\n"
		}
		if got := open(t, r); !strings.HasPrefix(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		_, got, _ := strings.Cut(protobufText(t, r), "positive_delta")
		var ids []string
		for _, part := range strings.Split(got, `name:"id" value:"`)[1:] {
			ids = append(ids, part[:1])
		}
		// Exemplars of one time are in the order of the bits of their values.
		if got := strings.Join(ids, ""); got != "1425067" {
			t.Errorf("native exemplars %s in\n%s", got, protobufText(t, r))
		}
	}
}

// TestPropertiesOfZeroEmitters: an Emitter that no scrape made does nothing.
func TestPropertiesOfZeroEmitters(t *testing.T) {
	new(Emitter).At(time.Now()).Created(time.Now()).Exemplars(Exemplar{}).Unit("x").Fallback().Counter("x_total", "", 1)
	var kept *Emitter
	r := NewRegistry()
	stop := r.Collect(func(e *Emitter) { kept = e })
	text(t, r)
	kept.Fallback().Created(time.UnixMilli(-1)).Counter("x_total", "", 1)
	stop()
	if got := text(t, r); got != "" {
		t.Error(got)
	}
}

// TestUTF8Names: an Emitter reports whether its registry allows UTF-8 names.
func TestUTF8Names(t *testing.T) {
	for want, opts := range map[bool][]Option{true: {WithUTF8Names()}, false: nil} {
		r, called := NewRegistry(opts...), false
		r.Collect(func(e *Emitter) {
			if called = true; e.UTF8Names() != want || e.Fallback().UTF8Names() != want {
				t.Errorf("want %v", want)
			}
		})
		if text(t, r); !called {
			t.Error("not called")
		}
	}
	if new(Emitter).UTF8Names() {
		t.Error("a zero Emitter allows UTF-8 names")
	}
}

// FuzzEmitterProperties: whatever a collector emits, every parser accepts the scrape.
func FuzzEmitterProperties(f *testing.F) {
	f.Add("x_seconds", "seconds", "id", "1", 1.5, int64(1500), int64(2500), true)
	f.Add("é_s\n", "s\n", "é", "\xff", math.NaN(), int64(-1), int64(math.MaxInt64), true)
	f.Fuzz(func(t *testing.T, name, unit, label, value string, v float64, created, at int64, anyName bool) {
		var opts []Option
		if anyName {
			opts = []Option{WithUTF8Names(), WithNative()}
		}
		r := NewRegistry(opts...)
		x := []Exemplar{{v, []string{label, value}, time.UnixMilli(at)}, {v, []string{"id", value}, time.UnixMilli(at / 2)}}
		emit := func(e *Emitter) {
			e = e.Created(time.UnixMilli(created)).Unit(unit).Exemplars(x...)
			e.Counter(name, "", v)
			e.Counter(name+"_total", value, v)
			e.Gauge(name+"_g", "", v, label, value)
			e.Info(name+"_info", "", label, value)
			e.Histogram(name+"_h", "", HistogramSnapshot{Count: 3, Sum: v, Buckets: []Bucket{{v, 2}}, Native: &NativeSnapshot{Positive: []NativeBucket{{1, 3}}}})
			e.Summary(name+"_s", "", SummarySnapshot{Count: 3, Sum: v, Quantiles: []Quantile{{0.5, v}}})
			e.Untyped(name+"_created", "", v)
			e.At(time.UnixMilli(at)).Gauge(name+"_"+unit, "", v)
		}
		r.Collect(emit)
		r.Collect(func(e *Emitter) { emit(e.Fallback()) })
		for range 2 {
			testkit.ParseOpenMetrics(t, open(t, r))
			testkit.ParseJSON(t, jsonText(t, r))
			protobufText(t, r)
			if !anyName { // escaped names are not sorted
				testkit.ParseText(t, text(t, r))
			}
		}
	})
}
