//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// A decoded2 is a TimeSeries of remote write 2.0.
type decoded2 struct {
	line      string // as readRequest returns it
	name      string
	start     int64
	exemplars []string // as {a="b"} value time
	metadata  string   // type, help and unit
}

// decode2 reads a Request of remote write 2.0. The strings of the table must differ, and all must be used.
func decode2(t *testing.T, request []byte) (all []decoded2) {
	t.Helper()
	var symbols []string
	used := map[uint64]bool{0: true}
	symbol := func(ref uint64) string {
		if ref >= uint64(len(symbols)) {
			t.Fatalf("reference %d of %d", ref, len(symbols))
		}
		used[ref] = true
		return symbols[ref]
	}
	labels := func(packed []byte) (text, name string) {
		var list []string
		for len(packed) > 0 {
			var refs [2]uint64
			for i := range refs {
				v, n := binary.Uvarint(packed)
				if n <= 0 {
					t.Fatalf("bad references %x", packed)
				}
				refs[i], packed = v, packed[n:]
			}
			if symbol(refs[0]) == "__name__" {
				name = symbol(refs[1])
			}
			list = append(list, fmt.Sprintf("%s=%q", symbol(refs[0]), symbol(refs[1])))
		}
		return "{" + strings.Join(list, ",") + "}", name
	}
	fields(t, request, func(number int, _ uint64, b []byte) {
		switch number {
		case 4:
			if len(all) > 0 || (len(symbols) == 0) != (len(b) == 0) {
				t.Errorf("symbol %q after %d symbols and %d series", b, len(symbols), len(all))
			}
			symbols = append(symbols, string(b))
		case 5:
			var s decoded2
			fields(t, b, func(number int, _ uint64, b []byte) {
				switch number {
				case 1:
					s.line, s.name = labels(b)
				case 2:
					var value any
					var at int64
					fields(t, b, func(number int, v uint64, _ []byte) {
						switch {
						case number == 1 && v == staleMarker:
							value = "stale"
						case number == 1:
							value = math.Float64frombits(v)
						case number == 2:
							at = int64(v)
						default:
							s.start = int64(v)
						}
					})
					s.line += fmt.Sprintf(" %v %d", value, at)
				case 3:
					var plain []byte // without the start time
					for rest := b; len(rest) > 0; {
						f, after, ok := cutField(rest)
						if !ok {
							t.Fatalf("malformed histogram %x", b)
						}
						if f.tag == 17<<3 {
							s.start = int64(f.value)
						} else {
							plain = append(plain, rest[:len(rest)-len(after)]...)
						}
						rest = after
					}
					text, at := readHistogram(t, plain)
					s.line += fmt.Sprintf(" %s %d", text, at)
				case 4:
					text := ""
					fields(t, b, func(number int, v uint64, b []byte) {
						switch number {
						case 1:
							text, _ = labels(b)
						case 2:
							text += fmt.Sprint(" ", math.Float64frombits(v))
						case 3:
							text += fmt.Sprint(" ", v)
						}
					})
					s.exemplars = append(s.exemplars, text)
				case 5:
					var m [5]string
					fields(t, b, func(number int, v uint64, _ []byte) {
						if m[number] = symbol(v); number == 1 {
							m[1] = fmt.Sprint(v)
						}
					})
					s.metadata = m[1] + m[2] + "/" + m[3] + "/" + m[4]
				default:
					t.Errorf("TimeSeries has the field %d", number)
				}
			})
			all = append(all, s)
		default:
			t.Errorf("Request has the field %d", number)
		}
	})
	sorted := slices.Sorted(slices.Values(symbols))
	if len(slices.Compact(sorted)) != len(symbols) || len(symbols) > 0 && len(used) != len(symbols) {
		t.Errorf("%d of %d symbols are used: %q", len(used), len(symbols), symbols)
	}
	return all
}

// encoded2 returns the series of a push of version 2.0.
func encoded2(t *testing.T, r *receiver, reg *tacho.Registry) (all []decoded2) {
	t.Helper()
	r.version = 2
	p, err := r.encode(t.Context(), reg, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	r.begin(p)
	for _, body := range p.bodies {
		request, err := unsnappy(body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, decode2(t, request)...)
	}
	return all
}

var createdSeries = regexp.MustCompile(`__name__="[^"]*_created"`)

// checkVersion2 compares the push of version 2.0 with the series of a push of version 1.0. Version 2.0 has
// no series of times of creation.
func checkVersion2(t *testing.T, reg *tacho.Registry, v1 *receiver, lines []string) {
	t.Helper()
	r := &receiver{targets: v1.targets, noNative: v1.noNative, clock: v1.clock}
	all := encoded2(t, r, reg)
	var got []string
	for _, s := range all {
		got = append(got, s.line)
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
	check := func(all []decoded2, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for _, s := range all {
			start := fmt.Sprint(s.start)
			if s.start >= before && s.start <= after {
				start = "created"
			}
			for i, x := range s.exemplars {
				s.exemplars[i] = exemplarTime.ReplaceAllString(x, "")
			}
			labels, _, _ := strings.Cut(s.line, "} ")
			got[labels] = fmt.Sprintf("%s %s %q", s.metadata, start, s.exemplars)
		}
		if !maps.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(fmt.Sprintf("%q", got), `" "`, "\"\n\""), strings.ReplaceAll(fmt.Sprintf("%q", want), `" "`, "\"\n\""))
		}
	}
	want := map[string]string{
		`{__name__="c_total"`:                         `1/Help \ "c"./ created ["{trace_id=\"a\\\\b\\\"\\n\"} 2"]`,
		`{__name__="g_bytes"`:                         `2/G./bytes 0 []`,
		`{__name__="h_seconds_bucket",l="x",le="1.0"`: ``,
	}
	_ = want
	delete(want, `{__name__="h_seconds_bucket",l="x",le="1.0"`)
	for labels, exemplars := range map[string]string{
		`h_seconds_bucket",l="x",le="1.0"`:  `[]`,
		`h_seconds_bucket",l="x",le="+Inf"`: `["{id=\"1\",span=\"2\"} 2"]`,
		`h_seconds_sum",l="x"`:              `[]`,
		`h_seconds_count",l="x"`:            `[]`,
	} {
		want[strings.Replace(`{__name__="`+labels, `"l=`, `",l=`, 1)] = `3//seconds created ` + exemplars
	}
	for labels, exemplars := range map[string]string{
		`both_bucket",le="1.0"`: `["{id=\"3\"} 0.5"]`, `both_bucket",le="+Inf"`: `[]`, `both_sum"`: `[]`, `both_count"`: `[]`,
		`both"`: `["{id=\"3\"} 0.5"]`,
	} {
		want[`{__name__="`+labels] = `3// created ` + exemplars
	}
	want[`{__name__="native"`] = `3/N./ created ["{id=\"n0\"} 3" "{id=\"n1\"} 2" "{id=\"n2\"} 1"]`
	want[`{__name__="build_info",v="1"`] = `6/I./ 0 []`
	want[`{__name__="s",quantile="0.5"`] = `5/S./ 0 []`
	want[`{__name__="s_sum"`] = `5/S./ 0 []`
	want[`{__name__="s_count"`] = `5/S./ 0 []`
	want[`{__name__="timed_total",n="1"`] = `1// 99 []`
	want[`{__name__="timed_total",n="2"`] = `1// 0 []`
	check(encoded2(t, r, reg), want)
	// After an accepted push, the exemplars of that push are not repeated.
	r.accepted = r.last
	both.ObserveExemplar(3, "id", "4")
	for labels, text := range want {
		head, _, _ := strings.Cut(text, " [")
		want[labels] = head + " []"
	}
	want[`{__name__="both_bucket",le="+Inf"`] = `3// created ["{id=\"4\"} 3"]`
	want[`{__name__="both"`] = `3// created ["{id=\"4\"} 3"]`
	check(encoded2(t, r, reg), want)
}

// Suspects are in a request of their own, with a table of symbols of its own, also in version 2.0. The
// stale markers follow.
func TestRequests2(t *testing.T) {
	reg, name := manySeries(maxSeries + 3)
	r := newReceiver([]label{{"job", "j"}}, true)
	r.version = 2
	push := func() (requests [][]decoded2, separate int) {
		p, err := r.encode(t.Context(), reg, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		r.begin(p)
		for _, body := range p.bodies {
			request, err := unsnappy(body)
			if err != nil {
				t.Fatal(err)
			}
			requests = append(requests, decode2(t, request))
		}
		r.finish(p, r.suspects)
		return requests, p.separate
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
		if got := requests[2][i]; got.line != want || got.metadata != "2//" {
			t.Errorf("the separate series %+v, want %s", got, want)
		}
	}
	reg, _ = manySeries(4)
	requests, separate = push()
	markers := 0
	for _, request := range requests {
		for _, s := range request {
			if strings.Contains(s.line, " stale ") {
				markers++
			}
		}
	}
	last := requests[len(requests)-1]
	if markers != maxSeries-1 || separate != 1 || len(last) != 2 || !strings.Contains(last[0].line, "stale") {
		t.Errorf("%d stale markers, and the separate series %+v", markers, last)
	}
	if requests, _ = push(); len(requests) != 1 || len(requests[0]) != 4 {
		t.Errorf("after the end of the series there are %d requests", len(requests))
	}
	if p := r.end(); p == nil || p.version != 2 {
		t.Errorf("the end is %+v", p)
	} else if request, _ := unsnappy(p.bodies[0]); len(decode2(t, request)) != 4 {
		t.Errorf("the end has the series %+v", decode2(t, request))
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
		got[s.name] = s.start
	}
	if want := map[string]int64{"s": 0, "s_sum": 99, "s_count": 99, "g": 0, "u": 0, "i_info": 0, "c_total": 99}; !maps.Equal(got, want) {
		t.Errorf("start times %v, want %v", got, want)
	}
}
