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
