//go:build linux || darwin || freebsd

package tacho

import (
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// A guardedUse passes strings of a program to the package.
type guardedUse struct {
	name  string
	units []string // the strings are repeats of a unit, cut to a length
	use   func(s string) string
}

// The units of texts and names. A cut leaves half a rune or half an escape.
var (
	textUnits     = []string{"0123456789abcdef", "é\\\"\n", "\xff"}
	nameUnits     = []string{"name", "é."}
	exemplarUnits = []string{"0123456789abcdef", "é", "\xff\x00"}
)

// checkGuarded runs each use with strings of many lengths beside unreadable memory. The
// result must be the same as in other memory, so each use returns the effect of the string.
func checkGuarded(t *testing.T, uses []guardedUse) {
	t.Helper()
	last, powers := 70, []int{128, 256, 4096}
	short := testing.Short() || race.Enabled
	if short {
		last, powers = 18, []int{32, 64} // no move copies more than 16 bytes
	}
	var lengths []int
	for n := range last + 1 {
		lengths = append(lengths, n)
	}
	for _, power := range powers {
		lengths = append(lengths, power-1, power, power+1)
	}
	for _, u := range uses {
		t.Run(u.name, func(t *testing.T) {
			g := testkit.NewGuarded(t)
			for _, n := range lengths {
				for _, unit := range u.units {
					if (n > 200 || short) && unit != u.units[0] {
						continue // no way of reading depends on length and content
					}
					s := strings.Repeat(unit, n/len(unit)+1)[:n]
					want := u.use(s)
					g.Check(s, func(s string) {
						checkSame(t, u.use(s), want)
					})
				}
			}
		})
	}
}

// exemplarTime is the end of a line with an exemplar.
var exemplarTime = regexp.MustCompile(`( # \{.* \S+) \S+\n`)

// shown returns what reg shows in all formats, without the times of exemplars.
func shown(t *testing.T, reg *Registry) string {
	t.Helper()
	om := open(t, reg)
	if strings.Contains(om, " # {") {
		om = exemplarTime.ReplaceAllString(om, "$1\n")
	}
	return text(t, reg) + om + jsonText(t, reg)
}

// checkSame compares the results of a use with and without unreadable memory.
func checkSame(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("beside unreadable memory %.200q, otherwise %.200q, after %.200q", got[at:], want[at:], got[max(0, at-100):at])
}

// defined returns what a registry shows after a definition, or the error of the definition.
func defined(t *testing.T, define func(*Registry), opts ...Option) string {
	t.Helper()
	reg, err := Try(func() *Registry {
		reg := NewRegistry(opts...)
		define(reg)
		return reg
	})
	if err != nil {
		return err.Error()
	}
	return shown(t, reg)
}

// collected returns what a registry shows that has collectors. Collectors run on goroutines
// of their own.
func collected(t *testing.T, collect func(e *Emitter), opts ...Option) string {
	t.Helper()
	return defined(t, func(reg *Registry) {
		for range 2 { // the samples of the second are duplicates
			reg.Collect(func(e *Emitter) {
				debug.SetPanicOnFault(true) // tacho_errors_total counts the panic
				collect(e)
			})
		}
	}, opts...)
}

// TestNoReadOutsideStrings: the engine reads no byte outside the strings that the program
// passes.
func TestNoReadOutsideStrings(t *testing.T) {
	recordAll := func(reg *Registry, name, help string, labels []string, values []string, opts ...Option) {
		name = strings.Clone(name) // not the string that is tested
		reg.CounterVec(name+"_a_total", help, labels, opts...).With(values...).Inc()
		reg.FloatCounterVec(name+"_b_total", help, labels, opts...).With(values...).Add(0.5)
		reg.GaugeVec(name+"_c", help, labels, opts...).With(values...).Add(12345)
		reg.FloatGaugeVec(name+"_d", help, labels, opts...).With(values...).Set(-0.5)
		reg.HistogramVec(name+"_e", help, []float64{0.5, 1}, labels, opts...).With(values...).Observe(1)
	}
	emitAll := func(e *Emitter, name, help string, labels ...string) {
		e.Gauge(name, help, 7, labels...)
		e.Counter(name+"_a_total", help, 0.5, labels...)
		e.Untyped(name+"_b", help, -1, labels...)
		e.Info(name+"_c_info", help, labels...)
		e.At(time.UnixMilli(1500)).Gauge(name+"_d", help, 1e9, labels...)
		e.Histogram(name+"_e", help, HistogramSnapshot{Count: 2, Sum: 3, Buckets: []Bucket{{UpperBound: 1, Count: 1}}}, labels...)
		e.Summary(name+"_f", help, SummarySnapshot{Count: 2, Sum: 3, Quantiles: []Quantile{{0.5, 1}}}, labels...)
	}
	utf8 := WithUTF8Names()
	checkGuarded(t, []guardedUse{
		{"label values", textUnits, func(s string) string {
			reg := NewRegistry()
			one := []string{"a"}
			for range 2 { // the first lookup makes the series, the second finds it
				recordAll(reg, "n", "", one, []string{s})
				reg.GaugeVec("three", "", []string{"a", "b", "c"}).With("x", s, s).Add(1)
				limited := reg.GaugeVec("limited", "", one, WithMaxSeries(1))
				limited.With("first").Add(1)
				limited.With(s).Add(1)
				reg.GaugeVec("expiring", "", one, WithIdleExpiry(time.Hour)).With(s).Add(1)
			}
			return shown(t, reg)
		}},
		{"deleted label values", textUnits, func(s string) string {
			result := ""
			for _, opts := range [][]Option{nil, {WithIdleExpiry(time.Hour)}} {
				reg := NewRegistry()
				v := reg.GaugeVec("jobs", "", []string{"a", "b"}, opts...)
				v.With(s, "kept").Set(1)
				v.With(s, "deleted").Set(2)
				if !v.Delete(s, "deleted") || v.Delete("other", s) {
					t.Error("Delete returned a wrong result")
				}
				v.With("x", s).Set(3)
				v.DeleteFunc(func(values []string) bool { return values[1] == s && s != "kept" })
				result += shown(t, reg)
				v.Replace(func(set *GaugeVec) { set.With(s, s).Set(4) })
				result += shown(t, reg)
			}
			return result
		}},
		{"metric names", nameUnits, func(s string) string {
			result := ""
			for _, opts := range [][]Option{nil, {utf8}} {
				for _, define := range []func(reg *Registry){
					func(reg *Registry) { reg.CounterVec(s, "", []string{"label"}).With("some value").Inc() },
					func(reg *Registry) { reg.FloatCounter(s, "").Inc() },
					func(reg *Registry) { reg.GaugeVec(s, "", []string{"label"}).With("some value").Set(7) },
					func(reg *Registry) { reg.FloatGauge(s, "").Set(0.5) },
					func(reg *Registry) { reg.Histogram(s, "", []float64{1}).Observe(1) },
					func(reg *Registry) { reg.GaugeFunc(s, "", func() float64 { return 1 }) },
					func(reg *Registry) { reg.CounterFunc(s, "", func() float64 { return 1 }) },
					func(reg *Registry) { // a conflict
						reg.Gauge(s, "")
						reg.Counter(s, "")
					},
					func(reg *Registry) {
						reg.Gauge(s, "")
						reg.Gauge("x", "")
						if !reg.Unregister(s) {
							t.Error("Unregister did not find the metric")
						}
					},
				} {
					result += defined(t, define, opts...)
				}
			}
			return result
		}},
		{"helps", textUnits, func(s string) string {
			return defined(t, func(reg *Registry) {
				recordAll(reg, "n", s, nil, nil)
				reg.CounterFunc("f_total", s, func() float64 { return 1 })
			})
		}},
		{"units", nameUnits, func(s string) string {
			return defined(t, func(reg *Registry) {
				reg.FloatCounter(strings.Clone("n_"+s+"_total"), "", WithUnit(s)).Inc()
				reg.FloatGauge(strings.Clone("n_"+s), "", WithUnit(s)).Set(1)
			})
		}},
		{"label names", nameUnits, func(s string) string {
			result := ""
			for _, opts := range [][]Option{nil, {utf8}} {
				result += defined(t, func(reg *Registry) { recordAll(reg, "n", "", []string{"x", s}, []string{"1", "2"}) }, opts...)
			}
			return result
		}},
		{"names of const labels", nameUnits, func(s string) string {
			result := ""
			for _, opts := range [][]Option{nil, {utf8}} {
				consts := WithConstLabels("x", "1", s, "2")
				result += defined(t, func(reg *Registry) { recordAll(reg, "n", "", nil, nil, consts) }, opts...)
				result += defined(t, func(reg *Registry) { recordAll(reg, "n", "", nil, nil) }, append(opts, consts)...)
				result += collected(t, func(e *Emitter) { emitAll(e, "n", "", "y", "3") }, append(opts, consts)...)
			}
			return result
		}},
		{"values of const labels", textUnits, func(s string) string {
			consts := WithConstLabels("x", s)
			return defined(t, func(reg *Registry) { recordAll(reg, "n", "", nil, nil, consts) }) +
				defined(t, func(reg *Registry) { recordAll(reg, "n", "", []string{"y"}, []string{s}) }, consts) +
				collected(t, func(e *Emitter) { emitAll(e, "n", "", "y", s) }, consts)
		}},
		{"exemplars", exemplarUnits, func(s string) string {
			return defined(t, func(reg *Registry) {
				for i, labels := range [][]string{{"id", s}, {s, "x"}, {"id", "x", "more", s}, {s, s}} {
					name := "n" + strconv.Itoa(i)
					reg.Counter(name+"_a_total", "").AddExemplar(1, labels...)
					reg.FloatCounter(name+"_b_total", "").AddExemplar(0.5, labels...)
					reg.Histogram(name+"_c", "", []float64{1}).ObserveExemplar(2, labels...)
				}
			})
		}},
		{"emitted names", nameUnits, func(s string) string {
			result := collected(t, func(e *Emitter) { emitAll(e, s, "", "a", "some value") })
			for _, emit := range []func(e *Emitter){ // the names that emitAll makes of s are copies
				func(e *Emitter) { e.Gauge(s, "", 1) },
				func(e *Emitter) { e.Counter(s, "", 1) },
				func(e *Emitter) { e.Untyped(s, "", 1) },
				func(e *Emitter) { e.Info(s, "") },
				func(e *Emitter) { e.Histogram(s, "", HistogramSnapshot{}) },
				func(e *Emitter) { e.Summary(s, "", SummarySnapshot{}) },
			} {
				result += collected(t, emit, utf8)
			}
			return result
		}},
		{"emitted helps", textUnits, func(s string) string {
			return collected(t, func(e *Emitter) { emitAll(e, "n", s) })
		}},
		{"emitted label names", nameUnits, func(s string) string {
			result := ""
			for _, opts := range [][]Option{nil, {utf8}} {
				result += collected(t, func(e *Emitter) { emitAll(e, "n", "", s, "1", "x", "2") }, opts...)
			}
			return result
		}},
		{"emitted label values", textUnits, func(s string) string {
			return collected(t, func(e *Emitter) {
				for _, other := range []string{"x", "", "y"} { // several rows, which are sorted
					emitAll(e, "n", "", "a", s, "b", other)
					emitAll(e, "n", "", "a", other, "b", s)
				}
			})
		}},
	})
}

// TestNoReadOutsideSlices: the engine reads and appends no element outside the slices that
// the program passes.
func TestNoReadOutsideSlices(t *testing.T) {
	g := testkit.NewGuarded(t)
	for n := range 71 {
		bounds := make([]float64, n)
		buckets := make([]Bucket, n)
		quantiles := make([]Quantile, n)
		pairs := make([]string, 2*n)
		names, values := make([]string, n), make([]string, n)
		for i := range n {
			bounds[i] = float64(i) - 3
			buckets[i] = Bucket{UpperBound: bounds[i], Count: uint64(2 * i)}
			quantiles[i] = Quantile{float64(i) / 100, bounds[i]}
			names[i], values[i] = "n"+strings.Repeat("x", i), strings.Repeat("v", i)
			pairs[2*i], pairs[2*i+1] = names[i], values[i]
		}
		checkSlice(t, g, bounds, func(list []float64) string {
			return defined(t, func(reg *Registry) {
				h := reg.HistogramVec("h", "", list, []string{"a"})
				for _, v := range append([]float64{-10, 100}, bounds...) {
					h.With("x").Observe(v)
				}
			})
		})
		checkSlice(t, g, buckets, func(list []Bucket) string {
			return collected(t, func(e *Emitter) { e.Histogram("h", "", HistogramSnapshot{Count: 1000, Sum: 1, Buckets: list}) })
		})
		checkSlice(t, g, quantiles, func(list []Quantile) string {
			return collected(t, func(e *Emitter) { e.Summary("s", "", SummarySnapshot{Count: 1000, Sum: 1, Quantiles: list}) })
		})
		checkSlice(t, g, names, func(list []string) string {
			return defined(t, func(reg *Registry) {
				for range 2 {
					reg.CounterVec("c_total", "", list).With(values...).Inc()
				}
			}, WithConstLabels("const", "x"))
		})
		checkSlice(t, g, values, func(list []string) string {
			return defined(t, func(reg *Registry) {
				v := reg.CounterVec("c_total", "", names)
				for range 2 {
					v.With(list...).Inc()
				}
				reg.GaugeVec("g", "", names).Delete(list...)
				reg.GaugeVec("one", "", []string{"a", "b"}).With(list...).Inc() // mostly the wrong number
			})
		})
		checkSlice(t, g, pairs, func(list []string) string {
			return defined(t, func(reg *Registry) {
				reg.Counter("c_total", "", WithConstLabels(list...)).AddExemplar(1, list...)
				reg.Histogram("h", "", nil).ObserveExemplar(1, list[:min(4, len(list))]...)
			}) +
				defined(t, func(*Registry) {}, WithConstLabels(list...)) +
				collected(t, func(e *Emitter) { e.Gauge("g", "", 1, list...) }, WithConstLabels("const", "x"))
		})
	}
}

// checkSlice is checkGuarded for one slice.
func checkSlice[E any](t *testing.T, g *testkit.Guarded, list []E, use func(list []E) string) {
	t.Helper()
	want := use(list)
	testkit.CheckSlice(g, list, func(list []E) { checkSame(t, use(list), want) })
}
