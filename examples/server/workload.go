//go:build !tacho_nohttp

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A workload simulates clients, a database and a cache.
type workload struct {
	api      *api
	handler  http.Handler // the routes of api within the middleware
	missions []string     // UUIDs of the active missions of the simulated clients
	sessions []string     // UUIDs of the open forge sessions

	requests sync.WaitGroup // in flight
}

// run makes 20 steps a second until ctx ends.
func (w *workload) run(ctx context.Context) {
	defer w.requests.Wait()
	w.api.metrics.DBConnectionsIdle.Set(10)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		w.step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *workload) step(ctx context.Context) {
	w.stepMissions(ctx)
	w.stepSessions(ctx)

	m := w.api.metrics
	model := pick("fuchikoma-small", "fuchikoma-large")
	input, output := rand.Uint64N(2000), rand.Uint64N(500)
	m.RecordTokens(model, input, output, float64(input)*3e-6+float64(output)*15e-6)

	busy := rand.Int64N(10)
	m.DBConnectionsActive.Set(busy)
	m.DBConnectionsIdle.Set(10 - busy)
	m.DBQueryDurationSeconds.With(pick("select", "insert", "update")).Observe(rand.ExpFloat64() * 0.01)

	if rand.IntN(10) < 8 {
		m.CacheHitsTotal.Inc()
	} else {
		m.CacheMissesTotal.Inc()
	}
}

// A mission begins without a request and ends with a request. Each step requests the list.
func (w *workload) stepMissions(ctx context.Context) {
	w.request(ctx, http.MethodGet, "/missions")
	if grow(len(w.missions)) {
		if m, ok := w.api.add("simulated mission"); ok {
			w.missions = append(w.missions, m.ID)
		}
		return
	}
	w.request(ctx, http.MethodDelete, "/missions/"+w.missions[0])
	w.missions = w.missions[1:]
}

// A session begins and ends without a request. Each step requests one open session, and does not
// wait for the response: the route can be slow. See incident.
func (w *workload) stepSessions(ctx context.Context) {
	if grow(len(w.sessions)) {
		w.sessions = append(w.sessions, w.api.openSession())
	} else {
		w.api.closeSession(w.sessions[0])
		w.sessions = w.sessions[1:]
	}
	if len(w.sessions) > 0 {
		path := "/forge/sessions/" + pick(w.sessions...)
		w.requests.Add(1)
		go func() {
			defer w.requests.Done()
			w.request(ctx, http.MethodGet, path)
		}()
	}
}

// request passes a request to the handler without a connection and drops the response.
func (w *workload) request(ctx context.Context, method, path string) {
	r := &http.Request{
		Method: method,
		URL:    &url.URL{Path: path},
		Header: http.Header{},
		Body:   http.NoBody,
	}
	w.handler.ServeHTTP(discard{http.Header{}}, r.WithContext(ctx))
}

// A discard is a ResponseWriter that drops the body.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// grow reports whether a set of n elements is to grow. The random choice keeps n
// between 0 and 10.
func grow(n int) bool { return n == 0 || rand.IntN(10) >= n }

func pick(from ...string) string { return from[rand.IntN(len(from))] }
