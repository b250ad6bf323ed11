package expo

import (
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// plain marks a family that is shown plain in the results of calls.
const plain = " plain"

// called returns the names of families in an exposition of a registry with UTF-8 names.
func called(ns *Names, families []*Family, open bool, s names.Scheme) (found []string) {
	rename := ns.naming(families, open, s)
	for _, f := range families {
		name, isPlain := rename(f)
		if isPlain {
			name += plain
		}
		found = append(found, name)
	}
	return found
}

// family returns a Family whose Quoted is set by its name.
func family(name string, k Kind) *Family {
	return &Family{Name: name, Kind: k, Quoted: !names.ValidMetric(name)}
}

// TestCollidingNames: names that are the same once escaped are escaped by Values.
// Counters and infos that have the same name as another family in OpenMetrics alone are
// shown plain.
func TestCollidingNames(t *testing.T) {
	type families = []*Family
	for _, c := range []struct {
		name     string
		families families
		open     bool
		scheme   names.Scheme
		want     []string
	}{
		{"legacy", families{family("a", Gauge), family("b_total", Counter)}, false, names.Underscores, []string{"a", "b_total"}},
		{"one quoted", families{family("a.b", Gauge)}, false, names.Underscores, []string{"a_b"}},
		{"one quoted", families{family("a.b", Gauge)}, false, names.Dots, []string{"a_dot_b"}},
		{"one quoted", families{family("a.b", Gauge)}, false, names.Values, []string{"U__a_2e_b"}},
		{"one quoted", families{family("a.b", Gauge)}, false, names.AllowUTF8, []string{"a.b"}},

		{"two quoted", families{family("a.b", Gauge), family("a/b", Gauge)}, false, names.Underscores, []string{"U__a_2e_b", "U__a_2f_b"}},
		{"two quoted", families{family("a.b", Gauge), family("a/b", Gauge)}, false, names.Dots, []string{"a_dot_b", "a__b"}},
		{"two quoted", families{family("a/b", Gauge), family("a b", Gauge)}, false, names.Dots, []string{"U__a_2f_b", "U__a_20_b"}},
		{"two quoted", families{family("a.b", Gauge), family("a/b", Gauge)}, false, names.Values, []string{"U__a_2e_b", "U__a_2f_b"}},
		{"two quoted", families{family("a.b", Gauge), family("a/b", Gauge)}, false, names.AllowUTF8, []string{"a.b", "a/b"}},
		{"three, of which two collide", families{family("a.b", Gauge), family("a/b", Gauge), family("c.d", Gauge)}, false, names.Underscores,
			[]string{"U__a_2e_b", "U__a_2f_b", "c_d"}},

		// A legacy name stays as it is.
		{"quoted and legacy", families{family("a.b", Gauge), family("a_b", Gauge)}, false, names.Underscores, []string{"U__a_2e_b", "a_b"}},
		{"quoted and legacy", families{family("a.b", Gauge), family("a_b", Gauge)}, false, names.Dots, []string{"a_dot_b", "a_b"}},
		{"quoted and legacy", families{family("a.b", Gauge), family("a_dot_b", Gauge)}, false, names.Dots, []string{"U__a_2e_b", "a_dot_b"}},

		// The samples of a histogram and a summary have names, too.
		{"sample of a histogram", families{family("a.b", Histogram), family("a_b_sum", Gauge)}, false, names.Underscores, []string{"U__a_2e_b", "a_b_sum"}},
		{"sample of a summary", families{family("a_b", Summary), family("a.b.count", Gauge)}, false, names.Underscores, []string{"a_b", "U__a_2e_b_2e_count"}},
		{"no sample of a summary", families{family("a_b", Summary), family("a.b.bucket", Gauge)}, false, names.Underscores, []string{"a_b", "a_b_bucket"}},

		// Suffixes collide in OpenMetrics alone.
		{"gauge and counter", families{family("x", Gauge), family("x_total", Counter)}, false, names.Underscores, []string{"x", "x_total"}},
		{"gauge and counter", families{family("x", Gauge), family("x_total", Counter)}, true, names.Underscores, []string{"x", "x_total plain"}},
		{"gauge and counter", families{family("x", Gauge), family("x_total", Counter)}, true, names.AllowUTF8, []string{"x", "x_total plain"}},
		{"gauge and info", families{family("x", Gauge), family("x_info", Info)}, true, names.Underscores, []string{"x", "x_info plain"}},
		{"counter and info", families{family("x_info", Info), family("x_total", Counter)}, true, names.Underscores, []string{"x_info plain", "x_total plain"}},
		{"two counters", families{family("x", Counter), family("x_total", Counter)}, true, names.Underscores, []string{"x plain", "x_total plain"}},
		{"counter without suffix and gauge", families{family("x", Counter), family("x_total", Gauge)}, true, names.Underscores, []string{"x", "x_total"}},
		{"created", families{family("x_created", Gauge), family("x_total", Counter)}, true, names.Underscores, []string{"x_created", "x_total plain"}},
		{"histogram and counter", families{family("x", Histogram), family("x_total", Counter)}, true, names.Underscores, []string{"x", "x_total plain"}},
		{"no other", families{family("x_total", Counter), family("y_info", Info)}, true, names.Underscores, []string{"x_total", "y_info"}},

		// Without its suffix the name would be empty.
		{"nameless", families{family("_info", Info), family("_total", Counter)}, true, names.Underscores, []string{"_info plain", "_total plain"}},
		{"nameless once escaped", families{family(".total", Counter)}, true, names.Underscores, []string{"_total plain"}},
		{"not nameless", families{family("_info", Counter), family("_total", Gauge)}, true, names.Underscores, []string{"_info", "_total"}},

		// Both at once.
		{"escaped and plain", families{family("x", Gauge), family("x.total", Counter)}, true, names.Underscores, []string{"x", "x_total plain"}},
		{"escaped and plain", families{family("x", Gauge), family("x.total", Counter)}, true, names.AllowUTF8, []string{"x", "x.total"}},
		{"escaped twice", families{family("a.b_total", Counter), family("a/b_total", Counter)}, true, names.Underscores,
			[]string{"U__a_2e_b__total", "U__a_2f_b__total"}},
	} {
		if got := called(&Names{UTF8: &UTF8}, c.families, c.open, c.scheme); !slices.Equal(got, c.want) {
			t.Errorf("%s, OpenMetrics %v, scheme %s: %q, want %q", c.name, c.open, c.scheme.HeaderValue(), got, c.want)
		}
	}
	// A registry without UTF-8 names.
	if got := called(new(Names), []*Family{family("x", Gauge), family("x_total", Counter)}, true, names.Underscores); !slices.Equal(got, []string{"x", "x_total plain"}) {
		t.Errorf("without UTF-8 names: %q", got)
	}
}

// TestNamesAreUnique: no two families of an exposition have a name in common, their own or
// that of a sample. The text format with AllowUTF8 has the names of the definitions, which
// a registry keeps unique.
func TestNamesAreUnique(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", ".", "_", "_total", "_info", "_sum", "_created", "_bucket", ".total", "/total", "é"}
	shared := func(claims func(f *Family) []string, families []*Family) string {
		owner := map[string]*Family{}
		for _, f := range families {
			for _, name := range claims(f) {
				if other := owner[name]; other != nil && other != f {
					return name
				}
				owner[name] = f
			}
		}
		return ""
	}
	defined := func(f *Family) []string {
		if f.Kind == Counter {
			return []string{f.Name} // a counter has its suffix in OpenMetrics alone
		}
		return append(SampleNames(f.Name, f.Kind), f.Name)
	}
	rounds := 5000
	if testing.Short() {
		rounds = 1000
	}
	for range rounds {
		var families []*Family
		for range 2 + random.IntN(5) {
			name := ""
			for range 1 + random.IntN(3) {
				name += parts[random.IntN(len(parts))]
			}
			with := append(families, family(name, Kind(random.IntN(int(Summary)+1))))
			if names.ValidUTF8(name) && shared(defined, with) == "" {
				families = with
			}
		}
		for s := names.Underscores; s < names.NumSchemes; s++ {
			for _, open := range []bool{false, true} {
				ns := &Names{UTF8: &UTF8}
				rename := ns.naming(families, open, s)
				shown := func(f *Family) []string {
					name, plain := rename(f)
					f = &Family{Name: name, Kind: f.Kind}
					if plain {
						return []string{name}
					}
					return naming{}.claims(f, open)
				}
				if name := shared(shown, families); name != "" {
					var list []string
					for _, f := range families {
						list = append(list, f.Name+" "+f.Kind.TextName())
					}
					t.Fatalf("scheme %s, OpenMetrics %v: two of %q have the name %q: %q", s.HeaderValue(), open, list, name, called(ns, families, open, s))
				}
				for _, f := range families {
					if name, _ := rename(f); s != names.AllowUTF8 && !names.ValidMetric(name) {
						t.Fatalf("scheme %s: %q is called %q", s.HeaderValue(), f.Name, name)
					}
				}
			}
		}
	}
}

// TestNamingIsKept: the naming of the last exposition in a format and scheme is used again
// for families of the same names and kinds, and for no other families.
func TestNamingIsKept(t *testing.T) {
	ns := &Names{UTF8: &UTF8}
	collect := func() []*Family {
		return []*Family{family("a.b", Gauge), family("x", Gauge), family("x_total", Counter)}
	}
	for s := names.Underscores; s < names.NumSchemes; s++ {
		for _, open := range []bool{false, true} {
			if kept := ns.keptFor(open, s); kept != nil {
				t.Errorf("scheme %s, OpenMetrics %v: a naming before the first exposition", s.HeaderValue(), open)
			}
			want := called(ns, collect(), open, s)
			kept := ns.keptFor(open, s)
			if got := called(ns, collect(), open, s); !slices.Equal(got, want) || ns.keptFor(open, s) != kept || kept == nil {
				t.Errorf("scheme %s, OpenMetrics %v: named again: %q, want %q", s.HeaderValue(), open, got, want)
			}
		}
	}
	change := func(name string, families []*Family, want ...string) {
		t.Helper()
		before := ns.keptFor(true, names.Dots)
		if got := called(ns, families, true, names.Dots); !slices.Equal(got, want) || ns.keptFor(true, names.Dots) == before {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	change("another name", []*Family{family("a.b", Gauge), family("y", Gauge), family("x_total", Counter)}, "a_dot_b", "y", "x_total")
	change("another kind", []*Family{family("a.b", Gauge), family("y", Gauge), family("x_total", Gauge)}, "a_dot_b", "y", "x_total")
	change("one more", []*Family{family("a.b", Gauge), family("a_dot_b", Gauge), family("y", Gauge), family("x_total", Gauge)},
		"U__a_2e_b", "a_dot_b", "y", "x_total")
	change("one less", []*Family{family("a.b", Gauge), family("y", Gauge), family("x_total", Gauge)}, "a_dot_b", "y", "x_total")
	change("none", nil)
	if race.Enabled {
		return // the race detector allocates
	}
	families := collect()
	ns.naming(families, true, names.Dots)
	if n := testing.AllocsPerRun(100, func() { ns.naming(families, true, names.Dots) }); n != 0 {
		t.Errorf("%v allocations for a kept naming", n)
	}
}

// TestOnlyTextAndOpenMetricsName: JSON has the names of the definitions and makes no naming.
// The text format makes a naming only for UTF-8 names.
func TestOnlyTextAndOpenMetricsName(t *testing.T) {
	families := []*Family{gauges("x", 1, 1), {Name: "x_total", Kind: Counter, Encode: func(*Encoder) {}}}
	for _, c := range []struct {
		format *Format
		utf8   *UTF8Rules
		want   bool
	}{{&JSON, &UTF8, false}, {&JSON, nil, false}, {&Text, nil, false}, {&Text, &UTF8, true}, {&OpenMetrics, nil, true}, {&OpenMetrics, &UTF8, true}} {
		ns := &Names{UTF8: c.utf8}
		if err := Write(io.Discard, c.format, names.Dots, families, ns); err != nil {
			t.Fatal(err)
		}
		if made := ns.kept != [len(ns.kept)]unsafe.Pointer{}; made != c.want {
			t.Errorf("format %d, UTF-8 names %v: a naming is made: %v", c.format.id, c.utf8 != nil, made)
		}
	}
}

// TestNamingOfOverlappingScrapes: scrapes of a registry can name families at the same time.
// The race detector finds a missing lock.
func TestNamingOfOverlappingScrapes(t *testing.T) {
	ns := &Names{UTF8: &UTF8}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				families := []*Family{family("x", Gauge), family("x_total", Counter), family("more"[:1+g%2], Gauge)}
				if got := called(ns, families, true, names.Underscores); got[0] != "x" || got[1] != "x_total"+plain {
					t.Errorf("got %q", got)
				}
			}
		}()
	}
	wg.Wait()
}

func (ns *Names) keptFor(open bool, s names.Scheme) unsafe.Pointer {
	if open {
		return ns.kept[names.NumSchemes+int(s)]
	}
	return ns.kept[s]
}

// TestNamingKeepsNothing: a naming keeps no string of a family, since the name that a
// collector emitted may be part of a large buffer.
func TestNamingKeepsNothing(t *testing.T) {
	for name, kind := range map[string]Kind{"emitted_total": Counter, "emitted.name": Gauge, "emitted": Gauge} {
		ns := &Names{UTF8: &UTF8}
		gone := make(chan struct{})
		func() {
			text := append(make([]byte, 0, 1<<20), name...)
			runtime.SetFinalizer(&text[0], func(*byte) { close(gone) })
			part := unsafe.String(&text[0], len(name))
			families := []*Family{family(part, kind), family("emitted", Gauge)} // OpenMetrics shows the counter plain
			for s := names.Underscores; s < names.NumSchemes; s++ {
				called(ns, families, true, s)
				called(ns, families, false, s)
			}
		}()
		collected := func() bool {
			select {
			case <-gone:
				return true
			default:
				return false
			}
		}
		if !testkit.CollectUntil(collected) {
			t.Errorf("the buffer of %q is still there", name)
		}
		runtime.KeepAlive(ns)
	}
}

// TestSampleNames: no other family may have the name of a sample.
func TestSampleNames(t *testing.T) {
	for _, c := range []struct {
		name string
		kind Kind
		want string
	}{
		{"x", Gauge, ""},
		{"x", Untyped, ""},
		{"x_info", Info, ""},
		{"x", Counter, "x_created"},
		{"x_total", Counter, "x_created"},
		{"x", Histogram, "x_bucket x_sum x_count x_created"},
		{"x_total", Histogram, "x_total_bucket x_total_sum x_total_count x_total_created"},
		{"x", Summary, "x_sum x_count x_created"},
	} {
		if got := strings.Join(SampleNames(c.name, c.kind), " "); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.kind.TextName(), c.name, got, c.want)
		}
	}
}
