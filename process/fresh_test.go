package process

import (
	"testing"
	"time"
)

// TestCounterIsFresh checks that a counter needs no earlier call of update in its scrape.
func TestCounterIsFresh(t *testing.T) {
	c := &collector{}
	c.read()
	if !c.now[cpuSeconds].known {
		t.Skip("this system does not provide the CPU time")
	}
	value := c.counter(cpuSeconds)
	c.counters[cpuSeconds], c.at = -1, time.Now().Add(time.Hour)
	if got := value(); got != -1 {
		t.Errorf("got %v, want the value of the latest read", got)
	}
	c.at = time.Now().Add(-2 * maxAge)
	if got := value(); got < 0 {
		t.Errorf("got %v after a long time, want a new value", got)
	}
}
