package tacho

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/stripe"
	"github.com/tachikoma/tacho/internal/testkit"
)

// restartAfter sets native.RestartAfter until the end of the test.
func restartAfter(t testing.TB, d time.Duration) {
	old := native.RestartAfter
	native.RestartAfter = d
	t.Cleanup(func() { native.RestartAfter = old })
}

// scrapeNative reads a histogram as an exposition that shows native buckets and may restart the
// histogram. counts are those of the classic buckets, not cumulative.
func scrapeNative(h *Histogram, r *native.Reader) (counts []uint64, sum float64) {
	counts = make([]uint64, len(h.def.Upper)+1)
	sum, _ = readNative(h, r, counts, true)
	return counts, sum
}

// lowestOf lowers the schema of a snapshot.
func lowestOf(s *NativeSnapshot, schema int) *NativeSnapshot {
	fold := func(list []NativeBucket) (to []NativeBucket) {
		for _, b := range list {
			for range s.Schema - schema {
				b.Index = (b.Index + 1) >> 1
			}
			if n := len(to); n > 0 && to[n-1].Index == b.Index {
				to[n-1].Count += b.Count
			} else {
				to = append(to, b)
			}
		}
		return to
	}
	return &NativeSnapshot{schema, s.ZeroThreshold, s.ZeroCount, fold(s.Positive), fold(s.Negative)}
}

// sumOf returns the sum of two snapshots, in the lower schema.
func sumOf(a, b *NativeSnapshot) *NativeSnapshot {
	schema := min(a.Schema, b.Schema)
	a, b = lowestOf(a, schema), lowestOf(b, schema)
	add := func(x, y []NativeBucket) (list []NativeBucket) {
		counts := map[int]uint64{}
		for _, k := range slices.Concat(x, y) {
			counts[k.Index] += k.Count
		}
		for i, n := range counts {
			list = append(list, NativeBucket{i, n})
		}
		slices.SortFunc(list, func(a, b NativeBucket) int { return a.Index - b.Index })
		return list
	}
	return &NativeSnapshot{schema, a.ZeroThreshold, a.ZeroCount + b.ZeroCount, add(a.Positive, b.Positive), add(a.Negative, b.Negative)}
}

// nativeCount returns the number of observations in native buckets.
func nativeCount(s *NativeSnapshot) uint64 {
	n := s.ZeroCount
	for _, b := range slices.Concat(s.Positive, s.Negative) {
		n += b.Count
	}
	return n
}

// sameBuckets returns an error text if two snapshots differ in the lower of their schemas, or "".
func sameBuckets(got, want *NativeSnapshot) string {
	schema := min(got.Schema, want.Schema)
	got, want = lowestOf(got, schema), lowestOf(want, schema)
	if got.ZeroThreshold != want.ZeroThreshold || got.ZeroCount != want.ZeroCount ||
		!slices.Equal(got.Positive, want.Positive) || !slices.Equal(got.Negative, want.Negative) {
		return fmt.Sprintf("native buckets\n%+v, want\n%+v", got, want)
	}
	return ""
}

func TestNativeBadConfigs(t *testing.T) {
	for what, c := range map[string]struct {
		config []NativeConfig
		reason string
	}{
		"factor 1":            {[]NativeConfig{{Factor: 1}}, "Factor"},
		"factor below 1":      {[]NativeConfig{{Factor: 0.5}}, "Factor"},
		"negative factor":     {[]NativeConfig{{Factor: -2}}, "Factor"},
		"NaN factor":          {[]NativeConfig{{Factor: math.NaN()}}, "Factor"},
		"infinite factor":     {[]NativeConfig{{Factor: math.Inf(+1)}}, "Factor"},
		"negative buckets":    {[]NativeConfig{{MaxBuckets: -1}}, "MaxBuckets"},
		"too many buckets":    {[]NativeConfig{{MaxBuckets: 65_001}}, "MaxBuckets"},
		"negative threshold":  {[]NativeConfig{{ZeroThreshold: -1e-9}}, "ZeroThreshold"},
		"NaN threshold":       {[]NativeConfig{{ZeroThreshold: math.NaN()}}, "ZeroThreshold"},
		"infinite threshold":  {[]NativeConfig{{ZeroThreshold: math.Inf(+1)}}, "ZeroThreshold"},
		"-infinite threshold": {[]NativeConfig{{ZeroThreshold: math.Inf(-1)}}, "ZeroThreshold"},
		"two configs":         {[]NativeConfig{{}, {}}, "more than one"},
		"all bad":             {[]NativeConfig{{1, -1, -1}}, "Factor"},
	} {
		for where, define := range map[string]func(r *Registry){
			"x": func(r *Registry) { r.Histogram("x", "", nil, WithNative(c.config...)) },
			"y": func(r *Registry) { r.HistogramVec("y", "", []float64{1}, []string{"l"}, WithNative(c.config...)) },
			"":  func(r *Registry) { NewRegistry(WithNative(c.config...)) },
		} {
			err := refused(t, define)
			if err == nil {
				t.Errorf("%s, %q: the definition is accepted", what, where)
			} else if err.Metric != where || !strings.Contains(err.Reason, c.reason) {
				t.Errorf("%s, %q: %v", what, where, err)
			}
		}
	}
}

func TestNativeGoodConfigs(t *testing.T) {
	for _, c := range []struct {
		config    []NativeConfig
		schema    int
		threshold float64
	}{
		{nil, 3, 0x1p-128},
		{[]NativeConfig{{}}, 3, 0x1p-128},
		{[]NativeConfig{{Factor: math.Nextafter(1, 2)}}, 8, 0x1p-128},
		{[]NativeConfig{{Factor: 1.5}}, 1, 0x1p-128},
		{[]NativeConfig{{Factor: math.MaxFloat64}}, -4, 0x1p-128},
		{[]NativeConfig{{MaxBuckets: 1}}, -4, 0x1p-128},
		{[]NativeConfig{{MaxBuckets: 65_000}}, 3, 0x1p-128},
		{[]NativeConfig{{ZeroThreshold: math.SmallestNonzeroFloat64}}, 3, math.SmallestNonzeroFloat64},
		{[]NativeConfig{{ZeroThreshold: math.MaxFloat64}}, 3, math.MaxFloat64},
	} {
		h := NewRegistry().Histogram("h", "", nil, WithNative(c.config...))
		h.Observe(math.MaxFloat64)
		h.Observe(math.Inf(-1))
		s := h.Snapshot()
		if s.Native == nil || s.Native.Schema != c.schema || s.Native.ZeroThreshold != c.threshold || s.Count != 2 || nativeCount(s.Native) != 2 {
			t.Errorf("%+v: %+v, native %+v", c.config, s, s.Native)
		}
	}
}

// TestNativeDefinitions: which classic and native buckets a definition has.
func TestNativeDefinitions(t *testing.T) {
	small := WithNative(NativeConfig{Factor: 2})
	for what, c := range map[string]struct {
		h       *Histogram
		classic int
		schema  int // 100 without native buckets
	}{
		"none":                   {NewRegistry().Histogram("h", "", nil), len(DefBuckets) + 1, 100},
		"nil":                    {NewRegistry().Histogram("h", "", nil, WithNative()), 1, 3},
		"empty":                  {NewRegistry().Histogram("h", "", []float64{}, WithNative()), 1, 3},
		"only +Inf":              {NewRegistry().Histogram("h", "", []float64{math.Inf(+1)}, WithNative()), 1, 3},
		"given":                  {NewRegistry().Histogram("h", "", []float64{1, 2}, WithNative()), 3, 3},
		"default, nil":           {NewRegistry(WithNative()).Histogram("h", "", nil), 1, 3},
		"default, given":         {NewRegistry(WithNative()).Histogram("h", "", []float64{1}), 2, 3},
		"own instead of default": {NewRegistry(WithNative()).Histogram("h", "", nil, small), 1, 0},
		"last of two":            {NewRegistry().Histogram("h", "", nil, WithNative(), small), 1, 0},
		"a good one after bad":   {NewRegistry().Histogram("h", "", nil, WithNative(NativeConfig{Factor: 1}), small), 1, 0},
	} {
		c.h.Observe(0.5)
		s := c.h.Snapshot()
		schema := 100
		if s.Native != nil {
			schema = s.Native.Schema
		}
		if len(s.Buckets) != c.classic || schema != c.schema || s.Count != 1 {
			t.Errorf("%s: %d classic buckets, schema %d, count %d", what, len(s.Buckets), schema, s.Count)
		}
	}
}

func TestNativeSameDefinition(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("h", "", nil, WithNative())
	for _, same := range [][]NativeConfig{nil, {{}}, {{Factor: 1.1}}, {{1.1, 160, 0x1p-128}}} {
		if r.Histogram("h", "", []float64{}, WithNative(same...)) != h {
			t.Errorf("%+v is another metric", same)
		}
	}
	other := []func(*Registry){
		func(r *Registry) { r.Histogram("h", "", nil) },
		func(r *Registry) { r.Histogram("h", "", []float64{}) },
		func(r *Registry) { r.Histogram("h", "", []float64{1}, WithNative()) },
		func(r *Registry) { r.Histogram("h", "", nil, WithNative(NativeConfig{Factor: 1.2})) },
		func(r *Registry) { r.Histogram("h", "", nil, WithNative(NativeConfig{MaxBuckets: 161})) },
		func(r *Registry) { r.Histogram("h", "", nil, WithNative(NativeConfig{ZeroThreshold: 1})) },
	}
	for i, define := range other {
		r := NewRegistry()
		r.Histogram("h", "", nil, WithNative())
		if err := refusedIn(t, r, define); err == nil || !strings.Contains(err.Reason, "with other") || err.First == "" || err.Metric != "h" {
			t.Errorf("%d: %v", i, err)
		}
		r = NewRegistry()
		define(r)
		if err := refusedIn(t, r, other[(i+1)%len(other)]); err == nil {
			t.Errorf("%d: accepted after another", i)
		}
	}
	if err := refusedIn(t, r, func(r *Registry) { r.Gauge("h", "") }); err == nil {
		t.Error("a gauge of the same name is accepted")
	}
}

// TestNativeSpecialValues: NaN is refused and counted, and every other value is in a bucket.
func TestNativeSpecialValues(t *testing.T) {
	for _, bounds := range [][]float64{nil, {-1, 0, 2}} {
		r := NewRegistry()
		h := r.Histogram("h", "", bounds, WithNative())
		h.Observe(math.NaN())
		h.ObserveExemplar(math.NaN(), "id", "nan")
		if s := h.Snapshot(); s.Count != 0 || s.Sum != 0 || nativeCount(s.Native) != 0 || h.last.Load() != nil {
			t.Errorf("NaN was recorded: %+v", s)
		}
		for _, v := range []float64{0, math.Copysign(0, -1), 0x1p-128, -0x1p-128, math.SmallestNonzeroFloat64, 1, -1, -1, 2, 3, math.Inf(+1)} {
			h.Observe(v)
		}
		want := &NativeSnapshot{3, 0x1p-128, 5, []NativeBucket{{0, 1}, {8, 1}, {13, 1}, {8193, 1}}, []NativeBucket{{0, 2}}}
		s := h.Snapshot()
		if text := sameBuckets(s.Native, want); text != "" {
			t.Error(text)
		}
		if s.Count != 11 || !math.IsInf(s.Sum, +1) {
			t.Errorf("count %d, sum %v", s.Count, s.Sum)
		}
		if bounds != nil {
			if got := []uint64{s.Buckets[0].Count, s.Buckets[1].Count, s.Buckets[2].Count, s.Buckets[3].Count}; !slices.Equal(got, []uint64{2, 5, 9, 11}) {
				t.Errorf("classic buckets %v", got)
			}
		}
		h.Observe(math.Inf(-1))
		if s := h.Snapshot(); s.Sum == s.Sum || s.Count != 12 || !slices.Equal(s.Native.Negative, []NativeBucket{{0, 2}, {8193, 1}}) {
			t.Errorf("after -Inf: %+v, native %+v", s, s.Native)
		}
		if got := text(t, r); !strings.Contains(got, `tacho_errors_total{metric="h",reason="nan"} 2`) {
			t.Error(got)
		}
	}
}

// TestNativeText: the text formats show the classic buckets, at least +Inf, and _sum and _count.
func TestNativeText(t *testing.T) {
	r := NewRegistry()
	alone := r.Histogram("alone", "", nil, WithNative())
	both := r.HistogramVec("both", "", []float64{0.5, 2}, []string{"l"}, WithNative())
	for _, v := range []float64{0, 0.5, 1, 3} {
		alone.Observe(v)
		both.With("x").Observe(v)
	}
	for range 2 {
		want := `# TYPE alone histogram
alone_bucket{le="+Inf"} 4
alone_sum 4.5
alone_count 4
# TYPE both histogram
both_bucket{l="x",le="0.5"} 2
both_bucket{l="x",le="2"} 3
both_bucket{l="x",le="+Inf"} 4
both_sum{l="x"} 4.5
both_count{l="x"} 4
`
		if got := text(t, r); !strings.Contains(got, want) {
			t.Errorf("text:\n%s", got)
		}
		got := open(t, r)
		for _, line := range []string{`alone_bucket{le="+Inf"} 4`, "alone_sum 4.5", "alone_count 4", `both_bucket{l="x",le="2.0"} 3`, `both_count{l="x"} 4`} {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("no %q in\n%s", line, got)
			}
		}
		jsonText(t, r)
	}
}

// TestNativeExemplars: OpenMetrics shows the newest exemplar of a histogram without classic buckets
// in the line of +Inf.
func TestNativeExemplars(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("h", "", nil, WithNative())
	values := []float64{0.001, 5, 0, -3, math.Inf(+1), 1e-300, 0.001}
	for i, v := range values {
		for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
			time.Sleep(100 * time.Microsecond)
		}
		h.ObserveExemplar(v, "id", strconv.Itoa(i))
		h.ObserveExemplar(v, "odd")
		got := open(t, r)
		if want := fmt.Sprintf("h_bucket{le=\"+Inf\"} %d # {id=\"%d\"} ", 2*i+2, i); !strings.Contains(got, want) {
			t.Fatalf("no %q in\n%s", want, got)
		}
	}
	found := map[string]bool{}
	for i := range *h.last.Load() {
		if x := (*h.last.Load())[i].Load(); x != nil {
			found[x.Labels] = true
		}
	}
	if len(found) < 3 || len(found) > nativeExemplars || !found[`{id="6"}`] {
		t.Errorf("exemplars %v", found)
	}
	if got := text(t, r); !strings.Contains(got, `{metric="h",reason="exemplar"} 7`) {
		t.Error(got)
	}
	both := r.Histogram("both", "", []float64{1}, WithNative())
	both.ObserveExemplar(0.5, "id", "low")
	both.ObserveExemplar(2, "id", "high")
	got := open(t, r)
	for _, want := range []string{`both_bucket{le="1.0"} 1 # {id="low"}`, `both_bucket{le="+Inf"} 2 # {id="high"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestNativeMetrics: a zero Histogram, a wrong number of labels, Delete, Reset and Replace.
func TestNativeMetrics(t *testing.T) {
	var zero Histogram
	zero.Observe(1)
	zero.ObserveExemplar(1, "id", "x")
	if s := zero.Snapshot(); s.Count != 0 || s.Native != nil {
		t.Errorf("a zero Histogram: %+v", s)
	}
	r := NewRegistry()
	v := r.HistogramVec("h", "", nil, []string{"l"}, WithNative(), WithMaxSeries(3))
	lost := v.With("a", "b")
	for i := range 200 {
		lost.Observe(math.Ldexp(1, i))
		lost.Observe(-math.Ldexp(1.1, i))
	}
	lost.ObserveExemplar(0, "id", "x")
	if got := text(t, r); strings.Contains(got, "h_count") || !strings.Contains(got, `{metric="h",reason="label_count"} 1`) {
		t.Error(got)
	}
	for i := range 5 {
		for k := range 3 {
			v.With(strconv.Itoa(i)).Observe(float64(k))
		}
	}
	got := text(t, r)
	for _, want := range []string{`h_count{l="0"} 3`, `h_sum{l="2"} 3`, `h_count{l="other"} 6`} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	old := v.With("0")
	if !v.Delete("0") {
		t.Error("not deleted")
	}
	old.Observe(7)
	if got := old.Snapshot(); got.Count != 4 {
		t.Errorf("a deleted histogram has %d observations", got.Count)
	}
	if h := v.With("0"); h == old || h.Snapshot().Count != 0 || nativeCount(h.Snapshot().Native) != 0 {
		t.Error("the new series is not empty")
	}
	v.Replace(func(set *HistogramVec) {
		set.With("1").Observe(1)
		set.With("new").Observe(1)
		set.With("new").Observe(2)
	})
	got = text(t, r)
	for _, want := range []string{`h_count{l="1"} 1`, `h_count{l="new"} 2`} {
		if !strings.Contains(got, want+"\n") || strings.Count(got, "h_count") != 2 {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	v.Reset()
	if got := text(t, r); strings.Contains(got, "h_count") {
		t.Error(got)
	}
}

// falls observes values until the resolution of h falls.
func falls(h *Histogram) (count uint64, sum float64) {
	schema := h.Snapshot().Native.Schema
	for i := 0; h.Snapshot().Native.Schema == schema; i++ {
		h.Observe(float64(int(1) << (i % 30)))
		count, sum = count+1, sum+float64(int(1)<<(i%30))
	}
	return count, sum
}

// TestNativeCreated: after a restart, the time of creation is that of the restart.
func TestNativeCreated(t *testing.T) {
	restartAfter(t, 0)
	r := NewRegistry(WithCreated(), WithNative(NativeConfig{MaxBuckets: 4}))
	v := r.HistogramVec("h", "", []float64{10}, []string{"l"})
	h, kept := v.With("x"), v.With("y")
	kept.Observe(1)
	created := func() (x, y string) {
		for _, line := range strings.Split(open(t, r), "\n") {
			if s, ok := strings.CutPrefix(line, `h_created{l="x"} `); ok {
				x = s
			}
			if s, ok := strings.CutPrefix(line, `h_created{l="y"} `); ok {
				y = s
			}
		}
		return x, y
	}
	x1, y1 := created()
	if x1 == "" || y1 == "" {
		t.Fatal("no time of creation")
	}
	count, sum := falls(h)
	time.Sleep(5 * time.Millisecond)
	if x2, y2 := created(); x2 != x1 || y2 != y1 {
		t.Errorf("created %s %s, then %s %s without a restart", x1, y1, x2, y2)
	}
	var n native.Reader
	counts, got := scrapeNative(h, &n)
	if counts[0]+counts[1] != count || got != sum || n.Snapshot.Count() != count {
		t.Errorf("taken %v and %v, want %d and %v", counts, got, count, sum)
	}
	scrapeNative(kept, &n)
	if x2, _ := created(); x2 != x1 || h.Snapshot().Count != count {
		t.Errorf("created %s, then %s before the restart stands", x1, x2)
	}
	scrapeNative(h, &n)
	if s := h.Snapshot(); s.Count != 0 || s.Sum != 0 || s.Buckets[0].Count != 0 || s.Native.Schema != 3 {
		t.Errorf("after the restart: %+v", s)
	}
	x2, y2 := created()
	if x2 <= x1 || y2 != y1 {
		t.Errorf("created %s %s, then %s %s after a restart of the first", x1, y1, x2, y2)
	}
	if !strings.Contains(text(t, r), `h_count{l="y"} 1`) {
		t.Error("another series restarted")
	}
}

// TestNativeIdleExpiry: what is recorded in an unlisted series is kept, also if a scrape restarted
// the series in between.
func TestNativeIdleExpiry(t *testing.T) {
	restartAfter(t, 0)
	for _, bounds := range [][]float64{nil, {1, 100}} {
		for _, restart := range []bool{false, true} {
			for _, fall := range []bool{false, true} {
				what := fmt.Sprintf("bounds %v, restart %t, fall %t", bounds, restart, fall)
				r := NewRegistry(WithNative(NativeConfig{MaxBuckets: 6}))
				v := r.HistogramVec("h", "", bounds, []string{"l"}, WithIdleExpiry(time.Minute))
				now := time.Now()
				old := v.With("x")
				for _, x := range []float64{0, 1, 2, -3, math.MaxFloat64} {
					old.Observe(x)
				}
				old.Observe(-math.MaxFloat64)
				if fall || restart {
					falls(old)
				}
				scrapeAt(&v.vec, now)
				scrapeAt(&v.vec, now.Add(time.Second))
				scrapeAt(&v.vec, now.Add(time.Hour))
				if v.Len() != 0 {
					t.Fatalf("%s: not unlisted", what)
				}
				u := unlistedSeries(&v.vec)[0]
				var want *NativeSnapshot
				late := []float64{0, 0, 5, -7, 1000}
				if restart { // by a scrape that began before
					var n native.Reader
					scrapeNative(old, &n)
					if scrapeNative(old, &n); old.Snapshot().Count != 0 {
						t.Fatalf("%s: no restart", what)
					}
					time.Sleep(2 * time.Millisecond)
				}
				for _, x := range late {
					old.Observe(x)
				}
				h := NewRegistry().Histogram("h", "", nil, WithNative(NativeConfig{MaxBuckets: 6}))
				for _, x := range append([]float64{20, -20}, late...) {
					h.Observe(x)
				}
				want = h.Snapshot().Native
				v.mu.Lock()
				v.unlistedVec().removeLocked(u)
				v.mu.Unlock()
				fresh := v.With("x")
				if fresh == old {
					t.Fatalf("%s: the same metric", what)
				}
				fresh.Observe(20)
				fresh.Observe(-20)
				v.mu.Lock()
				v.unlistedVec().addLocked(u)
				v.mu.Unlock()
				v.finalize(u, unsafe.Pointer(old))
				s := fresh.Snapshot()
				if text := sameBuckets(s.Native, want); text != "" || s.Sum != 998 || s.Count != 7 {
					t.Errorf("%s: count %d, sum %v, %s", what, s.Count, s.Sum, text)
				}
				if bounds != nil && (s.Buckets[0].Count != 4 || s.Buckets[1].Count != 6) {
					t.Errorf("%s: classic buckets %v", what, s.Buckets)
				}
				runtime.KeepAlive(old)
			}
		}
	}
}

// TestNativeIdleUndecided: a series is unlisted and expires before a restart is decided on. Another
// series gets only the observations after the series was unlisted.
func TestNativeIdleUndecided(t *testing.T) {
	restartAfter(t, 0)
	for _, before := range []bool{false, true} { // the restart is before the series is unlisted, or after
		v := NewRegistry().HistogramVec("h", "", []float64{1, 100}, []string{"l"}, WithIdleExpiry(time.Minute),
			WithNative(NativeConfig{MaxBuckets: 6}))
		old, now := v.With("x"), time.Now()
		falls(old)
		old.Observe(0)
		var r native.Reader
		if before {
			scrapeNative(old, &r)
			old.Observe(3)
		}
		want := old.Snapshot()
		scrapeAt(&v.vec, now)
		scrapeAt(&v.vec, now.Add(time.Hour))
		if v.Len() != 0 {
			t.Fatalf("restart before %t: not unlisted", before)
		}
		u := unlistedSeries(&v.vec)[0]
		if !before {
			scrapeNative(old, &r)
		}
		if _, undecided := lastRestart(old); undecided == nil {
			t.Fatalf("restart before %t: no restart", before)
		}
		if got := old.Snapshot(); got.Count != want.Count || got.Sum != want.Sum {
			t.Errorf("restart before %t: count %d, sum %v, want %d, %v", before, got.Count, got.Sum, want.Count, want.Sum)
		}
		for _, x := range []float64{0, 5, 1000} {
			old.Observe(x)
		}
		v.mu.Lock()
		v.unlistedVec().removeLocked(u)
		v.mu.Unlock()
		fresh := v.With("x")
		fresh.Observe(20)
		v.mu.Lock()
		v.unlistedVec().addLocked(u)
		v.mu.Unlock()
		v.finalize(u, unsafe.Pointer(old))
		s := fresh.Snapshot()
		if s.Count != 4 || s.Sum != 1025 || nativeCount(s.Native) != 4 || s.Native.ZeroCount != 1 || s.Buckets[0].Count != 1 || s.Buckets[1].Count != 3 {
			t.Errorf("restart before %t: %+v, native %+v", before, s, s.Native)
		}
		runtime.KeepAlive(old)
	}
}

// TestNativeIdleRelisted: a series is unlisted after the idle time. A recording relists the series
// with its total.
func TestNativeIdleRelisted(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("h", "", nil, []string{"l"}, WithIdleExpiry(time.Minute), WithNative())
	h, now := v.With("x"), time.Now()
	for i, value := range []float64{0, 1, -1, math.Inf(+1)} { // each side changes the mark
		h.Observe(value)
		now = now.Add(time.Hour)
		if n := len(metrics(scrapeAt(&v.vec, now))); n != 1 {
			t.Fatalf("%v: %d series after a change", value, n)
		}
		now = now.Add(time.Hour)
		scrapeAt(&v.vec, now)
		if v.Len() != 0 {
			t.Fatalf("%v: not unlisted", value)
		}
		if got := h.Snapshot().Count; got != uint64(i+1) {
			t.Errorf("count %d", got)
		}
	}
	runtime.KeepAlive(h)
}

// A nativeStress is a native histogram with classic buckets that four goroutines write, while
// stripes are made.
type nativeStress struct {
	h       *Histogram
	same    *Histogram // everything, recorded one after the other
	values  [4][]float64
	running atomic.Int32
	done    sync.WaitGroup
}

// stressValue returns a whole number.
func stressValue(rnd *rand.Rand, wide bool) float64 {
	v := float64(1 + rnd.IntN(8))
	if wide && rnd.IntN(10) == 0 {
		v = math.Trunc(math.Exp2(30 * rnd.Float64()))
	}
	return v * float64(rnd.IntN(8)/2-1) // a quarter is 0 or negative, each
}

func newNativeStress(seed uint64, n int) *nativeStress {
	rnd := rand.New(rand.NewPCG(seed, 0))
	config := WithNative(NativeConfig{MaxBuckets: 5 + rnd.IntN(100), ZeroThreshold: float64(rnd.IntN(2))})
	var bounds []float64
	if seed%2 == 0 {
		bounds = []float64{-1, 0, 3, 1000}
	}
	x := &nativeStress{
		h:    NewRegistry().HistogramVec("h", "", bounds, []string{"l"}, config).With("x"),
		same: NewRegistry().Histogram("h", "", bounds, config),
	}
	for i := range x.values {
		for k := range n {
			x.values[i] = append(x.values[i], stressValue(rnd, k > n/4))
			x.same.Observe(x.values[i][k])
		}
	}
	x.running.Store(int32(len(x.values)))
	x.done.Add(len(x.values))
	for i := range x.values {
		go func() {
			defer x.done.Done()
			defer x.running.Add(-1)
			for k, v := range x.values[i] {
				if i == 0 && k%(n/3) == n/4 {
					stripe.Widen(&x.h.wide, x.h.wide.Load(), x.h.def.stride, x.h.def.native, newNativeSide)
				}
				if k%16 == 0 {
					stripe.Move(stripe.StackNumber())
				}
				x.h.Observe(v)
			}
		}()
	}
	return x
}

// nativeRounds returns the number of rounds of a concurrent test, and the number of values in each. The tests of
// internal/native have more rounds under the race detector.
func nativeRounds() (rounds, n int) {
	switch {
	case testing.Short():
		return 20, 1000
	case race.Enabled:
		return 50, 500
	}
	return 150, 3000
}

// threads gives a test more threads than there are cores, so that the system interrupts an Observe
// anywhere.
func threads(t *testing.T) {
	testkit.NeedThreads(t)
	old := runtime.GOMAXPROCS(max(8, runtime.GOMAXPROCS(0)))
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

// TestNativeConcurrent: while goroutines observe and stripes are made, counts never fall. At the
// end all counts are exact.
func TestNativeConcurrent(t *testing.T) {
	threads(t)
	rounds, n := nativeRounds()
	for i := range rounds {
		x := newNativeStress(uint64(i), n)
		var last HistogramSnapshot
		for running := true; running && !t.Failed(); {
			running = x.running.Load() > 0
			s := x.h.Snapshot()
			if s.Count != nativeCount(s.Native) || s.Count != s.Buckets[len(s.Buckets)-1].Count {
				t.Errorf("round %d: count %d, native %d, %v", i, s.Count, nativeCount(s.Native), s.Buckets)
			}
			for k := range last.Buckets {
				if s.Buckets[k].Count < last.Buckets[k].Count || k > 0 && s.Buckets[k].Count < s.Buckets[k-1].Count {
					t.Errorf("round %d: classic buckets %v, then %v", i, last.Buckets, s.Buckets)
				}
			}
			if last.Native != nil && s.Native.Schema > last.Native.Schema {
				t.Errorf("round %d: schema %d, then %d", i, last.Native.Schema, s.Native.Schema)
			}
			last = s
		}
		x.done.Wait()
		got, want := x.h.Snapshot(), x.same.Snapshot()
		if text := sameBuckets(got.Native, want.Native); text != "" || got.Sum != want.Sum || !slices.Equal(got.Buckets, want.Buckets) {
			t.Errorf("round %d: %+v, want %+v, %s", i, got, want, text)
		}
		if t.Failed() {
			return
		}
	}
}

// TestNativeConcurrentRestarts: the counts that all restarts took and the counts that are left add
// up to the recorded counts. The test compares the native buckets, the zero bucket, the sum, and
// the words of the classic buckets.
func TestNativeConcurrentRestarts(t *testing.T) {
	restartAfter(t, 0)
	threads(t)
	rounds, n := nativeRounds()
	restarts := 0
	for i := range rounds {
		x := newNativeStress(uint64(i), n)
		total := x.h.Snapshot().Native
		total = &NativeSnapshot{Schema: total.Schema, ZeroThreshold: total.ZeroThreshold}
		counts, sum := make([]uint64, len(x.h.def.Upper)+1), 0.0
		var r native.Reader
		for running := true; running && !t.Failed(); {
			running = x.running.Load() > 0
			// read, without its correction of the classic counts, and without the decision on the
			// restart
			r.Begin(nativeRules(x.h))
			r.Rows(bucketsOf(x.h), 1)
			for s := x.h.wide.Load(); s != nil; s = s.Before() {
				r.Rows((*native.Buckets)(s.Side()), s.Rows())
			}
			words, restarted := make([]uint64, len(counts)), r.Restart()
			if restarted {
				sum += take(x.h, words)
				restarts++
			}
			r.Read()
			r.End()
			if restarted {
				for k := range counts {
					counts[k] += words[k]
				}
				total = sumOf(total, &NativeSnapshot{r.Schema, r.ZeroThreshold, words[len(words)-1], nativeBuckets(r.Positive), nativeBuckets(r.Negative)})
			}
		}
		x.done.Wait()
		words := make([]uint64, len(counts))
		sum += x.h.read(words)
		for k := range counts {
			counts[k] += words[k]
		}
		total = sumOf(total, x.h.Snapshot().Native)
		want := x.same.Snapshot()
		if text := sameBuckets(total, want.Native); text != "" || sum != want.Sum {
			t.Errorf("round %d: sum %v, want %v, %s", i, sum, want.Sum, text)
		}
		below := uint64(0)
		for k := range counts[:len(counts)-1] {
			if below += counts[k]; below != want.Buckets[k].Count {
				t.Errorf("round %d: classic words %v, want %v", i, counts, want.Buckets)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d restarts", restarts)
}

// TestNativeShownCounts: while the histogram restarts, the classic and the native buckets of a
// scrape have the same number of observations.
func TestNativeShownCounts(t *testing.T) {
	restartAfter(t, 0)
	threads(t)
	rounds, n := nativeRounds()
	for i := range rounds {
		x := newNativeStress(uint64(2*i), n)
		var r native.Reader
		for running := true; running && !t.Failed(); {
			running = x.running.Load() > 0
			counts, _ := scrapeNative(x.h, &r)
			count := uint64(0)
			for _, c := range counts {
				if count += c; c > uint64(4*n) {
					t.Errorf("round %d: counts %v", i, counts)
				}
			}
			if count != r.Snapshot.Count() {
				t.Errorf("round %d: %v are %d, native buckets %d", i, counts, count, r.Snapshot.Count())
			}
		}
		x.done.Wait()
	}
}

// TestNativeLimit: the observation that exceeds the limit lowers the resolution, in each way to a
// bucket, without a read.
func TestNativeLimit(t *testing.T) {
	for what, values := range map[string][]float64{
		"one octave": {1.05, 1.15, 1.25, 1.35, 1.45, 1.55}, // its chunk exists from the first value
		"octaves":    {1.5, 3, 6, 12, 24, 48},
		"negative":   {-1.05, -1.15, -1.25, -1.35, -1.45, -1.55},
	} {
		h := NewRegistry().Histogram("h", "", nil, WithNative(NativeConfig{MaxBuckets: 5}))
		b := bucketsOf(h)
		for _, v := range values[:5] {
			h.Observe(v)
		}
		l := b.Level()
		h.Observe(values[0])
		if b.Level() != l {
			t.Errorf("%s: the resolution fell before the limit was exceeded", what)
		}
		h.Observe(values[5])
		if b.Level() == l {
			t.Errorf("%s: the resolution did not fall", what)
		}
		if s := h.Snapshot(); s.Native.Schema >= 3 || s.Count != 7 {
			t.Errorf("%s: schema %d, %d observations", what, s.Native.Schema, s.Count)
		}
	}
}

// TestNativeMarkAfterRestart: after a restart and as many observations as before, the mark of idle
// expiry is different.
func TestNativeMarkAfterRestart(t *testing.T) {
	restartAfter(t, 0)
	v := NewRegistry().HistogramVec("h", "", nil, []string{"l"}, WithIdleExpiry(time.Minute), WithNative(NativeConfig{MaxBuckets: 4}))
	h := v.With("x")
	count, _ := falls(h)
	mark := v.marker()
	before := mark(unsafe.Pointer(h))
	var r native.Reader
	scrapeNative(h, &r)
	if mark(unsafe.Pointer(h)) != before {
		t.Error("another mark although nothing was observed")
	}
	scrapeNative(h, &r)
	for range count {
		h.Observe(1)
	}
	if h.Snapshot().Count != count || mark(unsafe.Pointer(h)) == before {
		t.Errorf("%d observations, mark %d", h.Snapshot().Count, before)
	}
}

// TestNativeCollisions: the failed attempts to add to the sum make stripes, as without native buckets.
func TestNativeCollisions(t *testing.T) {
	testkit.NeedThreads(t)
	for _, bounds := range [][]float64{nil, {1}} {
		h := NewRegistry().Histogram("h", "", bounds, WithNative())
		n := (*nativeDef)(h.def.native)
		count := 0
		for ; h.wide.Load() == nil && count < 10_000; count++ { // a burst is 16 collisions in a millisecond
			observeRest(h, n, 1, nil, doneCollided)
		}
		if h.wide.Load() == nil {
			t.Errorf("bounds %v: no stripes", bounds)
		}
		if s := h.Snapshot(); s.Sum != float64(count) {
			t.Errorf("bounds %v: sum %v, want %d", bounds, s.Sum, count)
		}
	}
}

// TestNativeRestartByProtobuf: the exposition in protobuf restarts a histogram whose resolution
// fell. Other formats and snapshots do not.
func TestNativeRestartByProtobuf(t *testing.T) {
	restartAfter(t, 0)
	r := NewRegistry(WithNative(NativeConfig{MaxBuckets: 4}))
	h, kept := r.Histogram("h", "", []float64{10}), r.Histogram("kept", "", nil)
	kept.Observe(1)
	count, _ := falls(h)
	for range 2 {
		text(t, r)
		open(t, r)
		jsonText(t, r)
		if s := h.Snapshot(); s.Count != count || s.Native.Schema >= 3 {
			t.Fatalf("%d observations, want %d, schema %d", s.Count, count, s.Native.Schema)
		}
	}
	write(t, r.WriteProtobuf)
	if s := h.Snapshot(); s.Count != count {
		t.Errorf("%d observations before the next exposition in protobuf", s.Count)
	}
	write(t, r.WriteProtobuf)
	if s := h.Snapshot(); s.Count != 0 || s.Sum != 0 || s.Buckets[0].Count != 0 || s.Native.Schema != 3 {
		t.Errorf("after the restart: %+v", s)
	}
	write(t, r.WriteProtobuf)
	if s := kept.Snapshot(); s.Count != 1 {
		t.Errorf("a histogram whose resolution did not fall has %d observations", s.Count)
	}
}

// TestNativeRestartUndone: if the resolution is low again at the exposition after a restart, the
// restart is undone. All counts, the sum and the time of creation are then as without the restart.
// Otherwise the restart stands. Before that exposition, all other readers see all observations.
func TestNativeRestartUndone(t *testing.T) {
	for _, c := range []struct {
		what   string
		values []float64 // after the restart
		stands bool
	}{
		{"no values", nil, true},
		{"few values", []float64{0, 1, -1, math.Inf(+1)}, true},
		{"values in a higher schema", []float64{0, 1, 2, 4, 8, -16, -32, 64}, true},
		{"the same values", []float64{0, 0, 1, 8, 64, 512, 4096, 1 << 15, -1, -8}, false},
		{"more values", []float64{0, 1, 8, 64, 512, 4096, 1 << 15, 1 << 40, 1 << 50, -1, -8, -1 << 20}, false},
	} {
		for _, striped := range []bool{false, true} {
			restartAfter(t, 0)
			config := WithNative(NativeConfig{MaxBuckets: 4})
			h := NewRegistry().Histogram("h", "", []float64{0, 10, 100}, config)
			same := NewRegistry().Histogram("h", "", []float64{0, 10, 100}, config)
			all := NewRegistry().Histogram("h", "", []float64{0, 10, 100}, config)
			observe := func(x float64) {
				h.Observe(x)
				same.Observe(x)
				all.Observe(x)
			}
			check := func(when string, want HistogramSnapshot) {
				t.Helper()
				got := h.Snapshot()
				if text := sameBuckets(got.Native, want.Native); text != "" || got.Sum != want.Sum || !slices.Equal(got.Buckets, want.Buckets) {
					t.Errorf("%s, striped %t, %s: %v %v, want %v %v, %s", c.what, striped, when, got.Sum, got.Buckets, want.Sum, want.Buckets, text)
				}
			}
			for _, x := range []float64{0, 0, 1, 8, 64, 512, 4096, 1 << 15, -1, -8} {
				observe(x)
			}
			if striped {
				stripe.Widen(&h.wide, nil, h.def.stride, h.def.native, newNativeSide)
				observe(3)
			}
			before := h.Snapshot()
			var r native.Reader
			_, sum := scrapeNative(h, &r)
			if text := sameBuckets(&NativeSnapshot{r.Schema, r.ZeroThreshold, r.Zero, nativeBuckets(r.Positive), nativeBuckets(r.Negative)}, before.Native); text != "" || sum != before.Sum {
				t.Fatalf("%s: taken %v, %s", c.what, sum, text)
			}
			if c.stands {
				same = NewRegistry().Histogram("h", "", []float64{0, 10, 100}, config)
			}
			for _, x := range c.values {
				observe(x)
			}
			check("before the decision", all.Snapshot())
			if _, created := readNative(h, &r, make([]uint64, 4), false); created != 0 {
				t.Errorf("%s, striped %t: created %d before the decision", c.what, striped, created)
			}
			restartAfter(t, time.Hour)
			for range 2 {
				if _, created := readNative(h, &r, make([]uint64, 4), true); (created != 0) != c.stands {
					t.Errorf("%s, striped %t: created %d", c.what, striped, created)
				}
				check("after the decision", same.Snapshot())
			}
		}
	}
}

// TestNativeConcurrentDecisions: the counts of all restarts that stand and the counts at the end
// add up to the recorded counts.
func TestNativeConcurrentDecisions(t *testing.T) {
	restartAfter(t, 0)
	threads(t)
	rounds, n := nativeRounds()
	stood, undone := 0, 0
	for i := range rounds {
		x := newNativeStress(uint64(i), n)
		first := x.h.Snapshot().Native
		total, sum := &NativeSnapshot{Schema: first.Schema, ZeroThreshold: first.ZeroThreshold}, 0.0
		var pending *NativeSnapshot // of a restart without a decision
		var pendingSum float64
		var r native.Reader
		counts := make([]uint64, len(x.h.def.Upper)+1)
		restarts := uint64(0)
		for running := true; running; {
			running = x.running.Load() > 0
			was := (*restart)(nativeOf(x.h).restart)
			got, created := readNative(x.h, &r, counts, running)
			if pending != nil {
				if created == was.created && was.before != was.created {
					stood, total, sum = stood+1, sumOf(total, pending), sum+pendingSum
				} else {
					undone++
				}
				pending = nil
			}
			if now := (*restart)(nativeOf(x.h).restart); now != was {
				pending, pendingSum = &NativeSnapshot{r.Schema, r.ZeroThreshold, r.Zero, nativeBuckets(r.Positive), nativeBuckets(r.Negative)}, got
				// Tell restarts of the same millisecond apart.
				restarts++
				now.created += int64(restarts) << 32
			}
		}
		x.done.Wait()
		if pending != nil {
			t.Fatal("the last read made a restart")
		}
		got, want := x.h.Snapshot(), x.same.Snapshot()
		if text := sameBuckets(sumOf(total, got.Native), want.Native); text != "" || sum+got.Sum != want.Sum {
			t.Fatalf("round %d: sum %v, want %v, %s", i, sum+got.Sum, want.Sum, text)
		}
	}
	t.Logf("%d restarts stood, %d were undone", stood, undone)
}

// TestNativeCorrection: a restart can leave an observation in the classic buckets and not in the native
// buckets. No count has this observation.
func TestNativeCorrection(t *testing.T) {
	h := NewRegistry().Histogram("h", "", []float64{1, 2}, WithNative())
	h.Observe(1)
	h.Observe(2)
	h.Observe(3)
	h.words()[2].Add(5)
	s := h.Snapshot()
	if s.Count != 3 || s.Buckets[0].Count != 1 || s.Buckets[1].Count != 3 || s.Buckets[2].Count != 3 || nativeCount(s.Native) != 3 {
		t.Errorf("%+v", s)
	}
	h.words()[1].Add(5)
	if s := h.Snapshot(); s.Count != 3 || s.Buckets[0].Count != 3 || s.Buckets[1].Count != 3 || s.Buckets[2].Count != 3 {
		t.Errorf("%+v", s)
	}
}

// logNormal returns values with a median of 0.01 and a sigma of 1.
func logNormal(n int) []float64 {
	rnd := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, n)
	for i := range values {
		values[i] = 0.01 * math.Exp(rnd.NormFloat64())
	}
	return values
}

// TestNativeMemory measures the heap of a series with three labels and 1,000 log-normal values,
// with its entry in the vector, and again after two scrapes.
func TestNativeMemory(t *testing.T) {
	if race.Enabled || unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes of 64-bit platforms, without the race detector")
	}
	const series, limit = 2000, 1139
	values := logNormal(1000)
	r := NewRegistry()
	before := testkit.HeapBytes()
	v := r.HistogramVec("h", "", nil, []string{"method", "path", "status"}, WithNative())
	for i := range series {
		h := v.With("GET", "/api/v1/things/"+strconv.Itoa(i), "200")
		for _, x := range values {
			h.Observe(x)
		}
	}
	check := func(what string) {
		t.Helper()
		got := (testkit.HeapBytes() - before) / series
		if t.Logf("%s: %d bytes a series", what, got); got > limit {
			t.Errorf("%s: %d bytes a series, want at most %d", what, got, limit)
		}
	}
	check("after 1,000 values")
	var n native.Reader
	for range 2 {
		text(t, r)
		for _, m := range metrics(v.store.Order(&v.mu)) {
			scrapeNative((*Histogram)(m), &n)
		}
	}
	n = native.Reader{}
	check("after two scrapes")
	runtime.KeepAlive(r)
}

// TestNativeAllocations: Observe allocates nothing once the buckets exist.
func TestNativeAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	values := logNormal(1000)
	for _, bounds := range [][]float64{nil, {0.001, 0.01, 1}} {
		h := NewRegistry().Histogram("h", "", bounds, WithNative())
		observe := func() {
			for _, x := range values {
				h.Observe(x)
				h.Observe(-x)
			}
			h.Observe(0)
			h.Observe(math.Inf(+1))
			h.Observe(math.Inf(-1))
			h.Observe(0x1p-1030)
		}
		observe()
		if n := testing.AllocsPerRun(10, observe); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// TestNativeMarkAllocations: the search for idle series allocates nothing for a series.
func TestNativeMarkAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, bounds := range [][]float64{nil, {1}} {
		v := NewRegistry().HistogramVec("h", "", bounds, []string{"l"}, WithIdleExpiry(time.Minute), WithNative())
		h := v.With("x")
		for _, x := range logNormal(100) {
			h.Observe(x)
		}
		h.Observe(0)
		mark := v.marker()
		m := unsafe.Pointer(h)
		if got, want := mark(m), h.appendState(nil)[0]; got != want {
			t.Errorf("mark %d, state %d", got, want)
		}
		if n := testing.AllocsPerRun(100, func() { mark(m) }); n != 0 {
			t.Errorf("bounds %v: %v allocations", bounds, n)
		}
	}
}

// TestNativeIdleFreed: an unlisted series is freed if the program holds no pointer to its metric.
func TestNativeIdleFreed(t *testing.T) {
	v := NewRegistry().HistogramVec("h", "", nil, []string{"l"}, WithIdleExpiry(time.Minute), WithNative(NativeConfig{MaxBuckets: 4}))
	for i := range 100 {
		h := v.With(strconv.Itoa(i))
		h.Observe(0)
		falls(h)
	}
	now := time.Now()
	scrapeAt(&v.vec, now)
	scrapeAt(&v.vec, now.Add(time.Second))
	if scrapeAt(&v.vec, now.Add(time.Hour)); v.Len() != 0 || unlistedCount(&v.vec) != 100 {
		t.Fatalf("%d series, %d unlisted", v.Len(), unlistedCount(&v.vec))
	}
	collectUntil(t, func() bool { return unlistedCount(&v.vec) == 0 })
	if v.Len() != 0 {
		t.Errorf("%d series are relisted without a change", v.Len())
	}
}
