//go:build !tacho_nohttp

package push

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// A storage is a remote write receiver with the rules of Prometheus. It stores a request
// completely or not at all. It refuses samples older than the latest sample of their
// series, and samples with another value for the same time.
type storage struct {
	*recordingServer
	mu       sync.Mutex
	samples  map[string][]string  // "value time" by labels
	poison   func(s string) bool  // refuses a series
	status   int                  // responds with this status, unless 0
	requests int                  // number of requests
	largest  int                  // number of series in the largest request
	newest   map[string][2]string // time and value by labels
	// answer, if not nil, may respond to a request of a version. It then returns true.
	answer func(version int, lines []string, w http.ResponseWriter) bool
}

func newStorage(t *testing.T) *storage {
	s := &storage{samples: map[string][]string{}, newest: map[string][2]string{}}
	s.recordingServer = serve(t, func(n int, w http.ResponseWriter) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests++
		if s.status != 0 {
			w.WriteHeader(s.status)
			return
		}
		request := s.seen()[n]
		lines := readRequest(t, request.body)
		if s.answer != nil && s.answer(versionOf(request), lines, w) {
			return
		}
		if problem := s.store(lines); problem != "" {
			http.Error(w, problem, http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return s
}

func (s *storage) store(lines []string) (problem string) {
	s.largest = max(s.largest, len(lines))
	for _, line := range lines {
		series, value, at := cutSample(line)
		newest := s.newest[series]
		switch {
		case s.poison != nil && s.poison(series):
			return "out of bounds"
		case at < newest[0]: // all times have 13 digits
			return "out of order sample"
		case at == newest[0] && value != newest[1]:
			return "duplicate sample for timestamp"
		}
	}
	for _, line := range lines {
		series, value, at := cutSample(line)
		s.newest[series] = [2]string{at, value}
		s.samples[series] = append(s.samples[series], value)
	}
	return ""
}

func cutSample(line string) (series, value, at string) {
	i := strings.LastIndexByte(line, ' ')
	j := strings.LastIndexByte(line[:i], ' ')
	return line[:j], line[j+1 : i], line[i+1:]
}

// values returns the stored values of a series.
func (s *storage) values(series string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.samples[series], " ")
}

func (s *storage) set(status int, poison func(string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.poison, s.requests = status, poison, 0
}

func mustPush(t *testing.T, p *Pusher) {
	t.Helper()
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func expectValues(t *testing.T, s *storage, want map[string]string) {
	t.Helper()
	for series, values := range want {
		if got := s.values(series); got != values {
			t.Errorf("%s has the samples %q, want %q", series, got, values)
		}
	}
}

// A series that is missing from a push ends with one stale marker, as after a scrape.
func TestStaleMarkers(t *testing.T) {
	s := newStorage(t)
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"n"})
	h := reg.HistogramVec("h", "", []float64{1}, []string{"n"})
	timed := true
	reg.Collect(func(e *tacho.Emitter) {
		if timed {
			e.At(time.Now()).Gauge("timed", "", 4)
		}
	})
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Labels: []string{"job", "j"}}, Config{Registry: reg})
	v.With("a").Set(1)
	v.With("b").Set(2)
	h.With("c").Observe(1)
	mustPush(t, p)
	v.Delete("a")
	h.Delete("c")
	timed = false
	mustPush(t, p)
	mustPush(t, p) // no second marker
	expectValues(t, s, map[string]string{
		`{__name__="g",job="j",n="a"}`:                  "1 stale",
		`{__name__="g",job="j",n="b"}`:                  "2 2 2",
		`{__name__="h_bucket",job="j",le="1.0",n="c"}`:  "1 stale",
		`{__name__="h_bucket",job="j",le="+Inf",n="c"}`: "1 stale",
		`{__name__="h_sum",job="j",n="c"}`:              "1 stale",
		`{__name__="h_count",job="j",n="c"}`:            "1 stale",
		`{__name__="timed",job="j"}`:                    "4", // Prometheus does not track series with times
	})
	v.With("a").Set(3)
	mustPush(t, p)
	v.Delete("a")
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	expectValues(t, s, map[string]string{
		`{__name__="g",job="j",n="a"}`:     "1 stale 3 stale",
		`{__name__="g",job="j",n="b"}`:     "2 2 2 2 2 stale",
		`{__name__="h_sum",job="j",n="c"}`: "1 stale",
		`{__name__="timed",job="j"}`:       "4",
	})
	if n := p.dest.remote.sent.number(); n != 0 {
		t.Errorf("%d series are kept after their end", n)
	}
}

func TestNoStaleMarkers(t *testing.T) {
	s := newStorage(t)
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"n"})
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, NoStaleMarkers: true}, Config{Registry: reg})
	v.With("a").Set(1)
	v.With("b").Set(2)
	mustPush(t, p)
	v.Delete("a")
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	expectValues(t, s, map[string]string{`{__name__="g",n="a"}`: "1", `{__name__="g",n="b"}`: "2 2"})
	if s.requests != 2 || p.dest.remote.sent != nil {
		t.Errorf("%d requests, and the series %v are kept, want 2 requests", s.requests, p.dest.remote.sent)
	}
}

// A stale marker is sent again after a failed push, for a limited time.
func TestStaleMarkerAfterFailure(t *testing.T) {
	for after, want := range map[time.Duration]string{
		time.Minute:             "1 stale",
		markerAge + time.Second: "1",
	} {
		s := newStorage(t)
		reg := tacho.NewRegistry()
		v := reg.GaugeVec("g", "", []string{"n"})
		p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg, Retries: -1})
		now := time.Now()
		p.dest.remote.clock = func() time.Time { return now }
		v.With("a").Set(1)
		v.With("b").Set(2)
		mustPush(t, p)
		v.Delete("a")
		now = now.Add(time.Second)
		s.set(503, nil)
		if err := p.Push(context.Background()); err == nil {
			t.Error("push with status 503 succeeded")
		}
		s.set(0, nil)
		now = now.Add(after)
		mustPush(t, p)
		expectValues(t, s, map[string]string{`{__name__="g",n="a"}`: want, `{__name__="g",n="b"}`: "2 2"})
		if n := p.dest.remote.sent.number(); n != 1 {
			t.Errorf("%d series are kept, want 1", n)
		}
	}
}

// A series that returned has the full time again after its next end.
func TestStaleMarkerAfterReturn(t *testing.T) {
	s := newStorage(t)
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"n"})
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg, Retries: -1})
	now := time.Now()
	p.dest.remote.clock = func() time.Time { return now }
	v.With("a").Set(1)
	mustPush(t, p)
	v.Delete("a")
	now = now.Add(time.Second)
	s.set(503, nil)
	if err := p.Push(context.Background()); err == nil {
		t.Error("push with status 503 succeeded")
	}
	now = now.Add(time.Second)
	s.set(0, nil)
	v.With("a").Set(2)
	mustPush(t, p)
	v.Delete("a")
	now = now.Add(2 * markerAge)
	mustPush(t, p)
	expectValues(t, s, map[string]string{`{__name__="g",n="a"}`: "1 2 stale"})
}

// If the last push failed, another request would probably fail too.
func TestShutdownAfterFailure(t *testing.T) {
	s := newStorage(t)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Retries: 1})
	mustPush(t, p)
	s.set(503, nil)
	if err := p.Shutdown(context.Background()); err == nil || s.requests != 2 {
		t.Errorf("got error %v after %d requests, want an error after 2", err, s.requests)
	}
}

// If a status shows that the receiver refuses the program and not its samples, Shutdown sends no stale
// markers.
func TestShutdownAfterRefusal(t *testing.T) {
	for _, version2 := range []bool{false, true} {
		for _, status := range []int{401, 403, 404, 405} {
			s := newStorage(t)
			p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: version2}, Config{})
			s.set(status, nil)
			err := p.Shutdown(context.Background())
			if err == nil || s.requests != 1 || strings.Contains(err.Error(), "\n") {
				t.Errorf("status %d, Version2 %v: got error %v after %d requests, want an error after 1", status, version2, err, s.requests)
			}
		}
	}
}

// After the clock went back, the times of pushes are those of the clock. The refused pushes
// are reported. Pushes succeed as soon as the clock reaches the latest accepted time.
func TestClockGoesBack(t *testing.T) {
	s := newStorage(t)
	reg := tacho.NewRegistry()
	g := reg.Gauge("g", "")
	p, own := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
	start := time.Now()
	now := start.Add(time.Hour)
	p.dest.remote.clock = func() time.Time { return now }
	g.Set(1)
	mustPush(t, p)
	for i, step := range []time.Duration{0, 30 * time.Minute, time.Hour} {
		now = start.Add(step)
		g.Set(int64(i) + 2)
		err := p.Push(context.Background())
		if step == time.Hour {
			if err == nil || !strings.Contains(err.Error(), "duplicate") || strings.Contains(err.Error(), "behind") {
				t.Errorf("same time: %v", err)
			}
			continue
		}
		want := fmt.Sprintf("the clock is %v behind", time.Hour-step)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "out of order sample") {
			t.Errorf("got error %v, want %q and the reason", err, want)
		}
	}
	if got := p.dropped.With(p.host, "out_of_order").Value(); got != 2 {
		t.Errorf("%d samples counted as out_of_order, want 2", got)
	}
	if got := p.dropped.With(p.host, "duplicate").Value(); got != 1 {
		t.Errorf("%d samples counted as duplicate, want 1", got)
	}
	if got := attempts(t, own, s.recordingServer, "refused"); got != 3 {
		t.Errorf("%v attempts refused, want 3", got)
	}
	now = start.Add(time.Hour + time.Millisecond)
	g.Set(5)
	mustPush(t, p)
	expectValues(t, s, map[string]string{`{__name__="g"}`: "1 5"})
	if at, want := s.newest[`{__name__="g"}`][0], fmt.Sprint(now.UnixMilli()); at != want {
		t.Errorf("the sample has the time %s, want %s", at, want)
	}
}

// If the receiver refused the last values because of the clock, the stale markers still
// follow the latest stored values.
func TestShutdownAfterClockWentBack(t *testing.T) {
	s := newStorage(t)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{})
	now := time.Now()
	p.dest.remote.clock = func() time.Time { return now }
	mustPush(t, p)
	now = now.Add(-time.Hour)
	if err := p.Shutdown(context.Background()); err == nil {
		t.Error("Shutdown returns no error, although the last values were refused")
	}
	expectValues(t, s, map[string]string{`{__name__="jobs_total"}`: "3 stale"})
}

// manySeries returns a registry with n gauges, and the labels of the i-th.
func manySeries(n int) (*tacho.Registry, func(i int) string) {
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"n"})
	for i := range n {
		v.With(fmt.Sprintf("%05d", i)).Set(int64(i))
	}
	return reg, func(i int) string { return fmt.Sprintf(`{__name__="g",n="%05d"}`, i) }
}

// The receiver refuses some samples. After a few pushes it gets all other samples, with at
// most one refused request of many series in each push.
func TestRefusedSamples(t *testing.T) {
	const series = maxSeries + 500
	reg, name := manySeries(series)
	for _, tt := range []struct {
		name   string
		bad    func(i int) bool
		pushes int // until all other samples are accepted
	}{
		{"one", func(i int) bool { return i == 1234 }, 1},
		{"the first and the last", func(i int) bool { return i == 0 || i == series-1 }, 1},
		{"adjacent", func(i int) bool { return i >= 700 && i < 800 }, 3},
		{"scattered", func(i int) bool { return i%100 == 7 }, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStorage(t)
			p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
			bad := map[string]bool{}
			for i := range series {
				if tt.bad(i) {
					bad[name(i)] = true
				}
			}
			poison := func(series string) bool { return bad[series] }
			for range tt.pushes {
				s.set(0, poison)
				err := p.Push(context.Background())
				if err == nil || !strings.Contains(err.Error(), "out of bounds") {
					t.Errorf("got error %v, want the reason", err)
				}
				if s.requests > 2+maxFurther+1 {
					t.Errorf("%d requests in a push", s.requests)
				}
			}
			if got := len(s.newest); got != series-len(bad) {
				t.Errorf("the receiver has %d series, want %d", got, series-len(bad))
			}

			// The refused series have few requests of their own.
			for range 3 {
				s.set(0, poison)
				before := p.dropped.With(p.host, "out_of_bounds").Value()
				if err := p.Push(context.Background()); err == nil {
					t.Error("push with refused samples returns no error")
				}
				if got := p.dropped.With(p.host, "out_of_bounds").Value() - before; got != uint64(len(bad)) {
					t.Errorf("%d samples counted as dropped, want %d", got, len(bad))
				}
			}
			if want := 2 + 1 + maxRefusals + 2; s.requests > want {
				t.Errorf("%d requests in a push, want at most %d", s.requests, want)
			}
			if got := s.values(name(500)); strings.Count(got, " ") != tt.pushes+3-1 && tt.pushes == 1 {
				t.Errorf("an accepted series has the samples %q, want %d", got, tt.pushes+3)
			}

			// The reason of the refusal ends.
			s.set(0, nil)
			mustPush(t, p)
			if len(s.newest) != series || len(p.dest.remote.suspects) != 0 {
				t.Errorf("the receiver has %d series of %d, and %d are sent separately", len(s.newest), series, len(p.dest.remote.suspects))
			}
			s.set(0, nil)
			mustPush(t, p)
			if s.requests != 2 {
				t.Errorf("%d requests in a push, want 2", s.requests)
			}
		})
	}
}

// If the receiver refuses everything, a push ends soon.
func TestEverythingRefused(t *testing.T) {
	reg, _ := manySeries(3 * maxSeries)
	s := newStorage(t)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
	for range 3 {
		s.set(0, func(string) bool { return true })
		if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "dropped samples: 6000") {
			t.Errorf("got error %v, want 6000 dropped samples", err)
		}
		if n := len(p.dest.remote.suspects); n > maxSuspects {
			t.Errorf("%d suspects, want at most %d", n, maxSuspects)
		}
	}
	if want := 4 + maxRefusals + 2; s.requests > want {
		t.Errorf("%d requests, want at most %d", s.requests, want)
	}
	s.set(0, nil)
	mustPush(t, p)
	if len(s.newest) != 3*maxSeries {
		t.Errorf("the receiver has %d series", len(s.newest))
	}
}

// A receiver can refuse everything for hours, for example because of a clock. Then most pushes send no
// further requests. A later search finds the series that the receiver accepts again.
func TestEverythingRefusedForLong(t *testing.T) {
	for _, n := range []int{100, maxSeries + 100} {
		reg, name := manySeries(n)
		s := newStorage(t)
		p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
		s.set(0, func(string) bool { return true })
		const pushes = 2 * searchEvery
		for range pushes {
			if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("dropped samples: %d", n)) {
				t.Errorf("got error %v, want %d dropped samples", err, n)
			}
		}
		usual := (n + maxSeries - 1) / maxSeries
		// The searches are those of the pushes 0, 1, 2, 4, 8 and 16.
		if want := pushes*usual + 6*(maxRefusals+2); s.requests > want {
			t.Errorf("%d series: %d requests in %d pushes, want at most %d", n, s.requests, pushes, want)
		}
		s.set(0, func(series string) bool { return series == name(0) || series == name(n-1) })
		p.dest.remote.refusedPushes = 4*searchEvery + 1 // the next search is not that of a power of two
		accepted := 0
		for range searchEvery + 8 {
			p.Push(context.Background())
			accepted = len(s.newest)
		}
		if got := p.dest.remote.refusedPushes; got != 0 {
			t.Errorf("%d series: after an accepted request, %d pushes count as refused", n, got)
		}
		if accepted != n-2 {
			t.Errorf("%d series: the receiver accepts all except 2 again, and has %d", n, accepted)
		}
	}
}

// A receiver with a smaller limit of the request size gets smaller requests.
func TestRequestTooLarge(t *testing.T) {
	var largest int
	s := serve(t, nil)
	handler := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		seen := s.seen()
		if n := len(readRequest(t, seen[len(seen)-1].body)); n > 300 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		} else {
			largest = max(largest, n)
		}
	})
	reg, _ := manySeries(maxSeries)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
	mustPush(t, p)
	if len(s.seen()) != 15 || largest != 250 {
		t.Errorf("%d requests with up to %d series, want 15 with up to 250", len(s.seen()), largest)
	}
}

// Shutdown does not wait for the search of refused samples.
func TestShutdownEndsSearch(t *testing.T) {
	reg, _ := manySeries(100)
	s := newStorage(t)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
	stop := make(chan struct{})
	close(stop)
	push, err := p.dest.remote.encode(context.Background(), reg, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	d := &delivery{p: p, ctx: context.Background(), stop: stop, version: push.version, limit: maxRefusals, refused: map[string]struct{}{}}
	series := d.series(push.bodies[0])
	if err := d.split(series, outcome{status: 400}); err != nil || d.dropped != 100 || s.requests != 0 {
		t.Errorf("got error %v, %d dropped samples and %d requests, want 100 dropped samples", err, d.dropped, s.requests)
	}
	// The next push resumes at the first series that this push did not look at.
	if string(d.remaining) != string(series[0]) {
		t.Errorf("the search resumes at %q, want %q", d.remaining, series[0])
	}
}

// A push without a refusal shows that the receiver accepts series again, so the next
// refused series are searched with the larger limit.
func TestRefusalsEnd(t *testing.T) {
	r := &receiver{refusedAlone: 7}
	r.finish(&remotePush{}, map[string]struct{}{"s": {}})
	if r.refusedAlone != 7 {
		t.Errorf("%d series were refused alone after a push with a refusal, want 7", r.refusedAlone)
	}
	r.finish(&remotePush{}, map[string]struct{}{})
	if r.refusedAlone != 0 || len(r.suspects) != 0 {
		t.Errorf("%d series were refused alone after a push without a refusal, want 0", r.refusedAlone)
	}
}

// A failure of a further request ends the push.
func TestFailureDuringSearch(t *testing.T) {
	reg, _ := manySeries(100)
	s := serve(t, statuses(400, 204, 503))
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg, Retries: -1})
	if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "503") || len(s.seen()) != 3 {
		t.Errorf("got error %v after %d requests, want status 503 after 3", err, len(s.seen()))
	}
}

func TestDropReasons(t *testing.T) {
	for reply, want := range map[string]string{
		"out of order sample":                      "out_of_order",
		"err-mimir-sample-out-of-order":            "out_of_order",
		"duplicate sample for timestamp":           "duplicate",
		"out of bounds":                            "out_of_bounds",
		"too far in the future":                    "out_of_bounds",
		"err-mimir-sample-timestamp-too-old":       "out_of_bounds",
		"series has an invalid label value: \"a\"": "label",
		"": "other",
	} {
		if got := (outcome{status: 400, reply: reply}).reason(); got != want {
			t.Errorf("%q: reason %q, want %q", reply, got, want)
		}
	}
	if got := (outcome{status: 413, reply: "out of bounds"}).reason(); got != "too_large" {
		t.Errorf("status 413: reason %q", got)
	}
}
