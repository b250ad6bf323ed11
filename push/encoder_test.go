//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// fillRegistry defines families of all kinds in reg, with values made of the arguments.
func fillRegistry(reg *tacho.Registry, a, b string, n int, utf8 bool) {
	name := func(s string) string {
		if utf8 {
			return s + ".é"
		}
		return s
	}
	v := reg.CounterVec("c_total", "Help.", []string{"a", name("job"), "Z"})
	for i := range n {
		v.With(a, fmt.Sprint(i), b).Inc()
		v.With(b, "", fmt.Sprint(i)).AddExemplar(2, "id", b)
		v.With("", b, a).Add(3)
	}
	sorted := reg.GaugeVec("sorted", "", []string{"a", name("k"), "z"})
	for i := range n {
		sorted.With(fmt.Sprint(i), "x", a).Set(1)
		sorted.With(fmt.Sprint(i), b, "").Set(2)
		sorted.With(fmt.Sprint(i, a), "x", "y").Set(3)
	}
	exemplars := reg.CounterVec("ordered_total", "", []string{"a", "z"})
	for i := range n {
		exemplars.With(fmt.Sprint(i, "x"), "1").Inc()
		exemplars.With(fmt.Sprint(i, "y"), "2").Inc()
		exemplars.With(fmt.Sprint(i, "z"), "").AddExemplar(1, "id", "x")
	}
	reg.FloatCounter("plain", "").Add(.25)
	reg.Gauge("g", b).Set(-int64(n))
	reg.GaugeFunc(name("f"), "", func() float64 { return float64(n) })
	for _, h := range []*tacho.HistogramVec{
		reg.HistogramVec("classic_seconds", b, []float64{1, 2}, []string{name("exported_job"), "l"}, tacho.WithUnit("seconds")),
		reg.HistogramVec("inf", "", []float64{}, []string{"l", "m"}),
		reg.HistogramVec("native", "", nil, []string{"l", "q"}, tacho.WithNative()),
		reg.HistogramVec("both", "", []float64{-1, 1, 2}, []string{"l", name("job")}, tacho.WithNative(tacho.NativeConfig{Factor: 2})),
	} {
		for i := range n {
			h.With(a, fmt.Sprint(i)).Observe(float64(i*i) - 3)
			h.With(a, b).ObserveExemplar(1.5, "trace_id", a, "b", b)
			h.With(b, "")
		}
	}
	reg.Collect(func(e *tacho.Emitter) {
		s := tacho.SummarySnapshot{Count: uint64(n), Sum: 2, Quantiles: []tacho.Quantile{{Quantile: .5, Value: -3}, {Quantile: 1, Value: 6}}}
		e.Summary("s", "", s, "x", a)
		e.At(time.UnixMilli(int64(n))).Summary("s", "", s, "job", b, name("y"), a)
		e.At(time.UnixMilli(int64(n)+100)).Gauge("timed", "", 1, "job", a, "exported_job", b)
		e.Gauge("timed", "", 1, "exported_job", b)
	})
}

// The labels of the target conflict with labels of fillRegistry.
var conflicting = [][]label{nil, {{"Zone", "z"}, {"a", "1"}}, {{"a", "1"}, {"l", "3"}, {"le", "2"}, {"job", "j"}, {"quantile", "q"}, {"exported_le", "x"}}}

// checkEncoded compares the request of version 1.0 with that of a transcoder.
func checkEncoded(t *testing.T, reg *tacho.Registry, targets []label, noNative bool) {
	t.Helper()
	r := newReceiver(targets, true)
	r.noNative = noNative
	r.clock = func() time.Time { return time.UnixMilli(1700000000123) }
	o := &transcoder{noNative: noNative, now: 1700000000123}
	for _, l := range targets {
		o.targets = append(o.targets, pair{[]byte(l.name), appendLabel(nil, l.name, l.value)})
	}
	if err := reg.WriteProtobufContext(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	r.last = 0
	got := encoded(t, r, reg)
	if !bytes.Equal(got, o.request) {
		expectSame(t, withoutErrors(readRequest(t, string(got))), withoutErrors(readRequest(t, string(o.request))))
	}
	checkVersion2(t, reg, r, readRequest(t, string(o.request)))
}

// expectSame reports the first difference of two lists.
func expectSame(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got) || i >= len(want):
			t.Fatalf("%d series, want %d, after %.1000s", len(got), len(want), got[:i][max(0, i-1):])
		case got[i] != want[i]:
			t.Fatalf("series %d:\n%.1000s\nwant\n%.1000s", i, got[i], want[i])
		}
	}
}

// withoutErrors returns the lines without tacho_errors_total. Each exposition counts the samples of
// collectors that it leaves out.
func withoutErrors(lines []string) []string {
	return slices.DeleteFunc(lines, func(s string) bool { return strings.Contains(s, `"tacho_errors_total"`) })
}

// FuzzRemoteWrite compares the requests with those that a transcoder makes of the protobuf format.
func FuzzRemoteWrite(f *testing.F) {
	f.Add("a", "b", uint8(3), uint8(0))
	f.Add("a", "b", uint8(3), uint8(9))
	f.Add("\\n\n\"", "} 1 # {", uint8(1), uint8(10))
	f.Add("\xff\x00", ",x=\"", uint8(2), uint8(13))
	f.Add(strings.Repeat("x", 300), strings.Repeat("\\", 200), uint8(2), uint8(3))
	f.Add(strings.Repeat("x", 121), strings.Repeat("y", 113), uint8(1), uint8(15))
	f.Fuzz(func(t *testing.T, a, b string, n, options uint8) {
		if len(a)+len(b) > 1000 {
			t.Skip() // TestLongLabels has longer labels
		}
		utf8 := options&1 != 0
		var opts []tacho.Option
		if options&8 != 0 {
			opts = append(opts, tacho.WithConstLabels("const", a))
		}
		if utf8 {
			opts = append(opts, tacho.WithUTF8Names())
		}
		if options&2 != 0 {
			opts = append(opts, tacho.WithCreated())
		}
		reg := tacho.NewRegistry(opts...)
		fillRegistry(reg, a, b, int(n%4), utf8)
		for _, targets := range conflicting {
			checkEncoded(t, reg, targets, options&4 != 0)
		}
	})
}

// TestLongLabels: the lengths of labels and series around the limits of their varints are right.
func TestLongLabels(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range rounds(200) {
		size := func() int { return []int{1, 60, 110 + random.IntN(20), 16<<10 - 40 + random.IntN(50)}[random.IntN(4)] }
		reg := tacho.NewRegistry()
		name := "n" + strings.Repeat("n", size())
		reg.GaugeVec("g"+strings.Repeat("g", size()), "", []string{name, "z"}).With(strings.Repeat("v", size()), "x").Set(1)
		reg.HistogramVec("h"+strings.Repeat("g", size()), "", []float64{1}, []string{name, "z"}, tacho.WithNative()).With(strings.Repeat("v", size()), "x").Observe(1)
		checkEncoded(t, reg, []label{{"t", strings.Repeat("v", size())}}, false)
	}
}

// TestManySeries: the references of version 2.0 are right in each request of a push.
func TestManySeries(t *testing.T) {
	reg := tacho.NewRegistry()
	for _, name := range []string{"a", "b", "c"} {
		v := reg.GaugeVec(name, "Help of "+name+".", []string{"l"})
		h := reg.HistogramVec(name+"_seconds", "Help of "+name+".", []float64{1, 2}, []string{"l"}, tacho.WithUnit("seconds"))
		for i := range 1200 {
			v.With(name + fmt.Sprint(i)).Set(1)
			if i%2 == 0 {
				h.With(fmt.Sprint(i)).Observe(1)
			}
		}
	}
	checkEncoded(t, reg, conflicting[1], false)
	for _, s := range encoded2(t, newReceiver(nil, true), reg) {
		name := s.name()
		want := fmt.Sprintf(`2 "Help of %s." ""`, name[:1])
		if len(name) > 1 {
			want = fmt.Sprintf(`3 "Help of %s." "seconds"`, name[:1])
		}
		if s.metadata != want {
			t.Fatalf("%s has the metadata %s, want %s", s.lines[0], s.metadata, want)
		}
	}
}

// TestBucketsOfTwoRequests: the references of version 2.0 are right if a request ends between two buckets of
// a histogram.
func TestBucketsOfTwoRequests(t *testing.T) {
	bounds := make([]float64, 1000)
	for i := range bounds {
		bounds[i] = float64(i)
	}
	for _, n := range []int{7, 11, 1000} {
		reg := tacho.NewRegistry()
		h := reg.HistogramVec("h", "Help.", bounds[:n], []string{"l"})
		for i := range 6000 / n {
			h.With(fmt.Sprint(i)).Observe(1)
		}
		checkEncoded(t, reg, nil, false)
	}
}

// TestRemoteMaxBytes: series of exactly the limit are encoded. The labels of the target do not count.
func TestRemoteMaxBytes(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.GaugeVec("g", "Help.", []string{"l"}).With("x").Set(1)
	reg.CounterVec("c_total", "Help.", []string{"l"}).With("y").AddExemplar(1, "id", "x")
	size := int64(0)
	for _, l := range [][2]string{{"g", "x"}, {"c_total", "y"}} {
		size += int64(len(appendLabel(appendLabel(nil, "__name__", l[0]), "l", l[1])))
	}
	for version := 1; version <= 2; version++ {
		for limit, want := range map[int64]error{size: nil, size - 1: errTooLarge} {
			r := newReceiver([]label{{"job", "j"}}, true)
			r.version = version
			if _, err := r.encode(t.Context(), reg, limit); err != want {
				t.Errorf("version %d, a limit of %d for %d bytes: error %v, want %v", version, limit, size, err, want)
			}
		}
	}
}

// TestCreatedOnce: a histogram and a counter with the same name in OpenMetrics have one series of the time of
// creation. Both series would have the same labels.
func TestCreatedOnce(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithCreated())
	reg.Histogram("f", "", []float64{1}).Observe(1)
	reg.Counter("f_total", "").Inc()
	n := 0
	for _, line := range readRequest(t, string(encoded(t, newReceiver(nil, true), reg))) {
		if strings.HasPrefix(line, `{__name__="f_created"}`) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d series of the time of creation", n)
	}
}

// TestConflictsOfLe: the label le with many prefixes can be as long as the limit of the fast copy.
func TestConflictsOfLe(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.HistogramVec("h", "", []float64{1.2345678901234567e-200, 1}, []string{"l"}).With("x").Observe(1)
	var targets []label
	for n := range 15 {
		checkEncoded(t, reg, targets, false)
		targets = append(targets, label{strings.Repeat("exported_", n) + "le", "x"})
	}
}

// TestManyLabels: an empty value is no label, also behind the first 64 labels.
func TestManyLabels(t *testing.T) {
	var names []string
	for i := range 70 {
		names = append(names, fmt.Sprintf("l%02d", i))
	}
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", names)
	for empty := range 71 {
		values := strings.Split(strings.Repeat(fmt.Sprint("v", empty, " "), 70), " ")[:70]
		if empty < 70 {
			values[empty] = ""
		}
		v.With(values...).Set(1)
	}
	checkEncoded(t, reg, nil, false)
}

// TestLongValues: long values follow short ones in the same family.
func TestLongValues(t *testing.T) {
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"a", "b"})
	for n := range 300 {
		v.With(fmt.Sprint(n), strings.Repeat("v", n+1)).Set(1)
	}
	checkEncoded(t, reg, nil, false)
}

// TestContextEnds: the encoder ends at the next part of a request if the context ended.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &remoteWriter{ctx: ctx}
	if _, err := w.Write([]byte("part")); err != nil || w.size != 4 {
		t.Errorf("error %v", err)
	}
	cancel()
	if _, err := w.Write([]byte("part")); err != context.Canceled || w.size != 4 {
		t.Errorf("error %v after the end of the context", err)
	}
}
