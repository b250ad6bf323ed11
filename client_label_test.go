//go:build !tacho_nohttp

package tacho

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

// A randomRequests makes requests with random methods, paths and headers. Many of these
// requests are invalid.
type randomRequests struct{ *rand.Rand }

// bytes returns at most so many random bytes.
func (r randomRequests) bytes(most int) string {
	b := make([]byte, r.IntN(most+1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func (r randomRequests) pick(from ...string) string { return from[r.IntN(len(from))] }

func (r randomRequests) path() string {
	switch r.IntN(8) {
	case 0:
		return "/" + r.bytes(40)
	case 1:
		return "/" + strings.Repeat(r.pick("a", "1", "/", "\xff", "é"), r.IntN(3000))
	case 2:
		return r.bytes(10) // without a slash
	case 3:
		return "/user/" + testUUID + "/" + r.bytes(3)
	case 4:
		return backslashes(r.IntN(1000)) // each of these is sent again
	case 5:
		return "/again/" + strconv.FormatInt(int64(r.IntN(1000)), 36) + "x"
	}
	return "/" + strconv.FormatUint(r.Uint64(), 36)
}

func (r randomRequests) method() string {
	if r.IntN(2) == 0 {
		return r.pick(strangersMethods...)
	}
	return r.pick("GET", "POST", "HEAD", "BREW", "get", "", r.bytes(20), strings.Repeat("X", r.IntN(1000)))
}

func (r randomRequests) header() http.Header {
	h := http.Header{}
	h["Accept"] = []string{r.pick("*/*", "application/openmetrics-text;version=1.0.0;q=0."+r.bytes(5), r.bytes(60), strings.Repeat(";,=\"", r.IntN(100)))}
	h["Accept-Encoding"] = []string{r.pick("gzip", r.bytes(60), "gzip;q="+r.bytes(5), strings.Repeat("gzip,", r.IntN(100)))}
	h["Trace"] = []string{r.bytes(300)}
	h[r.bytes(10)] = []string{r.bytes(100)}
	return h
}

// TestStrangers sends random paths, methods and headers through the middleware and to both
// handlers, which respond with any status. Memory, the number of series, and the size of a
// scrape are bounded, the totals are exact, and a scrape is valid.
func TestStrangers(t *testing.T) {
	t.Run("100 paths", func(t *testing.T) { testStrangers(t, 100, WithMaxPaths(100)) })
	t.Run("default", func(t *testing.T) { testStrangers(t, 1000) })
}

func testStrangers(t *testing.T, maxPaths int, opts ...Option) {
	n := scale(5000, 50_000, 1_000_000)
	reg := NewRegistry()
	exemplar := WithExemplar(func(r *http.Request) []string { return r.Header["Trace"] })
	m := NewHTTPMetrics(reg, append(opts, exemplar)...)
	metrics, view := reg.Handler(), reg.JSONHandler()
	var statuses atomic.Uint64
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := statuses.Add(1); {
		case n%500 == 0:
			metrics.ServeHTTP(w, r)
		case n%500 == 1:
			view.ServeHTTP(w, r)
		default:
			w.WriteHeader([]int{200 + int(n%7), 404, 405, 200 + int(n%800)}[n%4])
		}
	}))
	const workers = 4
	send := func(n int, seed uint64) {
		var wg sync.WaitGroup
		for g := range workers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				random := randomRequests{rand.New(rand.NewPCG(seed, uint64(g)))}
				for i := range n / workers {
					r := &http.Request{Method: random.method(), URL: &url.URL{Path: random.path()}, Header: random.header()}
					h.ServeHTTP(discardWriter{http.Header{}}, r)
					if i%64 == 0 {
						runtime.Gosched()
					}
				}
			}()
		}
		wg.Wait()
	}
	warm := n / 5
	send(warm, 1)
	before, series := testkit.HeapBytes(), m.routes.Len()
	send(n-warm, 2)
	if after := testkit.HeapBytes(); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes in %d requests, want at most %d bytes more", before, after, n-warm, 1<<20)
	}
	if now := m.routes.Len(); now > 10*(2*maxPaths+1) || now > series+100 {
		t.Errorf("%d routes after %d requests and %d after %d", series, warm, now, n)
	}
	checkScrapeBound(t, reg, n)
}

// checkTotals checks that each of the metrics has n requests and that a scrape is valid.
func checkTotals(t *testing.T, reg *Registry, n int) {
	t.Helper()
	sums := map[string]float64{}
	samples := testkit.ParseText(t, text(t, reg))
	testkit.CheckHistograms(t, samples)
	testkit.ParseOpenMetrics(t, open(t, reg))
	for _, s := range samples {
		sums[s.Name] += s.Value
	}
	for _, name := range []string{"http_requests_total", "http_request_duration_seconds_count", "http_response_size_bytes_count"} {
		if sums[name] != float64(n) {
			t.Errorf("the sum of %s is %v, want %d", name, sums[name], n)
		}
	}
	if got := sums["http_requests_in_flight"]; got != 0 {
		t.Errorf("http_requests_in_flight is %v, want 0", got)
	}
}

// TestStrangersOverTCP is TestStrangers over connections. The server refuses some of the
// requests. All other requests must be in the totals.
func TestStrangersOverTCP(t *testing.T) {
	requests := scale(400, 2000, 20_000)
	var served atomic.Int64
	reg := NewRegistry()
	m := NewHTTPMetrics(reg)
	metrics := reg.Handler()
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%100 == 0 {
			metrics.ServeHTTP(w, r)
		}
	}))
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = m.ConnState
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			random := randomRequests{rand.New(rand.NewPCG(3, uint64(g)))}
			for done := 0; done < requests/8; {
				c, err := net.Dial("tcp", srv.Listener.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				in := bufio.NewReader(c)
				for done < requests/8 {
					done++
					value := random.bytes(30)
					if random.IntN(10) > 0 {
						value = url.QueryEscape(value) // otherwise the server closes nearly all connections
					}
					fmt.Fprintf(c, "%s /%s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nX: %s\r\n\r\n",
						random.pick("GET", "BREW", "get"), url.PathEscape(random.path()), random.pick("*/*", ";q=", value), value)
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						break // the server closed the connection, or read only a part of the request
					}
					io.Copy(io.Discard, resp.Body)
					if resp.Close {
						break
					}
				}
				c.Close()
			}
		}()
	}
	wg.Wait()
	srv.Close() // waits for handlers
	n := int(served.Load())
	if n < requests/8 {
		t.Errorf("the server served %d of %d requests, want at least %d", n, requests, requests/8)
	}
	checkTotals(t, reg, n)
	if left := len(m.states); left != 0 {
		t.Errorf("states has %d connections after all were closed, want none", left)
	}
	t.Logf("%d requests sent, %d served", requests, n)
}
