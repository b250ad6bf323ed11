//go:build !tacho_nohttp

package push

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A trackerModel has the rules of stale markers as a map.
type trackerModel map[string]*modelSeries

type modelSeries struct {
	native, timed bool
	missing       int64
}

// TestTracker compares trackers with a model, for random series in random orders.
func TestTracker(t *testing.T) {
	for seed := range uint64(rounds(300)) {
		random := rand.New(rand.NewPCG(seed, 1))
		sent, model := &sentSeries{}, trackerModel{}
		var present []int
		now := int64(1)
		for range 40 {
			now += random.Int64N(markerAge.Milliseconds() / 4)
			switch random.IntN(6) {
			case 0:
				random.Shuffle(len(present), func(i, j int) { present[i], present[j] = present[j], present[i] })
			case 1:
				present = nil
			case 2:
				for range 1 + random.IntN(50) {
					present = slices.Insert(present, random.IntN(len(present)+1), random.IntN(300))
				}
			case 3:
				for range min(len(present), random.IntN(50)) {
					i := random.IntN(len(present))
					present = slices.Delete(present, i, i+1)
				}
			case 4: // the middle, the beginning or the end
				if len(present) > 0 {
					i := random.IntN(len(present))
					present = slices.Delete(present, i, i+random.IntN(len(present)-i+1))
				}
			}
			var tr tracker
			tr.begin(sent)
			seen := map[string]bool{}
			for _, n := range present {
				key := fmt.Sprintf("%d%s", n, strings.Repeat("x", n*n%997))
				native, timed := n%7 == 0 && random.IntN(5) > 0, n%5 == 0 && random.IntN(5) > 0
				tr.add([]byte(key), native, timed)
				if s := model[key]; s == nil {
					model[key] = &modelSeries{native, timed, 0}
				} else if !seen[key] {
					s.native, s.missing = native, 0
					s.timed = s.timed && timed
				} else { // a second time in this push
					s.timed = s.timed && timed
				}
				seen[key] = true
			}
			for key, s := range model {
				switch {
				case seen[key]:
				case s.timed:
					delete(model, key)
				case s.missing == 0:
					s.missing = now
				case now-s.missing > markerAge.Milliseconds():
					delete(model, key)
				}
			}
			next := tr.end(now)
			checkTracked(t, next, model, seen)
			switch random.IntN(4) {
			case 0: // the push failed before its first request, so the receiver has the series of sent
				model = modelOf(sent)
				continue
			case 1, 2: // the receiver responded to all requests
				for key, s := range model {
					if s.missing != 0 {
						delete(model, key)
					}
				}
				next = &sentSeries{present: next.present}
			}
			sent = next
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// modelOf returns the model that equals s.
func modelOf(s *sentSeries) trackerModel {
	model := trackerModel{}
	s.present.each(func(r seriesRecord) {
		m := &modelSeries{r.native, r.timed, 0}
		if first := model[string(r.key)]; first != nil { // twice in the push
			m.timed = m.timed && first.timed
		}
		model[string(r.key)] = m
	})
	for _, m := range s.missing {
		m.list.each(func(r seriesRecord) { model[string(r.key)] = &modelSeries{r.native, r.timed, m.since} })
	}
	return model
}

// checkTracked compares s with the model.
func checkTracked(t *testing.T, s *sentSeries, model trackerModel, seen map[string]bool) {
	t.Helper()
	got := modelOf(s)
	for key, m := range model {
		if g := got[key]; g == nil || g.native != m.native && !seen[key] || g.timed != m.timed || g.missing != m.missing {
			t.Fatalf("%.20s is %+v, want %+v", key, g, m)
		}
	}
	if len(got) != len(model) {
		t.Fatalf("%d series, want %d", len(got), len(model))
	}
	n, size := 0, 0
	s.present.each(func(r seriesRecord) { n, size = n+1, size+sizeUvarint(r.head())+len(r.key) })
	if n != s.present.n || size != s.present.size || len(s.missing) == 0 && s.number() != n {
		t.Fatalf("%d series of %d bytes, want %d of %d", s.present.n, s.present.size, n, size)
	}
	missing := map[string]bool{}
	for _, m := range s.missing {
		m.list.each(func(r seriesRecord) {
			if missing[string(r.key)] || seen[string(r.key)] {
				t.Fatalf("%.20s has two stale markers, or one although it is present", r.key)
			}
			missing[string(r.key)] = true
		})
	}
}

// TestTrackerIndex: a push with the series of the push before needs no index, and keeps the list.
func TestTrackerIndex(t *testing.T) {
	sent := &sentSeries{}
	push := func(keys ...string) *tracker {
		var tr tracker
		tr.begin(sent)
		for _, key := range keys {
			tr.add([]byte(key), false, false)
		}
		sent = tr.end(1)
		return &tr
	}
	push("a", "b", "c")
	first := &sent.present.chunks[0][0]
	if tr := push("a", "b", "c"); tr.changed || tr.index != nil || &sent.present.chunks[0][0] != first {
		t.Errorf("the same series: changed %v, index %v", tr.changed, tr.index)
	}
	if n := testing.AllocsPerRun(100, func() {
		var tr tracker
		tr.begin(sent)
		tr.add([]byte("a"), false, false)
		tr.end(1)
	}); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

// TestTrackedMemory: a tracked series takes little more memory than its key.
func TestTrackedMemory(t *testing.T) {
	var tr tracker
	tr.begin(&sentSeries{})
	size := 0
	for i := range 10_000 {
		key := fmt.Appendf(nil, "%0100d", i)
		size += len(key)
		tr.add(key, false, false)
	}
	s := tr.end(1)
	kept := 0
	for _, chunk := range s.present.chunks {
		kept += cap(chunk) + 24
	}
	if over := kept - size; over > 6*10_000 {
		t.Errorf("%d bytes for keys of %d", kept, size)
	}
}

// record adds the keys with these numbers to a push after sent, and returns the series after the push.
func record(sent *sentSeries, timed bool, keys ...string) (*sentSeries, bool) {
	var tr tracker
	tr.begin(sent)
	for _, k := range keys {
		tr.add([]byte(k), false, timed)
	}
	return tr.end(1), tr.changed
}

// TestSentSeriesIsKept: a push that is not sent does not change the series of the push before.
func TestSentSeriesIsKept(t *testing.T) {
	var keys []string
	for i := range 100 {
		keys = append(keys, strings.Repeat("x", 1000)+fmt.Sprint(i))
	}
	sent, _ := record(&sentSeries{}, true, keys...)
	var tr tracker
	tr.begin(sent)
	for _, k := range keys {
		tr.add([]byte(k), false, true)
	}
	for _, k := range keys {
		tr.add([]byte(k), false, false) // a second time, and without a time of its own
	}
	next := tr.end(1)
	sent.each(func(r seriesRecord) {
		if !r.timed {
			t.Errorf("%.5s changed in the push before", r.key[1000:])
		}
	})
	next.each(func(r seriesRecord) {
		if r.timed {
			t.Errorf("%.5s gets no stale marker", r.key[1000:])
		}
	})
}

// TestLongKeys: a push with the series of the push before has no index, also if the push before began with
// keys that are longer than a chunk.
func TestLongKeys(t *testing.T) {
	for n := range 20 { // one chunk ends before the long key
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprint(strings.Repeat("x", 1000), i))
		}
		sent, _ := record(&sentSeries{}, false, append(keys, strings.Repeat("y", 1000))...)
		keys = append(keys, strings.Repeat("x", 70_000), "z")
		sent, _ = record(sent, false, keys...)
		if _, changed := record(sent, false, keys...); changed {
			t.Errorf("%d keys: the second push differs from the first", len(keys))
		}
	}
}

// TestPushesAfterTheSamePush: two pushes after the same push do not share the memory of their own series.
func TestPushesAfterTheSamePush(t *testing.T) {
	var keys []string
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("%01000d", i))
	}
	sent, _ := record(&sentSeries{}, false, keys...)
	for n := range keys {
		a, _ := record(sent, false, append(slices.Clone(keys[:n]), "a")...)
		record(sent, false, append(slices.Clone(keys[:n]), "b")...)
		last := ""
		a.present.each(func(r seriesRecord) { last = string(r.key) })
		if last != "a" {
			t.Errorf("the series after %d others is %q", n, last)
		}
	}
}
