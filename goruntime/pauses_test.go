package goruntime

import (
	"testing"
	"time"
)

// TestLastCollectionIsNotInTheFuture checks the time of a collection after the clock was
// set back.
func TestLastCollectionIsNotInTheFuture(t *testing.T) {
	p := newPauses()
	p.stats.LastGC = time.Now().Add(time.Hour)
	if now := float64(time.Now().UnixNano()) / 1e9; p.last() < now || p.last() > now+1800 {
		t.Errorf("got %v, want about %v", p.last(), now)
	}
	p.stats.LastGC = time.Unix(5, 0)
	if p.last() != 5 {
		t.Errorf("got %v, want 5", p.last())
	}
	if p.stats.LastGC = time.Unix(0, 0); p.last() != 0 {
		t.Errorf("got %v without a collection, want 0", p.last())
	}
}

// TestValueIsFresh checks that a function needs no earlier call of collect in its scrape.
func TestValueIsFresh(t *testing.T) {
	r := newReader(families, newPauses())
	value := r.value(0)
	r.values[0], r.at = -1, time.Now().Add(time.Hour)
	if got := value(); got != -1 {
		t.Errorf("got %v, want the value of the latest read", got)
	}
	r.at = time.Now().Add(-2 * maxAge)
	if got := value(); got < 0 {
		t.Errorf("got %v after a long time, want a new value", got)
	}
}
