//go:build !tacho_nohttp

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// An incident makes a route slow and makes some of its requests fail, again and again. The zero
// incident does neither. Its methods are safe for concurrent use.
type incident struct {
	begin time.Time                            // of the program
	wait  func(context.Context, time.Duration) // ends early if the context ends
}

// A minute of each period is bad. The first bad minute begins after 30 seconds, so that the
// dashboard shows the time before. The quantiles of the dashboard are those of the last 60
// seconds, so a period leaves a minute for calm quantiles.
const (
	incidentPeriod = 3 * time.Minute
	incidentBegin  = 30 * time.Second
	incidentEnd    = 90 * time.Second
)

func newIncident() incident { return incident{begin: time.Now(), wait: wait} }

// String returns a line with the first bad minute, or an empty string for the zero incident.
func (i incident) String() string {
	if i.begin.IsZero() {
		return ""
	}
	from, to := i.begin.Add(incidentBegin), i.begin.Add(incidentEnd)
	return fmt.Sprintf("server: an incident begins at %s and ends at %s; the next begins at %s\n",
		from.Format(time.TimeOnly), to.Format(time.TimeOnly), from.Add(incidentPeriod).Format(time.TimeOnly))
}

// active reports whether the route is bad at the time now.
func (i incident) active(now time.Time) bool {
	if i.begin.IsZero() {
		return false
	}
	at := now.Sub(i.begin) % incidentPeriod
	return at >= incidentBegin && at < incidentEnd
}

// disturb delays a request by 0.2 to 2 s and reports whether the request is to fail. It does
// nothing unless i is active.
func (i incident) disturb(ctx context.Context) (fail bool) {
	if !i.active(time.Now()) {
		return false
	}
	i.wait(ctx, min(200*time.Millisecond+time.Duration(rand.ExpFloat64()*float64(400*time.Millisecond)), 2*time.Second))
	return rand.IntN(10) < 4
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
