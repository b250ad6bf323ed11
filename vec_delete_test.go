package tacho

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/testkit"
)

func TestDeleteAndReset(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	for i := range 100 {
		v.With(strconv.Itoa(i)).Inc()
	}
	kept := v.With("7")
	if n := v.DeleteFunc(func(values []string) bool {
		v.With(values[0]) // the function may use the vector
		return values[0] != "1" && values[0] != "99"
	}); n != 98 || v.Len() != 2 {
		t.Errorf("%d deleted, %d left", n, v.Len())
	}
	kept.Inc()
	v.With("7").Add(5)
	want := "# TYPE x counter\nx{a=\"1\"} 1\nx{a=\"7\"} 5\nx{a=\"99\"} 1\n"
	for range 2 {
		if got := text(t, r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	v.Reset()
	v.With("b").Inc()
	if got := text(t, r); got != "# TYPE x counter\nx{a=\"b\"} 1\n" || v.Len() != 1 {
		t.Error(got)
	}
}

// TestChurn creates and deletes series until they have used each slot of the table many times.
func TestChurn(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a"})
	for i := range 10000 {
		v.With(strconv.Itoa(i)).Inc()
		if i >= 10 && !v.Delete(strconv.Itoa(i-10)) {
			t.Fatalf("Delete does not find series %d", i-10)
		}
	}
	if v.Len() != 10 {
		t.Errorf("%d series", v.Len())
	}
}

// TestChurnWithoutScrapes: without a scrape, a vector does not keep the memory of every series
// that was deleted.
func TestChurnWithoutScrapes(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	before := testkit.HeapBytes()
	const n = 100_000
	for i := range n {
		v.With(strconv.Itoa(i)).Inc()
		if i >= 10 {
			v.Delete(strconv.Itoa(i - 10))
		}
	}
	if bytes := testkit.HeapBytes() - before; bytes > n {
		t.Errorf("10 series of %d are left, and %d bytes", n, bytes)
	}
	if got := strings.Count(text(t, r), "\nx{"); got != 10 {
		t.Errorf("%d series in a scrape", got)
	}
	v.Reset()
	v.With("new").Inc()
	if got := strings.Count(text(t, r), "\nx{"); got != 1 {
		t.Errorf("%d series in a scrape after a reset, want 1", got)
	}
}

// TestScrapeGivesMemoryBack: after most series are deleted or unlisted, a scrape gives their
// memory back. A series that is created meanwhile does not keep it.
func TestScrapeGivesMemoryBack(t *testing.T) {
	for _, opts := range [][]Option{nil, {WithIdleExpiry(time.Hour)}} {
		before := testkit.HeapBytes()
		v := &NewRegistry(WithCreated()).CounterVec("c_total", "", []string{"l"}, opts...).vec
		const n, left, created = 20_000, 16, 4
		for i := range n {
			vecOf[Counter](v).With(strconv.Itoa(i)).Inc()
		}
		if got := len(metrics(v.ordered())); got != n {
			t.Fatalf("%d series in order, want %d", got, n)
		}
		full := testkit.HeapBytes() - before
		for i := left; i < n; i++ {
			vecOf[Counter](v).Delete(strconv.Itoa(i))
		}
		for i := range created {
			vecOf[Counter](v).With(strconv.Itoa(n + i)).Inc()
		}
		if got := len(metrics(v.ordered())); got != left+created || v.Len() != got {
			t.Errorf("%d series in order, %d in the vector, want %d", got, v.Len(), left+created)
		}
		if got := testkit.HeapBytes() - before; got > full/8 {
			t.Errorf("%d series have %d bytes, of which %d are left for %d", n, full, got, left+created)
		}
		for i := range created { // finds the new series
			vecOf[Counter](v).With(strconv.Itoa(n + i)).Inc()
		}
		if got := v.Len(); got != left+created {
			t.Errorf("%d series after a second lookup, want %d", got, left+created)
		}
	}
}

// TestConcurrentReset resets while other goroutines create, find and scrape. Each scrape
// is valid. After the last Reset only the series created since then exist.
func TestConcurrentReset(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(30))
	kept := r.CounterVec("kept", "", []string{"a"})
	total := testkit.Hammer(1500, func(i int) {
		v.With(strconv.Itoa(i % 40)).Inc()
		kept.With(strconv.Itoa(i % 40)).Inc()
		switch i % 200 {
		case 50:
			v.Reset()
		case 100, 150:
			testkit.ParseText(t, text(t, r))
		}
	})
	if v.Len() > 31 {
		t.Errorf("%d series", v.Len())
	}
	v.Reset()
	v.With("last").Add(3)
	var left []testkit.Sample
	sum := 0.
	for _, s := range testkit.ParseText(t, text(t, r)) {
		switch s.Name {
		case "x":
			left = append(left, s)
		case "kept":
			sum += s.Value
		}
	}
	if len(left) != 1 || left[0].Labels[0].Value != "last" || left[0].Value != 3 || sum != float64(total) {
		t.Errorf("%v, %v of %d kept", left, sum, total)
	}
}

// TestDeleteFuncCopiesValues: a label value that the function of DeleteFunc keeps does not
// keep the texts of other series in memory.
func TestDeleteFuncCopiesValues(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a"})
	for i := range 100 {
		v.With("value " + strconv.Itoa(i))
	}
	var kept []string
	v.DeleteFunc(func(values []string) bool {
		kept = append(kept, values[0])
		return false
	})
	if len(kept) != 100 {
		t.Fatalf("%d values", len(kept))
	}
	for block := range v.store.Snapshot().Each {
		for _, value := range kept {
			if isInside(value, block) {
				t.Fatalf("%q is in the memory of %s", value, block)
			}
		}
	}
}
