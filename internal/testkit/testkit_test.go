package testkit

import (
	"sync/atomic"
	"testing"
)

func TestHammer(t *testing.T) {
	var counts [100]atomic.Int64
	total := Hammer(len(counts), func(i int) { counts[i].Add(1) })
	for i := range counts {
		if got := counts[i].Load(); got != int64(total/len(counts)) {
			t.Errorf("%d calls with %d, %d in all", got, i, total)
		}
	}
	if total < 2*len(counts) {
		t.Errorf("%d calls are those of one goroutine", total)
	}
}
