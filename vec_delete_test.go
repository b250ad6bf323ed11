package tacho

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

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

// TestChurn creates and deletes series until tombstones have filled the table many times.
func TestChurn(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a"})
	for i := range 10000 {
		v.With(strconv.Itoa(i)).Inc()
		if i >= 10 && !v.Delete(strconv.Itoa(i-10)) {
			t.Fatalf("Delete does not find series %d", i-10)
		}
	}
	if n := reflect.ValueOf(v.table.Load()).Elem().FieldByName("slots").Len(); v.Len() != 10 || n > 64 {
		t.Errorf("%d series in %d slots", v.Len(), n)
	}
}

// TestChurnWithoutScrapes: without a scrape, the list of added series does not keep every
// series that was deleted.
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
		t.Errorf("10 series are left, %d are in the list", n)
	}
	if got := strings.Count(text(t, r), "\nx{"); got != 10 {
		t.Errorf("%d series in a scrape", got)
	}
	v.Reset()
	if v.With("new").Inc(); len(v.added) != 1 {
		t.Errorf("%d series in the list after a reset, want 1", len(v.added))
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
