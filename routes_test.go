//go:build !tacho_nohttp

package tacho

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
)

// The bounds of docs/http.md for the part of a scrape that strangers cause.
const (
	maxScrapeBytes = 2_000_000
	maxScrapeLines = 20_000
)

// strangersMethods are the methods that strangers send.
var strangersMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "BREW"}

// send serves a request without a network.
func send(h http.Handler, method, path string) {
	h.ServeHTTP(discardWriter{http.Header{}}, &http.Request{Method: method, URL: &url.URL{Path: path}})
}

// checkScrapeBound checks the size of each format, and that the totals have n requests.
func checkScrapeBound(t *testing.T, reg *Registry, n int) {
	t.Helper()
	for format, scrape := range map[string]string{"text": text(t, reg), "OpenMetrics": open(t, reg), "JSON": jsonOf(t, reg)} {
		lines := strings.Count(scrape, "\n")
		t.Logf("%s: %d bytes in %d lines after %d requests", format, len(scrape), lines, n)
		if len(scrape) > maxScrapeBytes || lines > maxScrapeLines {
			t.Errorf("%s: a scrape has %d bytes in %d lines after %d requests, want at most %d and %d",
				format, len(scrape), lines, n, maxScrapeBytes, maxScrapeLines)
		}
	}
	checkTotals(t, reg, n)
}

func jsonOf(t *testing.T, reg *Registry) string {
	t.Helper()
	var b strings.Builder
	if err := reg.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// backslashes returns the i-th path of backslashes, which is as long as a label may be.
// Each backslash has two bytes in a scrape.
func backslashes(i int) string {
	s := "/" + strconv.Itoa(i) + "x"
	return s + strings.Repeat(`\`, maxPathLabel-len(s))
}

// TestScrapeIsBounded sends what strangers can send to make a scrape large: paths of many
// escaped bytes, each with all methods and many statuses.
func TestScrapeIsBounded(t *testing.T) {
	status := func(s func(i int) int) http.Handler {
		i := 0
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(s(i)); i++ })
	}
	short := func(i int) string { return "/s" + strconv.Itoa(i) + "x" }
	named := func(n int) http.Handler {
		mux := http.NewServeMux()
		for i := range n {
			mux.Handle("/named"+strconv.Itoa(i), status(func(i int) int { return 200 + i%700 }))
		}
		return mux
	}
	for _, c := range []struct {
		name string
		h    http.Handler
		path func(i int) string
	}{
		{"404, backslashes", http.NotFoundHandler(), backslashes},
		{"404, short paths", http.NotFoundHandler(), short},
		{"405, short paths", status(func(int) int { return 405 }), short},
		{"200, backslashes", status(func(int) int { return 200 }), backslashes},
		{"200, short paths", status(func(int) int { return 200 }), short},
		{"any status, short paths", status(func(i int) int { return 200 + i%800 }), short},
		{"any status, one path", status(func(i int) int { return 200 + i%800 }), func(int) string { return "/" }},
		{"named, any status", named(100), func(i int) string { return "/named" + strconv.Itoa(i%100) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := NewRegistry()
			h := NewHTTPMetrics(reg).Handler(c.h)
			n := 0
			for i := range scale(200, 1000, 10_000) {
				for range scale(1, 3, 3) { // strangers repeat paths
					for _, method := range strangersMethods {
						send(h, method, c.path(i))
						n++
					}
				}
			}
			checkScrapeBound(t, reg, n)
			if got := sumSamples(t, reg, `tacho_series_overflow_total{metric="http_requests_total"}`); got == 0 {
				t.Error("no overflow is counted")
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		reg := NewRegistry()
		i := 0
		mux := named(100).(*http.ServeMux) // as many as docs/http.md promises the bounds for
		h := NewHTTPMetrics(reg).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i++; strings.HasPrefix(r.URL.Path, "/named") {
				mux.ServeHTTP(w, r)
			} else {
				w.WriteHeader([]int{404, 200 + i%700, 405}[i%3])
			}
		}))
		n := 0
		for i := range scale(200, 1000, 10_000) {
			for _, method := range strangersMethods {
				for _, path := range []string{"/named" + strconv.Itoa(i%100), short(i), backslashes(i), `/"` + short(i)} {
					send(h, method, path)
					n++
				}
			}
		}
		checkScrapeBound(t, reg, n)
	})
	// The shortest paths have the most lines. 100 routes is what docs/http.md promises the
	// bounds for. Strangers are first for half of them.
	// The limits hold with the histograms of options too.
	for name, opts := range map[string][]Option{"": nil, ", time to first byte": {WithTimeToFirstByte()},
		", request size": {WithRequestSize()}, ", both": {WithTimeToFirstByte(), WithRequestSize()}} {
		t.Run("all at once, shortest paths"+name, func(t *testing.T) {
			if testing.Short() || race.Enabled {
				t.Skip("330,000 requests take minutes on an emulator or with the race detector")
			}
			reg := NewRegistry(WithCreated())
			status, n := 0, 0
			mux := http.NewServeMux()
			short := func(i int) string { return "/" + strconv.FormatInt(int64(i), 36) }
			for i := range 100 {
				mux.HandleFunc(short(i), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200 + status) })
			}
			h := NewHTTPMetrics(reg, opts...).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Host {
				case "mux":
					mux.ServeHTTP(w, r)
				case "answered":
					w.WriteHeader(300 + status)
				default:
					w.WriteHeader(404 + status%2)
				}
			}))
			all := func(host string, from, to int) {
				for i := from; i < to; i++ {
					for _, method := range []string{"other", "GET", "PUT", "HEAD", "POST", "TRACE", "PATCH", "DELETE", "OPTIONS", "CONNECT"} {
						h.ServeHTTP(discardWriter{http.Header{}}, &http.Request{Method: method, Host: host, URL: &url.URL{Path: short(i)}})
						n++
					}
				}
			}
			for range 2 {
				for status = range 30 {
					all("mux", 0, 50)
					all("answered", 50, 200)
					all("missing", 200, 400)
				}
				for status = range 30 {
					all("mux", 50, 100)
					all("answered", 400, 500)
				}
			}
			checkScrapeBound(t, reg, n)
		})
	}
}

// TestNamedRoutesKeepTheirLabels: strangers send 1,000 paths that do not exist, and 1,000
// files. Each route that the program named has its label afterwards.
func TestNamedRoutesKeepTheirLabels(t *testing.T) {
	mux := http.NewServeMux()
	for i := range 300 {
		mux.HandleFunc("GET /route"+strconv.Itoa(i)+"/{id}", respondOK)
	}
	mux.HandleFunc("/files/", respondOK)
	mux.HandleFunc("/rest/{path...}", respondOK)
	mux.HandleFunc("/any", respondOK)
	r := NewRegistry()
	h := NewHTTPMetrics(r).Handler(mux)
	send(h, "GET", "/broken/link")
	for i := range 1000 {
		for _, method := range strangersMethods {
			send(h, method, "/missing"+strconv.Itoa(i)+"x")
			send(h, method, "/any")
		}
		send(h, "GET", "/files/"+strconv.Itoa(i)+"x")
		send(h, "GET", "/rest/"+strconv.Itoa(i)+"x")
	}
	var pairs []string
	for i := range 300 {
		path := "/route" + strconv.Itoa(i) + "/"
		send(h, "GET", path+"someone")
		pairs = append(pairs, requestsSeries("GET", path+"{id}", "200"), "1")
	}
	wantSamples(t, r, pairs...)
	wantSamples(t, r,
		requestsSeries("GET", "/broken/link", "404"), "1",
		requestsSeries("GET", "/files/", "200"), "1000",
		requestsSeries("GET", "/rest/{path...}", "200"), "1000",
		requestsSeries("GET", "/any", "200"), "1000")
	if sumSamples(t, r, requestsSeries("GET", "other", "404")) == 0 {
		t.Error("no request for a missing path has the label other")
	}
	if sumSamples(t, r, `tacho_series_overflow_total{metric="http_requests_total"}`) == 0 {
		t.Error("no overflow is counted")
	}
}

// TestMissingPathsLeaveRoomForAnswered: paths that exist have a budget of their own if no
// pattern names them.
func TestMissingPathsLeaveRoomForAnswered(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	for i := range 1000 {
		m.Record("GET", "/missing"+strconv.Itoa(i)+"x", 404, 0, 1)
		m.Record("POST", "/refused"+strconv.Itoa(i)+"x", 405, 0, 1)
	}
	for i := range 100 {
		m.Record("GET", "/page"+strconv.Itoa(i), 200, 0, 1)
		wantSamples(t, r, requestsSeries("GET", "/page"+strconv.Itoa(i), "200"), "1")
	}
}

// TestMethodsCollapse: beyond the reserve of named routes, methods are "other", except the
// first of each path and those that a pattern names. Paths stay.
func TestMethodsCollapse(t *testing.T) {
	mux := http.NewServeMux()
	for i := range 100 {
		mux.HandleFunc("/plain"+strconv.Itoa(i), respondOK)
		mux.HandleFunc("GET /named"+strconv.Itoa(i), respondOK)
		mux.HandleFunc("POST /named"+strconv.Itoa(i), respondOK)
	}
	r := NewRegistry()
	h := NewHTTPMetrics(r).Handler(mux)
	for i := range 100 {
		for _, method := range strangersMethods {
			send(h, method, "/plain"+strconv.Itoa(i))
		}
	}
	var pairs []string
	for i := range 100 {
		p := "/named" + strconv.Itoa(i)
		send(h, "GET", p)
		send(h, "POST", p)
		pairs = append(pairs, requestsSeries("GET", p, "200"), "1", requestsSeries("POST", p, "200"), "1",
			requestsSeries("GET", "/plain"+strconv.Itoa(i), "200"), "1")
	}
	wantSamples(t, r, pairs...)
	if got := sumSamples(t, r, `http_requests_total{method="`); got != 1200 {
		t.Errorf("%v requests counted, want 1200", got)
	}
	if got, _ := strconv.Atoi(samplesOf(t, r)[requestsSeries("other", "/plain99", "200")]); got != 9 {
		t.Errorf("%d requests for the last path have the method other, want 9", got)
	}
}

// TestStatusesAreBounded: a route has at most 20 statuses and "other".
func TestStatusesAreBounded(t *testing.T) {
	r := NewRegistry()
	mux := http.NewServeMux()
	mux.HandleFunc("/vary", func(w http.ResponseWriter, r *http.Request) {
		s, _ := strconv.Atoi(r.URL.RawQuery)
		w.WriteHeader(s)
	})
	h := NewHTTPMetrics(r).Handler(mux)
	for range 2 {
		for s := 200; s < 1000; s++ {
			h.ServeHTTP(discardWriter{http.Header{}}, httptest.NewRequest("GET", fmt.Sprintf("/vary?%d", s), nil))
		}
	}
	wantSamples(t, r, requestsSeries("GET", "/vary", "200"), "2", requestsSeries("GET", "/vary", "219"), "2",
		requestsSeries("GET", "/vary", "220"), "", requestsSeries("GET", "/vary", "other"), "1560",
		`tacho_series_overflow_total{metric="http_requests_total"}`, "1560")
}

// TestExpiryGivesRoomBack: after the routes of strangers expired, new paths have labels
// again, and the routes are not in memory.
func TestExpiryGivesRoomBack(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Nanosecond))
	expire := func() {
		for range 3 {
			text(t, r)
			time.Sleep(time.Millisecond)
		}
		runtime.GC()
	}
	for round := range 5 {
		name := func(i int) string { return fmt.Sprintf("/round%dx/p%dx", round, i) }
		for i := range 1000 {
			for _, method := range []string{"GET", "PUT"} {
				m.Record(method, name(i), []int{200, 404}[i%2], time.Second, 1)
			}
			m.Record("GET", name(0), 200+i%600, time.Second, 1) // many statuses
		}
		samples := samplesOf(t, r)
		if samples[requestsSeries("GET", name(0), "200")] == "" || samples[requestsSeries("GET", name(1), "404")] == "" {
			t.Fatalf("round %d: the first paths have no labels", round)
		}
		if samples[requestsSeries("GET", name(999), "404")] != "" {
			t.Fatalf("round %d: the last path has a label", round)
		}
		expire()
		// The routes with the path other may stay.
		if n, paths := m.routes.Len(), m.paths.Len(); n != 0 || paths != 0 {
			t.Errorf("round %d: %d routes and %d paths are left", round, n, paths)
		}
	}
	for i := range m.budgets {
		if b := &m.budgets[i]; b.bytes != budgetBytes[i] || b.paths != 1000 {
			t.Errorf("budget %d has %d bytes and %d paths left, want all", i, b.bytes, b.paths)
		}
	}
}

// TestExpiryOfStatuses: expired statuses of a route that is in use make room for new
// statuses, and give their bytes back. A status in use keeps its route.
func TestExpiryOfStatuses(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Nanosecond))
	expire := func(use func()) {
		for range 3 {
			use()
			text(t, r)
			time.Sleep(time.Millisecond)
		}
		runtime.GC()
	}
	b := &m.budgets[answered]
	for round := range 3 {
		for i := range maxStatuses + 5 {
			m.Record("GET", "/x", 300+100*round+i, time.Second, 1)
		}
		samples := samplesOf(t, r)
		if samples[requestsSeries("GET", "/x", strconv.Itoa(300+100*round))] == "" || samples[requestsSeries("GET", "/x", "other")] == "" {
			t.Fatalf("round %d: the first status has no label, or the last has one", round)
		}
		expire(func() { m.Record("GET", "/x", 200, time.Second, 1) })
		rt := m.find("GET", "/x")
		if rt == nil || len(rt.statuses()) != 1 || rt.full.Load() {
			t.Fatalf("round %d: the route is %+v, want only status 200", round, rt)
		}
		if want := m.routeCost("GET", "/x", freeStatuses[answered]); rt.cost != want || b.bytes != budgetBytes[answered]-want {
			t.Errorf("round %d: the route costs %d bytes, want %d, and %d bytes are left", round, rt.cost, want, b.bytes)
		}
	}
	rt := m.find("GET", "/x")
	count := m.counter(rt, 200)
	expire(count.Inc)
	if m.find("GET", "/x") != rt {
		t.Error("the route is dropped while a status is in use")
	}
	expire(func() {})
	if m.find("GET", "/x") != nil || b.bytes != budgetBytes[answered] {
		t.Errorf("the unused route is in memory, or %d bytes are left", b.bytes)
	}
	runtime.KeepAlive(count)
}

// TestExpiryKeepsTotals: recordings through routes that expired meanwhile are not lost.
func TestExpiryKeepsTotals(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Nanosecond))
	rt := m.route("GET", "/x", answered, false)
	rt.duration.Observe(1)
	for range 3 {
		text(t, r)
		time.Sleep(time.Millisecond)
	}
	rt.duration.Observe(1)
	m.Record("GET", "/x", 200, time.Second, 1)
	wantSamples(t, r, `http_request_duration_seconds_count{method="GET",path="/x"}`, "3")
}

// TestRouteCost: the routes of each origin take at most their cost in a scrape, for counts
// of ten digits, and each line costs at least lineOverhead bytes.
func TestRouteCost(t *testing.T) {
	for from := range origins {
		for _, opts := range [][]Option{nil, {WithConstLabels("app", `a"b`)}, {WithSizeBuckets([]float64{}), WithDurationBuckets([]float64{})},
			{WithTimeToFirstByte()}, {WithTimeToFirstByte(), WithRequestSize()}, {WithPrefix("a_long_prefix_of_an_application_"), WithLabelName("method", "request_method"), WithLabelName("path", "handler")}} {
			for _, path := range []string{"/a", backslashes(1), "/\n\"" + strings.Repeat("é", 100)} {
				r := NewRegistry(WithCreated())
				m := NewHTTPMetrics(r, opts...)
				if from == named {
					m.route("GET", path, from, false) // the first method is free
				}
				m.budgets[from].bytes = 1 << 20 // for the longest path with all histograms
				before := len(open(t, r))
				rt := m.route("OPTIONS", path, from, false)
				for s := range freeStatuses[from] + 3 {
					m.counter(rt, 200+s).Add(9_999_999_999)
				}
				m.counter(rt, 0).Add(9_999_999_999)
				histograms := []*Histogram{rt.duration, rt.size}
				if more := (*moreMetrics)(m.more); more != nil {
					histograms = append(histograms, (*[2]*Histogram)(rt.more)[:len(more.list)]...)
				}
				for _, h := range histograms {
					h.words()[0].Store(math.Float64bits(1234567.890123))
					for i := range h.def.Upper {
						h.words()[i+1].Store(100_000_000)
					}
					h.words()[len(h.def.Upper)+1].Store(9_000_000_000)
				}
				scrape := open(t, r)
				lines := strings.Count(scrape, "OPTIONS")
				if got := len(scrape) - before; got > rt.cost+1000 { // HELP and TYPE lines
					t.Errorf("origin %d, path of %d bytes: %d bytes in a scrape, cost %d", from, len(path), got, rt.cost)
				}
				if rt.cost < lines*lineOverhead {
					t.Errorf("origin %d: %d lines cost %d bytes", from, lines, rt.cost)
				}
			}
		}
	}
}

// TestOverflowAllocates: past a limit, a request allocates no more than before.
func TestOverflowAllocates(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	status := 200
	mux := http.NewServeMux()
	for i := range 200 {
		mux.HandleFunc("/named"+strconv.Itoa(i), respondOK)
	}
	m := NewHTTPMetrics(NewRegistry())
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/named") {
			_, r.Pattern = mux.Handler(r)
		}
		w.WriteHeader(status)
	}))
	for i := range 200 {
		for _, method := range strangersMethods {
			send(h, method, "/named"+strconv.Itoa(i))
			send(h, method, "/x"+strconv.Itoa(i))
		}
	}
	for status = 200; status < 600; status++ {
		send(h, "GET", "/named0")
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/x", 200}, {"GET", backslashes(1), 404}, {"PUT", "/x0", 200}, {"PUT", "/named199", 200}, {"GET", "/named0", 599},
	} {
		r := &http.Request{Method: c.method, URL: &url.URL{Path: c.path}, Pattern: ""}
		status = c.status
		var w http.ResponseWriter = discardWriter{http.Header{}}
		mine := testing.AllocsPerRun(100, func() { mux.Handler(r) })
		if c.path[1] != 'n' {
			mine = 0
		}
		if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n != 1+mine {
			t.Errorf("%s %.10s, status %d: %v allocations, want %v", c.method, c.path, c.status, n, 1+mine)
		}
	}
}

// TestRedirectsAreNotNamed: where a ServeMux redirects to the path of a pattern that ends
// in a slash, it sets a pattern that the client chose. Go before 1.26 does so for all
// methods. Such patterns take no room from the program's.
func TestRedirectsAreNotNamed(t *testing.T) {
	for name, h := range map[string]func(m *HTTPMetrics, mux http.Handler) http.Handler{
		"plain": func(_ *HTTPMetrics, mux http.Handler) http.Handler { return mux },
		"Route": func(m *HTTPMetrics, mux http.Handler) http.Handler { return copying(m.Route(mux)) },
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/users/{name}/", respondOK)
		mux.HandleFunc("/files/", respondOK)
		mux.HandleFunc("/late", respondOK)
		r := NewRegistry()
		m := NewHTTPMetrics(r)
		h := m.Handler(h(m, mux))
		const users = 500
		for i := range users {
			for _, end := range []string{"", "%2F", "%2F%2F", "%2F."} {
				for _, method := range []string{"CONNECT", "GET"} {
					u, err := url.Parse("/users/u" + strconv.Itoa(i) + end)
					if err != nil {
						t.Fatal(err)
					}
					h.ServeHTTP(discardWriter{http.Header{}}, &http.Request{Method: method, URL: u})
				}
			}
		}
		send(h, "CONNECT", "/files")
		for _, path := range []string{"/late", "/files/", "/files/a", "/users/ann/", "/users/ann/x"} {
			send(h, "GET", path)
		}
		wantSamples(t, r, requestsSeries("GET", "/late", "200"), "1", requestsSeries("GET", "/files/", "200"), "2",
			requestsSeries("GET", "/users/{name}/", "200"), "2")
		if got := 1000 - m.budgets[named].paths; got != 3 {
			t.Errorf("%s: %d paths are named, want the 3 of the mux", name, got)
		}
		checkTotals(t, r, 8*users+6)
	}
}

// TestProgramClaimsRoutes: a request that does not reach the mux, such as one without
// authentication, has the path that a pattern names. Strangers then use up the budget. The
// route still has all its statuses.
func TestProgramClaimsRoutes(t *testing.T) {
	status, public := 200, false
	mux := http.NewServeMux()
	for _, pattern := range []string{"/orders", "POST /orders"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Nanosecond))
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if public {
			mux.ServeHTTP(w, r)
		} else {
			w.WriteHeader(401)
		}
	}))
	for _, method := range strangersMethods {
		send(h, method, "/orders")
	}
	for i := range 1000 {
		send(h, "GET", "/x"+strconv.Itoa(i)+"x")
	}
	public = true
	var pairs []string
	for status = 200; status < 219; status++ {
		for _, method := range []string{"GET", "POST"} {
			send(h, method, "/orders")
			pairs = append(pairs, requestsSeries(method, "/orders", strconv.Itoa(status)), "1")
		}
	}
	wantSamples(t, r, append(pairs, requestsSeries("GET", "/orders", "401"), "1")...)
	for range 4 {
		text(t, r)
		time.Sleep(time.Millisecond)
	}
	for i := range m.budgets {
		if b := &m.budgets[i]; b.bytes != budgetBytes[i] || b.paths != 1000 {
			t.Errorf("budget %d has %d bytes and %d paths left, want all", i, b.bytes, b.paths)
		}
	}
}

// TestMethodsLeaveRoomForStatuses: strangers send all methods and cause five statuses.
// Status 500 is shown nevertheless.
func TestMethodsLeaveRoomForStatuses(t *testing.T) {
	const routes = 100
	mux := http.NewServeMux()
	status := 0
	for i := range routes {
		mux.HandleFunc("/named"+strconv.Itoa(i), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	r := NewRegistry()
	h := NewHTTPMetrics(r).Handler(mux)
	var pairs []string
	for _, status = range []int{400, 401, 403, 413, 415, 500} {
		for i := range routes {
			for _, method := range strangersMethods {
				send(h, method, "/named"+strconv.Itoa(i))
			}
			pairs = append(pairs, requestsSeries("GET", "/named"+strconv.Itoa(i), strconv.Itoa(status)), "1")
		}
	}
	wantSamples(t, r, pairs...)
}

// TestFirstMethodComesBack: the first method of a path has its label again after it
// expired, also if the budget is full.
func TestFirstMethodComesBack(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/x", respondOK)
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Hour))
	h := m.Handler(mux)
	send(h, "GET", "/x")
	send(h, "PUT", "/x")
	m.mu.Lock()
	m.dropLocked(m.find("GET", "/x")) // as expiry does
	m.budgets[named].bytes = 0
	m.mu.Unlock()
	send(h, "GET", "/x")
	if m.find("GET", "/x") == nil {
		t.Error("GET is no label any more")
	}
}

// TestHugeMaxPaths: the budgets do not overflow, also on 32-bit machines.
func TestHugeMaxPaths(t *testing.T) {
	for _, n := range []int{1_000_001, math.MaxInt32, math.MaxInt, math.MinInt} {
		m := NewHTTPMetrics(NewRegistry(), WithMaxPaths(n))
		want := 1000
		if n < 0 {
			want = 1
		}
		for i := range m.budgets {
			if got := m.budgets[i].bytes; got != budgetBytes[i]*want {
				t.Errorf("%d paths: budget %d has %d bytes, want %d", n, i, got, budgetBytes[i]*want)
			}
		}
	}
}

// TestDroppedRoutePaysNothing: a request that holds a route while it expires takes nothing
// from the budget. Nobody would give it back.
func TestDroppedRoutePaysNothing(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Hour))
	rt := m.route("GET", "/x", answered, false)
	m.mu.Lock()
	m.dropLocked(rt) // as expiry does
	m.mu.Unlock()
	for status := 200; status < 205; status++ {
		m.counter(rt, status).Inc()
	}
	if got := m.budgets[answered].bytes; got != budgetBytes[answered] {
		t.Errorf("%d bytes left, want all", got)
	}
	if n := sumSamples(t, r, "http_requests_total"); n != 5 {
		t.Errorf("%v requests counted, want 5", n)
	}
}

// TestRequestsOfARoutePayOnce: further requests of a route take nothing from the budget, also
// if its path has escapes or invalid UTF-8.
func TestRequestsOfARoutePayOnce(t *testing.T) {
	for from := range origins {
		for _, path := range []string{"/a", `/"`, `/\`, "/\n", "/\xff", "/é", backslashes(100)} {
			m := NewHTTPMetrics(NewRegistry())
			m.route("GET", path, from, false)
			rt := m.route("POST", path, from, false)
			left, paths, routes := m.budgets[from].bytes, m.budgets[from].paths, m.routes.Len()
			for range 3 {
				if m.route("POST", path, from, false) != rt {
					t.Errorf("origin %d, path %.20q: another route", from, path)
				}
			}
			b := &m.budgets[from]
			if b.bytes != left || b.paths != paths || m.routes.Len() != routes || rt.cost == 0 {
				t.Errorf("origin %d, path %.20q: further requests take %d bytes and %d paths", from, path, left-b.bytes, paths-b.paths)
			}
		}
	}
}

// TestRouteCopiesItsLabels: the labels of a route do not keep the texts of other routes in
// memory.
func TestRouteCopiesItsLabels(t *testing.T) {
	m := NewHTTPMetrics(NewRegistry())
	m.Record("GET", "/x", 200, 0, 0)
	rt := m.find("GET", "/x")
	for block := range m.routes.store.Snapshot().Each {
		if isInside(rt.path, block) || isInside(rt.method, block) {
			t.Error("a label of a route is in the memory of the vector's texts")
		}
	}
}
