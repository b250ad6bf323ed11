//go:build !tacho_nohttp

package push

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// TestStaleMarkersAfterFailures: each series of a receiver ends with one stale marker or has the value of the
// latest push, after random failures and changes of the version.
func TestStaleMarkersAfterFailures(t *testing.T) {
	for seed := range uint64(rounds(6)) {
		random := rand.New(rand.NewPCG(seed, 2))
		s := newStorage(t)
		failing, supported := true, true
		s.answer = func(version int, lines []string, w http.ResponseWriter) bool {
			if !failing {
				return version == 2 && !supported && respond2(400, "malformed")(version, lines, w)
			}
			n := random.IntN(8)
			if version == 2 && !supported {
				status := []int{204, 200, 400, 415, 415, 503, 400, 429}[n]
				return respond2(status, "")(version, lines, w)
			}
			switch n {
			case 0, 1:
				http.Error(w, "", http.StatusServiceUnavailable)
				return true
			case 2: // the response is lost
				s.store(lines)
				http.Error(w, "", http.StatusServiceUnavailable)
				return true
			}
			return false
		}
		reg := tacho.NewRegistry(tacho.WithCreated())
		v := reg.CounterVec("c_total", "", []string{"n"})
		h := reg.HistogramVec("h", "", []float64{1, 2, 3}, []string{"n"})
		native := reg.HistogramVec("native", "", nil, []string{"n"}, tacho.WithNative())
		p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: reg, Retries: -1})
		now := time.Now()
		p.dest.remote.clock = func() time.Time { now = now.Add(time.Millisecond); return now }
		push := func() error {
			err := p.Push(context.Background())
			return err
		}
		for range 25 {
			for range random.IntN(20) {
				n := fmt.Sprint(random.IntN(400))
				switch random.IntN(6) {
				case 0:
					v.Delete(n)
				case 1:
					h.Delete(n)
				case 2:
					native.Delete(n)
				default:
					for i := range random.IntN(50) {
						n := fmt.Sprint(i * random.IntN(8))
						v.With(n).Add(1)
						h.With(n).Observe(1)
						native.With(n).Observe(1)
					}
				}
			}
			switch random.IntN(10) {
			case 0:
				supported = !supported
			case 1:
				p.dest.remote.again = now // not a later now, after which no marker follows
			}
			failing = random.IntN(3) > 0
			push()
		}
		failing = false
		for range 2 { // the first one can need both versions
			if err := push(); err != nil {
				t.Fatal(err)
			}
		}
		last := fmt.Sprint(now.UnixMilli())
		present, stale := 0, 0
		for series, newest := range s.newest {
			if strings.HasSuffix(newest[1], "stale") {
				stale++
			} else if newest[0] != last {
				t.Errorf("seed %d: %s has no stale marker: %s, the latest push is at %s", seed, series, newest, last)
			} else {
				present++
			}
		}
		if present == 0 || stale == 0 {
			t.Errorf("seed %d: %d series are present, %d ended", seed, present, stale)
		}
	}
}
