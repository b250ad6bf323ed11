//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
	"github.com/tachikoma/tacho/tachotest"
)

// otlpText returns the body of a request as text.
func otlpText(t *testing.T, body string) string {
	t.Helper()
	text, err := testkit.ReadOTLPRequest([]byte(body))
	if err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	return text
}

// atTime replaces the times of data points from one Unix millisecond to another by AT.
func atTime(t *testing.T, text string, from, to int64) string {
	t.Helper()
	parts := strings.Split(text, "time:")
	for i, part := range parts[1:] {
		digits, rest, _ := strings.Cut(part, " ")
		ns, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if ns >= from*1e6 && ns <= to*1e6 {
			parts[i+1] = "AT " + rest
		}
	}
	return strings.Join(parts, "time:")
}

const otlpScopeText = `scope:{name:"github.com/tachikoma/tacho"}`

// TestOTLP compares the whole requests with texts.
func TestOTLP(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%s:%d", host, os.Getpid())
	attribute := func(key, value string) string {
		return fmt.Sprintf(`attribute:{key:%q value:{string:%q}}`, key, value)
	}
	const jobs = `metric:{name:"jobs_total" description:"Jobs." metadata:{key:"prometheus.type" value:{string:"counter"}} ` +
		`sum:{temporality:2 monotonic:1 point:{time:AT double:3}}}`
	for _, c := range []struct {
		target   OTLP
		resource string
	}{
		{OTLP{}, ""},
		{OTLP{Service: "s", Instance: "i"}, attribute("service.name", "s") + " " + attribute("service.instance.id", "i")},
		{OTLP{Service: "s"}, attribute("service.name", "s") + " " + attribute("service.instance.id", own)},
		{OTLP{Instance: "i"}, attribute("service.instance.id", "i")},
		{OTLP{Service: "s", Attributes: []string{"service.instance.id", "x"}}, attribute("service.name", "s") + " " + attribute("service.instance.id", "x")},
		{OTLP{Attributes: []string{"service.name", "\xff", "deployment.environment.name", "", "é \"", "1"}},
			attribute("service.name", "\uFFFD") + " " + attribute("deployment.environment.name", "") + " " + attribute("é \"", "1")},
		{OTLP{Service: strings.Repeat("s", 300), Instance: "i"}, attribute("service.name", strings.Repeat("s", 300)) + " " + attribute("service.instance.id", "i")},
	} {
		for _, uncompressed := range []bool{false, true} {
			s := serve(t, nil)
			c.target.URL = s.URL + "/v1/metrics?tenant=1"
			p, _ := testPusher(t, c.target, Config{DisableCompression: uncompressed})
			before := time.Now().UnixMilli()
			if err := p.Push(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := s.seen()[0]
			want := `resource_metrics:{resource:{` + c.resource + `} scope_metrics:{` + otlpScopeText + ` ` + jobs + `}}`
			if text := atTime(t, otlpText(t, got.body), before, time.Now().UnixMilli()); text != want {
				t.Errorf("%s\nwant %s", text, want)
			}
			encoding := "gzip"
			if uncompressed {
				encoding = ""
			}
			if got.method != "POST" || got.uri != "/v1/metrics?tenant=1" || got.header.Get("Content-Type") != "application/x-protobuf" || got.header.Get("Content-Encoding") != encoding {
				t.Errorf("%s %s with the header %v", got.method, got.uri, got.header)
			}
			if err := p.Delete(context.Background()); err == nil || len(s.seen()) != 1 {
				t.Errorf("Delete returns %v after %d requests, want an error and 1 request", err, len(s.seen()))
			}
		}
	}
}

// TestOTLPEmpty: a push without samples is one request, which shows whether the receiver is available.
func TestOTLPEmpty(t *testing.T) {
	s := serve(t, statuses(200, 404))
	p, own := testPusher(t, OTLP{URL: s.URL, Service: "s", Instance: "i"}, Config{Registry: tacho.NewRegistry()})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	const want = `resource_metrics:{resource:{attribute:{key:"service.name" value:{string:"s"}} attribute:{key:"service.instance.id" value:{string:"i"}}} scope_metrics:{` + otlpScopeText + `}}`
	if got := otlpText(t, s.seen()[0].body); got != want || len(s.seen()) != 1 {
		t.Errorf("%d requests, the first is %s", len(s.seen()), got)
	}
	if err := p.Push(context.Background()); err == nil || attempts(t, own, s, "refused") != 1 {
		t.Errorf("got error %v, want the status 404", err)
	}
}

// TestOTLPSeries: names are those of the definition, also with characters of UTF-8. Samples and series have their times.
func TestOTLPSeries(t *testing.T) {
	s := serve(t, nil)
	reg := tacho.NewRegistry(tacho.WithUTF8Names(), tacho.WithCreated(), tacho.WithConstLabels("zone", "eu"))
	reg.GaugeVec("a.b", "", []string{"l.m", "ok"}).With("1", "").Set(1)
	reg.Gauge("a_b", "").Set(2)
	reg.Histogram("h_seconds", "Help.", []float64{1}, tacho.WithUnit("seconds")).Observe(2)
	reg.Histogram("n", "", nil, tacho.WithNative()).Observe(-2)
	reg.Collect(func(e *tacho.Emitter) {
		e.At(time.UnixMilli(5000)).Gauge("at", "", math.Inf(1))
		e.At(time.UnixMilli(253402300799999)).Untyped("late", "", 1)
	})
	before := time.Now().UnixMilli()
	p, _ := testPusher(t, OTLP{URL: s.URL}, Config{Registry: reg})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := atTime(t, otlpText(t, s.seen()[0].body), before, time.Now().UnixMilli())
	zone := `attribute:{key:"zone" value:{string:"eu"}}`
	metadata := func(kind string) string { return `metadata:{key:"prometheus.type" value:{string:"` + kind + `"}} ` }
	for _, want := range []string{
		`name:"a.b" ` + metadata("gauge") + `gauge:{point:{` + zone + ` attribute:{key:"l.m" value:{string:"1"}} attribute:{key:"ok" value:{string:""}} time:AT double:1}}`,
		`name:"a_b" ` + metadata("gauge") + `gauge:{point:{` + zone + ` time:AT double:2}}`,
		`name:"at" ` + metadata("gauge") + `gauge:{point:{` + zone + ` time:5000000000 double:+Inf}}`,
		`name:"late" ` + metadata("unknown") + `gauge:{point:{` + zone + ` time:9223372036854000000 double:1}}`,
		`name:"h_seconds" description:"Help." unit:"s" ` + metadata("histogram") + `histogram:{temporality:2 point:{` + zone + ` start:`,
		` time:AT count:1 sum:2 counts:[0 1] bounds:[1]}}`,
		` time:AT count:1 sum:-2 scale:3 zero_count:0 negative:{offset:7 counts:[1]} zero_threshold:2.938735877055719e-39}}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "start:"); n != 2 {
		t.Errorf("%d start times, want those of the histograms", n)
	}
}

// TestOTLPNoNativeHistograms: a histogram is in the push once, with the buckets of one kind.
func TestOTLPNoNativeHistograms(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Histogram("both", "", []float64{1}, tacho.WithNative()).Observe(2)
	reg.Histogram("only", "", nil, tacho.WithNative()).Observe(2)
	for without, want := range map[bool][2]int{false: {0, 2}, true: {2, 0}} {
		s := serve(t, nil)
		p, _ := testPusher(t, OTLP{URL: s.URL, NoNativeHistograms: without}, Config{Registry: reg})
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := otlpText(t, s.seen()[0].body)
		if n := [2]int{strings.Count(got, " histogram:{"), strings.Count(got, " exponential:{")}; n != want || strings.Count(got, "point:{") != 2 {
			t.Errorf("NoNativeHistograms %v: %v histograms, want %v: %s", without, n, want, got)
		}
		if without && !strings.Contains(got, "count:1 sum:2 counts:[1]}") {
			t.Errorf("no bucket of all observations in %s", got)
		}
	}
}

// TestOTLPRequests: a large push is several requests with a bounded number of data points and bytes. Each
// series is in one of them.
func TestOTLPRequests(t *testing.T) {
	for _, c := range []struct {
		series, size int
		requests     int
	}{
		{1, 10, 1},
		{maxPoints, 10, 1},
		{5 * maxPoints, 10, 7}, // a Metric is in one request
		{300, 10_000, 3},
		{3, 2 << 20, 3},
	} {
		s := serve(t, nil)
		reg := tacho.NewRegistry()
		v := reg.GaugeVec("g", "", []string{"l"})
		for i := range c.series {
			v.With(fmt.Sprint(i, " ", strings.Repeat("x", c.size)))
		}
		p, _ := testPusher(t, OTLP{URL: s.URL}, Config{Registry: reg, DisableCompression: true})
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		seen, bytes := map[string]bool{}, 0
		for i, r := range s.seen() {
			bytes += len(r.body)
			text := otlpText(t, r.body)
			points := strings.Count(text, "point:{")
			if points > maxPoints || points > 1 && len(r.body) > maxRequest+1000 || points == 0 || i == 0 && !strings.Contains(text, otlpScopeText) {
				t.Errorf("%d series of %d bytes: request %d has %d data points and %d bytes", c.series, c.size, i, points, len(r.body))
			}
			for _, part := range strings.Split(text, `key:"l" value:{string:"`)[1:] {
				id, _, _ := strings.Cut(part, " ")
				if seen[id] {
					t.Errorf("series %s is in the push twice", id)
				}
				seen[id] = true
			}
		}
		if n := len(s.seen()); len(seen) != c.series || n != c.requests || p.bodyBytes.Value() != int64(bytes) {
			t.Errorf("%d series of %d bytes: %d series in %d requests, want %d requests", c.series, c.size, len(seen), n, c.requests)
		}
	}
}

// TestOTLPTimes: two pushes do not have the same time, because a receiver refuses a second value for the time.
func TestOTLPTimes(t *testing.T) {
	s := &otlpSender{clock: time.Now}
	for before := int64(0); before < 20; before++ {
		if first, second := s.now(), s.now(); first == second {
			t.Fatalf("two pushes at %d", first)
		}
	}
}

// TestOTLPRetries: only the statuses of the specification are retried. A retry has the same body.
func TestOTLPRetries(t *testing.T) {
	for _, c := range []struct {
		answers  []int
		requests int
		last     string
	}{
		{[]int{200}, 1, "success"},
		{[]int{204}, 1, "success"},
		{[]int{429, 502, 503, 200}, 4, "success"},
		{[]int{504, 200}, 2, "success"},
		{[]int{503}, 4, "failed"},
		{[]int{500, 200}, 1, "refused"},
		{[]int{501, 200}, 1, "refused"},
		{[]int{505, 200}, 1, "refused"},
		{[]int{408, 200}, 1, "refused"},
		{[]int{400, 200}, 1, "refused"},
		{[]int{413, 200}, 1, "refused"},
		{[]int{401, 200}, 1, "refused"},
		{[]int{404, 200}, 1, "refused"},
		{[]int{301, 200}, 1, "refused"},
	} {
		s := serve(t, statuses(c.answers...))
		reg := tacho.NewRegistry()
		g := reg.Gauge("g", "")
		p, own := testPusher(t, OTLP{URL: s.URL}, Config{Registry: reg})
		p.client.Transport = incrementing{g}
		err := p.Push(context.Background())
		if (err == nil) != (c.last == "success") || len(s.seen()) != c.requests || attempts(t, own, s, c.last) == 0 {
			t.Errorf("%d: error %v after %d requests, want %d and the result %s", c.answers, err, len(s.seen()), c.requests, c.last)
		}
		if err != nil && c.answers[0] != 301 && !strings.Contains(err.Error(), "this is answer") {
			t.Errorf("%d: error %v lacks the response", c.answers, err)
		}
		for _, r := range s.seen() {
			if r.body != s.seen()[0].body {
				t.Errorf("%d: a retry has another body", c.answers)
			}
		}
		if last := p.lastSuccess.Value(); (last > 0) != (c.last == "success") {
			t.Errorf("%d: last success at %v", c.answers, last)
		}
	}
	t.Run("Retry-After", func(t *testing.T) {
		for _, status := range []int{429, 503} {
			s := serve(t, func(n int, w http.ResponseWriter) {
				if n == 0 {
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(status)
				}
			})
			p, _ := testPusher(t, OTLP{URL: s.URL}, Config{})
			start := time.Now()
			if err := p.Push(context.Background()); err != nil || len(s.seen()) != 2 || time.Since(start) < time.Second {
				t.Errorf("status %d: error %v after %d requests and %v", status, err, len(s.seen()), time.Since(start))
			}
		}
	})
	t.Run("no response", func(t *testing.T) {
		s := serve(t, func(int, http.ResponseWriter) { panic(http.ErrAbortHandler) })
		p, own := testPusher(t, OTLP{URL: s.URL}, Config{Retries: 2})
		if err := p.Push(context.Background()); err == nil || len(s.seen()) < 3 || attempts(t, own, s, "failed") != 3 {
			t.Errorf("error %v after %d requests, want 3", err, len(s.seen()))
		}
	})
}

// incrementing is a transport that increments a gauge at each request.
type incrementing struct{ g *tacho.Gauge }

func (i incrementing) RoundTrip(r *http.Request) (*http.Response, error) {
	i.g.Inc()
	return http.DefaultTransport.RoundTrip(r)
}

// otlpResponse returns an ExportMetricsServiceResponse.
func otlpResponse(rejected int64, message string) string {
	var partial []byte
	if rejected != 0 {
		partial = append(partial, 1<<3)
		for v := uint64(rejected); ; v >>= 7 {
			if v < 0x80 {
				partial = append(partial, byte(v))
				break
			}
			partial = append(partial, byte(v)|0x80)
		}
	}
	if message != "" {
		partial = appendString(append(partial, 2<<3|2), message)
	}
	return string(appendBytes([]byte{1<<3 | 2}, partial))
}

// TestOTLPPartialSuccess: rejected data points are an error and are counted. A message without rejected data points
// is no error, and a reply in another format is ignored.
func TestOTLPPartialSuccess(t *testing.T) {
	long := strings.Repeat("m", 100_000)
	for name, c := range map[string]struct {
		reply, contentType string
		dropped            float64
		reason, text       string
	}{
		"empty":             {"", "application/x-protobuf", 0, "", ""},
		"empty message":     {"\x0a\x00", "application/x-protobuf", 0, "", ""},
		"warning":           {otlpResponse(0, "deprecated"), "application/x-protobuf", 0, "", ""},
		"one":               {otlpResponse(1, "out of order sample"), "application/x-protobuf", 1, "out_of_order", `rejected 1 of 3 data points: "out of order sample"`},
		"all":               {otlpResponse(3, ""), "application/x-protobuf", 3, "other", `rejected 3 of 3 data points: ""`},
		"no type":           {otlpResponse(2, "\x01x"), "", 2, "other", `rejected 2 of 3`},
		"too many":          {otlpResponse(math.MaxInt64, "too old"), "application/x-protobuf", 3, "out_of_bounds", `rejected 3 of 3`},
		"negative":          {otlpResponse(-1, "x"), "application/x-protobuf", 0, "", ""},
		"long message":      {otlpResponse(1, long), "application/x-protobuf", 1, "other", `rejected 1 of 3 data points: "mmm`},
		"unknown fields":    {"\x98\x06\x01" + otlpResponse(1, "x") + "\x15\x00\x00\x00\x00", "application/x-protobuf", 1, "other", `rejected 1 of 3 data points: "x"`},
		"text":              {otlpResponse(1, "x"), "text/plain; charset=utf-8", 0, "", ""},
		"JSON":              {`{"partialSuccess":{"rejectedDataPoints":"1"}}`, "application/json", 0, "", ""},
		"garbage":           {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "application/x-protobuf", 0, "", ""},
		"malformed":         {otlpResponse(1, "x") + "\x0b", "application/x-protobuf", 0, "", ""},
		"malformed inside":  {"\x0a\x03\x08\x01\x0b", "application/x-protobuf", 0, "", ""},
		"malformed varint":  {"\x0a\x02\x08\x80", "application/x-protobuf", 0, "", ""},
		"malformed length":  {"\x0a\x80", "application/x-protobuf", 0, "", ""},
		"a secret":          {otlpResponse(1, "tenant s3cret"), "application/x-protobuf", 1, "other", `: "tenant xxxxx"`},
		"a message of 512+": {otlpResponse(1, strings.Repeat("é", 600)), "application/x-protobuf", 1, "other", strings.Repeat("é", 512) + `" (dropped samples: 1)`},
	} {
		s := serve(t, func(_ int, w http.ResponseWriter) {
			w.Header()["Content-Type"] = nil
			if c.contentType != "" {
				w.Header().Set("Content-Type", c.contentType)
			}
			io.WriteString(w, c.reply)
		})
		reg := tacho.NewRegistry()
		v := reg.GaugeVec("g", "", []string{"l"})
		for i := range 3 {
			v.With(fmt.Sprint(i))
		}
		p, own := testPusher(t, OTLP{URL: s.URL}, Config{Registry: reg, Header: http.Header{"Authorization": {"Bearer s3cret"}}})
		err := p.Push(context.Background())
		if c.text == "" && err != nil || c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: error %v, want %q", name, err, c.text)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
		if len(s.seen()) != 1 || attempts(t, own, s, "success") != 1 { // the specification forbids a retry
			t.Errorf("%s: %d requests", name, len(s.seen()))
		}
		if (p.lastSuccess.Value() > 0) != (c.dropped == 0) {
			t.Errorf("%s: last success at %v", name, p.lastSuccess.Value())
		}
		host := strings.TrimPrefix(s.URL, "http://")
		if c.dropped > 0 && tachotest.Value(t, own, "push_samples_dropped_total", "target", host, "reason", c.reason) != c.dropped {
			t.Errorf("%s: push_samples_dropped_total is wrong", name)
		}
		if total := droppedTotal(t, own); total != c.dropped {
			t.Errorf("%s: %v dropped samples, want %v", name, total, c.dropped)
		}
	}
}

// TestOTLPRejectedNothing: a receiver cannot reject data points of a request without data points.
func TestOTLPRejectedNothing(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter) { io.WriteString(w, otlpResponse(7, "too old")) })
	p, own := testPusher(t, OTLP{URL: s.URL}, Config{Registry: tacho.NewRegistry()})
	if err := p.Push(context.Background()); err != nil {
		t.Errorf("got error %v", err)
	}
	if total := droppedTotal(t, own); total != 0 {
		t.Errorf("%v dropped samples, want none", total)
	}
}

// droppedTotal returns the sum of push_samples_dropped_total.
func droppedTotal(t *testing.T, own *tacho.Registry) (total float64) {
	t.Helper()
	var text strings.Builder
	if err := own.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "push_samples_dropped_total{") {
			var v float64
			if _, err := fmt.Sscan(line[strings.Index(line, "} ")+2:], &v); err != nil {
				t.Fatal(err)
			}
			total += v
		}
	}
	return total
}

// TestOTLPRefusedRequests: a refused request does not stop the others. A failed one does.
func TestOTLPRefusedRequests(t *testing.T) {
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"l"})
	for i := range 2*maxPoints + 10 {
		v.With(fmt.Sprint(i))
	}
	push := func(answers ...int) (requests int, own *tacho.Registry, err error) {
		s := serve(t, statuses(answers...))
		p, own := testPusher(t, OTLP{URL: s.URL}, Config{Registry: reg, Retries: 1})
		err = p.Push(context.Background())
		return len(s.seen()), own, err
	}
	all, _, err := push(200)
	if err != nil || all < 3 {
		t.Fatalf("error %v after %d requests", err, all)
	}
	for _, c := range []struct {
		answers  []int
		requests int
		text     string
		all      bool // all requests were refused
		some     bool // one was refused because of its samples
	}{
		{[]int{400, 200}, all, fmt.Sprintf(`400 Bad Request: "this is answer 0" (requests with an error: 1 of %d) (dropped samples: `, all), false, true},
		{[]int{400}, all, fmt.Sprintf(`(requests with an error: %d of %d) (dropped samples: %d)`, all, all, 2*maxPoints+10), true, false},
		{[]int{413}, all, fmt.Sprintf(`(dropped samples: %d)`, 2*maxPoints+10), true, false},
		{[]int{401, 200}, all, fmt.Sprintf(`(requests with an error: 1 of %d)`, all), false, false},
		{[]int{200, 503}, 3, fmt.Sprintf(`503 Service Unavailable: "this is answer 2" (requests with an error: 1 of %d)`, all), false, false},
		{[]int{400, 503}, 3, fmt.Sprintf(`"this is answer 0" (requests with an error: 2 of %d) (dropped`, all), false, true},
	} {
		requests, own, err := push(c.answers...)
		if err == nil || requests != c.requests || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d: error %v after %d requests, want %d requests and %q", c.answers, err, requests, c.requests, c.text)
		}
		switch dropped := droppedTotal(t, own); {
		case c.all && dropped != 2*maxPoints+10:
			t.Errorf("%d: %v samples are counted, want all", c.answers, dropped)
		case c.some && (dropped == 0 || dropped > maxPoints), !c.all && !c.some && dropped != 0:
			t.Errorf("%d: %v samples are counted", c.answers, dropped)
		}
	}
}

// TestOTLPShutdown: Shutdown pushes a last time, and no push follows.
func TestOTLPShutdown(t *testing.T) {
	s := serve(t, nil)
	p, _ := testPusher(t, OTLP{URL: s.URL}, Config{Interval: time.Hour})
	ran := make(chan error)
	go func() { ran <- p.Run(context.Background()) }()
	if err := p.Shutdown(context.Background()); err != nil || <-ran != ErrClosed || len(s.seen()) != 1 {
		t.Errorf("error %v after %d requests", err, len(s.seen()))
	}
	if err := p.Push(context.Background()); err != ErrClosed || len(s.seen()) != 1 {
		t.Errorf("error %v after %d requests, want ErrClosed", err, len(s.seen()))
	}
}

// TestOTLPConcurrent: pushes of several pushers and goroutines, while series and sub-registries come and go, are
// complete messages. Run with -race.
func TestOTLPConcurrent(t *testing.T) {
	reg := tacho.NewRegistry()
	stays := reg.CounterVec("stays_total", "", []string{"l"})
	native := reg.HistogramVec("n", "", nil, []string{"l"}, tacho.WithNative())
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Add(1)
	go func() {
		defer running.Done()
		for n := 0; !isClosed(stop); n++ {
			stays.With(fmt.Sprint(n % 50)).Inc()
			native.With(fmt.Sprint(n%5)).ObserveExemplar(float64(n), "trace_id", "0af7651916cd43dd8448eb211c80319c")
			sub := reg.Sub(tacho.WithConstLabels("s", fmt.Sprint(n)))
			sub.Gauge("g", "").Set(int64(n))
			sub.Collect(func(e *tacho.Emitter) { e.Gauge("e", "", 1) })
			sub.Close()
			native.Delete(fmt.Sprint(n % 5))
			runtime.Gosched()
		}
	}()
	s := serve(t, nil)
	for _, r := range []*tacho.Registry{reg, tacho.Join(reg, tacho.NewRegistry())} {
		p, _ := testPusher(t, OTLP{URL: s.URL, Service: "s"}, Config{Registry: r})
		for range 3 {
			running.Add(1)
			go func() {
				defer running.Done()
				for range 10 {
					if err := p.Push(context.Background()); err != nil {
						t.Error(err)
					}
				}
			}()
		}
	}
	waitFor(t, func() bool { return len(s.seen()) >= 60 })
	close(stop)
	running.Wait()
	for _, r := range s.seen() {
		if text := otlpText(t, r.body); strings.Count(text, "resource_metrics:{") != 1 {
			t.Fatalf("a request is %s", text)
		}
	}
}

// keepsBody is a transport that keeps the body of each request, and closes none.
type keepsBody struct{ requests []*http.Request }

func (k *keepsBody) RoundTrip(r *http.Request) (*http.Response, error) {
	k.requests = append(k.requests, r)
	return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// TestOTLPLateReaders: a transport can read a body after the response, while a later push runs. A closed body is not
// read, because a later push can use its memory.
func TestOTLPLateReaders(t *testing.T) {
	reg := tacho.NewRegistry()
	g := reg.Gauge("g", "")
	k := new(keepsBody)
	p, _ := testPusher(t, OTLP{URL: "http://x.invalid/"}, Config{Registry: reg, DisableCompression: true, Client: &http.Client{Transport: k}})
	for i := range 3 {
		g.Set(int64(i))
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range k.requests {
		again, err := r.GetBody()
		if err != nil {
			t.Fatalf("request %d: GetBody returns %v while a body is open", i, err)
		}
		for _, body := range []io.ReadCloser{r.Body, again} {
			b, err := io.ReadAll(body)
			if want := fmt.Sprintf(" double:%d}", i); err != nil || !strings.Contains(otlpText(t, string(b)), want) || r.ContentLength != int64(len(b)) {
				t.Errorf("request %d: error %v, no %s in %q", i, err, want, b)
			}
		}
	}

	l := new(lease)
	r, err := http.NewRequest("POST", "http://x.invalid/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	l.begin(r)
	if l.end() {
		t.Error("the lease ended with an open reader")
	}
	again, _ := r.GetBody()
	for _, body := range []io.ReadCloser{r.Body, r.Body, again} {
		if l.end() {
			t.Error("the lease ended with an open reader")
		}
		body.Close()
		if n, err := body.Read(make([]byte, 4)); n != 0 || err == nil {
			t.Errorf("a closed body returns %d bytes and error %v", n, err)
		}
	}
	if !l.end() {
		t.Error("the lease did not end after all readers")
	}
	if _, err := r.GetBody(); err == nil {
		t.Error("GetBody returns a body after the end of the lease")
	}
}

// TestOTLPMemory: consecutive pushes use the same memory.
func TestOTLPMemory(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector makes sync.Pool drop elements")
	}
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"l"})
	for i := range 3 * maxPoints {
		v.With(fmt.Sprint(i, strings.Repeat("x", 100)))
	}
	s := serve(t, nil)
	for _, uncompressed := range []bool{false, true} {
		p, _ := testPusher(t, OTLP{URL: s.URL}, Config{Registry: reg, DisableCompression: uncompressed, Client: &http.Client{Transport: discards{}}})
		push := func() uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := p.Push(context.Background()); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		least := push()
		for range 10 {
			least = min(least, push())
		}
		if least > 200_000 { // a request has about 300 KB before compression
			t.Errorf("uncompressed %v: a push allocates %d bytes", uncompressed, least)
		}
	}
	keepMemory(make([]byte, maxKept+1))
	for range 10 {
		if n := cap(memoryOf(1)); n > maxKept {
			t.Errorf("memory of %d bytes is kept", n)
		}
	}
}

// BenchmarkOTLP pushes 1,000 series through a transport that discards the bodies.
func BenchmarkOTLP(b *testing.B) {
	labels := []string{"method", "path", "status"}
	reg, classic, native := tacho.NewRegistry(), tacho.NewRegistry(), tacho.NewRegistry()
	counters := reg.CounterVec("http_requests_total", "Requests.", labels)
	histograms := classic.HistogramVec("http_request_duration_seconds", "Duration.", nil, labels)
	natives := native.HistogramVec("http_request_duration_seconds", "Duration.", nil, labels, tacho.WithNative())
	for i := range 1000 {
		values := []string{"GET", fmt.Sprintf("/api/v1/items/%d", i), "200"}
		counters.With(values...).Add(uint64(i))
		for n := range 200 {
			v := 0.01 * math.Exp(3*math.Sin(float64(i+n)))
			histograms.With(values...).Observe(v)
			natives.With(values...).Observe(v)
		}
	}
	for _, c := range []struct {
		name string
		reg  *tacho.Registry
	}{{"counters", reg}, {"histograms", classic}, {"native", native}} {
		for _, uncompressed := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/gzip=%v", c.name, !uncompressed), func(b *testing.B) {
				var pushers []*Pusher // take turns: a Pusher sleeps if a push has the time of the push before
				for range 32 {
					p, err := New(OTLP{URL: "http://receiver.invalid/"}, Config{Registry: c.reg, Metrics: tacho.NewRegistry(),
						DisableCompression: uncompressed, Client: &http.Client{Transport: discards{}}})
					if err != nil {
						b.Fatal(err)
					}
					pushers = append(pushers, p)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := pushers[i%len(pushers)].Push(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/series")
			})
		}
	}
}

// discards is a transport that reads each body and responds with the status 200.
type discards struct{}

func (discards) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	_, err := io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{}, Body: http.NoBody, Request: r}, err
}

// countedWrites is an [io.Writer] that compares the number of data points of the format with that of the Metrics.
type countedWrites struct {
	*otlpWriter
	t     *testing.T
	total int
}

func (w *countedWrites) Write(p []byte) (int, error) {
	points := 0
	for rest := p; len(rest) > 0; {
		f, after, ok := cutField(rest)
		n, ok2 := countPoints(f.bytes)
		if !ok || !ok2 {
			w.t.Fatalf("malformed: %.100q", p)
		}
		points, rest = points+n, after
	}
	if *w.encoded != points {
		w.t.Errorf("the format counted %d data points, the Metrics have %d", *w.encoded, points)
	}
	w.total += points
	return w.otlpWriter.Write(p)
}

// TestOTLPCounts: the format counts the data points of each kind. The writer does not read Metrics that fit.
func TestOTLPCounts(t *testing.T) {
	reg := tacho.NewRegistry()
	const series = 1500
	counters, histograms := reg.CounterVec("c_total", "", []string{"l"}), reg.HistogramVec("h", "", nil, []string{"l"})
	native := reg.HistogramVec("n", "", nil, []string{"l"}, tacho.WithNative())
	for i := range series {
		counters.With(fmt.Sprint(i))
		histograms.With(fmt.Sprint(i))
		native.With(fmt.Sprint(i)).Observe(float64(i))
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.Gauge("g", "", 1)
		e.Summary("s", "", tacho.SummarySnapshot{Count: 1})
	})
	w := &countedWrites{&otlpWriter{sender: &otlpSender{dest: &destination{}}}, t, 0}
	if err := reg.WriteProtobufContext(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	w.finish()
	points := 0
	for _, r := range w.done {
		points += r.points
	}
	if want := 3*series + 2; points != want || w.total != want {
		t.Errorf("%d data points in the requests and %d in the Metrics, want %d", points, w.total, want)
	}
}

// TestOTLPMalformed: the writer refuses what the format does not write.
func TestOTLPMalformed(t *testing.T) {
	for _, exposition := range []string{
		"\x12", "\x12\x02\x0a", "\x0a\x00", "\x12\x02\x2a\x01", "\x12\x03\x2a\x01\x0b", "\x12\x01\x0b",
	} {
		w := &otlpWriter{sender: &otlpSender{dest: &destination{}}}
		if _, err := w.Write([]byte(exposition)); !errors.Is(err, errMalformed) {
			t.Errorf("%q: error %v, want errMalformed", exposition, err)
		}
	}
}

// FuzzOTLPReply: no reply makes a push panic, and the number of rejected data points is not negative.
func FuzzOTLPReply(f *testing.F) {
	f.Add("application/x-protobuf", otlpResponse(1, "x"))
	f.Add("", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Add("", "\x0a\x05\x12\x7fabc")
	f.Fuzz(func(t *testing.T, contentType, reply string) {
		rejected, message := partialSuccess(contentType, reply)
		if rejected > math.MaxInt64 || len(message) > len(reply) {
			t.Errorf("%d rejected, message %q", rejected, message)
		}
	})
}
