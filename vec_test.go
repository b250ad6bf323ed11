package tacho

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func TestWithTellsValuesApart(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a", "b"})
	pairs := [][2]string{{"a", "bc"}, {"ab", "c"}, {"", "abc"}, {"abc", ""}, {"", ""}, {"\x00", ""}, {"", "\x00"}, {"a\n", `"`}, {`a\n`, `"`}, {`a"`, ""}, {`",b="`, ""},
		{strings.Repeat("x", 1000), strings.Repeat("y", 1000)}, {"12345678", "1234567"}, {"1234567", "12345678"}}
	for i, p := range pairs {
		v.With(p[0], p[1]).Add(uint64(i + 1))
	}
	for i, p := range pairs {
		if got := v.With(p[0], p[1]).Value(); got != uint64(i+1) {
			t.Errorf("%q: %d, want %d", p, got, i+1)
		}
	}
	if v.Len() != len(pairs) {
		t.Errorf("%d series, want %d", v.Len(), len(pairs))
	}
}

// TestWithInvalidUTF8 uses the byte that separates values inside keys, too.
func TestWithInvalidUTF8(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a", "b"})
	for _, bad := range []string{"a\xffb", "a\xfeb", "a\xff\xfe\x80b"} {
		v.With(bad, "c").Inc()
	}
	v.With("a�b", "c").Inc()
	v.With("a", "b\xffc").Inc()
	if got := text(t, r); !strings.Contains(got, `x{a="a�b",b="c"} 4`) || v.Len() != 2 {
		t.Errorf("%d series:\n%s", v.Len(), got)
	}
	if raceEnabled {
		return
	}
	if n := testing.AllocsPerRun(100, func() { v.With("a\xffb", "c").Inc() }); n != 0 {
		t.Errorf("%v allocations for a value with invalid UTF-8", n)
	}
	if !v.Delete("a\xffb", "c") || v.Delete("a\xffb", "c") {
		t.Error("Delete does not find what With found")
	}
}

func TestHashesAgree(t *testing.T) {
	for range 2000 {
		values := make([]string, rand.IntN(5))
		for i := range values {
			values[i] = strings.Repeat("é日\x00", 20)[:6*rand.IntN(20)]
		}
		if newHasher().add(values).hash() != hashKey(string(appendKey(nil, values)), len(values)) {
			t.Fatalf("%q", values)
		}
	}
}

func TestWithCopiesValues(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	buf := []byte("first")
	v.With(unsafe.String(&buf[0], len(buf))).Inc()
	copy(buf, "other")
	if got := text(t, r); !strings.Contains(got, `x{a="first"} 1`) || v.With("first").Value() != 1 {
		t.Error(got)
	}
}

func TestWrongNumberOfValues(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("x", "", nil, []string{"a", "b"})
	v.With("1").Observe(1)
	v.With().Observe(1)
	v.With("1", "2", "3").Observe(1)
	if v.Delete("1") || v.Len() != 0 {
		t.Error("a series came or went")
	}
	if got := text(t, r); !strings.Contains(got, `tacho_errors_total{metric="x",reason="label_count"} 4`) || strings.Contains(got, "x_count") {
		t.Error(got)
	}
}

func TestMaxSeries(t *testing.T) {
	r := NewRegistry(WithMaxSeries(3))
	v := r.CounterVec("x", "", []string{"a", "b"})
	v.With("other", "other").Inc() // its own series, if one wants it, is not one of the three
	for i := range 10 {
		v.With(strconv.Itoa(i), "\xff").Inc()
	}
	if v.Len() != 4 || v.With("other", "other").Value() != 8 || v.With("9", "").Value() != 8 {
		t.Errorf("%d series, %d in the overflow", v.Len(), v.With("other", "other").Value())
	}
	if got := vecOf[Counter](r.overflow).With("x").Value(); got != 8 {
		t.Errorf("%d overflows counted, want 8", got)
	}
	if !raceEnabled {
		if n := testing.AllocsPerRun(100, func() { v.With("new", "one").Inc() }); n != 0 {
			t.Errorf("%v allocations for an overflow", n)
		}
	}
	v.Delete("0", "\xff")
	before := v.With("other", "other").Value()
	v.With("room", "again").Inc()
	v.With("full", "again").Inc()
	if v.With("room", "again").Value() != 1 || v.With("other", "other").Value() != before+1 {
		t.Error("a deleted series leaves no room")
	}
	free := r.CounterVec("free", "", []string{"a"}, WithMaxSeries(0))
	for i := range 10 {
		free.With(strconv.Itoa(i))
	}
	if free.Len() != 10 {
		t.Errorf("a vector without a limit has %d series", free.Len())
	}
	if got := text(t, r); !strings.Contains(got, `tacho_series_overflow_total{metric="x"}`) {
		t.Error(got)
	}
}

func TestDeleteAndReset(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	for i := range 100 {
		v.With(strconv.Itoa(i)).Inc()
	}
	kept := v.With("7")
	if n := v.DeleteFunc(func(values []string) bool {
		v.With(values[0]) // it may use the vector
		return values[0] != "1" && values[0] != "99"
	}); n != 98 || v.Len() != 2 {
		t.Errorf("%d deleted, %d left", n, v.Len())
	}
	kept.Inc()
	v.With("7").Add(5)
	want := "# HELP x \n# TYPE x counter\nx{a=\"1\"} 1\nx{a=\"7\"} 5\nx{a=\"99\"} 1\n"
	for range 2 {
		if got := text(t, r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	v.Reset()
	v.With("b").Inc()
	if got := text(t, r); got != "# HELP x \n# TYPE x counter\nx{a=\"b\"} 1\n" || v.Len() != 1 {
		t.Error(got)
	}
}

// TestChurn creates and deletes in one table for long enough to fill it with
// gravestones many times over.
func TestChurn(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a"})
	for i := range 10000 {
		v.With(strconv.Itoa(i)).Inc()
		if i >= 10 && !v.Delete(strconv.Itoa(i-10)) {
			t.Fatalf("%d was lost", i-10)
		}
	}
	if n := len(v.table.Load().slots); v.Len() != 10 || n > 64 {
		t.Errorf("%d series in %d slots", v.Len(), n)
	}
}

func TestManySeries(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a"})
	const n = 100000
	for i := range n {
		v.With(strconv.Itoa(i)).Add(uint64(i))
	}
	for i := range n {
		if got := v.With(strconv.Itoa(i)).Value(); got != uint64(i) {
			t.Fatalf("%d: %d", i, got)
		}
	}
	order := v.ordered()
	if v.Len() != n || len(order) != n || !slices.IsSortedFunc(order, func(a, b *series) int { return compareKeys(a.key(), b.key()) }) {
		t.Error("series were lost or are out of order")
	}
}

func TestHitsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := NewRegistry()
	c := r.CounterVec("c", "", []string{"a", "b", "c"})
	h := r.HistogramVec("h", "", nil, []string{"a"})
	f := r.FloatCounter("f", "")
	g := r.FloatGauge("g", "")
	record := func() {
		c.With("one", "two", "three").Inc()
		c.With("wrong").Inc()
		h.With("one").Observe(0.5)
		f.Add(0.5)
		f.Add(-1)
		g.Add(1)
	}
	record()
	if n := testing.AllocsPerRun(100, record); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCompareKeys(t *testing.T) {
	lists := [][]string{{"", ""}, {"", "a"}, {"a", ""}, {"a", "a"}, {"a", "b"}, {"a\x00", ""}, {"a\x01", ""}, {"ab", ""}, {"b", ""}, {"é", ""}, {"日", ""}}
	for i, a := range lists {
		for j, b := range lists {
			got := compareKeys(string(appendKey(nil, a)), string(appendKey(nil, b)))
			if (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
}

// TestVecUnderFire creates, records, deletes and scrapes at once. What was
// recorded through pointers that nobody deletes must all be there in the end,
// and every scrape in between must be sound.
func TestVecUnderFire(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"who", "i"})
	h := r.HistogramVec("h", "", []float64{1, 2}, []string{"who"})
	const workers, rounds = 6, 3000
	var writers sync.WaitGroup
	for w := range workers {
		writers.Add(1)
		go func() {
			defer writers.Done()
			who := strconv.Itoa(w)
			for i := range rounds {
				v.With("kept", strconv.Itoa(i%50)).Inc()
				v.With(who, strconv.Itoa(i%20)).Inc()
				h.With("all").Observe(float64(i % 4))
				switch i % 100 {
				case 20:
					v.Delete(who, "3")
				case 60:
					v.DeleteFunc(func(values []string) bool { return values[0] == who })
				case 80:
					r.Gauge(fmt.Sprintf("g%d_%d", w, i), "").Inc()
					r.Unregister(fmt.Sprintf("g%d_%d", w, i))
				}
			}
		}()
	}
	done := make(chan struct{})
	scraped := make(chan struct{})
	go func() {
		defer close(scraped)
		last := map[string]uint64{}
		for ; ; runtime.Gosched() {
			checkScrape(t, text(t, r), last)
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	writers.Wait()
	close(done)
	<-scraped
	var total uint64
	for i := range 50 {
		total += v.With("kept", strconv.Itoa(i)).Value()
	}
	if total != workers*rounds {
		t.Errorf("%d recorded, want %d", total, workers*rounds)
	}
	if s := h.With("all").Snapshot(); s.Count != workers*rounds || s.Sum != workers*rounds*1.5 {
		t.Errorf("histogram %v, want %d", s, workers*rounds)
	}
}

// checkScrape fails if series repeat, a kept counter or a bucket went down, or
// a histogram contradicts itself.
func checkScrape(t *testing.T, scrape string, last map[string]uint64) {
	_, samples := parseText(t, scrape)
	for series, value := range samples {
		if !strings.HasPrefix(series, `x{who="kept"`) && !strings.HasPrefix(series, "h_bucket") && !strings.HasPrefix(series, "h_count") {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n < last[series] {
			t.Errorf("%s went from %d to %s", series, last[series], value)
		}
		last[series] = n
	}
	if samples[`h_count{who="all"}`] != samples[`h_bucket{who="all",le="+Inf"}`] {
		t.Errorf("count %s, +Inf %s", samples[`h_count{who="all"}`], samples[`h_bucket{who="all",le="+Inf"}`])
	}
}

func TestKeyIs(t *testing.T) {
	lists := [][]string{{"", ""}, {"a", ""}, {"", "a"}, {"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"a\x00", "b"}, {"é", "日"}}
	for i, a := range lists {
		key := string(appendKey(nil, a))
		for j, b := range lists {
			if keyIs(key, b, newHasher().add(b).size) != (i == j) {
				t.Errorf("key of %q for %q: %v", a, b, i != j)
			}
		}
		// Values that hold the separator itself must not fit by luck.
		for _, b := range [][]string{{a[0] + "\xff", a[1]}, {a[0], "\xff" + a[1]}, {a[0] + "\xff" + a[1], ""}, {key, ""}, {"", key}} {
			if keyIs(key, b, newHasher().add(b).size) {
				t.Errorf("key of %q fits %q", a, b)
			}
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("\xff", "", "", "\xff")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string) {
		valid := func(s string) string { return string(appendValid(nil, s)) }
		ka, kb := string(appendKey(nil, []string{a1, a2})), string(appendKey(nil, []string{b1, b2}))
		want := strings.Compare(valid(a1), valid(b1))
		if want == 0 {
			want = strings.Compare(valid(a2), valid(b2))
		}
		got := compareKeys(ka, kb)
		if got < 0 != (want < 0) || got > 0 != (want > 0) {
			t.Errorf("%q and %q: %d, want %d", ka, kb, got, want)
		}
		if back := compareKeys(kb, ka); back < 0 != (got > 0) || back > 0 != (got < 0) {
			t.Errorf("%q and %q: %d one way, %d the other", ka, kb, got, back)
		}
		if keyIs(ka, []string{b1, b2}, len(b1)+len(b2)+2) != (valid(a1) == b1 && valid(a2) == b2) {
			t.Errorf("keyIs %q %q %q", ka, b1, b2)
		}
		v := NewRegistry().CounterVec("x", "", []string{"a", "b"})
		if same := v.With(a1, a2) == v.With(b1, b2); same != (want == 0) {
			t.Errorf("(%q,%q) and (%q,%q): same series %v", a1, a2, b1, b2, same)
		}
	})
}

// TestReusedBuffer looks a series up through one buffer whose bytes change:
// what was created from them must not change with them.
func TestReusedBuffer(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("x", "", []float64{}, []string{"a", "b"})
	buf := make([]byte, 3)
	value := unsafe.String(&buf[0], len(buf))
	for i := range 500 {
		copy(buf, fmt.Sprintf("%03d", i%100))
		v.With(value, value).Observe(1)
	}
	copy(buf, "\xff\xff\xff")
	v.With(value, value).Observe(1)
	copy(buf, "***")
	samples := engParse(t, text(t, r))
	if v.Len() != 101 || len(samples) != 303 {
		t.Errorf("%d series, %d samples", v.Len(), len(samples))
	}
	for i := range 100 {
		s := fmt.Sprintf("%03d", i)
		if got := v.With(s, s).Snapshot().Count; got != 5 {
			t.Errorf("%s: %d", s, got)
		}
	}
	if got := v.With("\xff", "\xff").Snapshot().Count; got != 1 {
		t.Errorf("invalid UTF-8: %d", got)
	}
}

// TestOtherIsNotTakenForOverflow: a series whose values are "other" because the
// program says so counts no overflow.
func TestOtherIsNotTakenForOverflow(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(2))
	v.With("other").Inc()
	v.With("1").Inc()
	v.With("2").Inc()
	v.With("other").Inc()
	if got := text(t, r); strings.Contains(got, "tacho_series_overflow_total") || v.Len() != 3 {
		t.Errorf("%d series:\n%s", v.Len(), got)
	}
	v.With("3").Add(5)
	v.With("4").Add(5)
	if v.With("other").Value() != 12 || v.Len() != 3 {
		t.Errorf("%d in other, %d series", v.With("other").Value(), v.Len())
	}
	if got := vecOf[Counter](r.overflow).With("x").Value(); got != 2 {
		t.Errorf("%d overflows, want 2", got)
	}
}

// TestMaxSeriesRoom: Delete, DeleteFunc and Reset make room, also by removing
// the overflow series itself, and totals stay right throughout.
func TestMaxSeriesRoom(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(2))
	fill := func() {
		t.Helper()
		for i := range 4 {
			v.With(strconv.Itoa(i)).Inc()
		}
		if v.Len() != 3 || v.With("0").Value() != 1 || v.With("other").Value() != 2 {
			t.Errorf("%d series, %d in the overflow", v.Len(), v.With("other").Value())
		}
	}
	fill()
	v.Reset()
	fill()
	if n := v.DeleteFunc(func([]string) bool { return true }); n != 3 {
		t.Errorf("%d deleted", n)
	}
	fill()
	if !v.Delete("other") {
		t.Error("no overflow series")
	}
	v.With("2").Inc() // still full: a new overflow series, from 0
	if v.Len() != 3 || v.With("other").Value() != 1 {
		t.Errorf("%d series, %d in the overflow", v.Len(), v.With("other").Value())
	}
	v.Delete("1")
	if kept := v.With("2"); kept != v.With("2") || kept == v.With("other") || v.Len() != 3 {
		t.Error("a deleted series leaves no room")
	}
}

// TestMaxSeriesOptions: what the vector says beats what the registry says.
func TestMaxSeriesOptions(t *testing.T) {
	r := NewRegistry(WithMaxSeries(2))
	for i, c := range []struct {
		opts []Option
		want int
	}{
		{nil, 3},
		{[]Option{WithMaxSeries(5)}, 6},
		{[]Option{WithMaxSeries(0)}, 20},
		{[]Option{WithMaxSeries(-1)}, 20},
		{[]Option{WithMaxSeries(5), WithMaxSeries(1)}, 2},
	} {
		v := r.GaugeVec("x"+strconv.Itoa(i), "", []string{"a"}, c.opts...)
		for j := range 20 {
			v.With(strconv.Itoa(j))
		}
		if v.Len() != c.want {
			t.Errorf("case %d: %d series, want %d", i, v.Len(), c.want)
		}
	}
	for i := range 10 { // a limit is on a vector's series, not on metrics
		r.Counter("plain"+strconv.Itoa(i), "").Inc()
	}
	if got := text(t, r); !strings.Contains(got, "plain9 1\n") {
		t.Error(got)
	}
}

// TestMaxSeriesUnderFire: whatever strangers send, the number of series holds
// and no recording is lost.
func TestMaxSeriesUnderFire(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(50))
	total := hammer(2000, func(i int) { v.With(strconv.Itoa(i)).Inc() })
	sum, overflow := 0., 0.
	for _, s := range engParse(t, text(t, r)) {
		if s.name == "x" {
			if sum += s.value; s.labels[0][1] == "other" {
				overflow = s.value
			}
		}
	}
	if v.Len() != 51 || sum != float64(total) || uint64(overflow) != vecOf[Counter](r.overflow).With("x").Value() {
		t.Errorf("%d series, %v of %d recorded, %v overflowed, %d counted", v.Len(), sum, total, overflow, vecOf[Counter](r.overflow).With("x").Value())
	}
}

// TestResetUnderFire resets while others create, find and scrape: each scrape
// must be sound, and what is left after the last Reset must be all there is.
func TestResetUnderFire(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(30))
	kept := r.CounterVec("kept", "", []string{"a"})
	total := hammer(1500, func(i int) {
		v.With(strconv.Itoa(i % 40)).Inc()
		kept.With(strconv.Itoa(i % 40)).Inc()
		switch i % 200 {
		case 50:
			v.Reset()
		case 100, 150:
			engParse(t, text(t, r))
		}
	})
	if v.Len() > 31 {
		t.Errorf("%d series", v.Len())
	}
	v.Reset()
	v.With("last").Add(3)
	var left []engSample
	sum := 0.
	for _, s := range engParse(t, text(t, r)) {
		switch s.name {
		case "x":
			left = append(left, s)
		case "kept":
			sum += s.value
		}
	}
	if len(left) != 1 || left[0].labels[0][1] != "last" || left[0].value != 3 || sum != float64(total) {
		t.Errorf("%v, %v of %d kept", left, sum, total)
	}
}

// TestChurnWithoutScrapes: what nobody scrapes must not remember every series
// that came and went.
func TestReplace(t *testing.T) {
	r := NewRegistry()
	v := r.GaugeVec("g", "", []string{"l"}, WithMaxSeries(2))
	v.With("a").Set(1)
	v.With("b").Set(2)
	old := v.With("a")
	var late *GaugeVec
	v.Replace(func(set *GaugeVec) {
		late = set
		set.With("c").Set(3)
		set.With("gone").Set(4)
		set.Delete("gone")
		set.With("a").Set(5)
		set.With("x").Set(6) // past the limit
		v.With("b").Set(7)   // goes with what was there
		if got := text(t, r); !strings.Contains(got, "g{l=\"a\"} 1\ng{l=\"b\"} 7\n") || strings.Contains(got, "\"c\"") {
			t.Errorf("meanwhile:\n%s", got)
		}
	})
	want := "g{l=\"a\"} 5\ng{l=\"c\"} 3\ng{l=\"other\"} 6\n"
	check := func() {
		t.Helper()
		if got := text(t, r); !strings.Contains(got, "TYPE g gauge\n"+want+"# HELP") || v.Len() != 3 {
			t.Errorf("got\n%s", got)
		}
	}
	check()
	old.Set(8)
	late.With("late").Set(9)
	late.Reset()
	check()
	func() {
		defer func() { recover() }()
		v.Replace(func(set *GaugeVec) {
			set.With("d").Set(1)
			panic("half way")
		})
	}()
	check()
	v.Replace(func(*GaugeVec) {})
	if got := text(t, r); strings.Contains(got, "g{") || v.Len() != 0 {
		t.Errorf("nothing:\n%s", got)
	}
	v.With("a").Set(1)
	want = "g{l=\"a\"} 1\n"
	if got := text(t, r); !strings.Contains(got, want) {
		t.Errorf("afterwards:\n%s", got)
	}
}

// TestReplaceIsSeenWhole: every scrape has all series of one generation.
func TestReplaceIsSeenWhole(t *testing.T) {
	r := NewRegistry()
	v := r.GaugeVec("g", "", []string{"l"})
	generation := func(n int64) {
		v.Replace(func(set *GaugeVec) {
			for i := range 50 {
				set.With(strconv.FormatInt(n%2, 10) + strconv.Itoa(i)).Set(n)
			}
		})
	}
	generation(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range int64(2000) {
			generation(n)
		}
	}()
	// A look at the length takes no longer than a gap of some nanoseconds would last.
	for ; ; runtime.Gosched() {
		for range 1000 {
			if n := v.Len(); n != 50 {
				t.Fatalf("%d series", n)
			}
		}
		seen := map[float64]int{}
		for _, s := range engParse(t, text(t, r)) {
			seen[s.value]++
		}
		if len(seen) != 1 {
			t.Fatalf("generations in one scrape: %v", seen)
		}
		for n, series := range seen {
			if series != 50 {
				t.Fatalf("%d series of generation %v", series, n)
			}
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestChurnWithoutScrapes(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	for i := range 10000 {
		v.With(strconv.Itoa(i)).Inc()
		if i >= 10 {
			v.Delete(strconv.Itoa(i - 10))
		}
	}
	if n := len(v.added); n > 100 {
		t.Errorf("10 series are left and %d remembered", n)
	}
	if got := strings.Count(text(t, r), "\nx{"); got != 10 {
		t.Errorf("%d series in a scrape", got)
	}
	v.Reset()
	if v.With("new").Inc(); len(v.added) != 1 {
		t.Errorf("%d remembered after a reset", len(v.added))
	}
}

// TestEarlySeriesLieApart: writers of the first series share no cache line.
func TestEarlySeriesLieApart(t *testing.T) {
	r := NewRegistry()
	c, g := r.CounterVec("c", "", []string{"i"}), r.GaugeVec("g", "", []string{"i"})
	f, h := r.FloatCounterVec("f", "", []string{"i"}), r.FloatGaugeVec("h", "", []string{"i"})
	var lines []uintptr
	for i := range earlySeries {
		name := strconv.Itoa(i)
		for _, p := range []unsafe.Pointer{unsafe.Pointer(c.With(name)), unsafe.Pointer(g.With(name)), unsafe.Pointer(f.With(name)), unsafe.Pointer(h.With(name))} {
			lines = append(lines, uintptr(p)/cacheLine)
		}
	}
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != 4*earlySeries {
		t.Errorf("%d metrics begin on %d lines", 4*earlySeries, n)
	}
}

// TestRecordingTakesNoLock: once a series exists, what creates, deletes, sorts and
// scrapes others, for however long, holds up nobody who records. Here all mutexes are
// held meanwhile.
func TestRecordingTakesNoLock(t *testing.T) {
	r := NewRegistry()
	c, f := r.CounterVec("c", "", []string{"l"}), r.FloatCounterVec("f", "", []string{"l"})
	g, h := r.GaugeVec("g", "", []string{"l"}), r.HistogramVec("h", "", nil, []string{"l"})
	full := r.CounterVec("full", "", []string{"l"}, WithMaxSeries(1))
	idle := r.CounterVec("idle", "", []string{"l"}, WithIdleExpiry(time.Hour))
	n := 0
	record := func() {
		n++
		for _, value := range []string{"x", "\xff"} { // the second is found by another way
			c.With(value).Inc()
			f.With(value).Add(0.5)
			g.With(value).Set(1)
			h.With(value).Observe(1)
			idle.With(value).Inc()
		}
		full.With("x").Inc()
		full.With(strconv.Itoa(n)).Inc() // one too many, and new each time
		c.With("too", "many").Inc()
		f.With("x").Add(-1)
	}
	record()
	record() // the series of what is refused exist now, too
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range []*vec{&c.vec, &f.vec, &g.vec, &h.vec, &full.vec, &idle.vec, r.errors, r.overflow} {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.orderMu.Lock()
		defer v.orderMu.Unlock()
	}
	recorded := make(chan struct{})
	go func() {
		for range 100 {
			record()
		}
		close(recorded)
	}()
	select {
	case <-recorded:
	case <-time.After(time.Minute):
		t.Fatal("recording waits for a lock")
	}
	if got := c.With("x").Value(); got != 102 {
		t.Errorf("%d", got)
	}
}
