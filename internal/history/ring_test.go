package history

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
)

// steps adds n steps, a second apart. pass passes the samples of the i-th step.
func steps(t *testing.T, r *Ring, n int, pass func(i int, to expo.Reader)) {
	t.Helper()
	for i := range n {
		err := r.Sample(time.Unix(int64(1_700_000_000+i), 0), func(w io.Writer) error {
			pass(i, w.(expo.Reader))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestBucketsAreReused checks that the slots of native buckets that no step has are used again.
func TestBucketsAreReused(t *testing.T) {
	r := New(Config{Range: 10 * time.Second, Step: time.Second, MaxBytes: 1 << 20})
	bounds := expo.NewBounds(nil)
	steps(t, r, 1000, func(i int, to expo.Reader) {
		to.Begin(&expo.Family{Name: "x", Kind: expo.Histogram}, nil)
		to.Histogram(" ", &bounds, []uint64{1}, 1, &native.Snapshot{Positive: []native.Bucket{{Key: i, Count: 1}}})
	})
	if n := len(r.last); n > 20 {
		t.Errorf("%d slots, want one for each step at most, and two of the histogram", n)
	}
	if n := len(r.columns); n > 20 {
		t.Errorf("%d columns", n)
	}
}

// TestTextIsReused checks that the labels of series that no step has use no memory.
func TestTextIsReused(t *testing.T) {
	r := New(Config{Range: 10 * time.Second, Step: time.Second, MaxBytes: 1 << 20})
	steps(t, r, 1000, func(i int, to expo.Reader) {
		to.Begin(&expo.Family{Name: "x"}, nil)
		to.Float(fmt.Sprintf(`{path="%090d"} `, i), 1)
	})
	if n := len(r.text); n > 20*100 {
		t.Errorf("%d bytes of labels, want those of 11 series and some unused", n)
	}
	if r.table.n > 12 {
		t.Errorf("%d series", r.table.n)
	}
}

// TestRepeatedSeries checks that a walk with a series twice has the first value.
func TestRepeatedSeries(t *testing.T) {
	r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
	steps(t, r, 3, func(i int, to expo.Reader) {
		to.Begin(&expo.Family{Name: "x"}, nil)
		for k := range 2 {
			to.Float(" ", float64(10*i+k))
			to.Float(`{a="b"} `, float64(10*i+k))
		}
	})
	var c client
	if err := c.read(r.Append(nil, c.position, time.Now())); err != nil {
		t.Fatal(err)
	}
	for i, s := range c.steps {
		for name, v := range s.values {
			if v != float64(10*i) {
				t.Errorf("step %d: %s is %v, want the first value %d", i, name, v, 10*i)
			}
		}
	}
}

// TestDescription checks that clients read a new help and unit of a family.
func TestDescription(t *testing.T) {
	r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
	var c client
	for _, help := range []string{"one", "two", "two", "three"} {
		steps(t, r, 1, func(_ int, to expo.Reader) {
			to.Begin(&expo.Family{Name: "x", Help: help, Unit: help}, nil)
			to.Float(" ", 1)
		})
		if err := c.read(r.Append(nil, c.position, time.Now())); err != nil {
			t.Fatal(err)
		}
		if f := c.families[0]; f.help != help || f.unit != help || len(c.families) != 1 {
			t.Errorf("%+v, want help and unit %q", c.families, help)
		}
	}
}

// TestCodesAreExact checks that a number of JavaScript holds each code.
func TestCodesAreExact(t *testing.T) {
	for _, d := range []float64{1<<50 - 1, 1 << 50, 1 << 52, -(1<<50 - 1), -(1 << 52), 1 << 62, 1 << 63} {
		payload := appendRecord(nil, 0, 0, d)
		if code, _ := binary.Uvarint(payload[1:]); code >= 1<<53 {
			t.Errorf("the difference %v has code %d", d, code)
		}
	}
}

// TestUnknownPositions checks that a client with steps that the ring does not have gets the whole ring.
func TestUnknownPositions(t *testing.T) {
	r := New(Config{Range: 5 * time.Second, Step: time.Second, MaxBytes: 1 << 20})
	steps(t, r, 10, func(i int, to expo.Reader) {
		to.Begin(&expo.Family{Name: "x"}, nil)
		to.Float(" ", float64(i))
	})
	for _, p := range []Position{{}, {r.id + 1, 10}, {r.id, 3}, {r.id, 11}, {r.id, 1<<64 - 1}} {
		var c client
		if err := c.read(r.Append(nil, p, time.Now())); err != nil || len(c.steps) != 6 {
			t.Errorf("%v: %d steps, want 6 (%v)", p, len(c.steps), err)
		}
	}
	b := r.Append(nil, Position{r.id, 4}, time.Now())
	if b[1] != 0 {
		t.Error("the oldest position that the ring has gets the whole ring")
	}
}

// TestNewFamilyInPlaceOfForgotten checks a new family that follows where the last walk had a series that the
// ring has forgotten since. The new series has the labels of the first series.
func TestNewFamilyInPlaceOfForgotten(t *testing.T) {
	r := New(Config{Range: 3 * time.Second, Step: time.Second, MaxBytes: 1 << 20})
	pass := func(to expo.Reader, names ...string) {
		for i, name := range names {
			to.Begin(&expo.Family{Name: name}, nil)
			to.Float(" ", float64(i))
		}
	}
	steps(t, r, 20, func(i int, to expo.Reader) {
		switch i {
		case 0:
			pass(to, "a", "b")
		case 19:
			pass(to, "a", "c")
		default:
			pass(to, "a")
		}
	})
	var c client
	if err := c.read(r.Append(nil, c.position, time.Now())); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{slotName("a", "", column{}): 0, slotName("c", "", column{}): 1}
	if got := c.steps[len(c.steps)-1].values; !maps.Equal(got, want) {
		t.Errorf("the last step has %v, want %v", got, want)
	}
}
