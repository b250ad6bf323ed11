//go:build !tacho_nohttp

package push

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/wire"
)

// testVersion2 makes testPusher set RemoteWrite.Version2. See TestVersion2.
var testVersion2 bool

// TestVersion2 runs the tests of the protocol again with remote write 2.0.
func TestVersion2(t *testing.T) {
	testVersion2 = true
	defer func() { testVersion2 = false }()
	for _, tt := range []struct {
		name string
		test func(*testing.T)
	}{
		{"StaleMarkers", TestStaleMarkers},
		{"NoStaleMarkers", TestNoStaleMarkers},
		{"StaleMarkerAfterFailure", TestStaleMarkerAfterFailure},
		{"StaleMarkerAfterReturn", TestStaleMarkerAfterReturn},
		{"ShutdownAfterFailure", TestShutdownAfterFailure},
		{"ClockGoesBack", TestClockGoesBack},
		{"ShutdownAfterClockWentBack", TestShutdownAfterClockWentBack},
		{"RefusedSamples", TestRefusedSamples},
		{"EverythingRefused", TestEverythingRefused},
		{"ShutdownEndsSearch", TestShutdownEndsSearch},
		{"FailureDuringSearch", TestFailureDuringSearch},
		{"RemoteWriteRequests", TestRemoteWriteRequests},
		{"RemoteWriteTimesIncrease", TestRemoteWriteTimesIncrease},
		{"NativeStaleMarkers", TestNativeStaleMarkers},
	} {
		t.Run(tt.name, tt.test)
	}
}

// versionOf returns the version of a request, by its header.
func versionOf(r receivedRequest) int {
	switch r.header.Get("Content-Type") + " " + r.header.Get("X-Prometheus-Remote-Write-Version") {
	case "application/x-protobuf 0.1.0":
		return 1
	case "application/x-protobuf;proto=io.prometheus.write.v2.Request 2.0.0":
		return 2
	}
	return 0
}

// versions returns the versions of all requests in order, and removes the requests.
func (s *recordingServer) versions() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, r := range s.requests {
		fmt.Fprint(&b, versionOf(r))
	}
	s.requests = nil
	return b.String()
}

// respond2 returns an answer for requests of version 2.0, without Written fields.
func respond2(status int, text string) func(int, []string, http.ResponseWriter) bool {
	return func(version int, _ []string, w http.ResponseWriter) bool {
		if version == 1 {
			return false
		}
		w = bare(w)
		w.WriteHeader(status)
		fmt.Fprint(w, text)
		return true
	}
}

// A receiver without version 2.0 gets the same samples in version 1.0 at once. The next pushes use
// version 1.0.
func TestFallback(t *testing.T) {
	for name, answer := range map[string]func(int, []string, http.ResponseWriter) bool{
		"status 415":      respond2(415, "unsupported"),
		"status 400":      respond2(400, "bad"),
		"VictoriaMetrics": respond2(204, ""),
		"status 200":      respond2(200, ""),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStorage(t)
			s.answer = answer
			reg, series := manySeries(maxSeries + 1)
			h := reg.Histogram("h", "", nil, tacho.WithNative())
			h.Observe(1)
			p, own := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: reg})
			now := time.Now()
			p.dest.remote.clock = func() time.Time { return now }
			mustPush(t, p)
			if got := s.versions(); got != "211" {
				t.Errorf("the first push has requests of the versions %s, want 211", got)
			}
			if refused := attempts(t, own, s.recordingServer, "refused"); refused != 1 {
				t.Errorf("%v attempts are refused, want 1", refused)
			}
			h.Observe(1)
			now = now.Add(askAgain - time.Second)
			mustPush(t, p)
			if got := s.versions(); got != "11" {
				t.Errorf("the next push has requests of the versions %s, want 11", got)
			}
			now = now.Add(time.Second)
			mustPush(t, p)
			if got := s.versions(); got != "211" {
				t.Errorf("after an hour a push has requests of the versions %s, want 211", got)
			}
			now = now.Add(askAgain - time.Second)
			if err := p.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got := s.versions(); got != "1111" {
				t.Errorf("Shutdown has requests of the versions %s, want 1111", got)
			}
			const buckets = "schema:3,threshold:2.938735877055719e-39,zero:0,11:0+1,12:"
			expectValues(t, s, map[string]string{
				series(0):         "0 0 0 0 stale",
				series(maxSeries): "2000 2000 2000 2000 stale",
				`{__name__="h"}`:  "count:1,sum:1," + buckets + "[1] count:2,sum:2," + buckets + "[2] count:2,sum:2," + buckets + "[2] count:2,sum:2," + buckets + "[2] native-stale",
			})
			if n := p.dropped.Len(); n != 0 {
				t.Errorf("%d series of dropped samples, want none", n)
			}
		})
	}
}

// A receiver that was upgraded gets version 2.0 after an hour.
func TestUpgradedReceiver(t *testing.T) {
	s := newStorage(t)
	s.answer = respond2(415, "")
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{})
	now := time.Now()
	p.dest.remote.clock = func() time.Time { return now }
	mustPush(t, p)
	s.answer = nil
	now = now.Add(askAgain)
	mustPush(t, p)
	now = now.Add(time.Second)
	mustPush(t, p)
	if got := s.versions(); got != "2122" {
		t.Errorf("requests of the versions %s, want 2122", got)
	}
	// The receiver is replaced by an older one, in the middle of a push.
	s.answer = respond2(204, "")
	now = now.Add(time.Second)
	mustPush(t, p)
	if got := s.versions(); got != "21" {
		t.Errorf("requests of the versions %s, want 21", got)
	}
	// A receiver without version 1.0 gets version 2.0 in the next push.
	s.answer = func(version int, _ []string, w http.ResponseWriter) bool {
		if version == 1 {
			w.WriteHeader(http.StatusUnsupportedMediaType)
		}
		return version == 1
	}
	now = now.Add(time.Second)
	if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "(remote write 1.0)") {
		t.Errorf("got error %v, want one with the version", err)
	}
	now = now.Add(time.Second)
	mustPush(t, p)
	if got := s.versions(); got != "12" {
		t.Errorf("requests of the versions %s, want 12", got)
	}
	expectValues(t, s, map[string]string{`{__name__="jobs_total"}`: "3 3 3 3 3"})
}

// A receiver behind a proxy that drops the header fields stores version 2.0, but the pusher cannot see
// this. It sends the same samples in version 1.0.
func TestProxyDropsFields(t *testing.T) {
	s := newStorage(t)
	s.answer = func(_ int, lines []string, w http.ResponseWriter) bool {
		status := http.StatusNoContent
		if s.store(lines) != "" {
			status = http.StatusBadRequest
		}
		bare(w).WriteHeader(status)
		return true
	}
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{})
	mustPush(t, p)
	mustPush(t, p)
	if got := s.versions(); got != "211" {
		t.Errorf("requests of the versions %s, want 211", got)
	}
	expectValues(t, s, map[string]string{`{__name__="jobs_total"}`: "3 3 3"}) // the first push twice
}

// A request of version 2.0 that fails is sent again in the same version.
func TestVersion2Retried(t *testing.T) {
	for _, status := range []int{408, 429, 500, 501, 503} {
		s := newStorage(t)
		failures := 2
		s.answer = func(_ int, lines []string, w http.ResponseWriter) bool {
			if failures--; failures < 0 {
				return false
			}
			w = bare(w)
			if failures == 0 { // a part was written
				s.store(lines)
				w.Header().Set(writtenFields[sampleCount], "0")
			}
			w.WriteHeader(status)
			return true
		}
		p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{})
		mustPush(t, p)
		if got := s.versions(); got != "222" {
			t.Errorf("status %d: requests of the versions %s, want 222", status, got)
		}
		if n := p.dropped.Len(); n != 0 {
			t.Errorf("status %d: %d series of dropped samples, want none", status, n)
		}
	}
}

// partial returns an answer of a receiver that writes a part of the samples: those that bad does not
// refuse.
func (s *storage) partial(status int, text string, bad func(line string) bool) func(int, []string, http.ResponseWriter) bool {
	return func(version int, lines []string, w http.ResponseWriter) bool {
		if version == 1 {
			return false
		}
		r := w.(*writtenReporter)
		good := slices.DeleteFunc(slices.Clone(lines), bad)
		if len(good) == len(lines) {
			return false
		}
		for _, line := range lines {
			if !bad(line) {
				s.store([]string{line})
				continue
			}
			kind := sampleCount
			if strings.Contains(line, "count:") {
				kind = histogramCount
			}
			r.counts[kind]--
		}
		r.reported = true
		for i, name := range writtenFields {
			w.Header().Set(name, fmt.Sprint(r.counts[i]))
		}
		r.ResponseWriter.WriteHeader(status)
		fmt.Fprint(r.ResponseWriter, text)
		return true
	}
}

// A receiver writes a part of a request. The pusher counts the other samples and does not send them
// again.
func TestPartialWrite(t *testing.T) {
	for _, tt := range []struct {
		status     int
		text       string
		reason     string
		wantReason string
	}{
		{400, "out of order sample", "out_of_order", "400 Bad Request"},
		{404, "too old", "out_of_bounds", "404 Not Found"},
		{409, "duplicate sample", "duplicate", "409 Conflict"},
		{413, "too large", "too_large", "413 Request Entity Too Large"},
		{422, "odd", "other", "422 Unprocessable Entity"},
		{200, "out of order sample", "other", "status 200, but the receiver wrote only 1997 of 2000 samples"},
		{204, "", "other", "status 204, but the receiver wrote only 1997 of 2000 samples"},
	} {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			s := newStorage(t)
			reg, name := manySeries(maxSeries + 5)
			v := reg.HistogramVec("a", "", nil, []string{"n"}, tacho.WithNative())
			v.With("1").Observe(1)
			v.With("2")
			s.answer = s.partial(tt.status, tt.text, func(line string) bool {
				return strings.HasPrefix(line, name(7)) || strings.HasPrefix(line, name(8)) || strings.Contains(line, `"a",n="2"`)
			})
			p, own := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: reg})
			for range 2 {
				err := p.Push(context.Background())
				if err == nil || !strings.Contains(err.Error(), tt.wantReason) || !strings.Contains(err.Error(), "(remote write 2.0) (dropped samples: 3") {
					t.Errorf("got error %v", err)
				}
				if got := s.versions(); got != "22" {
					t.Errorf("requests of the versions %s, want 22", got)
				}
			}
			if got := p.dropped.With(p.host, tt.reason).Value(); got != 6 || p.dropped.Len() != 1 {
				t.Errorf("%d samples counted as %s, want 6", got, tt.reason)
			}
			if refused := attempts(t, own, s.recordingServer, "refused"); refused != 2 {
				t.Errorf("%v attempts are refused, want 2", refused)
			}
			if p.lastSuccess.Value() != 0 {
				t.Error("a push with dropped samples is a success")
			}
			expectValues(t, s, map[string]string{name(6): "6 6", name(7): "", name(maxSeries): "2000 2000"})
			// The stale markers follow the samples that were written.
			s.answer = nil
			if err := p.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			expectValues(t, s, map[string]string{name(6): "6 6 6 stale", name(7): "7 stale"})
		})
	}
}

// fixed returns an answer with a status and the values of the Written fields. An empty value is no field.
func fixed(status int, values ...string) func(int, []string, http.ResponseWriter) bool {
	return func(version int, _ []string, w http.ResponseWriter) bool {
		if version == 1 {
			return false
		}
		w = bare(w)
		for i, v := range values {
			if v != "" {
				w.Header().Add(writtenFields[i%3], v)
			}
		}
		w.WriteHeader(status)
		return true
	}
}

// The values of the Written fields decide about the outcome of a request with one sample.
func TestWrittenFields(t *testing.T) {
	const tooMuch = "99999999999999999999999"
	for _, tt := range []struct {
		name     string
		status   int
		values   []string
		versions string
		dropped  int
		want     string // a part of the error, or "" for success
	}{
		{"all written", 204, []string{"1", "0", "0"}, "2", 0, ""},
		{"only one field", 204, []string{"1", "", ""}, "2", 0, ""},
		{"more than sent", 204, []string{"5", "7", "9"}, "2", 0, ""},
		{"nothing written", 204, []string{"0", "0", "0"}, "2", 1, "wrote only 0 of 1 samples"},
		{"missing means 0", 204, []string{"", "0", ""}, "2", 1, "wrote only 0 of 1 samples"},
		{"another kind", 204, []string{"0", "1", "1"}, "2", 1, "wrote only 0 of 1 samples"},
		{"no field", 204, nil, "21", 0, ""},
		{"not a number", 204, []string{"many", "0", "0"}, "2", 0, ""},
		{"negative", 204, []string{"-1", "0", "0"}, "2", 0, ""},
		{"too large", 204, []string{tooMuch, "0", "0"}, "2", 0, ""},
		{"another is not a number", 204, []string{"0", "0", "x"}, "2", 0, ""},
		{"twice", 204, []string{"0", "0", "0", "1"}, "2", 0, ""},
		{"refused", 400, []string{"0", "0", "0"}, "2", 1, "400"},
		{"refused, not a number", 400, []string{"x", "0", "0"}, "2", 1, "400"},
		{"refused without a field", 400, nil, "21", 0, ""},
		{"refused, but written", 400, []string{"1", "0", "0"}, "2", 0, "400"},
		{"unauthorized", 401, []string{"0", "0", "0"}, "2", 1, "401"},
		{"unauthorized without a field", 401, nil, "2", 0, "401"},
		{"conflict without a field", 409, nil, "2", 1, "409"},
		{"unsupported with fields", 415, []string{"0", "0", "0"}, "21", 0, ""},
		{"redirect with fields", 304, []string{"0", "0", "0"}, "2", 0, "304"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStorage(t)
			s.answer = fixed(tt.status, tt.values...)
			p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{})
			err := p.Push(context.Background())
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "(remote write 2.0)")) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if got := s.versions(); got != tt.versions {
				t.Errorf("requests of the versions %s, want %s", got, tt.versions)
			}
			if got := p.dropped.With(p.host, "other").Value(); got != uint64(tt.dropped) {
				t.Errorf("%d samples dropped, want %d", got, tt.dropped)
			}
		})
	}
}

// An empty push of version 2.0 has a table of symbols. A response without Written fields is no success.
func TestVersion2Empty(t *testing.T) {
	for _, tt := range []struct {
		answer   func(int, []string, http.ResponseWriter) bool
		versions string
		want     string
	}{
		{nil, "2", ""},
		{respond2(204, ""), "21", ""},
		{respond2(415, ""), "21", ""},
		{respond2(401, "who"), "2", "401"},
		{fixed(400, "0", "0", "0"), "2", "400"},
	} {
		s := newStorage(t)
		s.answer = tt.answer
		p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: tacho.NewRegistry()})
		err := p.Push(context.Background())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got error %v, want %q", err, tt.want)
		}
		if body := s.seen()[0].body; body != "\x22\x00" {
			t.Errorf("body %q, want an empty symbol", body)
		}
		if got := s.versions(); got != tt.versions {
			t.Errorf("requests of the versions %s, want %s", got, tt.versions)
		}
	}
}

// A receiver that refuses a request completely gets the other samples in smaller requests, also
// without Written fields.
func TestVersion2Search(t *testing.T) {
	for _, status := range []int{409, 413, 422} {
		for _, fields := range []bool{false, true} {
			s := newStorage(t)
			reg, name := manySeries(1000)
			s.answer = func(version int, lines []string, w http.ResponseWriter) bool {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name(7)) }) {
					return false
				}
				if !fields {
					w = bare(w)
				}
				w.WriteHeader(status)
				return true
			}
			p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: reg})
			err := p.Push(context.Background())
			if err == nil || !strings.HasSuffix(err.Error(), "(remote write 2.0) (dropped samples: 1)") {
				t.Errorf("status %d, fields %v: got error %v, want 1 dropped sample", status, fields, err)
			}
			if got := s.versions(); strings.Trim(got, "2") != "" || len(got) > 22 {
				t.Errorf("status %d, fields %v: requests of the versions %s", status, fields, got)
			}
			expectValues(t, s, map[string]string{name(6): "6", name(7): "", name(999): "999"})
			// The key of a refused series is that of version 1.0.
			if _, ok := p.dest.remote.suspects[string(appendLabel(appendLabel(nil, "__name__", "g"), "n", "00007"))]; !ok || len(p.dest.remote.suspects) != 1 {
				t.Errorf("status %d, fields %v: refused series %q", status, fields, p.dest.remote.suspects)
			}
			_ = p.Push(context.Background())
			if got := s.versions(); got != "22" {
				t.Errorf("status %d, fields %v: the next push has requests of the versions %s, want 22", status, fields, got)
			}
		}
	}
}

// The receiver refuses a large request, and writes a part of a smaller one. This part is not searched.
func TestPartialWriteOfHalf(t *testing.T) {
	s := newStorage(t)
	reg, name := manySeries(1000)
	half := s.partial(400, "out of bounds", func(line string) bool { return strings.HasPrefix(line, name(7)) })
	s.answer = func(version int, lines []string, w http.ResponseWriter) bool {
		if len(lines) > 500 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return true
		}
		return half(version, lines, w)
	}
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: reg})
	err := p.Push(context.Background())
	if err == nil || !strings.HasSuffix(err.Error(), "(remote write 2.0) (dropped samples: 1)") || len(s.newest) != 999 {
		t.Errorf("got error %v, and the receiver has %d series", err, len(s.newest))
	}
	if got := s.versions(); got != "222" {
		t.Errorf("requests of the versions %s, want 222", got)
	}
	if got := p.dropped.With(p.host, "out_of_bounds").Value(); got != 1 {
		t.Errorf("%d samples counted as out_of_bounds, want 1", got)
	}
}

// A push of which a part was written sets the time of the latest accepted push.
func TestClockAfterPartialWrite(t *testing.T) {
	s := newStorage(t)
	reg, name := manySeries(2)
	s.answer = s.partial(400, "out of bounds", func(line string) bool { return strings.HasPrefix(line, name(1)) })
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: reg})
	now := time.Now()
	p.dest.remote.clock = func() time.Time { return now }
	if err := p.Push(context.Background()); err == nil || strings.Contains(err.Error(), "behind") {
		t.Errorf("got error %v", err)
	}
	now = now.Add(-time.Hour)
	s.answer = nil
	if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "the clock is 1h0m0s behind") {
		t.Errorf("got error %v, want the difference of the clock", err)
	}
}

// The receiver changes during the search. The rest of the push has version 1.0.
func TestFallbackDuringSearch(t *testing.T) {
	s := newStorage(t)
	reg, name := manySeries(1000)
	bad := func(line string) bool { return strings.HasPrefix(line, name(7)) }
	requests := 0
	s.answer = func(version int, lines []string, w http.ResponseWriter) bool {
		requests++
		switch {
		case slices.ContainsFunc(lines, bad):
			bare(w).WriteHeader(http.StatusConflict)
		case version == 2 && requests > 2:
			bare(w).WriteHeader(http.StatusNoContent)
		default:
			return false
		}
		return true
	}
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{Registry: reg})
	err := p.Push(context.Background())
	if err == nil || !strings.Contains(err.Error(), "dropped samples: 1)") {
		t.Errorf("got error %v, want 1 dropped sample", err)
	}
	if got := s.versions(); !strings.HasPrefix(got, "22211") || strings.Trim(got[3:], "1") != "" {
		t.Errorf("requests of the versions %s", got)
	}
	if got := len(s.newest); got != 999 {
		t.Errorf("the receiver has %d series, want 999", got)
	}
}

// The receiver refuses only exemplars. The push is a success.
func TestExemplarsRefused(t *testing.T) {
	p := &Pusher{dest: &destination{}}
	request := []byte{wire.Write2Symbol, 0}
	series := []byte{wire.Write2Refs, 0, wire.Write2Sample, 2, 2 << 3, 1, wire.Write2Exemplar, 0, wire.Write2Exemplar, 0}
	body := snappy(appendBytes(append(request, wire.Write2Series), series))
	for _, tt := range []struct {
		status            int
		samples, exemplar string
		ok                bool
	}{
		{400, "1", "1", true},
		{400, "1", "0", true},
		{400, "1", "2", false}, // refused for another reason
		{400, "0", "0", false},
		{401, "1", "0", false},
		{204, "1", "0", true},
	} {
		header := http.Header{}
		header.Set(writtenFields[sampleCount], tt.samples)
		header.Set(writtenFields[exemplarCount], tt.exemplar)
		o := outcome{status: tt.status, header: header}
		if tt.status != 204 {
			o.err = errCorrupt
		}
		(&receiver{version: 2}).examine(p, body, &o)
		if (o.err == nil) != tt.ok || o.unsupported {
			t.Errorf("status %d with %s samples and %s exemplars: error %v", tt.status, tt.samples, tt.exemplar, o.err)
		}
		// A failed attempt is repeated as it is.
		o = outcome{status: tt.status, header: header, retry: true}
		if (&receiver{version: 2}).examine(p, body, &o); o.final || o.wrote || o.unsupported || o.unwritten != 0 {
			t.Errorf("status %d of a failed attempt: %+v", tt.status, o)
		}
	}
}
