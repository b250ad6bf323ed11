package tacho

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/expo"
)

// own returns the descriptions of the registry's own families. r has no series of them.
func own(r *Registry) []FamilyInfo {
	return []FamilyInfo{
		{"tacho_errors_total", "counter", r.errors.fam.Help, "", []string{"metric", "reason"}, 0},
		{"tacho_series_overflow_total", "counter", r.overflow.fam.Help, "", []string{"metric"}, 0},
	}
}

func TestFamilies(t *testing.T) {
	r := NewRegistry(WithConstLabels("app", "x"))
	if got, want := slices.Collect(r.Families()), own(r); !reflect.DeepEqual(got, want) {
		t.Errorf("an empty registry has\n%+v\nwant\n%+v", got, want)
	}
	v := r.CounterVec("b_total", "B \xff.", []string{"z", "a"}, WithConstLabels("c", "d"))
	v.With("1", "2").Inc()
	v.With("1", "3").Inc()
	r.FloatCounter("c_seconds_total", "C.", WithUnit("seconds"))
	r.GaugeVec("a", "", []string{"l"})
	r.FloatGauge("d", "")
	r.Histogram("e", "", nil)
	r.Histogram("f", "", nil, WithNative())
	called := func() float64 { t.Error("a function is called"); return 1 }
	r.GaugeFunc("g", "G.", called, WithConstLabels("c", "d"))
	r.CounterFunc("h_total", "", called)
	r.Collect(func(e *Emitter) { t.Error("a collector is called"); e.Gauge("z", "", 1) })
	r.Gauge("removed", "")
	r.Unregister("removed")
	want := append([]FamilyInfo{
		{"a", "gauge", "", "", []string{"l"}, 0},
		{"b_total", "counter", "B \uFFFD.", "", []string{"z", "a"}, 2},
		{"c_seconds_total", "counter", "C.", "seconds", nil, 1},
		{"d", "gauge", "", "", nil, 1},
		{"e", "histogram", "", "", nil, 1},
		{"f", "histogram", "", "", nil, 1},
		{"g", "gauge", "G.", "", nil, 1},
		{"h_total", "counter", "", "", nil, 1},
	}, own(r)...)
	families := r.Families()
	for range 2 { // an iterator can be used again
		if got := slices.Collect(families); !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v\nwant\n%+v", got, want)
		}
	}
	v.Reset()
	for f := range families {
		if f.Name == "b_total" {
			if f.Series != 0 {
				t.Errorf("after Reset: %+v, want no series", f)
			}
			f.Labels[0] = "changed" // a copy
			break
		}
	}
	for f := range families {
		if f.Name == "b_total" && f.Labels[0] != "z" {
			t.Errorf("after a change of Labels: %+v", f)
		}
	}
	if got := slices.Collect(new(Registry).Families()); got != nil {
		t.Errorf("a zero registry has %+v", got)
	}
}

// TestFamiliesOfOneName: definitions that share a name are one family with the series of all.
func TestFamiliesOfOneName(t *testing.T) {
	var list []*expo.Family
	for i, name := range []string{"a", "b", "b", "b", "c"} {
		r := NewRegistry()
		v := r.GaugeVec(name, "Help.", []string{"l"}, WithConstLabels("i", fmt.Sprint(i)))
		for n := range i + 1 {
			v.With(fmt.Sprint(n))
		}
		list = append(list, &familyIn(r, r.families, name).Family)
	}
	var got []FamilyInfo
	yieldFamilies(list, func(f FamilyInfo) bool { got = append(got, f); return true })
	want := []FamilyInfo{
		{"a", "gauge", "Help.", "", []string{"l"}, 1},
		{"b", "gauge", "Help.", "", []string{"l"}, 2 + 3 + 4},
		{"c", "gauge", "Help.", "", []string{"l"}, 5},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestFamiliesWithoutLock: the body of a loop over Families can use the registry and every
// vector. A break ends the loop.
func TestFamiliesWithoutLock(t *testing.T) {
	r := NewRegistry()
	vectors := map[string]*GaugeVec{}
	for _, name := range []string{"a", "b", "c"} {
		vectors[name] = r.GaugeVec(name, "", []string{"l"})
	}
	done := make(chan []string)
	go func() {
		var names []string
		for f := range r.Families() {
			if names = append(names, f.Name); f.Name == "c" {
				break
			}
			for range r.Families() { // nested
			}
			vectors[f.Name].With("v").Inc()
			r.Gauge("new_"+f.Name, "") // of the next range
			r.Unregister("b")          // stays in this range
		}
		done <- names
	}()
	select {
	case got := <-done:
		if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Fatal("the body of the loop waits for a lock")
	}
}

// TestFamiliesConcurrently ranges over families while others define, record and remove.
func TestFamiliesConcurrently(t *testing.T) {
	r := NewRegistry()
	done := make(chan struct{})
	const writers = 2
	for i := range writers {
		go func() {
			for n := range 2000 {
				name := fmt.Sprint("m", i, "_", n%20)
				r.GaugeVec(name, "", []string{"l"}).With(fmt.Sprint(n)).Inc()
				if n%3 == 0 {
					r.Unregister(name)
				}
			}
			done <- struct{}{}
		}()
	}
	for ended := 0; ended < writers; {
		select {
		case <-done:
			ended++
		default:
		}
		last := ""
		for f := range r.Families() {
			if f.Name <= last {
				t.Errorf("%s after %s", f.Name, last)
			}
			last = f.Name
		}
		runtime.Gosched() // WebAssembly has one thread, and no preemption
	}
}
