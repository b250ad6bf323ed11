//go:build !tacho_nohttp

package push

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// requests2 returns the series of the requests of a push of version 2.0.
func requests2(t *testing.T, p *remotePush) (requests [][]v2Series) {
	t.Helper()
	for _, body := range p.bodies {
		request, err := unsnappy(body)
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, readVersion2(t, string(request)))
	}
	return requests
}

// encoded2 returns the series of a push of version 2.0. Each has one sample or one histogram.
func encoded2(t *testing.T, r *receiver, reg *tacho.Registry) []v2Series {
	t.Helper()
	r.version = 2
	p, err := r.encode(t.Context(), reg, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	r.begin(p)
	all := slices.Concat(requests2(t, p)...)
	for _, s := range all {
		if len(s.lines) != 1 {
			t.Fatalf("a series has the samples %q", s.lines)
		}
	}
	return all
}

var createdSeries = regexp.MustCompile(`__name__="[^"]*_created"`)

// checkVersion2 compares the push of version 2.0 with the series of a push of version 1.0. Version 2.0 has
// no series of times of creation.
func checkVersion2(t *testing.T, reg *tacho.Registry, v1 *receiver, lines []string) {
	t.Helper()
	r := &receiver{targets: v1.targets, noNative: v1.noNative, clock: v1.clock}
	var got []string
	for _, s := range encoded2(t, r, reg) {
		got = append(got, s.lines...)
	}
	lines = slices.DeleteFunc(lines, createdSeries.MatchString)
	expectSame(t, withoutErrors(got), withoutErrors(lines))
}

// TestRemoteWrite2 has the properties of series that only version 2.0 has.
func TestRemoteWrite2(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithCreated())
	before := time.Now().UnixMilli()
	reg.Counter("c_total", "Help \\ \"c\".").AddExemplar(2, "trace_id", "a\\b\"\n")
	reg.Gauge("g_bytes", "G.", tacho.WithUnit("bytes")).Set(1)
	reg.HistogramVec("h_seconds", "", []float64{1}, []string{"l"}, tacho.WithUnit("seconds")).With("x").ObserveExemplar(2, "id", "1", "span", "2")
	both := reg.Histogram("both", "", []float64{1}, tacho.WithNative())
	both.ObserveExemplar(.5, "id", "3")
	native := reg.Histogram("native", "N.", nil, tacho.WithNative())
	for i := range 3 {
		native.ObserveExemplar(float64(3-i), "id", fmt.Sprint("n", i))
		time.Sleep(2 * time.Millisecond)
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.Info("build_info", "I.", "v", "1")
		e.Summary("s", "S.", tacho.SummarySnapshot{Count: 1, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: .5, Value: 3}}})
		e.Created(time.UnixMilli(99)).At(time.UnixMilli(100)).Counter("timed_total", "", 1, "n", "1")
		e.Created(time.UnixMilli(100)).At(time.UnixMilli(100)).Counter("timed_total", "", 1, "n", "2")
	})
	after := time.Now().UnixMilli()
	time.Sleep(2 * time.Millisecond)
	r := newReceiver(nil, true)
	exemplarTime := regexp.MustCompile(` 1\d{12}$`)
	check := func(want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for _, s := range encoded2(t, r, reg) {
			start := fmt.Sprint(s.starts[0])
			if s.starts[0] >= before && s.starts[0] <= after {
				start = "created"
			}
			for i, x := range s.exemplars {
				s.exemplars[i] = exemplarTime.ReplaceAllString(x, "")
			}
			got[s.labels] = fmt.Sprintf("%s %s %q", s.metadata, start, s.exemplars)
		}
		if !maps.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(fmt.Sprintf("%q", got), `" "`, "\"\n\""), strings.ReplaceAll(fmt.Sprintf("%q", want), `" "`, "\"\n\""))
		}
	}
	want := map[string]string{}
	expect := func(labels, metadata, start string, exemplars ...string) {
		want["{"+labels+"}"] = fmt.Sprintf("%s %s %q", metadata, start, exemplars)
	}
	expect(`__name__="c_total"`, `1 "Help \\ \"c\"." ""`, "created", `{trace_id="a\\b\"\n"} 2`)
	expect(`__name__="g_bytes"`, `2 "G." "bytes"`, "0")
	expect(`__name__="h_seconds_bucket",l="x",le="1.0"`, `3 "" "seconds"`, "created")
	expect(`__name__="h_seconds_bucket",l="x",le="+Inf"`, `3 "" "seconds"`, "created", `{id="1",span="2"} 2`)
	expect(`__name__="h_seconds_sum",l="x"`, `3 "" "seconds"`, "created")
	expect(`__name__="h_seconds_count",l="x"`, `3 "" "seconds"`, "created")
	expect(`__name__="both_bucket",le="1.0"`, `3 "" ""`, "created", `{id="3"} 0.5`)
	expect(`__name__="both_bucket",le="+Inf"`, `3 "" ""`, "created")
	expect(`__name__="both_sum"`, `3 "" ""`, "created")
	expect(`__name__="both_count"`, `3 "" ""`, "created")
	expect(`__name__="both"`, `3 "" ""`, "created", `{id="3"} 0.5`)
	expect(`__name__="native"`, `3 "N." ""`, "created", `{id="n0"} 3`, `{id="n1"} 2`, `{id="n2"} 1`)
	expect(`__name__="build_info",v="1"`, `6 "I." ""`, "0")
	expect(`__name__="s",quantile="0.5"`, `5 "S." ""`, "0")
	expect(`__name__="s_sum"`, `5 "S." ""`, "0")
	expect(`__name__="s_count"`, `5 "S." ""`, "0")
	expect(`__name__="timed_total",n="1"`, `1 "" ""`, "99")
	expect(`__name__="timed_total",n="2"`, `1 "" ""`, "0")
	check(want)
	// After an accepted push, the exemplars of that push are not repeated.
	r.accepted = r.last
	both.ObserveExemplar(3, "id", "4")
	for labels, text := range want {
		head, _, _ := strings.Cut(text, " [")
		want[labels] = head + " []"
	}
	expect(`__name__="both_bucket",le="+Inf"`, `3 "" ""`, "created", `{id="4"} 3`)
	expect(`__name__="both"`, `3 "" ""`, "created", `{id="4"} 3`)
	check(want)
}

// Suspects are in a request of their own, with a table of symbols of its own, also in version 2.0. The
// stale markers follow.
func TestRequests2(t *testing.T) {
	reg, name := manySeries(maxSeries + 3)
	r := newReceiver([]label{{"job", "j"}}, true)
	r.version = 2
	push := func() (requests [][]v2Series, separate int) {
		p, err := r.encode(t.Context(), reg, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		r.begin(p)
		r.finish(p, r.suspects)
		return requests2(t, p), p.separate
	}
	requests, separate := push()
	if len(requests) != 2 || separate != 0 || len(requests[0]) != maxSeries || len(requests[1]) != 3 {
		t.Fatalf("%d requests, %d of them separate", len(requests), separate)
	}
	key := func(i int) string {
		b := appendLabel(nil, "__name__", "g")
		b = appendLabel(b, "job", "j")
		return string(appendLabel(b, "n", fmt.Sprintf("%05d", i)))
	}
	r.suspects = map[string]struct{}{key(5): {}, key(maxSeries + 1): {}}
	requests, separate = push()
	if len(requests) != 3 || separate != 1 || len(requests[0]) != maxSeries || len(requests[1]) != 1 || len(requests[2]) != 2 {
		t.Fatalf("%d requests, %d of them separate", len(requests), separate)
	}
	for i, n := range []int{5, maxSeries + 1} {
		want := strings.Replace(name(n), `",n`, `",job="j",n`, 1) + fmt.Sprintf(" %d %d", n, r.last)
		if got := requests[2][i]; !slices.Equal(got.lines, []string{want}) || got.metadata != `2 "" ""` {
			t.Errorf("the separate series %+v, want %s", got, want)
		}
	}
	reg, _ = manySeries(4)
	requests, separate = push()
	markers := 0
	for _, request := range requests {
		for _, s := range request {
			if strings.Contains(s.lines[0], " stale ") {
				markers++
			}
		}
	}
	last := requests[len(requests)-1]
	if markers != maxSeries-1 || separate != 1 || len(last) != 2 || !strings.Contains(last[0].lines[0], "stale") {
		t.Errorf("%d stale markers, and the separate series %+v", markers, last)
	}
	if requests, _ = push(); len(requests) != 1 || len(requests[0]) != 4 {
		t.Errorf("after the end of the series there are %d requests", len(requests))
	}
	if p := r.end(); p == nil || p.version != 2 {
		t.Errorf("the end is %+v", p)
	} else if requests := requests2(t, p); len(requests) != 1 || len(requests[0]) != 4 {
		t.Errorf("the end has the series %+v", requests)
	}
	reg = tacho.NewRegistry()
	if empty, err := newReceiver(nil, true).encode(t.Context(), reg, 1); err != nil || !empty.empty {
		t.Errorf("an empty push: %+v, error %v", empty, err)
	}
	r = newReceiver(nil, true)
	r.version = 2
	p, err := r.encode(t.Context(), reg, 1)
	if request, _ := unsnappy(p.bodies[0]); err != nil || !p.empty || string(request) != "\x22\x00" {
		t.Errorf("an empty push has the body %q, error %v", request, err)
	}
}

// TestStartOfCumulative: the sum and the count of a summary have its start time. A quantile is a gauge and has
// none, as other gauges.
func TestStartOfCumulative(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Collect(func(e *tacho.Emitter) {
		e = e.Created(time.UnixMilli(99))
		e.Summary("s", "", tacho.SummarySnapshot{Count: 1, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: .5, Value: 3}}})
		e.Gauge("g", "", 1)
		e.Untyped("u", "", 1)
		e.Info("i_info", "", "v", "1")
		e.Counter("c_total", "", 1)
	})
	got := map[string]int64{}
	for _, s := range encoded2(t, newReceiver(nil, false), reg) {
		got[s.name()] = s.starts[0]
	}
	if want := map[string]int64{"s": 0, "s_sum": 99, "s_count": 99, "g": 0, "u": 0, "i_info": 0, "c_total": 99}; !maps.Equal(got, want) {
		t.Errorf("start times %v, want %v", got, want)
	}
}

// TestExemplarLabels2: the labels of an exemplar are sorted and have no empty value.
func TestExemplarLabels2(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("c_total", "").AddExemplar(1, "trace_id", "t", "span_id", "s", "user", "", "a", "b")
	for _, s := range encoded2(t, newReceiver(nil, false), reg) {
		if len(s.exemplars) != 1 || !strings.HasPrefix(s.exemplars[0], `{a="b",span_id="s",trace_id="t"} `) {
			t.Errorf("exemplars %q", s.exemplars)
		}
	}
}
