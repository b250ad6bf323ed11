package bench

import (
	"io"
	"sync/atomic"
	"testing"
	"time"
)

func TestRunMakesEachCallOnce(t *testing.T) {
	for _, parallel := range []int{1, 2, 3} {
		for _, n := range []int{1, 2, 31, 32, 33, 10_000} {
			seen := make([]atomic.Int32, n)
			run(func(from, to int) {
				for i := from; i < to; i++ {
					seen[i].Add(1)
				}
			}, parallel, n)
			for i := range seen {
				if got := seen[i].Load(); got != 1 {
					t.Fatalf("%d goroutines, %d calls: call %d was made %d times", parallel, n, i, got)
				}
			}
		}
	}
}

func TestCompare(t *testing.T) {
	var calls [2]atomic.Int64
	sleeper := func(i int, d time.Duration) Side {
		return Side{Peer: Peers[i], Run: func(from, to int) {
			for range to - from {
				calls[i].Add(1)
				time.Sleep(d)
			}
		}}
	}
	p := Path{Units: 1, Sides: func() []Side { return []Side{sleeper(0, time.Microsecond), sleeper(1, 10*time.Millisecond)} }}
	c := Compare(p, 1, 4, time.Millisecond)
	if len(c.Peers) != 2 || len(c.Rounds[0]) != 4 || len(c.Rounds[1]) != 4 {
		t.Fatalf("%d peers with %d and %d rounds, want 2 peers with 4 rounds each", len(c.Peers), len(c.Rounds[0]), len(c.Rounds[1]))
	}
	if calls[0].Load() == 0 || calls[1].Load() < 5 {
		t.Errorf("%d and %d calls, want at least 1 and 5", calls[0].Load(), calls[1].Load())
	}
	mid, low, high := c.Ratio(1)
	if !(low <= mid && mid <= high) || low <= 0 {
		t.Errorf("ratio %v is not between the quantiles %v and %v", mid, low, high)
	}
}

func TestResetPrecedesEachBatch(t *testing.T) {
	made, batches := 0, 0
	side := Side{Peer: Tacho,
		Reset: func() { made, batches = 0, batches+1 },
		Run: func(from, to int) {
			if from != 0 || to != 7 || made != 0 {
				t.Errorf("Run(%d, %d) after %d calls, want Run(0, 7) after Reset", from, to, made)
			}
			made += to - from
		}}
	Compare(Path{Units: 1, Batch: 7, Alone: true, Heavy: true, Sides: func() []Side { return []Side{side} }}, 1, 3, time.Millisecond)
	if batches != 3 {
		t.Errorf("%d batches, want 3", batches)
	}
}

func TestQuantile(t *testing.T) {
	for _, test := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{3}, 0.5, 3},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 2, 3}, 0.5, 2.5},
		{[]float64{5, 4, 3, 2, 1}, 0, 1},
		{[]float64{5, 4, 3, 2, 1}, 1, 5},
		{[]float64{5, 4, 3, 2, 1}, 0.25, 2},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", test.values, test.q, got, test.want)
		}
	}
}

// TestPeakIncludesFreedMemory checks that the peak includes memory that the scrape
// frees before the end.
func TestPeakIncludesFreedMemory(t *testing.T) {
	const size = 64 << 20
	_, _, peak := measureScrape(func(w io.Writer) error {
		b := make([]byte, size)
		for i := range b {
			b[i] = 1
		}
		_, err := w.Write(b)
		return err
	})
	if peak < 0.9*size || peak > 2*size {
		t.Errorf("peak %.0f of a scrape that allocates %d bytes", peak, size)
	}
}

func TestLargeScrapes(t *testing.T) {
	large := LargeScrapes(Small)
	if len(large) != len(formats) {
		t.Errorf("%d scrapes for %d formats", len(large), len(formats))
	}
	for _, l := range large {
		if len(l.Peers) < 3 || len(l.Cost) != len(l.Peers) || len(l.Peak) != len(l.Peers) || l.Peers[0] != Tacho {
			t.Errorf("incomplete result, or tacho is not first: %+v", l)
		}
	}
}

func TestSeriesBytes(t *testing.T) {
	for _, size := range SeriesBytes(Small) {
		for i, bytes := range size.Bytes {
			// A series has unique labels of 14 bytes and a value of 8 bytes.
			if bytes < 22 || bytes > 10_000 {
				t.Errorf("%s: %.0f bytes in %s", size.Name, bytes, size.Peers[i])
			}
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q", n, got)
		}
	}
}
