//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// httpGet asks a handler directly; values are those of Accept-Encoding.
func httpGet(h http.Handler, method string, values ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/metrics", nil)
	for _, v := range values {
		req.Header.Add("Accept-Encoding", v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// httpBig returns a registry whose exposition fills many buffers.
func httpBig(series int) (*Registry, *CounterVec) {
	r := NewRegistry()
	v := r.CounterVec("big_total", "Many.", []string{"n"})
	for i := 0; i < series; i++ {
		v.With(strconv.Itoa(i)).Add(uint64(i))
	}
	return r, v
}

func httpText(t *testing.T, r *Registry) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHandlerMethods(t *testing.T) {
	r, _ := httpBig(10)
	for _, c := range []struct {
		name, contentType, vary string
		h                       http.Handler
	}{
		{"text", "text/plain; version=0.0.4; charset=utf-8", "Accept, Accept-Encoding", r.Handler()},
		{"json", "application/json", "Accept-Encoding", r.JSONHandler()},
	} {
		get := httpGet(c.h, "GET")
		if get.Code != 200 || get.Body.Len() == 0 {
			t.Errorf("%s: GET gives %d, %d bytes", c.name, get.Code, get.Body.Len())
		}
		if got := get.Header().Get("Content-Type"); got != c.contentType {
			t.Errorf("%s: content type %q", c.name, got)
		}
		if got := get.Header().Get("Vary"); got != c.vary {
			t.Errorf("%s: Vary %q", c.name, got)
		}
		for _, accept := range []string{"", "gzip"} {
			get, head := httpGet(c.h, "GET", accept), httpGet(c.h, "HEAD", accept)
			if head.Code != 200 || head.Body.Len() != 0 {
				t.Errorf("%s: HEAD gives %d, %d bytes", c.name, head.Code, head.Body.Len())
			}
			for _, k := range []string{"Content-Type", "Vary", "Content-Encoding"} {
				if a, b := get.Header().Get(k), head.Header().Get(k); a != b {
					t.Errorf("%s: %s is %q for GET, %q for HEAD", c.name, k, a, b)
				}
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW", "get"} {
			w := httpGet(c.h, method, "gzip")
			if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s gives %d, Allow %q", c.name, method, w.Code, w.Header().Get("Allow"))
			}
			if w.Header().Get("Content-Encoding") != "" {
				t.Errorf("%s: %s: the refusal claims to be compressed", c.name, method)
			}
		}
	}
}

func httpAsk(h http.Handler, method, accept, encoding string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/metrics", nil)
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", encoding)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

// TestHandlerNegotiates: the body is of the type that the header says, and HEAD
// says what GET does.
func TestHandlerNegotiates(t *testing.T) {
	r := NewRegistry()
	r.Counter("a_total", "").Inc()
	utf8 := NewRegistry(WithUTF8Names())
	utf8.Counter("a.total", "").Inc()
	for _, c := range []struct {
		r           *Registry
		accept      string
		contentType string
		body        string // a line of it
	}{
		{r, "", "text/plain; version=0.0.4; charset=utf-8", "a_total 1\n"},
		{r, accept2, "application/openmetrics-text; version=1.0.0; charset=utf-8", "a_total 1.0\n# EOF\n"},
		{r, accept3, "application/openmetrics-text; version=1.0.0; charset=utf-8", "a_total 1.0\n# EOF\n"},
		{r, "application/openmetrics-text", "application/openmetrics-text; version=0.0.1; charset=utf-8", "a_total 1.0\n# EOF\n"},
		{utf8, "", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "a_total 1\n"},
		{utf8, "text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8", "{\"a.total\"} 1\n"},
		{utf8, accept3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8", "{\"a.total_total\"} 1.0\n"},
		{utf8, "text/plain;escaping=values", "text/plain; version=0.0.4; charset=utf-8; escaping=values", "U__a_2e_total 1\n"},
		{utf8, "text/plain;escaping=dots", "text/plain; version=0.0.4; charset=utf-8; escaping=dots", "a_dot_total 1\n"},
	} {
		get := httpAsk(c.r.Handler(), http.MethodGet, c.accept, "")
		if got := get.Header().Get("Content-Type"); got != c.contentType || !strings.Contains(get.Body.String(), "\n"+c.body) {
			t.Errorf("%q: %s, body\n%s", c.accept, got, get.Body)
		}
		head := httpAsk(c.r.Handler(), http.MethodHead, c.accept, "gzip")
		if got := head.Header(); got.Get("Content-Type") != c.contentType || got.Get("Content-Encoding") != "gzip" ||
			got.Get("Vary") != "Accept, Accept-Encoding" || head.Body.Len() != 0 {
			t.Errorf("%q: HEAD answers %v and %d bytes", c.accept, got, head.Body.Len())
		}
		view := httpAsk(c.r.JSONHandler(), http.MethodGet, c.accept, "").Header()
		if view.Get("Content-Type") != "application/json" || view.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: JSON answers %v", c.accept, view)
		}
	}
}

func TestHandlerServed(t *testing.T) {
	r, _ := httpBig(5000)
	srv := httptest.NewServer(r.Handler())
	defer srv.Close()
	want := httpText(t, r)

	// The client's transport asks for gzip and takes it off.
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != want || !resp.Uncompressed {
		t.Errorf("GET: %v, %d bytes, want %d, compressed %v", err, len(body), len(want), resp.Uncompressed)
	}
	resp, err = http.Head(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || len(body) != 0 || resp.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("HEAD: %d, %d bytes, %q", resp.StatusCode, len(body), resp.Header.Get("Content-Type"))
	}
}

func TestHandlerGzipIsPlainBody(t *testing.T) {
	for _, series := range []int{0, 1, 5000} {
		r, _ := httpBig(series)
		for name, h := range map[string]http.Handler{"text": r.Handler(), "json": r.JSONHandler()} {
			plain := httpGet(h, "GET")
			if got := plain.Header().Get("Content-Encoding"); got != "" {
				t.Fatalf("%s: plain body with encoding %q", name, got)
			}
			for i := 0; i < 3; i++ { // compressors are used again
				zipped := httpGet(h, "GET", "deflate", "GZIP")
				if got := zipped.Header().Get("Content-Encoding"); got != "gzip" {
					t.Fatalf("%s: encoding %q", name, got)
				}
				z, err := gzip.NewReader(zipped.Body)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(z)
				if err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
					t.Errorf("%s, %d series: %v, %d bytes, plain has %d", name, series, err, len(body), plain.Body.Len())
				}
			}
		}
	}
}

type httpElement struct {
	Labels  map[string]string
	Value   *float64
	Count   *uint64
	Buckets []struct {
		Le    *float64
		Count uint64
	}
}

func httpJSON(t *testing.T, r *Registry) map[string][]httpElement {
	t.Helper()
	w := httpGet(r.JSONHandler(), "GET")
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	var all map[string][]httpElement
	if err := d.Decode(&all); err != nil {
		t.Fatalf("%v\n%s", err, w.Body)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("something after the object: %v", err)
	}
	return all
}

func TestJSONShape(t *testing.T) {
	r := NewRegistry(WithConstLabels("app", "x"))
	if got := httpJSON(t, r); len(got) != 0 {
		t.Errorf("empty registry gives %v", got)
	}
	r.CounterVec("unused_total", "No series.", []string{"a"})
	r.Counter("max_total", "").Add(math.MaxUint64)
	r.Gauge("low", "").Set(math.MinInt64)
	fg := r.FloatGaugeVec("f", "", []string{"v"})
	floats := map[string]float64{
		"nan": math.NaN(), "+inf": math.Inf(1), "-inf": math.Inf(-1),
		"0": 0, "-0": math.Copysign(0, -1), "huge": math.MaxFloat64, "tiny": 5e-324, "1e21": 1e21, "1e-7": 1e-7,
	}
	for k, v := range floats {
		fg.With(k).Set(v)
	}
	h := r.HistogramVec("h", "", []float64{0.5, 1}, []string{"k"}).With("v")
	for _, v := range []float64{0.25, 0.5, 0.75, 8} {
		h.Observe(v)
	}
	r.Histogram("none", "", []float64{})

	all := httpJSON(t, r)
	if _, ok := all["unused_total"]; ok {
		t.Error("a family without series is shown")
	}
	if e := all["max_total"]; len(e) != 1 || e[0].Value == nil || *e[0].Value != math.MaxUint64 || e[0].Labels["app"] != "x" || e[0].Count != nil {
		t.Errorf("max_total: %+v", e)
	}
	if body := httpGet(r.JSONHandler(), "GET").Body.String(); !strings.Contains(body, "18446744073709551615") || !strings.Contains(body, "-9223372036854775808") {
		t.Errorf("integers are not exact:\n%s", body)
	}
	if len(all["f"]) != len(floats) {
		t.Errorf("f: %+v", all["f"])
	}
	for _, e := range all["f"] {
		want := floats[e.Labels["v"]]
		if math.IsNaN(want) || math.IsInf(want, 0) {
			if e.Value != nil {
				t.Errorf("%s is %v, want null", e.Labels["v"], *e.Value)
			}
		} else if e.Value == nil || math.Float64bits(*e.Value) != math.Float64bits(want) {
			t.Errorf("%s is %v, want %v", e.Labels["v"], e.Value, want)
		}
	}
	hs := all["h"]
	if len(hs) != 1 || *hs[0].Value != 9.5 || *hs[0].Count != 4 || len(hs[0].Buckets) != 3 ||
		fmt.Sprint(hs[0].Labels) != "map[app:x k:v]" {
		t.Fatalf("h: %+v", hs)
	}
	for i, want := range []struct {
		le    float64
		count uint64
	}{{0.5, 2}, {1, 3}, {math.Inf(1), 4}} {
		b := hs[0].Buckets[i]
		if b.Count != want.count || (b.Le == nil) != math.IsInf(want.le, 1) || b.Le != nil && *b.Le != want.le {
			t.Errorf("bucket %d: %+v, want %v", i, b, want)
		}
	}
	if e := all["none"]; len(e) != 1 || len(e[0].Buckets) != 1 || e[0].Buckets[0].Le != nil || *e[0].Count != 0 || *e[0].Value != 0 {
		t.Errorf("none: %+v", e)
	}
}

func TestJSONLabelsRoundTrip(t *testing.T) {
	values := []string{"", " ", `"`, `\`, `\"`, `\n`, "\n", "a\"b\\c\nd", `{a="b",c="d"} `, "=,{}", "é世🙂", "\u2028\u2029", "\x7f", "</script>", `\u0041`, `trailing\`}
	for c := 0; c < 0x20; c++ {
		values = append(values, "c"+string(rune(c)))
	}
	r := NewRegistry()
	v := r.GaugeVec("g", "", []string{"a", "b"})
	for i, s := range values {
		v.With(s, strconv.Itoa(i)).Set(int64(i))
	}
	v.With("\xff", "bad")
	got := httpJSON(t, r)["g"]
	if len(got) != len(values)+1 {
		t.Fatalf("%d series, want %d", len(got), len(values)+1)
	}
	for _, e := range got {
		if e.Labels["b"] == "bad" {
			if e.Labels["a"] != "\uFFFD" {
				t.Errorf("invalid UTF-8 became %q", e.Labels["a"])
			}
			continue
		}
		if i := int(*e.Value); e.Labels["a"] != values[i] || e.Labels["b"] != strconv.Itoa(i) || len(e.Labels) != 2 {
			t.Errorf("%q became %q", values[i], e.Labels)
		}
	}
}

// httpBroken is a client that vanishes after some bytes.
type httpBroken struct {
	h    http.Header
	room int
	late int // writes after the first failure
	gone bool
}

func (w *httpBroken) Header() http.Header { return w.h }
func (w *httpBroken) WriteHeader(int)     {}
func (w *httpBroken) Write(p []byte) (int, error) {
	if w.gone {
		w.late++
	}
	if len(p) > w.room {
		n := w.room
		w.room, w.gone = 0, true
		return n, errors.New("connection reset")
	}
	w.room -= len(p)
	return len(p), nil
}

func TestHandlerWriteErrorEndsQuietly(t *testing.T) {
	r, _ := httpBig(20000)
	want := httpText(t, r)
	for _, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
		for _, accept := range []string{"", "gzip"} {
			for _, room := range []int{0, 1, 5, 40000} {
				req := httptest.NewRequest("GET", "/metrics", nil)
				req.Header.Set("Accept-Encoding", accept)
				w := &httpBroken{h: http.Header{}, room: room}
				h.ServeHTTP(w, req)
				if !w.gone || w.late != 0 {
					t.Errorf("accept %q, room %d: failed %v, %d writes after that", accept, room, w.gone, w.late)
				}
			}
		}
	}
	// Whatever the failures left in pools must not reach the next client.
	for i := 0; i < 4; i++ {
		z, err := gzip.NewReader(httpGet(r.Handler(), "GET", "gzip").Body)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(z); err != nil || string(body) != want {
			t.Errorf("next scrape: %v, %d bytes, want %d", err, len(body), len(want))
		}
	}
}

func TestHandlerClientVanishes(t *testing.T) {
	r, v := httpBig(20000)
	h := r.Handler()
	var served sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer served.Done()
		h.ServeHTTP(w, req)
	}))
	defer srv.Close()

	var stop atomic.Bool
	var writers sync.WaitGroup
	var counts [2]uint64
	for g := range counts {
		writers.Add(1)
		go func() {
			defer writers.Done()
			name := "writer" + strconv.Itoa(g)
			for n := 0; !stop.Load(); n++ {
				v.With(name).Inc()
				v.With(strconv.Itoa(n % 100)).Inc()
				counts[g]++
				if n%64 == 0 {
					runtime.Gosched() // for machines with one thread and no preemption
				}
			}
		}()
	}
	const clients = 8
	served.Add(clients)
	for i := 0; i < clients; i++ {
		req, _ := http.NewRequest("GET", srv.URL, nil)
		req.Header.Set("Accept-Encoding", []string{"identity", "gzip"}[i%2])
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
			t.Error(err)
		}
		resp.Body.Close() // with most of it unread: the connection goes
	}
	served.Wait() // every scrape came to its end
	stop.Store(true)
	writers.Wait()
	for g, want := range counts {
		if got := v.With("writer" + strconv.Itoa(g)).Value(); got != want {
			t.Errorf("writer %d counted %d, want %d", g, got, want)
		}
	}
	if got := httpGet(h, "GET"); got.Body.String() != httpText(t, r) {
		t.Error("the scrape after that is not whole")
	}
}

func TestHandlerPanickingGaugeFunc(t *testing.T) {
	r := NewRegistry()
	r.Counter("a_total", "").Inc()
	r.GaugeFunc("bad", "", func() float64 { panic("collector") })
	r.CounterFunc("bad_nil_total", "", func() float64 { var p *float64; return *p })
	r.GaugeFunc("good", "", func() float64 { return 7 })
	r.Counter("z_total", "").Inc()
	for i := 0; i < 3; i++ {
		for _, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
			if w := httpGet(h, "GET"); w.Code != 200 {
				t.Errorf("status %d", w.Code)
			}
		}
	}
	text := httpText(t, r)
	for _, want := range []string{
		"a_total 1\n", "good 7\n", "z_total 1\n",
		`tacho_errors_total{metric="bad",reason="panic"} 7` + "\n",
		`tacho_errors_total{metric="bad_nil_total",reason="panic"} 7` + "\n",
	} {
		if !strings.Contains("\n"+text, "\n"+want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "TYPE bad") {
		t.Errorf("the family that panicked is shown:\n%s", text)
	}
	all := httpJSON(t, r)
	if _, ok := all["bad"]; ok || len(all["good"]) != 1 {
		t.Errorf("JSON: %v", all)
	}
}

// httpSlow is a client that takes nothing until it is let go.
type httpSlow struct {
	h       http.Header
	started chan struct{}
	release chan struct{}
	once    sync.Once
}

func (w *httpSlow) Header() http.Header { return w.h }
func (w *httpSlow) WriteHeader(int)     {}
func (w *httpSlow) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.started) })
	<-w.release
	return len(p), nil
}

// A lock held while the client reads shows here as a deadlock.
func TestHandlerSlowClientHoldsNoLock(t *testing.T) {
	for _, accept := range []string{"", "gzip"} {
		r, v := httpBig(20000)
		fv := r.FloatCounterVec("zz_total", "", []string{"a"})
		hv := r.HistogramVec("zz_seconds", "", nil, []string{"a"})
		for i, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
			w := &httpSlow{h: http.Header{}, started: make(chan struct{}), release: make(chan struct{})}
			req := httptest.NewRequest("GET", "/metrics", nil)
			req.Header.Set("Accept-Encoding", accept)
			done := make(chan struct{})
			go func() {
				defer close(done)
				h.ServeHTTP(w, req)
			}()
			<-w.started
			id := strconv.Itoa(i)
			r.Counter("new"+id+"_total", "Defined while a client reads.").Inc()
			r.Collect(func(e *Emitter) { e.Gauge("collected"+id, "", 1) })
			v.With("new" + id).Inc()
			fv.With(id).Inc()
			hv.With(id).Observe(1)
			v.Delete("17")
			v.DeleteFunc(func(values []string) bool { return values[0] == "18" })
			_ = v.Len()
			if text := httpText(t, r); !strings.Contains(text, "\nnew"+id+"_total 1\n") || !strings.Contains(text, `big_total{n="new`+id+`"}`) {
				t.Error("a scrape beside the slow one lacks what was made meanwhile")
			}
			r.Unregister("new" + id + "_total")
			if i == 1 {
				v.Reset()
			}
			close(w.release)
			<-done
		}
	}
}
