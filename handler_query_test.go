//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/testkit"
)

// get returns the body of a response of h.
func get(h http.Handler, target, accept string) string {
	req := httptest.NewRequest(http.MethodGet, target, nil)
	req.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Body.String()
}

// TestNames: with name[], a scrape has the families with these names. Functions of other
// families are not called.
func TestNames(t *testing.T) {
	r := NewRegistry()
	r.Counter("a_total", "").Inc()
	r.Gauge("b", "").Set(2)
	r.Histogram("h", "", []float64{1}).Observe(1)
	var called atomic.Int64
	r.GaugeFunc("f", "", func() float64 { called.Add(1); return 3 })
	r.Collect(func(e *Emitter) {
		e.Gauge("c", "", 4, "l", "1")
		e.Gauge("c", "", 4, "l", "2")
		e.Gauge("d", "", 5)
	})
	for _, tt := range []struct {
		query  string
		want   string // the first characters of the lines without comments
		called int64
	}{
		{"", `a_total 1|b 2|c{l="1"} 4|c{l="2"} 4|d 5|f 3|h_bucket{le="1"} 1|h_bucket{le="+Inf"} 1|h_sum 1|h_count 1`, 1},
		{"?x=1", `a_total 1|b 2|c{l="1"} 4|c{l="2"} 4|d 5|f 3|h_bucket{le="1"} 1|h_bucket{le="+Inf"} 1|h_sum 1|h_count 1`, 1},
		{"?name[]=b", "b 2", 0},
		{"?name%5B%5D=b", "b 2", 0},
		{"?name[]=b&name[]=b&name[]=f", "b 2|f 3", 1},
		{"?name[]=c&name[]=nothing", `c{l="1"} 4|c{l="2"} 4`, 0},
		{"?name[]=nothing", "", 0},
		{"?name[]=", "", 0},
		{"?name[]=a_total", "a_total 1", 0},
		{"?name[]=a", "", 0},
		{"?name[]=h_bucket", "", 0},
		{"?name[]=h", `h_bucket{le="1"} 1|h_bucket{le="+Inf"} 1|h_sum 1|h_count 1`, 0},
	} {
		called.Store(0)
		var lines []string
		for _, line := range strings.Split(get(r.Handler(), "/metrics"+tt.query, ""), "\n") {
			if line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
		if got := strings.Join(lines, "|"); got != tt.want || called.Load() != tt.called {
			t.Errorf("%s: got %s and %d calls of the function, want %s and %d", tt.query, got, called.Load(), tt.want, tt.called)
		}
		open := get(r.Handler(), "/metrics"+tt.query, testkit.AcceptPrometheus3)
		if n := len(testkit.ParseOpenMetrics(t, open)); n != len(lines) || !strings.HasSuffix(open, "# EOF\n") {
			t.Errorf("%s: OpenMetrics has %d samples, want %d:\n%s", tt.query, n, len(lines), open)
		}
	}
	if got := get(r.JSONHandler(), "/metrics/json?name[]=b&name[]=d", ""); got != `{"b":[{"labels":{},"value":2}],`+"\n"+`"d":[{"labels":{},"value":5}]}`+"\n" {
		t.Errorf("JSON: %s", got)
	}
	if got := get(r.JSONHandler(), "/metrics/json?name[]=z", ""); got != "{}\n" {
		t.Errorf("JSON: %s", got)
	}
}

// TestMetadata: with metadata=1, the JSON view has the type, the help text and the unit of each
// family beside the same series. Other values change nothing.
func TestMetadata(t *testing.T) {
	r := NewRegistry()
	if got := get(r.JSONHandler(), "/metrics/json?metadata=1", ""); got != "{}\n" {
		t.Errorf("the empty registry: %s", got)
	}
	r.CounterVec("a_total", "A \"quoted\"\\\n\x00\x1f help \xff.", []string{"l"}).With("v").Inc()
	r.GaugeVec("unused", "", nil)
	r.Collect(func(e *Emitter) {
		e.Info("b_info", "B.", "version", "1")
		e.Untyped("c", "", 3)
		e.Summary("d", "", SummarySnapshot{Count: 1, Sum: 2})
	})
	r.GaugeFunc("f_seconds", "", func() float64 { return 3 }, WithUnit("seconds"))
	r.Histogram("h", "H.", []float64{1}).Observe(1)
	plain := get(r.JSONHandler(), "/metrics/json", "")
	describe := strings.NewReplacer(
		`"a_total":[`, `"a_total":{"type":"counter","help":"A \"quoted\"\\\n\u0000\u001f help `+"\uFFFD"+`.","series":[`,
		`"b_info":[`, `"b_info":{"type":"info","help":"B.","series":[`,
		`"c":[`, `"c":{"type":"unknown","help":"","series":[`,
		`"d":[`, `"d":{"type":"summary","help":"","series":[`,
		`"f_seconds":[`, `"f_seconds":{"type":"gauge","help":"","unit":"seconds","series":[`,
		`"h":[`, `"h":{"type":"histogram","help":"H.","series":[`,
		"}],\n", "}]},\n", "}]}\n", "}]}}\n",
	)
	with := describe.Replace(plain)
	if !json.Valid([]byte(with)) || strings.Count(with, `"series":`) != 6 {
		t.Fatalf("not the JSON that the test wants: %s", with)
	}
	for query, want := range map[string]string{
		"": plain, "?metadata": plain, "?metadata=": plain, "?metadata=0": plain, "?metadata=2": plain, "?metadata=%zz": plain, "?Metadata=1": plain,
		"?metadata=1&metadata=0": plain, "?metadata=1": with, "?x=1&metadata=1": with, "?meta%64ata=%31": with,
		"?metadata=1&name[]=f_seconds": `{"f_seconds":{"type":"gauge","help":"","unit":"seconds","series":[{"labels":{},"value":3}]}}` + "\n",
		"?metadata=1&name[]=unused":    "{}\n",
	} {
		if got := get(r.JSONHandler(), "/metrics/json"+query, ""); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", query, got, want)
		}
	}
	// The text format has no such parameter.
	if got, want := get(r.Handler(), "/metrics?metadata=1", ""), get(r.Handler(), "/metrics", ""); got != want {
		t.Errorf("the text format:\n%s\nwant\n%s", got, want)
	}
	rec := requestMetrics(r.JSONHandler(), http.MethodHead)
	if got := rec.Header().Get("Content-Type"); got != "application/json" || rec.Body.Len() != 0 {
		t.Errorf("HEAD: Content-Type %q and body %q", got, rec.Body)
	}
}

// FuzzMetadata: the JSON view with metadata returns every help text.
func FuzzMetadata(f *testing.F) {
	f.Add("")
	f.Add("\x00\x1f\x7f\u2028\\\"/\n\xff")
	f.Fuzz(func(t *testing.T, s string) {
		r := NewRegistry(WithUTF8Names())
		r.Gauge("g", s).Set(1)
		r.Collect(func(e *Emitter) { e.Gauge("h", s, 1) })
		var got map[string]struct{ Help string }
		if err := json.Unmarshal([]byte(get(r.JSONHandler(), "/?metadata=1", "")), &got); err != nil {
			t.Fatal(err)
		}
		if want := escape.Valid(s); got["g"].Help != want || got["h"].Help != want {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// TestNamesKeepNames: a family has the same name in OpenMetrics whether the others are asked
// for or not.
func TestNamesKeepNames(t *testing.T) {
	r := NewRegistry()
	r.Gauge("a", "").Set(1)
	r.Counter("a_total", "").Inc()
	if got, want := get(r.Handler(), "/?name[]=a_total", testkit.AcceptPrometheus3), "# TYPE a_total unknown\na_total 1.0\n# EOF\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestScrapeTimeout: a scrape ends within the time that the header of Prometheus, the server
// or the context sets.
func TestScrapeTimeout(t *testing.T) {
	for _, tt := range []struct {
		header       string
		writeTimeout time.Duration
		want         time.Duration
	}{
		{"", 0, 5 * time.Second},
		{"10", 0, 9 * time.Second},
		{"0.5", 0, 450 * time.Millisecond},
		{"", 20 * time.Second, 18 * time.Second},
		{"10", 20 * time.Second, 9 * time.Second},
		{"30", 20 * time.Second, 18 * time.Second},
		{"soon", 0, 5 * time.Second},
		{"-1", 0, 5 * time.Second},
	} {
		req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", tt.header)
		if tt.writeTimeout > 0 {
			req = req.WithContext(context.WithValue(req.Context(), http.ServerContextKey, &http.Server{WriteTimeout: tt.writeTimeout}))
		}
		if got := queryOf(req).timeout(); got != tt.want {
			t.Errorf("header %q and WriteTimeout %v: %v, want %v", tt.header, tt.writeTimeout, got, tt.want)
		}
	}
}

// TestBlockedFunctionOverTCP: a function that does not return costs its own family. The
// response arrives before the write timeout of the server, of which functions take only a
// part. On a busy machine the rest may be too short, so the test tries longer timeouts.
func TestBlockedFunctionOverTCP(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	get := func(timeout time.Duration) (string, error) {
		r := NewRegistry()
		r.GaugeFunc("blocked", "", func() float64 { <-release; return 1 })
		r.Gauge("a", "").Set(1)
		srv := httptest.NewUnstartedServer(r.Handler())
		srv.Config.WriteTimeout = timeout
		srv.Start()
		defer srv.Close()
		resp, err := http.Get(srv.URL)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	body, err := get(time.Second)
	for timeout := 2 * time.Second; err != nil && timeout < 20*time.Second; timeout *= 2 {
		body, err = get(timeout)
	}
	if err != nil || !strings.Contains(body, "a 1\n") || strings.Contains(body, "blocked 1") || !strings.Contains(body, `{metric="blocked",reason="timeout"} 1`) {
		t.Errorf("error %v and body\n%s", err, body)
	}
}

// TestScrapingClientGone: a scrape whose client is gone does not wait for functions, and counts no
// timeout. Its buffers are not in use while it waits.
func TestScrapingClientGone(t *testing.T) {
	r := NewRegistry()
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	r.GaugeFunc("blocked", "", func() float64 { entered <- struct{}{}; <-release; return 1 })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan *httptest.ResponseRecorder)
	go func() {
		rec := httptest.NewRecorder()
		r.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil).WithContext(ctx))
		ended <- rec
	}()
	<-entered
	cancel()
	<-ended
	close(release)
	if got := text(t, r); strings.Contains(got, "tacho_errors_total") {
		t.Errorf("a timeout is counted:\n%s", got)
	}
}

// TestHeadCallsNoFunction: a HEAD request has no body, so no function is called.
func TestHeadCallsNoFunction(t *testing.T) {
	r := NewRegistry()
	r.GaugeFunc("f", "", func() float64 { t.Error("called"); return 1 })
	r.Collect(func(*Emitter) { t.Error("called") })
	for _, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodHead, "/metrics", nil))
	}
}

// TestWriteContext: a scrape with a context is the same as a scrape without, unless the
// context ends before the functions do.
func TestWriteContext(t *testing.T) {
	r := NewRegistry()
	r.Counter("a_total", "").Inc()
	r.GaugeFunc("f", "", func() float64 { return 1 })
	var b bytes.Buffer
	if err := r.WriteTextContext(context.Background(), &b); err != nil || b.String() != text(t, r) {
		t.Errorf("error %v and\n%s", err, b.String())
	}
	b.Reset()
	if err := r.WriteOpenMetricsContext(context.Background(), &b); err != nil || b.String() != open(t, r) {
		t.Errorf("error %v and\n%s", err, b.String())
	}
	b.Reset()
	if err := r.WriteProtobufContext(context.Background(), &b); err != nil || b.String() != write(t, r.WriteProtobuf) {
		t.Errorf("error %v and\n%q", err, b.String())
	}
	release := make(chan struct{})
	defer close(release)
	entered := make(chan struct{}, 1)
	r.Collect(func(*Emitter) { entered <- struct{}{}; <-release })

	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("shutdown")
	go func() { <-entered; cancel(cause) }()
	b.Reset()
	if err := r.WriteTextContext(ctx, &b); !errors.Is(err, cause) || b.Len() != 0 {
		t.Errorf("error %v and\n%s", err, b.String())
	}
	// On a busy machine the time that is left for writing may be too short.
	err := context.DeadlineExceeded
	for timeout := time.Second; err == context.DeadlineExceeded && timeout < 20*time.Second; timeout *= 2 {
		limited, end := context.WithTimeout(context.Background(), timeout)
		b.Reset()
		err = r.WriteTextContext(limited, &b)
		end()
	}
	if err != nil || !strings.Contains(b.String(), "\nf 1\n") {
		t.Errorf("error %v and\n%s", err, b.String())
	}
}
