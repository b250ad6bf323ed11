//go:build !tacho_nohttp

package dashboard

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// head returns the ring of a response, and whether the response is full.
func head(t *testing.T, body []byte) (ring uint64, full bool) {
	t.Helper()
	if len(body) < 10 || body[0] != 1 || body[1] > 1 {
		t.Fatalf("the response begins with %x", body[:min(len(body), 10)])
	}
	return binary.LittleEndian.Uint64(body[2:]), body[1] == 1
}

// waitFor waits until a condition holds, which should be soon.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout: " + what)
		}
	}
}

func newDashboard(t *testing.T, reg *tacho.Registry, o Options) *Dashboard {
	d := New(reg, o)
	t.Cleanup(d.Close)
	waitFor(t, "no step", func() bool { return d.ring.Stats().Steps > 0 })
	return d
}

// causeNoSteps makes the newest step new for an hour, so that requests cause no step, however late they are.
func causeNoSteps(d *Dashboard) {
	d.sampler.mu.Lock()
	defer d.sampler.mu.Unlock()
	d.sampler.last = time.Now().Add(time.Hour)
}

func TestHistory(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("events_total", "Events.").Inc()
	d := newDashboard(t, reg, Options{Step: time.Hour, Range: time.Hour})
	causeNoSteps(d)
	if body := get(d, "GET").Body.String(); !strings.Contains(body, `<meta name="history" content="1">`) {
		t.Error("the page does not say that there is a history")
	}
	w := getAt(d, "GET", "/anywhere?history=0.0")
	ring, full := head(t, w.Body.Bytes())
	if w.Code != 200 || !full || !bytes.Contains(w.Body.Bytes(), []byte("events_total")) {
		t.Fatalf("got status %d, full is %v", w.Code, full)
	}
	if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/octet-stream" || h.Get("Vary") != "Accept-Encoding" {
		t.Errorf("header %v", h)
	}
	known := fmt.Sprintf("/anywhere?other=1&history=%x.1", ring)
	w = getAt(d, "GET", known)
	if _, full := head(t, w.Body.Bytes()); full || bytes.Contains(w.Body.Bytes(), []byte("events_total")) {
		t.Error("a client with the newest step got the whole ring")
	}
	for _, unknown := range []string{"1.1", "0.18446744073709551615", fmt.Sprintf("%x.2", ring), fmt.Sprintf("%x.18446744073709551615", ring)} {
		if _, full := head(t, getAt(d, "GET", "/anywhere?history="+unknown).Body.Bytes()); !full {
			t.Errorf("%s: got an increment", unknown)
		}
	}
	for _, bad := range []string{"", "1", ".", "1.", ".1", "g.1", "1.-1", "1.1.1", "11111111111111111.1", "1.18446744073709551616", strings.Repeat("1", 1<<12)} {
		if w := getAt(d, "GET", "/anywhere?history="+bad); w.Code != 400 {
			t.Errorf("%.30q: got status %d, want 400", bad, w.Code)
		}
	}
	if w := getAt(d, "HEAD", known); w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("HEAD: got status %d and %d bytes", w.Code, w.Body.Len())
	}
	if w := getAt(d, "POST", known); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got status %d", w.Code)
	}
	if w := getAt(Handler(""), "GET", known); w.Code != 404 {
		t.Errorf("a page without a history: got status %d", w.Code)
	}
	w = getAt(d, "GET", known, "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(w.Body)
	if err != nil || w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("gzip: %v, header %v", err, w.Header())
	}
	if body, err := io.ReadAll(z); err != nil || len(body) < 10 {
		t.Errorf("gzip: %v", err)
	}
}

// TestDemand checks that a request causes a step if the newest step is old, and none just behind a step.
func TestDemand(t *testing.T) {
	request := func(d *Dashboard) {
		var all sync.WaitGroup
		for range 8 {
			all.Add(1)
			go func() {
				defer all.Done()
				getAt(d, "GET", "/anywhere?history=0.0")
			}()
		}
		all.Wait()
	}
	// On a busy machine the requests can be late, so the test tries again.
	for range 20 {
		began := time.Now()
		d := newDashboard(t, tacho.NewRegistry(), Options{Step: time.Hour, Range: time.Hour})
		request(d)
		n := d.ring.Stats().Steps
		if n == 1 {
			break
		}
		if late := time.Since(began); late < maxAge {
			t.Fatalf("requests within %v of a step caused %d steps", late, n-1)
		}
	}
	d := newDashboard(t, tacho.NewRegistry(), Options{Step: time.Hour, Range: time.Hour})
	d.sampler.mu.Lock()
	d.sampler.last = time.Now().Add(-time.Hour)
	d.sampler.mu.Unlock()
	request(d)
	waitFor(t, "no step on demand", func() bool { return d.ring.Stats().Steps > 1 })
}

// TestClose checks that a closed Dashboard serves what it has.
func TestClose(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("events_total", "")
	d := newDashboard(t, reg, Options{Step: minStep})
	d.Close()
	d.Close()
	steps := d.ring.Stats().Steps
	d.sampler.last = time.Time{}
	if _, full := head(t, getAt(d, "GET", "/anywhere?history=0.0").Body.Bytes()); !full {
		t.Error("got an increment")
	}
	if n := d.ring.Stats().Steps; n != steps {
		t.Errorf("%d steps after Close, want %d", n, steps)
	}
	if w := get(d, "GET"); w.Code != 200 {
		t.Errorf("the page has status %d after Close", w.Code)
	}
}

// TestOptions checks that bad options are refused, and how the message begins.
func TestOptions(t *testing.T) {
	reg := tacho.NewRegistry()
	for _, o := range []Options{
		{Step: -1}, {Step: time.Millisecond}, {Range: -1}, {Range: time.Second}, {Step: time.Hour}, {MaxBytes: -1}, {MaxBytes: minBytes - 1},
	} {
		_, err := tacho.Try(func() *Dashboard { return New(reg, o) })
		if err == nil || !strings.HasPrefix(err.Error(), "tacho: dashboard: ") {
			t.Errorf("%+v: got %v", o, err)
		}
	}
	for _, bad := range []*tacho.Registry{nil, {}} {
		if _, err := tacho.Try(func() *Dashboard { return New(bad, Options{}) }); err == nil {
			t.Error("a bad registry is not refused")
		}
	}
}

// TestHungFunction checks that a function that does not return leaves the other families in the history.
func TestHungFunction(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("events_total", "").Inc()
	hang := make(chan struct{})
	defer close(hang)
	reg.GaugeFunc("hung", "", func() float64 {
		<-hang
		return 1
	})
	d := newDashboard(t, reg, Options{Step: minStep})
	waitFor(t, "a hung function stops the sampler", func() bool { return d.ring.Stats().Steps >= 3 })
	body := getAt(d, "GET", "/anywhere?history=0.0").Body.Bytes()
	if !bytes.Contains(body, []byte("events_total")) || !bytes.Contains(body, []byte("timeout")) {
		t.Error("want the other families, and the timeout in tacho_errors_total")
	}
}

// TestFailedStep checks that steps go on after a panic and after an error.
func TestFailedStep(t *testing.T) {
	reg := tacho.NewRegistry()
	d := New(reg, Options{Step: time.Hour, Range: time.Hour})
	d.Close()
	s := newSampler(reg, d.ring, time.Hour)
	good, steps := s.write, d.ring.Stats().Steps
	s.write = func(context.Context, io.Writer) error { panic("a walk") }
	s.sample()
	s.write = func(context.Context, io.Writer) error { return errors.New("no walk") }
	s.sample()
	if n := d.ring.Stats().Steps; n != steps {
		t.Errorf("%d steps failed, want none in the ring", n-steps)
	}
	s.write = good
	s.sample()
	if n := d.ring.Stats().Steps; n != steps+1 {
		t.Errorf("%d steps after failures, want 1", n-steps)
	}
}

// A slowWriter is a client that does not read.
type slowWriter struct {
	httptest.ResponseRecorder
	writes chan struct{} // has an element for each write that began
	read   chan struct{} // closed to let the writes end
}

func (w *slowWriter) Header() http.Header { return w.ResponseRecorder.Header() }

func (w *slowWriter) Write(p []byte) (int, error) {
	w.writes <- struct{}{}
	<-w.read
	return len(p), nil
}

// TestSlowClients checks that clients that do not read hold at most two large responses, and stop neither
// steps nor small responses.
func TestSlowClients(t *testing.T) {
	reg := tacho.NewRegistry()
	v := reg.CounterVec("events_total", "", []string{"x"})
	for i := range 20_000 {
		v.With(fmt.Sprint(i)).Inc()
	}
	d := newDashboard(t, reg, Options{Step: minStep})
	writes, read := make(chan struct{}, 10), make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Add(1)
		go func() {
			defer all.Done()
			w := &slowWriter{*httptest.NewRecorder(), writes, read}
			d.ServeHTTP(w, httptest.NewRequest("GET", "/anywhere?history=0.0", nil))
		}()
	}
	<-writes
	<-writes
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/anywhere?history=0.0", nil).WithContext(ctx))
	if w.Code != 503 {
		t.Errorf("a third large response: got status %d, want 503 at the end of its context", w.Code)
	}
	steps := d.ring.Stats().Steps
	waitFor(t, "slow clients stop the sampler", func() bool { return d.ring.Stats().Steps > steps+1 })
	if w := get(d, "GET"); w.Code != 200 {
		t.Errorf("the page has status %d", w.Code)
	}
	close(read)
	all.Wait()
	if w := getAt(d, "GET", "/anywhere?history=0.0"); w.Code != 200 || w.Body.Len() < largeResponse {
		t.Errorf("after the slow clients: got status %d and %d bytes", w.Code, w.Body.Len())
	}
}

// TestStalledClients checks that clients that do not read give back their large responses on a server without
// a WriteTimeout. A client that reads can use its connection for further requests.
func TestStalledClients(t *testing.T) {
	reg := tacho.NewRegistry()
	v := reg.CounterVec("events_total", "", []string{"x"})
	for i := range 2000 {
		v.With(fmt.Sprint(i) + strings.Repeat("x", 10_000)).Inc()
	}
	d := newDashboard(t, reg, Options{Step: time.Hour, Range: time.Hour, MaxBytes: 64 << 20})
	d.slowest = 200 * time.Millisecond
	var ended atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.ServeHTTP(w, r)
		ended.Add(1)
	}))
	defer server.Close()
	for range 2 {
		stalled, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer stalled.Close()
		_, _ = io.WriteString(stalled, "GET /?history=0.0 HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	waitFor(t, "stalled clients hold their responses", func() bool { return ended.Load() == 2 })
	server.Close()
	d.slowest = time.Minute
	server = httptest.NewServer(d)
	defer server.Close()
	for range 2 {
		response, err := http.Get(server.URL + "?history=0.0")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || len(body) < 10_000_000 {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		_ = response.Body.Close()
	}
}

// TestDeadlineIsRemoved checks that a large response leaves no deadline, and that a server with a WriteTimeout
// gets none.
func TestDeadlineIsRemoved(t *testing.T) {
	for timeout, want := range map[time.Duration]int{0: 2, time.Second: 0} {
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, &http.Server{WriteTimeout: timeout}))
		(&Dashboard{slowest: time.Minute}).limitWrite(w, r)()
		if len(w.deadlines) != want || want > 0 && (w.deadlines[0].IsZero() || !w.deadlines[1].IsZero()) {
			t.Errorf("WriteTimeout %v: deadlines %v, want %d", timeout, w.deadlines, want)
		}
	}
}

// A deadlineWriter notes its deadlines.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (w *deadlineWriter) SetWriteDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return nil
}

// TestCloseWaits checks that Close returns after the step that is being made.
func TestCloseWaits(t *testing.T) {
	reg := tacho.NewRegistry()
	d := New(reg, Options{Step: time.Hour, Range: time.Hour})
	d.Close()
	s := newSampler(reg, d.ring, time.Hour)
	began, ended := make(chan struct{}), false
	s.write = func(ctx context.Context, _ io.Writer) error {
		close(began)
		<-ctx.Done() // Close ends the step
		time.Sleep(20 * time.Millisecond)
		ended = true
		return ctx.Err()
	}
	d.sampler = s
	go s.run()
	<-began
	d.Close()
	if !ended {
		t.Error("Close returned during a step")
	}
}

// TestHandlerStartsNothing checks that only New starts a goroutine. The goroutine of an earlier test is
// visible for a moment after Close returned.
func TestHandlerStartsNothing(t *testing.T) {
	running := func() int {
		b := make([]byte, 1<<20)
		return strings.Count(string(b[:runtime.Stack(b, true)]), "dashboard.(*sampler).run(")
	}
	none := func() bool { return running() == 0 }
	waitFor(t, "a sampler of an earlier test is left", none)
	get(Handler(""), "GET")
	if n := running(); n != 0 {
		t.Errorf("Handler started %d samplers", n)
	}
	d := newDashboard(t, tacho.NewRegistry(), Options{})
	if n := running(); n != 1 {
		t.Errorf("New started %d samplers, want 1", n)
	}
	d.Close()
	waitFor(t, "the sampler runs after Close", none)
}

// TestConcurrent makes requests while series change and the Dashboard is closed, for the race detector.
func TestConcurrent(t *testing.T) {
	reg := tacho.NewRegistry()
	v := reg.CounterVec("events_total", "", []string{"x"})
	h := reg.Histogram("seconds", "", nil, tacho.WithNative())
	d := newDashboard(t, reg, Options{Step: minStep})
	var all sync.WaitGroup
	for i := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			position := "0.0"
			for j := range 100 {
				v.With(fmt.Sprint(i, j)).Inc()
				v.Delete(fmt.Sprint(i, j-10))
				h.Observe(float64(j))
				w := getAt(d, "GET", "/anywhere?history="+position)
				ring, _ := head(t, w.Body.Bytes())
				position = fmt.Sprintf("%x.%d", ring, j/20)
				if i == 0 {
					d.sampler.sample()
				}
				if i == 1 && j == 80 {
					d.Close()
				}
			}
		}()
	}
	all.Wait()
}

// FuzzQuery checks that no query makes the server panic or fail.
func FuzzQuery(f *testing.F) {
	f.Add("history=0.0")
	f.Add("history=%zz&history=1.1")
	f.Add("worker=;history=ffffffffffffffff.99999999999999999999")
	d := New(tacho.NewRegistry(), Options{Step: time.Hour, Range: time.Hour})
	f.Cleanup(d.Close)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/anywhere", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		d.sampler.mu.Lock()
		d.sampler.last = time.Now()
		d.sampler.mu.Unlock()
		d.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 404 {
			t.Errorf("status %d", w.Code)
		}
	})
}
