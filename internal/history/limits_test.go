package history

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/race"
)

// sampleCounters adds a step with the counters of names, which have this value.
func sampleCounters(t testing.TB, r *Ring, at time.Time, n int, value float64) {
	t.Helper()
	err := r.Sample(at, func(w io.Writer) error {
		to := w.(expo.Reader)
		to.Begin(&expo.Family{Name: "x_total"}, nil)
		for i := range n {
			to.Float(fmt.Sprintf(`{path="/api/%d"} `, i), value+float64(i%7)*value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMaxBytes checks that a ring of any number of series has at most MaxBytes, keeps a step, counts the series
// without room, and has room again once series are gone.
func TestMaxBytes(t *testing.T) {
	const limit = 1 << 20
	sizes, rounds := []int{10, 1000, 9000, 30_000}, 100
	if race.Enabled {
		sizes, rounds = []int{10, 9000}, 30
	}
	for _, n := range sizes {
		r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: limit})
		now := time.Unix(1_700_000_000, 0)
		for i := range rounds {
			sampleCounters(t, r, now.Add(time.Duration(i)*time.Second), n, float64(i)*1.25)
			if s := r.Stats(); s.Bytes > limit || s.Steps == 0 || s.Series+s.LeftOut != n {
				t.Fatalf("%d series, step %d: %+v", n, i, s)
			}
		}
		s := r.Stats()
		if fits := n <= 1000; fits != (s.LeftOut == 0) || n >= 9000 && s.Steps == rounds && rounds > 30 {
			t.Errorf("%d series: %+v", n, s)
		}
		if s.DictionaryBytes > limit*5/8 {
			t.Errorf("the dictionary has %d bytes", s.DictionaryBytes)
		}
		var c client
		if err := c.read(r.Append(nil, c.position, now)); err != nil || c.leftOut != uint64(s.LeftOut) {
			t.Errorf("%d series: left out %d, want %d (%v)", n, c.leftOut, s.LeftOut, err)
		}
		for i := range 3 {
			sampleCounters(t, r, now.Add(time.Duration(2+i)*time.Hour), 10, 1)
		}
		if s := r.Stats(); s.Series != 10 || s.LeftOut != 0 {
			t.Errorf("after %d series are gone: %+v", n, s)
		}
	}
}

// TestRoomOfFamilies checks that a ring full of families has room for others once these are gone: the lists of
// their numbers need more memory than their label blocks.
func TestRoomOfFamilies(t *testing.T) {
	for _, limit := range []int{1 << 18, 1 << 18 * 5 / 4, 1 << 18 * 3 / 2, 1 << 18 * 7 / 4} {
		r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: limit})
		now := time.Unix(1_700_000_000, 0)
		sample := func(n int, name string) {
			now = now.Add(30 * time.Minute)
			_ = r.Sample(now, func(w io.Writer) error {
				to := w.(expo.Reader)
				for i := range n {
					to.Begin(&expo.Family{Name: fmt.Sprintf("%s%d", name, i)}, nil)
					to.Float(" ", 1)
				}
				return nil
			})
		}
		sample(4000, "a")
		full := r.Stats()
		if full.LeftOut == 0 {
			t.Errorf("limit %d: all families fit", limit)
		}
		for range 4 {
			sample(0, "")
		}
		sample(full.Series, "b") // names as long as before
		if s := r.Stats(); s.Series != full.Series || s.Bytes > limit {
			t.Errorf("limit %d: %+v, before it had %d series", limit, s, full.Series)
		}
	}
}

// TestTextsMaxBytes checks the limit with families whose help grows: a help that has no room leaves the help of
// before.
func TestTextsMaxBytes(t *testing.T) {
	const limit = 1 << 20
	for _, texts := range []unsafe.Pointer{nil, unsafe.Pointer(unsafe.StringData(" "))} {
		r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: limit})
		steps(t, r, 4, func(i int, to expo.Reader) {
			for j := range 1000 {
				to.Begin(&expo.Family{Name: fmt.Sprint("x", j), Help: strings.Repeat("h", 2000*i)}, texts)
				to.Float(" ", 1)
			}
			if s := r.bytes(); s > limit {
				t.Errorf("step %d: %d bytes", i, s)
			}
		})
		if s := r.Stats(); s.Steps != 4 || s.Series != 1000 {
			t.Errorf("%+v, want 4 steps of 1000 series", s)
		}
		help := 0
		for _, f := range r.families {
			help = max(help, len(f.help))
		}
		if help != 2000 {
			t.Errorf("the longest help has %d bytes, want 2000, of the first families", help)
		}
	}
}

// TestNativeMaxBytes checks the limit with more native buckets than have room.
func TestNativeMaxBytes(t *testing.T) {
	const limit = 1 << 20
	rounds := 50
	if race.Enabled {
		rounds = 20
	}
	r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: limit})
	bounds := expo.NewBounds(nil)
	for i := range rounds {
		err := r.Sample(time.Unix(int64(1_700_000_000+i), 0), func(w io.Writer) error {
			to := w.(expo.Reader)
			to.Begin(&expo.Family{Name: "x", Kind: expo.Histogram}, nil)
			for j := range 1000 {
				s := &native.Snapshot{Schema: 8}
				for key := range i {
					s.Positive = append(s.Positive, native.Bucket{Key: j*50 + key, Count: uint64(i)})
				}
				to.Histogram(fmt.Sprintf(`{path="/api/%d"} `, j), &bounds, []uint64{uint64(i)}, 1.5, s)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); s.Bytes > limit || s.Steps == 0 {
			t.Fatalf("step %d: %+v", i, s)
		}
	}
	var c client
	if err := c.read(r.Append(nil, c.position, time.Now())); err != nil {
		t.Error(err)
	}
}

// heap returns the bytes of the heap in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestBytes compares the memory that Stats states with the heap.
func TestBytes(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector and the address sanitizer allocate")
	}
	before := heap()
	r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: 32 << 20})
	for i := range 20 {
		sampleCounters(t, r, time.Unix(int64(1_700_000_000+i), 0), 100_000, float64(i))
	}
	used, stated := heap()-before, r.Stats().Bytes
	t.Logf("%d bytes of heap, %d stated", used, stated)
	if used > stated*11/10 || used < stated*8/10 {
		t.Errorf("%d bytes of heap, but Stats states %d", used, stated)
	}
	runtime.KeepAlive(r)
}

// TestRange checks that steps leave by their age.
func TestRange(t *testing.T) {
	r := New(Config{Range: 10 * time.Second, Step: time.Second, MaxBytes: 1 << 20})
	now := time.Unix(1_700_000_000, 0)
	for i := range 20 {
		sampleCounters(t, r, now.Add(time.Duration(i)*time.Second), 3, float64(i))
	}
	if n := r.Stats().Steps; n != 11 {
		t.Errorf("%d steps, want 11", n)
	}
}

// TestClock checks times behind steps of the system's clock. A time.Time of a test has no monotonic reading,
// so the parts are set here.
func TestClock(t *testing.T) {
	start := time.Now()
	var c clock
	first := c.now(start)
	if first != start.UnixMilli() {
		t.Errorf("the first time is %d, want %d", first, start.UnixMilli())
	}
	// A clock that was an hour ahead goes back: times follow the monotonic clock.
	c.at += time.Hour.Milliseconds()
	ahead := c.at
	for i := 1; i <= 3; i++ {
		want := ahead + int64(i)*5000
		if got := c.peek(start.Add(time.Duration(i) * 5 * time.Second)); got != want {
			t.Errorf("peek is %d, want %d", got, want)
		}
		if got := c.now(start.Add(time.Duration(i) * 5 * time.Second)); got != want {
			t.Errorf("time %d, want %d", got, want)
		}
	}
	// The system's clock goes on by more than the monotonic clock: there is a gap.
	c.at -= 2 * time.Hour.Milliseconds()
	later := start.Add(3 * time.Hour)
	if got := c.now(later); got != later.UnixMilli() {
		t.Errorf("time %d, want %d", got, later.UnixMilli())
	}
	if got := c.now(later); got != later.UnixMilli()+1 {
		t.Errorf("a second step at the same time has time %d, want %d", got, later.UnixMilli()+1)
	}
}

// TestAllocations checks that a step allocates nothing for a series.
func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector and the address sanitizer allocate")
	}
	blocks := make([]string, 1000)
	for i := range blocks {
		blocks[i] = fmt.Sprintf(`{path="/api/%d"} `, i)
	}
	family := &expo.Family{Name: "x"}
	allocations := func(n int) float64 {
		r := New(Config{Range: 2 * time.Second, Step: time.Second, MaxBytes: 1 << 20})
		i := 0
		return testing.AllocsPerRun(100, func() {
			i++
			_ = r.Sample(time.Unix(int64(1_700_000_000+i), 0), func(w io.Writer) error {
				to := w.(expo.Reader)
				to.Begin(family, nil)
				for _, b := range blocks[:n] {
					to.Float(b, float64(i))
				}
				return nil
			})
		})
	}
	if one, many := allocations(1), allocations(1000); many > one {
		t.Errorf("%v allocations for 1000 series and %v for 1", many, one)
	}
}

// TestManyFamilies checks how many families of one series fit in the default size, and that the heap has the
// stated bytes.
func TestManyFamilies(t *testing.T) {
	n := 150_000
	if race.Enabled {
		n = 10_000
	}
	families := make([]expo.Family, n)
	for i := range families {
		families[i] = expo.Family{Name: fmt.Sprintf("family_%d_total", i), Help: "The number of events of this kind."}
	}
	blocks := make([]byte, n)
	for i := range blocks {
		blocks[i] = ' '
	}
	for _, lasting := range []bool{true, false} {
		before := heap()
		r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: 32 << 20})
		steps(t, r, 3, func(_ int, to expo.Reader) {
			for i := range families {
				var texts unsafe.Pointer
				if lasting {
					texts = unsafe.Pointer(&blocks[0])
				}
				to.Begin(&families[i], texts)
				to.Float(unsafe.String(&blocks[i], 1), 1)
			}
		})
		s := r.Stats()
		each := s.DictionaryBytes / s.Families
		t.Logf("%d families, %d bytes each", s.Families, each)
		want := 200
		if !lasting {
			want += len("family_100000_total") + len(families[0].Help)
		}
		if s.Families+s.LeftOut != n || each > want {
			t.Errorf("%d families and %d left out, with %d bytes each, want at most %d bytes", s.Families, s.LeftOut, each, want)
		}
		if used := heap() - before; !race.Enabled && (used > s.Bytes*11/10 || used < s.Bytes*8/10) {
			t.Errorf("%d bytes of heap, but Stats states %d", used, s.Bytes)
		}
		runtime.KeepAlive(r)
	}
	runtime.KeepAlive(families)
}
