//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/native"
)

// withoutTimes returns the samples of a request, without the times.
func withoutTimes(t *testing.T, body string) (lines []string) {
	t.Helper()
	for _, line := range readRequest(t, body) {
		lines = append(lines, line[:strings.LastIndexByte(line, ' ')])
	}
	return lines
}

func expectLines(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// nativeMetrics returns a registry with a histogram without classic buckets, one with both kinds,
// and one without observations.
func nativeMetrics(opts ...tacho.Option) *tacho.Registry {
	reg := tacho.NewRegistry(opts...)
	config := tacho.WithNative(tacho.NativeConfig{Factor: 2, ZeroThreshold: 0.25})
	both := reg.HistogramVec("both_seconds", "", []float64{1, 2.5}, []string{"a"}, config).With("x")
	only := reg.Histogram("only_seconds", "", nil, config)
	reg.Histogram("unused_seconds", "", nil, config)
	for _, v := range []float64{0, 0.2, 0.75, 3, 3.5, -1000} {
		both.Observe(v)
		only.ObserveExemplar(v, "id", "y")
	}
	return reg
}

const nativeText = " count:6,sum:-992.55,schema:0,threshold:0.25,zero:2,8:10+1,9:[1],11:0+3,12:[1/-1/2]"

// A histogram of both kinds becomes the classic series and a native one. A histogram without
// classic buckets becomes one series.
func TestRemoteWriteNative(t *testing.T) {
	s := serve(t, nil)
	target := RemoteWrite{URL: s.URL, Labels: []string{"job", "j", "a", "target"}}
	for _, noNative := range []bool{false, true} {
		target.NoNativeHistograms = noNative
		p, _ := testPusher(t, target, Config{Registry: nativeMetrics(tacho.WithCreated(), tacho.WithConstLabels("Zone", "z"))})
		before := time.Now().UnixMilli()
		mustPush(t, p)
		body := s.seen()[len(s.seen())-1].body
		all := []string{
			`{Zone="z",__name__="both_seconds_bucket",a="target",exported_a="x",job="j",le="1.0"} 4`,
			`{Zone="z",__name__="both_seconds_bucket",a="target",exported_a="x",job="j",le="2.5"} 4`,
			`{Zone="z",__name__="both_seconds_bucket",a="target",exported_a="x",job="j",le="+Inf"} 6`,
			`{Zone="z",__name__="both_seconds_sum",a="target",exported_a="x",job="j"} -992.55`,
			`{Zone="z",__name__="both_seconds_count",a="target",exported_a="x",job="j"} 6`,
			`{Zone="z",__name__="both_seconds_created",a="target",exported_a="x",job="j"}`,
		}
		if noNative {
			all = append(all,
				`{Zone="z",__name__="only_seconds_bucket",a="target",job="j",le="+Inf"} 6`,
				`{Zone="z",__name__="only_seconds_sum",a="target",job="j"} -992.55`,
				`{Zone="z",__name__="only_seconds_count",a="target",job="j"} 6`,
				`{Zone="z",__name__="only_seconds_created",a="target",job="j"}`,
				`{Zone="z",__name__="unused_seconds_bucket",a="target",job="j",le="+Inf"} 0`,
				`{Zone="z",__name__="unused_seconds_sum",a="target",job="j"} 0`,
				`{Zone="z",__name__="unused_seconds_count",a="target",job="j"} 0`,
				`{Zone="z",__name__="unused_seconds_created",a="target",job="j"}`)
		} else {
			all = append(all,
				`{Zone="z",__name__="both_seconds",a="target",exported_a="x",job="j"}`+nativeText,
				`{Zone="z",__name__="only_seconds",a="target",job="j"}`+nativeText,
				`{Zone="z",__name__="unused_seconds",a="target",job="j"} count:0,sum:0,schema:0,threshold:0.25,zero:0`)
		}
		got := withoutTimes(t, body)
		for i := range got { // the value of a time of creation
			if name, value, _ := strings.Cut(got[i], " "); strings.Contains(name, "_created") {
				var seconds float64
				if _, err := fmt.Sscan(value, &seconds); err != nil || math.Abs(seconds*1e3-float64(before)) > 60_000 {
					t.Errorf("%s, want a time near %d ms", got[i], before)
				}
				got[i] = name
			}
		}
		expectLines(t, got, all)
		for _, line := range readRequest(t, body) {
			_, _, at := cutSample(line)
			var ms int64
			if _, err := fmt.Sscan(at, &ms); err != nil || ms < before || ms > time.Now().UnixMilli() {
				t.Errorf("%s has not the time of the push", line)
			}
		}
	}
}

// A native series ends with the stale marker of a native histogram, also after a series with the
// same labels was a gauge.
func TestNativeStaleMarkers(t *testing.T) {
	s := newStorage(t)
	reg := tacho.NewRegistry()
	v := reg.HistogramVec("h", "", nil, []string{"n"}, tacho.WithNative())
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
	v.With("a")
	v.With("b")
	mustPush(t, p)
	const empty = "count:0,sum:0,schema:3,threshold:2.938735877055719e-39,zero:0"
	v.Delete("a")
	mustPush(t, p)
	mustPush(t, p) // no second marker
	expectValues(t, s, map[string]string{
		`{__name__="h",n="a"}`: empty + " native-stale",
		`{__name__="h",n="b"}`: empty + " " + empty + " " + empty,
	})
	// The series with the labels of h{n="b"} is a gauge now.
	gauges := tacho.NewRegistry()
	gauges.GaugeVec("h", "", []string{"n"}).With("b").Set(5)
	p.reg = gauges
	mustPush(t, p)
	p.reg = reg
	mustPush(t, p)
	p.reg = gauges
	mustPush(t, p)
	p.reg = tacho.NewRegistry()
	mustPush(t, p)
	p.reg = reg
	mustPush(t, p)
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	expectValues(t, s, map[string]string{
		`{__name__="h",n="a"}`: empty + " native-stale",
		`{__name__="h",n="b"}`: strings.Join([]string{empty, empty, empty, "5", empty, "5", "stale", empty, empty, "native-stale"}, " "),
	})
	if n := p.dest.remote.sent.number(); n != 0 {
		t.Errorf("%d series are kept after their end", n)
	}
}

// Names outside the legacy set are escaped by underscores, as in a scrape. A name is escaped by values
// instead if the escaped name belongs to another family or to a sample of another family.
func TestRemoteWriteNames(t *testing.T) {
	s := serve(t, nil)
	reg := tacho.NewRegistry(tacho.WithUTF8Names(), tacho.WithCreated())
	reg.GaugeVec("a.b", "", []string{"l.m", "ok"}).With("1", "2").Set(1)
	reg.Gauge("a_b", "").Set(2)
	reg.Gauge("c.count", "").Set(3)
	reg.Histogram("c", "", nil, tacho.WithNative())
	reg.Gauge("d:é", "").Set(4)
	reg.Histogram("e.f", "", []float64{1})
	// A time of creation would be named as the gauge. A counter without _total has none.
	reg.Counter("g.h_total", "").Add(5)
	reg.Gauge("g_h_created", "").Set(6)
	reg.Counter("i.j_total", "").Add(7)
	reg.Counter("k", "").Add(8)
	reg.Histogram("l_total", "", []float64{1})
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
	mustPush(t, p)
	got := withoutTimes(t, s.seen()[0].body)
	for i, line := range got {
		if name, _, _ := strings.Cut(line, "} "); strings.Contains(name, "_created") && !strings.Contains(name, "g_h") {
			got[i] = name + "}"
		}
	}
	expectLines(t, got, []string{
		`{__name__="U__a_2e_b",l_m="1",ok="2"} 1`,
		`{__name__="a_b"} 2`,
		`{__name__="c"} count:0,sum:0,schema:3,threshold:2.938735877055719e-39,zero:0`,
		`{__name__="U__c_2e_count"} 3`,
		`{__name__="d:_"} 4`,
		`{__name__="e_f_bucket",le="1.0"} 0`,
		`{__name__="e_f_bucket",le="+Inf"} 0`,
		`{__name__="e_f_sum"} 0`,
		`{__name__="e_f_count"} 0`,
		`{__name__="e_f_created"}`,
		`{__name__="g_h_total"} 5`,
		`{__name__="g_h_created"} 6`,
		`{__name__="i_j_total"} 7`,
		`{__name__="i_j_created"}`,
		`{__name__="k"} 8`,
		`{__name__="l_total_bucket",le="1.0"} 0`,
		`{__name__="l_total_bucket",le="+Inf"} 0`,
		`{__name__="l_total_sum"} 0`,
		`{__name__="l_total_count"} 0`,
		`{__name__="l_total_created"}`,
	})
}

// A label of a series with the name of a label of the target is renamed, also le and quantile.
func TestRenamedBounds(t *testing.T) {
	s := serve(t, nil)
	reg := tacho.NewRegistry()
	reg.HistogramVec("h", "", []float64{1}, []string{"exported_le"}).With("x").Observe(2)
	reg.Collect(func(e *tacho.Emitter) {
		e.Summary("s", "", tacho.SummarySnapshot{Count: 3, Sum: -4, Quantiles: []tacho.Quantile{{Quantile: .5, Value: -1}, {Quantile: 1, Value: 6}}})
		e.Summary("s", "", tacho.SummarySnapshot{Sum: math.NaN()}, "exported_quantile", "y")
	})
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Labels: []string{"le", "t", "quantile", "u"}}, Config{Registry: reg})
	mustPush(t, p)
	expectLines(t, withoutTimes(t, s.seen()[0].body), []string{
		`{__name__="h_bucket",exported_exported_le="1.0",exported_le="x",le="t",quantile="u"} 0`,
		`{__name__="h_bucket",exported_exported_le="+Inf",exported_le="x",le="t",quantile="u"} 1`,
		`{__name__="h_sum",exported_le="x",le="t",quantile="u"} 2`,
		`{__name__="h_count",exported_le="x",le="t",quantile="u"} 1`,
		`{__name__="s",exported_quantile="0.5",le="t",quantile="u"} -1`,
		`{__name__="s",exported_quantile="1.0",le="t",quantile="u"} 6`,
		`{__name__="s_sum",le="t",quantile="u"} -4`,
		`{__name__="s_count",le="t",quantile="u"} 3`,
		`{__name__="s_sum",exported_quantile="y",le="t",quantile="u"} NaN`,
		`{__name__="s_count",exported_quantile="y",le="t",quantile="u"} 0`,
	})
}

// An exemplar makes the bucket of +Inf part of the exposition. The series is sent once.
func TestExemplarOfInf(t *testing.T) {
	s := serve(t, nil)
	reg := tacho.NewRegistry()
	reg.Histogram("h", "", []float64{1}).ObserveExemplar(2, "id", "x")
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
	mustPush(t, p)
	expectLines(t, withoutTimes(t, s.seen()[0].body), []string{
		`{__name__="h_bucket",le="1.0"} 0`, `{__name__="h_bucket",le="+Inf"} 1`, `{__name__="h_sum"} 2`, `{__name__="h_count"} 1`,
	})
}

// TestTooLargeSeries: the exposition has a long label once, and the series of the buckets repeat it.
func TestTooLargeSeries(t *testing.T) {
	const size, bounds = 10_000, 100
	for what, opts := range map[string][]tacho.Option{"classic": nil, "native": {tacho.WithNative()}} {
		s := serve(t, nil)
		reg := tacho.NewRegistry()
		limits := make([]float64, bounds)
		for i := range limits {
			limits[i] = float64(i)
		}
		reg.HistogramVec("h", "", limits, []string{"l"}, opts...).With(strings.Repeat("x", size))
		p, own := testPusher(t, RemoteWrite{URL: s.URL, Labels: []string{"target", strings.Repeat("y", size)}}, Config{Registry: reg, MaxBytes: bounds * size})
		if err := p.Push(context.Background()); err != errTooLarge || attempts(t, own, s, "unsent") != 1 || len(s.seen()) != 0 {
			t.Errorf("%s: got error %v after %d requests, want errTooLarge", what, err, len(s.seen()))
		}
		// The labels of the target do not count.
		p, _ = testPusher(t, RemoteWrite{URL: s.URL, Labels: []string{"target", strings.Repeat("y", size)}}, Config{Registry: reg, MaxBytes: bounds * size * 11 / 10})
		mustPush(t, p)
	}
	// A native series counts with its buckets.
	reg := tacho.NewRegistry()
	h := reg.Histogram("h", "", nil, tacho.WithNative(tacho.NativeConfig{MaxBuckets: 1000}))
	for i := range 1000 {
		h.Observe(math.Exp2(float64(i) / 4))
	}
	for version := 1; version <= 2; version++ {
		r := newReceiver(nil, true)
		r.version = version
		if p, err := r.encode(t.Context(), reg, 500); err != errTooLarge {
			t.Errorf("native series in version %d: %v, error %v, want errTooLarge", version, p, err)
		}
	}
}

// readFamilies returns the names of the messages of an exposition, and the number of metrics in each.
func readFamilies(t *testing.T, exposition string) (names []string, metrics []int) {
	t.Helper()
	for b := []byte(exposition); len(b) > 0; {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			t.Fatalf("malformed exposition %q", b)
		}
		count := 0
		fields(t, b[n:n+int(size)], func(number int, _ uint64, text []byte) {
			switch number {
			case 1:
				names = append(names, string(text))
			case 4:
				count++
			}
		})
		metrics = append(metrics, count)
		b = b[n+int(size):]
	}
	return names, metrics
}

// A push with native histograms to a Pushgateway has each family in one message. Without native
// histograms a push has the text format.
func TestPushgatewayNative(t *testing.T) {
	for _, uncompressed := range []bool{false, true} {
		s := serve(t, nil)
		reg := tacho.NewRegistry(tacho.WithUTF8Names())
		many := reg.CounterVec("many.total", "Help.", []string{"n"})
		for i := range 5000 {
			many.With(fmt.Sprint(i)).Inc()
		}
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Registry: reg, DisableCompression: uncompressed})
		mustPush(t, p)
		h := reg.HistogramVec("h_seconds", "Help.", nil, []string{"n"}, tacho.WithNative())
		for i := range 20 {
			h.With(fmt.Sprint(i)).ObserveExemplar(float64(i), "id", "x") // each in a message of its own
		}
		reg.Gauge("z", "").Set(1)
		mustPush(t, p)
		first, second := s.seen()[0], s.seen()[1]
		if first.header.Get("Content-Type") != textType || !strings.HasPrefix(first.body, "# HELP many_total Help.\n") {
			t.Errorf("without native histograms: %s, %.100q", first.header.Get("Content-Type"), first.body)
		}
		if got := second.header.Get("Content-Type"); got != protobufType {
			t.Errorf("Content-Type %s, want %s", got, protobufType)
		}
		names, metrics := readFamilies(t, second.body)
		if !slices.Equal(names, []string{"h_seconds", "many_total", "z"}) || !slices.Equal(metrics, []int{20, 5000, 1}) {
			t.Errorf("the families %q have %d metrics", names, metrics)
		}
		// The registry makes several messages, so the families were joined.
		var plain bytes.Buffer
		if err := reg.WriteProtobuf(&plain); err != nil {
			t.Fatal(err)
		}
		if names, _ := readFamilies(t, plain.String()); len(names) < 24 {
			t.Errorf("the registry makes only the messages %q", names)
		}
		if encoding := second.header.Get("Content-Encoding"); (encoding == "gzip") == uncompressed {
			t.Errorf("Content-Encoding %q with DisableCompression %v", encoding, uncompressed)
		}
	}
}

// TestPushgatewayTooLarge: MaxBytes limits a push in protobuf.
func TestPushgatewayTooLarge(t *testing.T) {
	s := serve(t, nil)
	p, own := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Registry: nativeMetrics(), MaxBytes: 100})
	if err := p.Push(context.Background()); err != errTooLarge || attempts(t, own, s, "unsent") != 1 || len(s.seen()) != 0 {
		t.Errorf("got error %v after %d requests, want errTooLarge", err, len(s.seen()))
	}
}

// An exposition in protobuf may restart native histograms, so a retry has the same body.
func TestRetriedNative(t *testing.T) {
	for name, target := range allTargets {
		reg := tacho.NewRegistry()
		h := reg.Histogram("h", "", nil, tacho.WithNative())
		s := newStorage(t)
		s.set(503, nil)
		p, _ := testPusher(t, target(s.URL), Config{Registry: reg, Retries: 2})
		h.Observe(1)
		p.client.Transport = observing{h}
		if err := p.Push(context.Background()); err == nil || len(s.seen()) != 3 {
			t.Fatalf("%s: got error %v after %d requests", name, err, len(s.seen()))
		}
		bodies := map[string]bool{}
		for _, r := range s.seen() {
			bodies[r.body] = true
		}
		want := 1
		if name == "VictoriaMetrics" { // the text format
			want = 3
		}
		if len(bodies) != want {
			t.Errorf("%s: %d different bodies, want %d: %q", name, len(bodies), want, slices.Collect(maps.Keys(bodies)))
		}
		// The next push has the present values.
		s.set(0, nil)
		if !strings.HasPrefix(name, "RemoteWrite") && name != "OTLP" {
			continue
		}
		mustPush(t, p)
		if name == "OTLP" {
			if last := otlpText(t, s.seen()[len(s.seen())-1].body); !strings.Contains(last, "count:4") {
				t.Errorf("the next push has %s, want 4 observations", last)
			}
			continue
		}
		if last := s.seen()[len(s.seen())-1]; !strings.Contains(fmt.Sprint(readRequest(t, last.body)), "count:4") {
			t.Errorf("the next push has %q, want 4 observations", readRequest(t, last.body))
		}
	}
}

// observing is a transport that observes a value at each request.
type observing struct{ h *tacho.Histogram }

func (o observing) RoundTrip(r *http.Request) (*http.Response, error) {
	o.h.Observe(1)
	return http.DefaultTransport.RoundTrip(r)
}

// TestMalformedFamily: the writer of a Pushgateway refuses a malformed message.
func TestMalformedFamily(t *testing.T) {
	for _, exposition := range []string{
		message(),
		message("\x0b"),
		message("\x22\x00"), // no name
		message("\x0a\x01a", "\x22\x00") + message("\x0a\x01a", "\x22\x05"),
		message("\x0a\x01a")[:2],
	} {
		g := &gatewayWriter{w: new(bytes.Buffer), protobuf: true}
		_, err := g.Write([]byte(exposition))
		if err == nil {
			err = g.finish()
		}
		if err != errMalformed {
			t.Errorf("%q: error %v, want errMalformed", exposition, err)
		}
	}
}

// TestRestart: the first push after the resolution fell restarts the histogram, and its retries
// have all observations up to the restart. With the classic series both kinds restart.
func TestRestart(t *testing.T) {
	defer func(d time.Duration) { native.RestartAfter = d }(native.RestartAfter)
	native.RestartAfter = 0
	for name, target := range allTargets {
		if name == "VictoriaMetrics" {
			continue // the text format does not restart a histogram
		}
		reg := tacho.NewRegistry()
		h := reg.Histogram("h", "", []float64{10}, tacho.WithNative(tacho.NativeConfig{MaxBuckets: 4}))
		s := serve(t, statuses(503, 503, 200))
		p, _ := testPusher(t, target(s.URL), Config{Registry: reg})
		for i := range 100 {
			h.Observe(float64(i))
		}
		mustPush(t, p)
		h.Observe(1)
		mustPush(t, p)
		requests := s.seen()
		if len(requests) != 4 {
			t.Fatalf("%s: %d requests, want 4", name, len(requests))
		}
		for i, want := range []string{"100", "100", "100", "1"} {
			if got := countOf(t, name, requests[i].body); got != want {
				t.Errorf("%s: request %d has %s observations, want %s", name, i, got, want)
			}
		}
	}
}

// countOf returns the count of the histogram h, which the classic and the native part have in common.
func countOf(t *testing.T, target, body string) string {
	t.Helper()
	if strings.HasPrefix(target, "RemoteWrite") {
		text := strings.Join(withoutTimes(t, body), "\n")
		_, count, _ := strings.Cut(text, `{__name__="h_count"} `)
		count, rest, _ := strings.Cut(count, "\n")
		if !strings.HasPrefix(rest, `{__name__="h"} count:`+count+",") {
			t.Errorf("the classic count is %s, and the native series is %q", count, rest)
		}
		return count
	}
	if target == "OTLP" {
		_, count, _ := strings.Cut(otlpText(t, body), " count:")
		count, _, _ = strings.Cut(count, " ")
		return count
	}
	count := "none"
	_, n := binary.Uvarint([]byte(body))
	fields(t, []byte(body)[n:], func(number int, _ uint64, metric []byte) {
		if number == 4 {
			fields(t, metric, func(_ int, _ uint64, histogram []byte) {
				fields(t, histogram, func(number int, v uint64, _ []byte) {
					if number == 1 {
						count = fmt.Sprint(v)
					}
				})
			})
		}
	})
	return count
}
