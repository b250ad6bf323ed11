//go:build realservers && !tacho_nohttp

package push

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// The tests in this file push to real servers and query the stored series. The script
// .ci/push starts the servers and sets the variables PUSHGATEWAY_URL,
// VICTORIAMETRICS_URL, PROMETHEUS_URL and PROMETHEUS_CLASSIC_URL. The last one is a
// Prometheus without native histograms.

// serverURL returns the value of an environment variable. If the variable is not set,
// the test fails.
func serverURL(t *testing.T, variable string) string {
	t.Helper()
	u := os.Getenv(variable)
	if u == "" {
		t.Fatalf("%s is not set: .ci/push runs this test", variable)
	}
	return u
}

// get returns the body of a response with status 2xx.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %s, %v: %s", url, resp.Status, err, body)
	}
	return string(body)
}

// eventually calls query until query returns want, for up to half a minute. A server may
// show new samples with a delay.
func eventually(t *testing.T, want string, query func() string) {
	t.Helper()
	got := ""
	for range 60 {
		if got = query(); got == want {
			return
		}
		time.Sleep(time.Second / 2)
	}
	t.Errorf("got  %s\nwant %s", got, want)
}

// query returns the results of a PromQL expression, one line of labels and value for
// each series. base is the URL of a server with the Prometheus API.
func query(t *testing.T, base, expr string) string {
	t.Helper()
	var response struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(get(t, base+"/api/v1/query?query="+url.QueryEscape(expr))), &response); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range response.Data.Result {
		labels, err := json.Marshal(r.Metric) // sorts the labels by name
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %v", labels, r.Value[1]))
	}
	return strings.Join(all, "\n")
}

// realMetrics returns a registry with counters, a gauge, a histogram and a label value
// with escapes.
func realMetrics() *tacho.Registry {
	reg := tacho.NewRegistry()
	reg.CounterVec("push_test_jobs_total", "Jobs.", []string{"result"}).With("quote\" back\\ \nline é").Add(3)
	reg.FloatCounter("push_test_cost_dollars", "Cost.").Add(.25)
	reg.Gauge("push_test_free", "Free.").Set(-7)
	reg.Histogram("push_test_seconds", "Time.", []float64{1, 2.5}).ObserveExemplar(2, "trace_id", "abc")
	return reg
}

const escapedLabel = `"quote\" back\\ \nline é"`

func TestRealPushgateway(t *testing.T) {
	base := serverURL(t, "PUSHGATEWAY_URL")
	ctx := context.Background()
	lines := func() string { // the samples of these tests
		var samples []string
		for line := range strings.Lines(get(t, base+"/metrics")) {
			if strings.HasPrefix(line, "push_test") {
				samples = append(samples, line)
			}
		}
		return strings.Join(samples, "")
	}
	expect := func(want string) {
		t.Helper()
		if got := lines(); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	pusher := func(target Pushgateway, reg *tacho.Registry) *Pusher {
		t.Helper()
		target.URL = base
		p, err := New(target, Config{Registry: reg, Metrics: tacho.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	grouping := []string{"instance", "a b", "dir", "/var/../tmp", "none", "", "up", "..", "kana", "バ?&%"}
	target := Pushgateway{Job: "a/b", Grouping: grouping}
	all := pusher(target, realMetrics())
	must(all.Push(ctx))
	group := `dir="/var/../tmp",instance="a b",job="a/b",kana="バ?&%",none="",`
	expect(`push_test_cost_dollars{` + group + `up=".."} 0.25
push_test_free{` + group + `up=".."} -7
push_test_jobs_total{` + group + `result=` + escapedLabel + `,up=".."} 3
push_test_seconds_bucket{` + group + `up="..",le="1"} 0
push_test_seconds_bucket{` + group + `up="..",le="2.5"} 1
push_test_seconds_bucket{` + group + `up="..",le="+Inf"} 1
push_test_seconds_sum{` + group + `up=".."} 2
push_test_seconds_count{` + group + `up=".."} 1
`)

	// PUT removes all other metrics of the group. POST keeps metrics of other names.
	one := tacho.NewRegistry()
	one.Gauge("push_test_free", "Free.").Set(1)
	must(pusher(target, one).Push(ctx))
	expect(`push_test_free{` + group + "up=\"..\"} 1\n")
	other := tacho.NewRegistry()
	other.Gauge("push_test_gauge", "Another.").Set(2)
	target.Add = true
	adding := pusher(target, other)
	must(adding.Push(ctx))
	expect(`push_test_free{` + group + "up=\"..\"} 1\n" + `push_test_gauge{` + group + "up=\"..\"} 2\n")

	// DELETE removes only the group of the target.
	second := pusher(Pushgateway{Job: "second"}, one)
	// The Pushgateway responds before it has deleted a group.
	must(second.Push(ctx))
	must(adding.Delete(ctx))
	eventually(t, "push_test_free{instance=\"\",job=\"second\"} 1\n", lines)
	must(second.Shutdown(ctx))
	must(second.Delete(ctx))
	eventually(t, "", lines)

	// The error of a refused push contains the reason.
	timed := tacho.NewRegistry()
	timed.Collect(func(e *tacho.Emitter) { e.At(time.Unix(1700000000, 0)).Gauge("push_test_timed", "", 1) })
	if err := pusher(Pushgateway{Job: "b"}, timed).Push(ctx); err == nil || !strings.Contains(err.Error(), "must not have timestamps") {
		t.Errorf("got error %v, want the reason for the refusal", err)
	}
}

func TestRealVictoriaMetrics(t *testing.T) {
	base := serverURL(t, "VICTORIAMETRICS_URL") // with a user and password
	p, err := New(VictoriaMetrics{URL: base, Labels: []string{"job", "text", "env", "a b&c=d"}},
		Config{Registry: realMetrics(), Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	labels := `"env":"a b\u0026c=d","job":"text"`
	eventually(t, `{"__name__":"push_test_jobs_total",`+labels+`,"result":`+escapedLabel+`} 3`, func() string {
		return query(t, base, `push_test_jobs_total{job="text"}`)
	})
	eventually(t, `{"__name__":"push_test_seconds_bucket",`+labels+`,"le":"2.5"} 1`, func() string {
		return query(t, base, `push_test_seconds_bucket{le="2.5",job="text"}`)
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.User = nil
	if p, err = New(VictoriaMetrics{URL: u.String()}, Config{Registry: realMetrics()}); err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("push without a password: %v, want status 401", err)
	}
}

// Both receivers must store the same series for the same push.
func TestRealRemoteWrite(t *testing.T) {
	for _, variable := range []string{"PROMETHEUS_URL", "VICTORIAMETRICS_URL"} {
		t.Run(variable, func(t *testing.T) {
			base := serverURL(t, variable)
			reg := realMetrics()
			many := reg.GaugeVec("push_test_many", "Many.", []string{"n"})
			for i := range 2*maxSeries + 1 {
				many.With(fmt.Sprint(i)).Set(int64(i))
			}
			target := RemoteWrite{URL: base + "/api/v1/write", Labels: []string{"job", "remote", "instance", "バ"}}
			p, err := New(target, Config{Registry: reg, Metrics: tacho.NewRegistry(), Interval: 300 * time.Millisecond, OnError: func(err error) { t.Error(err) }})
			if err != nil {
				t.Fatal(err)
			}
			ran := make(chan error)
			go func() { ran <- p.Run(context.Background()) }()

			labels := `"instance":"バ","job":"remote"`
			result := func(expr string) func() string { return func() string { return query(t, base, expr) } }
			eventually(t, `{"__name__":"push_test_jobs_total",`+labels+`,"result":`+escapedLabel+`} 3`, result(`push_test_jobs_total{job="remote"}`))
			eventually(t, `{"__name__":"push_test_cost_dollars",`+labels+`} 0.25`, result(`push_test_cost_dollars{job="remote"}`))
			eventually(t, `{"__name__":"push_test_free",`+labels+`} -7`, result(`push_test_free{job="remote"}`))
			eventually(t, `{} 4001`, result(`count(push_test_many{job="remote"})`))
			eventually(t, `{} 8002000`, result(`sum(push_test_many{job="remote"})`))
			eventually(t, `{`+labels+`} 1.75`, result(`histogram_quantile(0.5, push_test_seconds_bucket{job="remote"})`))
			if err := p.Push(context.Background()); err != nil {
				t.Error(err)
			}

			reg.Gauge("push_test_free", "Free.").Set(99)
			if err := p.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if err := <-ran; err != ErrClosed {
				t.Error(err)
			}
			// The stale marker follows the last value.
			eventually(t, `{"job":"remote"} 99`, result(`sum by (job) (max_over_time(push_test_free{job="remote"}[1m]))`))
			eventually(t, ``, result(`{job="remote"}`))
		})
	}
}

// A receiver refuses a sample from 2001 with status 400.
func TestRealRemoteWriteRefused(t *testing.T) {
	base := serverURL(t, "PROMETHEUS_URL")
	reg := tacho.NewRegistry()
	reg.Collect(func(e *tacho.Emitter) { e.At(time.Unix(1e9, 0)).Gauge("push_test_timed", "", 1) })
	reg.Gauge("push_test_with_timed", "").Set(1)
	target := RemoteWrite{URL: base + "/api/v1/write"}
	for range 2 { // the first push sets the newest time in the receiver
		p, err := New(target, Config{Registry: reg, Metrics: tacho.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "400 Bad Request") {
			t.Errorf("got error %v, want status 400", err)
		}
	}
}

var remoteWriteServers = []string{"PROMETHEUS_URL", "VICTORIAMETRICS_URL"}

// A series that ended is not visible in the next query, and no series of the program is
// visible after Shutdown.
func TestRealStaleMarkers(t *testing.T) {
	for _, variable := range remoteWriteServers {
		t.Run(variable, func(t *testing.T) {
			base := serverURL(t, variable)
			reg := tacho.NewRegistry()
			v := reg.GaugeVec("push_test_stale", "", []string{"n"})
			v.With("a").Set(1)
			v.With("b").Set(2)
			p, err := New(RemoteWrite{URL: base + "/api/v1/write"}, Config{Registry: reg, Metrics: tacho.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			series := func() string { return query(t, base, `sum by (n) (push_test_stale)`) }
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(p.Push(context.Background()))
			eventually(t, "{\"n\":\"a\"} 1\n{\"n\":\"b\"} 2", series)
			v.Delete("a")
			must(p.Push(context.Background()))
			eventually(t, `{"n":"b"} 2`, series)
			v.With("a").Set(3)
			must(p.Push(context.Background()))
			eventually(t, "{\"n\":\"a\"} 3\n{\"n\":\"b\"} 2", series)
			must(p.Shutdown(context.Background()))
			eventually(t, "", series)
		})
	}
}

func TestRealEmptyPush(t *testing.T) {
	bases := map[string]Target{
		"PROMETHEUS_URL":      RemoteWrite{URL: "/api/v1/write"},
		"VICTORIAMETRICS_URL": RemoteWrite{URL: "/api/v1/write"},
		"PUSHGATEWAY_URL":     Pushgateway{Job: "empty"},
	}
	for variable, target := range bases {
		base := serverURL(t, variable)
		switch u := target.(type) {
		case RemoteWrite:
			u.URL = base + u.URL
			target = u
		case Pushgateway:
			u.URL = base
			target = u
		}
		for _, uncompressed := range []bool{false, true} {
			p, err := New(target, Config{Registry: tacho.NewRegistry(), Metrics: tacho.NewRegistry(), DisableCompression: uncompressed})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Push(context.Background()); err != nil {
				t.Errorf("%s: %v", variable, err)
			}
		}
	}
}

// Prometheus refuses a request with one sample from 2001. The other samples arrive.
func TestRealRefusedSamples(t *testing.T) {
	base := serverURL(t, "PROMETHEUS_URL")
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("push_test_beside_refused", "", []string{"n"})
	for i := range maxSeries + 100 {
		v.With(fmt.Sprint(i)).Set(1)
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.At(time.Unix(1e9, 0)).Gauge("push_test_beside_refused_old", "", 1)
	})
	p, err := New(RemoteWrite{URL: base + "/api/v1/write"}, Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "dropped samples: 1)") {
			t.Errorf("got error %v, want 1 dropped sample", err)
		}
	}
	eventually(t, fmt.Sprintf("{} %d", maxSeries+100), func() string { return query(t, base, `count(push_test_beside_refused)`) })
	if got := p.dropped.With(p.host, "out_of_bounds").Value(); got != 2 {
		t.Errorf("%d samples counted as out_of_bounds, want 2", got)
	}
	p.Shutdown(context.Background())
}

// The clock of the program was 5 minutes ahead and goes back. Prometheus refuses samples
// until the clock reaches the latest stored time. VictoriaMetrics stores samples in any
// order, so the series is visible at once.
func TestRealClockGoesBack(t *testing.T) {
	for _, variable := range remoteWriteServers {
		t.Run(variable, func(t *testing.T) {
			base := serverURL(t, variable)
			reg := tacho.NewRegistry()
			g := reg.Gauge("push_test_clock", "")
			p, err := New(RemoteWrite{URL: base + "/api/v1/write"}, Config{Registry: reg, Metrics: tacho.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			ahead := 5 * time.Minute
			p.dest.remote.clock = func() time.Time { return time.Now().Add(ahead) }
			push := func(value int64) error {
				g.Set(value)
				return p.Push(context.Background())
			}
			if err := push(1); err != nil {
				t.Fatal(err)
			}
			ahead = 0
			err = push(2)
			if variable == "PROMETHEUS_URL" {
				if err == nil || !strings.Contains(err.Error(), "out of order") || !strings.Contains(err.Error(), "behind") {
					t.Errorf("got error %v, want the reason and the difference of the clock", err)
				}
			} else {
				if err != nil {
					t.Error(err)
				}
				eventually(t, `{"__name__":"push_test_clock"} 2`, func() string { return query(t, base, `push_test_clock`) })
			}
			ahead = 5*time.Minute + time.Second
			if err := push(3); err != nil {
				t.Errorf("after the clock reached the latest time: %v", err)
			}
			if err := p.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// nativeObservations are of all kinds of buckets.
var nativeObservations = []float64{-20, -1, 0, 1e-3, 0.5, 0.9, 1, 1, 1.5, 2, 100, 1e9}

// realNative returns a registry with a histogram without classic buckets and one with both kinds.
func realNative() (reg *tacho.Registry, only, both *tacho.Histogram) {
	reg = realMetrics()
	only = reg.Histogram("push_test_native", "Native.", nil, tacho.WithNative())
	both = reg.Histogram("push_test_both", "Both.", []float64{1, 2.5}, tacho.WithNative())
	for _, v := range nativeObservations {
		only.Observe(v)
		both.Observe(v)
	}
	return reg, only, both
}

// queryNative returns the numbers of the native histogram of a series from Prometheus' API. The
// numbers are the count, the sum, and for each bucket the rule, the bounds and the count. If there
// is no such series, queryNative returns nil.
func queryNative(t *testing.T, base, expr string) (numbers []float64) {
	t.Helper()
	var response struct {
		Data struct {
			Result []struct {
				Histogram [2]any
			}
		}
	}
	text := get(t, base+"/api/v1/query?query="+url.QueryEscape(expr))
	if err := json.Unmarshal([]byte(text), &response); err != nil {
		t.Fatal(err)
	}
	if len(response.Data.Result) != 1 {
		return nil
	}
	h, ok := response.Data.Result[0].Histogram[1].(map[string]any)
	if !ok {
		t.Fatalf("no histogram in %s", text)
	}
	add := func(v any) {
		number, err := strconv.ParseFloat(fmt.Sprint(v), 64)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
	}
	add(h["count"])
	add(h["sum"])
	for _, bucket := range h["buckets"].([]any) {
		for _, v := range bucket.([]any) {
			add(v)
		}
	}
	return numbers
}

// wantNative returns the numbers of a snapshot as queryNative returns them.
func wantNative(s tacho.HistogramSnapshot) []float64 {
	n := s.Native
	numbers := []float64{float64(s.Count), s.Sum}
	for _, b := range slices.Backward(n.Negative) {
		numbers = append(numbers, 1, -n.Bound(b.Index), -n.Bound(b.Index-1), float64(b.Count))
	}
	if n.ZeroCount > 0 {
		numbers = append(numbers, 3, -n.ZeroThreshold, n.ZeroThreshold, float64(n.ZeroCount))
	}
	for _, b := range n.Positive {
		numbers = append(numbers, 0, n.Bound(b.Index-1), n.Bound(b.Index), float64(b.Count))
	}
	return numbers
}

// Prometheus stores native histograms bucket by bucket, and the classic series beside them. Stale
// markers end both.
func TestRealNative(t *testing.T) {
	base := serverURL(t, "PROMETHEUS_URL")
	reg, only, both := realNative()
	p, err := New(RemoteWrite{URL: base + "/api/v1/write", Labels: []string{"job", "native"}}, Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		for name, h := range map[string]*tacho.Histogram{"push_test_native": only, "push_test_both": both} {
			eventually(t, fmt.Sprint(wantNative(h.Snapshot())), func() string {
				return fmt.Sprint(queryNative(t, base, name+`{job="native"}`))
			})
			h.Observe(3)
		}
	}
	eventually(t, `{"__name__":"push_test_both_bucket","job":"native","le":"2.5"} 10`, func() string {
		return query(t, base, `push_test_both_bucket{job="native",le="2.5"}`)
	})
	eventually(t, ``, func() string { return query(t, base, `{__name__=~"push_test_native_.*",job="native"}`) })
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"push_test_native", "push_test_both"} {
		eventually(t, `[]`, func() string { return fmt.Sprint(queryNative(t, base, name+`{job="native"}`)) })
	}
	eventually(t, ``, func() string { return query(t, base, `push_test_both_sum{job="native"}`) })
}

// NoNativeHistograms is for receivers without native histograms. This VictoriaMetrics ignores
// native histograms, and Prometheus refuses a request with them.
func TestRealNoNative(t *testing.T) {
	for _, variable := range []string{"PROMETHEUS_CLASSIC_URL", "VICTORIAMETRICS_URL"} {
		base := serverURL(t, variable)
		reg, _, _ := realNative()
		for _, noNative := range []bool{false, true} {
			job := fmt.Sprint("native-", noNative)
			target := RemoteWrite{URL: base + "/api/v1/write", Labels: []string{"job", job}, NoNativeHistograms: noNative}
			p, err := New(target, Config{Registry: reg, Metrics: tacho.NewRegistry(), Retries: -1})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Push(context.Background())
			if !noNative && variable == "PROMETHEUS_CLASSIC_URL" {
				if err == nil || !strings.Contains(err.Error(), "500") || !strings.Contains(err.Error(), "native histograms are disabled") {
					t.Errorf("got error %v, want status 500", err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %v: %v", variable, noNative, err)
			}
			result := func(expr string) func() string { return func() string { return query(t, base, expr) } }
			eventually(t, `{"__name__":"push_test_both_bucket","job":"`+job+`","le":"2.5"} 10`, result(`push_test_both_bucket{job="`+job+`",le="2.5"}`))
			if noNative {
				eventually(t, `{"__name__":"push_test_native_bucket","job":"`+job+`","le":"+Inf"} 12`, result(`push_test_native_bucket{job="`+job+`"}`))
			}
		}
	}
}

// These servers support only remote write 1.0. They respond to a request of version 2.0 with a success and
// store nothing. The first push with Version2 therefore sends the same samples in version 1.0. No sample
// is lost, also not of a native histogram.
func TestRealVersion2(t *testing.T) {
	for _, variable := range remoteWriteServers {
		t.Run(variable, func(t *testing.T) {
			base := serverURL(t, variable)
			reg, only, _ := realNative()
			many := reg.GaugeVec("push_test_version2", "Many.", []string{"n"})
			for i := range maxSeries {
				many.With(fmt.Sprint(i)).Set(int64(i))
			}
			own := tacho.NewRegistry()
			target := RemoteWrite{URL: base + "/api/v1/write", Labels: []string{"job", "version2"}, Version2: true}
			p, err := New(target, Config{Registry: reg, Metrics: own})
			if err != nil {
				t.Fatal(err)
			}
			result := func(expr string) func() string { return func() string { return query(t, base, expr) } }
			for n := range 2 {
				if err := p.Push(context.Background()); err != nil {
					t.Fatal(err)
				}
				if p.dest.remote.version != 1 {
					t.Errorf("the version after push %d is %d, want 1", n, p.dest.remote.version)
				}
				for result, want := range map[string]uint64{"refused": 1, "success": uint64(2 * (n + 1))} {
					if got := p.attempts.With(p.host, result).Value(); got != want {
						t.Errorf("after push %d: %d attempts with the result %s, want %d", n, got, result, want)
					}
				}
				eventually(t, fmt.Sprintf(`{} %d`, maxSeries*(n+1)), result(`sum(count_over_time(push_test_version2{job="version2"}[5m]))`))
			}
			eventually(t, `{"__name__":"push_test_jobs_total","job":"version2","result":`+escapedLabel+`} 3`, result(`push_test_jobs_total{job="version2"}`))
			eventually(t, `{"__name__":"push_test_both_bucket","job":"version2","le":"2.5"} 10`, result(`push_test_both_bucket{job="version2",le="2.5"}`))
			if variable == "PROMETHEUS_URL" {
				eventually(t, fmt.Sprint(wantNative(only.Snapshot())), func() string {
					return fmt.Sprint(queryNative(t, base, `push_test_native{job="version2"}`))
				})
			}
			if err := p.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			eventually(t, ``, result(`{job="version2"}`))
		})
	}
}

// A Pushgateway keeps all series of a family with native histograms.
func TestRealPushgatewayNative(t *testing.T) {
	base := serverURL(t, "PUSHGATEWAY_URL")
	reg, _, _ := realNative()
	v := reg.HistogramVec("push_test_vec", "Many.", nil, []string{"n"}, tacho.WithNative())
	for i := range 1000 {
		v.With(fmt.Sprint(i)).ObserveExemplar(1, "trace_id", "abc") // each in a message of its own
	}
	p, err := New(Pushgateway{URL: base, Job: "native"}, Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	text := get(t, base+"/metrics")
	for _, want := range []string{
		`push_test_native_count{instance="",job="native"} 12`,
		`push_test_both_bucket{instance="",job="native",le="2.5"} 10`,
		`push_test_jobs_total{instance="",job="native",result=` + escapedLabel + `} 3`,
		`push_test_vec_count{instance="",job="native",n="0"} 1`,
		`push_test_vec_count{instance="",job="native",n="999"} 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("the Pushgateway has not %s", want)
		}
	}
	if n := strings.Count(text, "push_test_vec_count"); n != 1000 {
		t.Errorf("the Pushgateway has %d series of the vector, want 1000", n)
	}
	if err := p.Delete(context.Background()); err != nil {
		t.Error(err)
	}
}
