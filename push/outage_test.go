//go:build !tacho_nohttp

package push

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// A pusher keeps no samples of failed pushes. During an outage, a push has the current series and the
// stale markers of the series that ended within markerAge.
func TestOutageHoldsNothing(t *testing.T) {
	down := true
	s := serve(t, func(_ int, w http.ResponseWriter) {
		if down {
			w.WriteHeader(503)
		}
	})
	reg := tacho.NewRegistry()
	jobs := reg.GaugeVec("job", "", []string{"id"})
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg, Retries: -1})
	now := time.Now()
	p.dest.remote.clock = func() time.Time { return now }
	const (
		step = 15 * time.Second
		live = 10
	)
	largest := 0
	id := 0
	for range 4 * int(time.Hour/step) / 10 { // much longer than markerAge
		jobs.Reset()
		for range live {
			jobs.With(fmt.Sprint(id)).Set(1)
			id++
		}
		p.Push(context.Background())
		seen := s.seen()
		largest = max(largest, len(readRequest(t, seen[len(seen)-1].body)))
		now = now.Add(step)
	}
	if want := live * (int(markerAge/step) + 3); largest > want {
		t.Errorf("a push has %d series, want at most %d", largest, want)
	}

	// The outage ends. The next push ends the old series, and the one after that has only the current ones.
	down = false
	mustPush(t, p)
	now = now.Add(step)
	mustPush(t, p)
	seen := s.seen()
	if n := len(readRequest(t, seen[len(seen)-1].body)); n != live {
		t.Errorf("a push after the outage has %d series, want %d", n, live)
	}
}
