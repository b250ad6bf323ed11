//go:build !tacho_nohttp

package tacho

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

const (
	firstByteSeries   = "http_time_to_first_byte_seconds"
	requestSizeSeries = "http_request_size_bytes"
)

// ofRoute returns the series of a histogram of GET requests, or of another method.
func ofRoute(name, path string, method ...string) string {
	return name + `{method="` + append(method, "GET")[0] + `",path="` + path + `"}`
}

// TestTimeToFirstByte: the time ends with the first final status, write or flush, and the
// duration with the handler. A request without a response has no time.
func TestTimeToFirstByte(t *testing.T) {
	const least = 10 * time.Millisecond
	for _, c := range []struct {
		name   string
		opts   []Option
		h      func(w http.ResponseWriter, end func())
		count  string
		before bool // the time ends before end
	}{
		{"write", nil, func(w http.ResponseWriter, end func()) { io.WriteString(w, "x"); end() }, "1", true},
		{"status", nil, func(w http.ResponseWriter, end func()) { w.WriteHeader(204); end() }, "1", true},
		{"flush", nil, func(w http.ResponseWriter, end func()) { w.(http.Flusher).Flush(); end() }, "1", true},
		{"nothing", nil, func(w http.ResponseWriter, end func()) { end() }, "1", false},
		{"informational", nil, func(w http.ResponseWriter, end func()) { w.WriteHeader(103); end(); w.WriteHeader(200) }, "1", false},
		{"late write", nil, func(w http.ResponseWriter, end func()) { end(); io.WriteString(w, "x") }, "1", false},
		{"panic", nil, func(w http.ResponseWriter, end func()) { end(); panic("no response") }, "", false},
		{"panic after a write", nil, func(w http.ResponseWriter, end func()) { io.WriteString(w, "x"); end(); panic("response") }, "1", true},
		{"stream", []Option{WithStream(func(*http.Request) bool { return true })},
			func(w http.ResponseWriter, end func()) { io.WriteString(w, "x"); end() }, "1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRegistry()
			m := NewHTTPMetrics(r, append(c.opts, WithTimeToFirstByte())...)
			var untilEnd, pause time.Duration // the pause is longer than the time before it
			func() {
				defer func() { recover() }()
				began := time.Now()
				serveOne(m, httptest.NewRecorder(), "GET", "/x", func(w http.ResponseWriter, _ *http.Request) {
					c.h(w, func() {
						untilEnd = time.Since(began)
						pause = untilEnd + least
						time.Sleep(pause)
					})
				})
			}()
			wantSamples(t, r, ofRoute(firstByteSeries+"_count", "/x"), map[string]string{"": "0", "1": "1"}[c.count],
				ofRoute("http_request_duration_seconds_count", "/x"), "1")
			first, all := sumSamples(t, r, ofRoute(firstByteSeries+"_sum", "/x")), durationSum(t, r, "/x")
			if c.count != "" && (first <= untilEnd.Seconds()) != c.before {
				t.Errorf("the time to the first byte is %v seconds, the pause of %v began after %v", first, pause, untilEnd)
			}
			if c.name != "stream" && all < pause.Seconds() || first > all {
				t.Errorf("the duration is %v seconds, the time to the first byte %v, the pause %v", all, first, pause)
			}
		})
	}
}

// TestTimeToFirstByteClientGone: if the client left and the handler wrote nothing, there is
// no time.
func TestTimeToFirstByteClientGone(t *testing.T) {
	r := NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	h := NewHTTPMetrics(r, WithTimeToFirstByte()).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil).WithContext(ctx))
	wantSamples(t, r, ofRoute(firstByteSeries+"_count", "/x"), "0", requestsSeries("GET", "/x", "499"), "1")
}

// TestTimeToFirstByteHijack: the time and the duration of a hijacked connection end when it is
// hijacked.
func TestTimeToFirstByteHijack(t *testing.T) {
	var untilHijack time.Duration
	began := time.Now()
	srv := newTestServer(t, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hijack(t, w, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		untilHijack = time.Since(began)
		time.Sleep(untilHijack)
	}), WithTimeToFirstByte())
	srv.getRaw(t, "/x")
	wantSamples(t, srv.reg, ofRoute(firstByteSeries+"_count", "/x"), "1")
	first, all := sumSamples(t, srv.reg, ofRoute(firstByteSeries+"_sum", "/x")), durationSum(t, srv.reg, "/x")
	if first <= 0 || first != all || all > untilHijack.Seconds() {
		t.Errorf("the time to the first byte is %v seconds, the duration %v; want the same, at most %v", first, all, untilHijack)
	}
}

// TestRequestSize: the size is the number of bytes that the handler read, with any framing.
func TestRequestSize(t *testing.T) {
	for proto, h2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			srv := newTestServer(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/all", "/chunked", "/none":
					io.Copy(io.Discard, r.Body)
				case "/part":
					io.ReadFull(r.Body, make([]byte, 10))
				case "/max":
					r.Body = http.MaxBytesReader(w, r.Body, 5)
					io.Copy(io.Discard, r.Body)
				}
			}), WithRequestSize())
			post := func(path string, body io.Reader) {
				t.Helper()
				resp, err := srv.Client().Post(srv.URL+path, "", body)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				<-srv.done
			}
			post("/all", strings.NewReader(strings.Repeat("x", 1000)))
			post("/chunked", io.MultiReader(strings.NewReader("abc"), strings.NewReader("defg")))
			post("/part", strings.NewReader(strings.Repeat("x", 100)))
			post("/unread", strings.NewReader("abc"))
			post("/none", nil)
			for path, want := range map[string]string{"/all": "1000", "/chunked": "7", "/part": "10", "/unread": "0", "/none": "0"} {
				wantSamples(t, srv.reg, ofRoute(requestSizeSeries+"_sum", path, "POST"), want, ofRoute(requestSizeSeries+"_count", path, "POST"), "1")
			}
			post("/max", strings.NewReader(strings.Repeat("x", 100)))
			if got := sumSamples(t, srv.reg, ofRoute(requestSizeSeries+"_sum", "/max", "POST")); got < 5 || got > 100 {
				t.Errorf("a body of 100 bytes that is limited to 5 has the size %v", got)
			}
		})
	}
}

// TestAnnouncedRequestSize: a client that announces a huge body and sends a part of it is counted
// with the part.
func TestAnnouncedRequestSize(t *testing.T) {
	srv := newTestServer(t, false, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}), WithRequestSize())
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\nabc")
	c.Close()
	<-srv.done
	wantSamples(t, srv.reg, ofRoute(requestSizeSeries+"_sum", "/x", "POST"), "3")
}

// A badBody returns wrong counts.
type badBody struct{ io.ReadCloser }

func (badBody) Read(p []byte) (int, error) { return len(p) + 1, io.EOF }

// TestRequestBodyIsRestored: a handler outside of the middleware has its own body afterwards. A
// wrong count of this body is not recorded.
func TestRequestBodyIsRestored(t *testing.T) {
	r := NewRegistry()
	h := NewHTTPMetrics(r, WithRequestSize()).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Body != nil {
			r.Body.Read(make([]byte, 8))
		}
	}))
	req, body := httptest.NewRequest("GET", "/x", nil), &badBody{}
	req.Body = body
	h.ServeHTTP(httptest.NewRecorder(), req)
	if req.Body != io.ReadCloser(body) {
		t.Errorf("the body of the request is a %T", req.Body)
	}
	h.ServeHTTP(discardWriter{http.Header{}}, &http.Request{Method: "GET", URL: req.URL})
	wantSamples(t, r, ofRoute(requestSizeSeries+"_sum", "/x"), "0", ofRoute(requestSizeSeries+"_count", "/x"), "2")
}

// TestMoreMetricsOfRecord: Record knows neither the time to the first byte nor the size of the
// request.
func TestMoreMetricsOfRecord(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithTimeToFirstByte(), WithRequestSize(), WithDurationBuckets([]float64{7}), WithSizeBuckets([]float64{9}))
	m.Record("GET", "/x", 200, time.Second, 1)
	wantSamples(t, r, requestsSeries("GET", "/x", "200"), "1",
		`http_time_to_first_byte_seconds_bucket{method="GET",path="/x",le="7"}`, "0",
		`http_request_size_bytes_bucket{method="GET",path="/x",le="9"}`, "0")
	for _, unit := range []string{"# UNIT http_time_to_first_byte_seconds seconds\n", "# UNIT http_request_size_bytes bytes\n"} {
		if got := open(t, r); !strings.Contains(got, unit) {
			t.Errorf("the scrape lacks %q:\n%s", unit, got)
		}
	}
}

// TestMoreMetricsExpire: the histograms of options expire with their route, and their room is
// free again after one scrape.
func TestMoreMetricsExpire(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithTimeToFirstByte(), WithRequestSize(), WithIdleExpiry(time.Nanosecond))
	before := m.budgets[answered].bytes
	for i := range 5 {
		serveOne(m, httptest.NewRecorder(), "GET", "/x"+strconv.Itoa(i)+"y", respondOK)
	}
	if m.budgets[answered].bytes >= before {
		t.Fatal("the routes cost nothing")
	}
	text(t, r)
	time.Sleep(time.Millisecond)
	if got := text(t, r); strings.Contains(got, `path="/x`) {
		t.Errorf("idle routes:\n%s", got)
	}
	if got := m.budgets[answered].bytes; got != before {
		t.Errorf("the budget is %d bytes after expiry, want %d", got, before)
	}
	serveOne(m, httptest.NewRecorder(), "GET", "/x1y", respondOK)
	wantSamples(t, r, ofRoute(firstByteSeries+"_count", "/x1y"), "2", ofRoute(requestSizeSeries+"_count", "/x1y"), "2")
}

// TestExemplarsOfMoreMetrics: the exemplar of a request is also in the histograms of options that
// the request is observed in, from WithExemplar or from the context. The function runs once a request.
func TestExemplarsOfMoreMetrics(t *testing.T) {
	both := []Option{WithTimeToFirstByte(), WithRequestSize()}
	for name, c := range map[string]struct {
		opts []Option
		want map[string]int // exemplars of the histograms
	}{
		"both":               {both, map[string]int{firstByteSeries: 1, requestSizeSeries: 1}},
		"time to first byte": {both[:1], map[string]int{firstByteSeries: 1}},
		"request size":       {both[1:], map[string]int{requestSizeSeries: 1}},
		"no response":        {both, map[string]int{requestSizeSeries: 1}},
	} {
		for _, fromContext := range []bool{false, true} {
			calls := 0
			trace := func(ctx context.Context) []string { calls++; return traceOf(ctx) }
			r, opts := NewRegistry(), c.opts
			if fromContext {
				r = NewRegistry(WithContextExemplars(trace))
			} else {
				opts = append(opts[:len(opts):len(opts)], WithExemplar(func(r *http.Request) []string { return trace(r.Context()) }))
			}
			h := NewHTTPMetrics(r, opts...).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if name == "no response" {
					panic(http.ErrAbortHandler)
				}
			}))
			for _, ctx := range []context.Context{traced("abc"), context.Background()} {
				func() {
					defer func() { recover() }()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/x", strings.NewReader("12345")).WithContext(ctx))
				}()
			}
			got := open(t, r)
			for _, series := range []string{firstByteSeries, requestSizeSeries} {
				n := 0
				for line := range strings.Lines(got) {
					if strings.HasPrefix(line, series) && strings.Contains(line, `# {trace_id="abc"} `) {
						n++
					}
				}
				if n != c.want[series] {
					t.Errorf("%s, from the context: %v: %d exemplars of %s, want %d in\n%s", name, fromContext, n, series, c.want[series], got)
				}
			}
			if c.want[requestSizeSeries] == 1 && !strings.Contains(got, `le="100.0"} 2 # {trace_id="abc"} 5.0`) {
				t.Errorf("%s: the exemplar has not the value 5:\n%s", name, got)
			}
			if calls != 2 {
				t.Errorf("%s, from the context: %v: the function ran %d times for 2 requests", name, fromContext, calls)
			}
		}
	}
}

// TestMoreMetricsKeepTheirRoute: a route stays if a scrape has removed all of its series except the
// one of an option. Otherwise the route would be free although the scrape shows it.
func TestMoreMetricsKeepTheirRoute(t *testing.T) {
	for name, opts := range map[string][]Option{
		firstByteSeries: {WithTimeToFirstByte()}, requestSizeSeries: {WithRequestSize()},
		"both": {WithTimeToFirstByte(), WithRequestSize()},
	} {
		m := NewHTTPMetrics(NewRegistry(), append(opts, WithIdleExpiry(time.Hour))...)
		m.Record("GET", "/x", 200, time.Second, 1)
		rt, list := m.find("GET", "/x"), (*moreMetrics)(m.more).list
		m.requests.Reset()
		m.duration.Reset()
		m.size.Reset()
		for _, v := range list[1:] {
			v.Reset()
		}
		m.dropExpired()
		if m.find("GET", "/x") != rt {
			t.Errorf("%s: the route is dropped", name)
		}
		list[0].Reset()
		m.dropExpired()
		if m.find("GET", "/x") != nil {
			t.Errorf("%s: a route without series stays", name)
		}
	}
}

// TestLongLabelNamesAreBounded: the limits of a scrape hold with long names of labels.
func TestLongLabelNamesAreBounded(t *testing.T) {
	r := NewRegistry()
	h := NewHTTPMetrics(r, WithLabelName("path", strings.Repeat("p", 400)), WithLabelName("method", strings.Repeat("m", 200))).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"/a": 200, "/b": 404}[r.URL.Path[:2]])
	}))
	for i := range 1000 {
		for _, method := range strangersMethods {
			send(h, method, "/a"+strconv.Itoa(i)+"x")
			send(h, method, "/b"+strconv.Itoa(i)+"x")
		}
	}
	got := text(t, r)
	if len(got) > maxScrapeBytes || !strings.Contains(got, `="/a0x"`) || !strings.Contains(got, `="/b0x"`) {
		t.Errorf("a scrape has %d bytes, want at most %d and both kinds of paths", len(got), maxScrapeBytes)
	}
}

// TestNamesOfHTTPMetrics: WithPrefix and WithLabelName change the names of metrics and labels.
func TestNamesOfHTTPMetrics(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithPrefix("app_"), WithLabelName("status", "code"), WithLabelName("path", "handler"), WithLabelName("state", "path"),
		WithTimeToFirstByte(), WithRequestSize())
	m.ConnState(&net.TCPConn{}, http.StateNew)
	serveOne(m, httptest.NewRecorder(), "GET", "/x", respondOK)
	wantSamples(t, r,
		`app_http_requests_total{method="GET",handler="/x",code="200"}`, "1",
		`app_http_request_duration_seconds_count{method="GET",handler="/x"}`, "1",
		`app_http_response_size_bytes_sum{method="GET",handler="/x"}`, "2",
		`app_http_time_to_first_byte_seconds_count{method="GET",handler="/x"}`, "1",
		`app_http_request_size_bytes_count{method="GET",handler="/x"}`, "1",
		`app_http_connections{path="new"}`, "1",
		`app_http_requests_in_flight`, "0")
	NewHTTPMetrics(r) // other names are no conflict
	NewHTTPMetrics(NewRegistry(), WithLabelName("method", "path"), WithLabelName("path", "method"))
	if httpLabels[2] != "status" {
		t.Error("an option changed the names of all HTTPMetrics")
	}
}

// TestBadNamesOfHTTPMetrics: a bad prefix and a bad name of a label are refused.
func TestBadNamesOfHTTPMetrics(t *testing.T) {
	for want, opt := range map[string]Option{
		`has the label "code"`:        WithLabelName("code", "status"),
		`has the label ""`:            WithLabelName("", "x"),
		`label name "" must match`:    WithLabelName("status", ""),
		`label name "a b" must match`: WithLabelName("path", "a b"),
		`label name "path" is used`:   WithLabelName("status", "path"),
		`"le" is reserved`:            WithLabelName("path", "le"),
		`the name must match`:         WithPrefix("9"),
	} {
		wantDefinitionError(t, want, want, func() { NewHTTPMetrics(NewRegistry(), opt) })
	}
}

// FuzzNamesOfHTTPMetrics: any prefix and any name of a label are refused with a
// *DefinitionError, or the scrape is valid.
func FuzzNamesOfHTTPMetrics(f *testing.F) {
	f.Add("app_", "status", "code", false)
	f.Add("9", "path", "a.b", true)
	f.Add("\xff", "method", "\x00", true)
	f.Fuzz(func(t *testing.T, prefix, label, name string, utf8 bool) {
		r := NewRegistry()
		if utf8 {
			r = NewRegistry(WithUTF8Names())
		}
		m, err := Try(func() *HTTPMetrics { return NewHTTPMetrics(r, WithPrefix(prefix), WithLabelName(label, name)) })
		if err != nil {
			return
		}
		m.Record("GET", "/x", 200, time.Second, 1)
		testkit.ParseText(t, text(t, r))
		testkit.ParseOpenMetrics(t, open(t, r))
	})
}

// TestMoreMetricsAllocations: the time to the first byte takes no allocation, and the request
// size takes one for a request with a body.
func TestMoreMetricsAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct {
		body io.ReadCloser
		want float64
	}{{nil, 1}, {http.NoBody, 1}, {io.NopCloser(strings.NewReader("")), 2}} {
		h := NewHTTPMetrics(NewRegistry(), WithTimeToFirstByte(), WithRequestSize()).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
		req := httptest.NewRequest("GET", "/x", nil)
		req.Body = c.body
		var w http.ResponseWriter = discardWriter{http.Header{}}
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, req) }); n != c.want {
			t.Errorf("body %T: %v allocations for each request, want %v", c.body, n, c.want)
		}
	}
}
