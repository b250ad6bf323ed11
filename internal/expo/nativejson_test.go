package expo

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/race"
)

func TestNativeJSON(t *testing.T) {
	for name, c := range map[string]struct {
		s    native.Snapshot
		sum  float64
		want string
	}{
		"empty": {native.Snapshot{Schema: 3, ZeroThreshold: 0x1p-128}, 0, `"count":"0","sum":"0"`},
		"positive": {
			native.Snapshot{Positive: []native.Bucket{{Key: 0, Count: 1}, {Key: 1, Count: 2}, {Key: 3, Count: 3}}}, 20.5,
			`"count":"6","sum":"20.5","buckets":[[0,"0.5","1","1"],[0,"1","2","2"],[0,"4","8","3"]]`,
		},
		"negative": {
			native.Snapshot{Negative: []native.Bucket{{Key: 0, Count: 1}, {Key: 1, Count: 2}, {Key: 3, Count: 3}}}, -20.5,
			`"count":"6","sum":"-20.5","buckets":[[1,"-8","-4","3"],[1,"-2","-1","2"],[1,"-1","-0.5","1"]]`,
		},
		"zero bucket": {native.Snapshot{ZeroThreshold: 0x1p-128, Zero: 7}, 0, `"count":"7","sum":"0","buckets":[[3,"-2.938735877055719e-39","2.938735877055719e-39","7"]]`},
		"threshold 0": {
			native.Snapshot{Negative: []native.Bucket{{Key: -1074, Count: 1}}, Zero: 2, Positive: []native.Bucket{{Key: -1074, Count: 3}}}, 0,
			`"count":"6","sum":"0","buckets":[[1,"-5e-324","-0","1"],[3,"-0","0","2"],[0,"0","5e-324","3"]]`,
		},
		"threshold 0, no zeros": {
			native.Snapshot{Negative: []native.Bucket{{Key: -1074, Count: 1}}, Positive: []native.Bucket{{Key: -1074, Count: 3}}}, 0,
			`"count":"4","sum":"0","buckets":[[1,"-5e-324","-0","1"],[0,"0","5e-324","3"]]`,
		},
		"lowest value alone": {native.Snapshot{Positive: []native.Bucket{{Key: -1074, Count: 3}}}, 1e21, `"count":"3","sum":"1e+21","buckets":[[0,"0","5e-324","3"]]`},
		"threshold above a bound of 0": {
			native.Snapshot{Schema: -4, ZeroThreshold: 5e-324, Positive: []native.Bucket{{Key: -67, Count: 3}}}, 1e-6,
			`"count":"3","sum":"0.000001","buckets":[[0,"0","2e-323","3"]]`,
		},
		"threshold within a bucket": {
			native.Snapshot{ZeroThreshold: 0.75, Zero: 1, Negative: []native.Bucket{{Key: 0, Count: 2}}, Positive: []native.Bucket{{Key: 0, Count: 3}}}, 0,
			`"count":"6","sum":"0","buckets":[[1,"-1","-0.75","2"],[3,"-0.75","0.75","1"],[0,"0.75","1","3"]]`,
		},
		"infinities": {
			native.Snapshot{Schema: 8, Negative: []native.Bucket{{Key: 1024<<8 + 1, Count: 1}}, Positive: []native.Bucket{{Key: 1024<<8 + 1, Count: 2}}}, math.NaN(),
			`"count":"3","sum":"NaN","buckets":[[1,"-Inf","-1.7976931348623157e+308","1"],[0,"1.7976931348623157e+308","+Inf","2"]]`,
		},
		"lowest schema": {
			native.Snapshot{Schema: -4, Positive: []native.Bucket{{Key: 64, Count: 1}, {Key: 65, Count: 1}}}, math.Inf(+1),
			`"count":"2","sum":"+Inf","buckets":[[0,"2.7430620343968443e+303","1.7976931348623157e+308","1"],[0,"1.7976931348623157e+308","+Inf","1"]]`,
		},
		"highest schema": {native.Snapshot{Schema: 8, Positive: []native.Bucket{{Key: 1, Count: 1}}}, math.Inf(-1), `"count":"1","sum":"-Inf","buckets":[[0,"1","1.0027112750502025","1"]]`},
		"exponents": {
			native.Snapshot{Positive: []native.Bucket{{Key: -20, Count: 1}, {Key: -19, Count: 1}, {Key: 69, Count: 1}, {Key: 70, Count: 1}}}, 1e6,
			`"count":"4","sum":"1000000","buckets":[[0,"4.76837158203125e-07","9.5367431640625e-07","1"],[0,"9.5367431640625e-07","0.0000019073486328125","1"],` +
				`[0,"295147905179352830000","590295810358705700000","1"],[0,"590295810358705700000","1.1805916207174113e+21","1"]]`,
		},
		"empty buckets":    {native.Snapshot{Positive: []native.Bucket{{Key: 1, Count: 1}, {Key: 2}, {Key: 3, Count: 1}}, Negative: []native.Bucket{{Key: 1}}}, 5, `"count":"2","sum":"5","buckets":[[0,"1","2","1"],[0,"4","8","1"]]`},
		"only empty":       {native.Snapshot{Positive: []native.Bucket{{Key: 1}}}, 0, `"count":"0","sum":"0"`},
		"counts are exact": {native.Snapshot{Positive: []native.Bucket{{Key: 1, Count: math.MaxUint64 - 1}}, Zero: 1}, 5, `"count":"18446744073709551615","sum":"5","buckets":[[3,"-0","0","1"],[0,"1","2","18446744073709551614"]]`},
	} {
		got := string(NativeCode{}.AppendJSON([]byte(`{"x":0`), &c.s, c.sum)) + "}"
		if want := `{"x":0,"histogram":{` + c.want + `}}`; got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestNativeHistogramInFormats: the JSON view has the native part as the last member before the time.
// Formats other than protobuf, OpenMetrics 2.0 and OTLP have only the classic buckets.
func TestNativeHistogramInFormats(t *testing.T) {
	s := &native.Snapshot{Zero: 1, Positive: []native.Bucket{{Key: 1, Count: 2}, {Key: 2, Count: 3}}}
	const member = `,"histogram":{"count":"6","sum":"7.5","buckets":[[3,"-0","0","1"],[0,"1","2","2"],[0,"2","4","3"]]}`
	f := &Family{Name: "h", Kind: Histogram}
	pass := func(upper []float64, counts []uint64, set func(d *Details)) func(e *Encoder) bool {
		bounds := NewBounds(upper)
		return func(e *Encoder) bool {
			d := e.Details()
			set(d)
			return e.Histogram(`{l="v"} `, &bounds, counts, 7.5, d)
		}
	}
	set := func(d *Details) { d.SetNative(&Native{Snapshot: s, Code: NativeCode{}}) }
	const classic, only = `"count":6,"buckets":[{"le":2,"count":3},{"le":null,"count":6}]`, `"count":6,"buckets":[{"le":null,"count":6}]`
	for name, c := range map[string]struct {
		format *Format
		pass   func(e *Encoder) bool
		want   string
	}{
		"beside classic buckets": {&JSON, pass([]float64{2}, []uint64{3, 3}, set), classic + member},
		"alone":                  {&JSON, pass(nil, []uint64{6}, set), only + member},
		"with a time": {&JSON, pass(nil, []uint64{6}, func(d *Details) { set(d); d.Timed, d.At = true, 1500 }),
			only + member + `,"timestamp":1.5`},
		"without a native part": {&JSON, pass(nil, []uint64{6}, func(*Details) {}), only},
	} {
		if got, want := line(t, c.format, f, c.pass), `{"h":[{"labels":{"l":"v"},"value":7.5,`+c.want+"}"; got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	for name, format := range formats {
		plain := line(t, format, f, pass(nil, []uint64{6}, func(*Details) {}))
		if got := line(t, format, f, pass(nil, []uint64{6}, set)); format != &JSON && format != &Protobuf && format != &OpenMetrics2 && name != "OTLP" && got != plain {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, plain)
		}
	}
}

// jsonLogNormal returns the Snapshot of n log-normal values with a median of 10 ms.
func jsonLogNormal(schema, n int) *native.Snapshot {
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[int]uint64{}
	for range n {
		v := 0.01 * math.Exp(r.NormFloat64())
		counts[int(math.Ceil(math.Ldexp(math.Log2(v), schema)))]++
	}
	s := &native.Snapshot{Schema: schema, ZeroThreshold: 0x1p-128}
	for key := -20 << schema; key < 20<<schema; key++ {
		if counts[key] > 0 {
			s.Positive = append(s.Positive, native.Bucket{Key: key, Count: counts[key]})
		}
	}
	return s
}

// TestNativeJSONAllocations: the number of series makes no allocation.
func TestNativeJSONAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	s, bounds := jsonLogNormal(3, 1000), NewBounds(nil)
	s.Negative = s.Positive
	counts := []uint64{s.Count()}
	f := &Family{Name: "h", Kind: Histogram}
	var allocations [2]float64
	own := &Native{Snapshot: s, Code: NativeCode{}}
	for i, n := range []int{1, 100} {
		f.Encode = func(e *Encoder) {
			e.Begin(f)
			for range n {
				d := e.Details()
				d.SetNative(own)
				e.Histogram(" ", &bounds, counts, 12.3456789, d)
			}
		}
		allocations[i] = testing.AllocsPerRun(20, func() {
			if err := Write(io.Discard, &JSON, names.Underscores, []*Family{f}, new(Names)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if allocations[0] != allocations[1] {
		t.Errorf("%v allocations for 1 series, %v for 100", allocations[0], allocations[1])
	}
}

// fuzzSnapshot makes a Snapshot of data: keys in any order, of any size, and any counts.
func fuzzSnapshot(schema int, threshold float64, data []byte) *native.Snapshot {
	s := &native.Snapshot{Schema: schema, ZeroThreshold: threshold}
	for i := 0; i+10 <= len(data); i += 10 {
		b := native.Bucket{Key: int(int16(binary.LittleEndian.Uint16(data[i:]))) << max(schema, 0) >> max(-schema, 0), Count: binary.LittleEndian.Uint64(data[i+2:])}
		switch data[i] % 3 {
		case 0:
			s.Positive = append(s.Positive, b)
		case 1:
			s.Negative = append(s.Negative, b)
		default:
			s.Zero = b.Count
		}
	}
	return s
}

// FuzzNativeJSON checks that the member is valid JSON for any Snapshot, and has its numbers.
func FuzzNativeJSON(f *testing.F) {
	f.Add(uint8(7), 0x1p-128, 1.5, []byte("aaaaaaaaaabbbbbbbbbbcccccccccc"))
	f.Add(uint8(0), 0.0, math.Inf(-1), []byte("\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(uint8(12), 1e300, math.NaN(), []byte("\xff\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x00\x80\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, schema uint8, threshold, sum float64, data []byte) {
		s := fuzzSnapshot(native.MinSchema+int(schema)%(native.MaxSchema-native.MinSchema+1), threshold, data)
		text := string(NativeCode{}.AppendJSON([]byte(`{"x":0`), s, sum)) + "}"
		var got struct {
			X         int
			Histogram struct {
				Count, Sum string
				Buckets    [][4]any
			}
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		h := got.Histogram
		if v, err := strconv.ParseFloat(h.Sum, 64); err != nil || v != sum && !(math.IsNaN(v) && math.IsNaN(sum)) {
			t.Errorf("sum %s, want %v", h.Sum, sum)
		}
		var counts []uint64
		for i := len(s.Negative) - 1; i >= 0; i-- {
			counts = append(counts, s.Negative[i].Count)
		}
		counts = append(counts, s.Zero)
		for _, b := range s.Positive {
			counts = append(counts, b.Count)
		}
		var total uint64
		for _, c := range counts {
			if total += c; c == 0 {
				continue
			}
			if len(h.Buckets) == 0 {
				t.Fatalf("a bucket is missing in %s", text)
			}
			b := h.Buckets[0]
			h.Buckets = h.Buckets[1:]
			if b[3] != strconv.FormatUint(c, 10) {
				t.Errorf("count %v, want %d", b[3], c)
			}
			for _, bound := range b[1:3] {
				if v, err := strconv.ParseFloat(bound.(string), 64); err != nil || math.IsNaN(v) && !math.IsNaN(threshold) {
					t.Errorf("bound %q: %v", bound, err)
				}
			}
		}
		if len(h.Buckets) > 0 || h.Count != strconv.FormatUint(total, 10) {
			t.Errorf("%d buckets too many, count %s, want %d", len(h.Buckets), h.Count, total)
		}
	})
}

// BenchmarkNativeJSON measures the native part of one series.
func BenchmarkNativeJSON(b *testing.B) {
	for _, schema := range []int{0, 3, 5} {
		s := jsonLogNormal(schema, 1000)
		b.Run("schema="+strconv.Itoa(schema)+"/buckets="+strconv.Itoa(len(s.Positive)), func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, maxPooled)
			for b.Loop() {
				buf = NativeCode{}.AppendJSON(buf[:0], s, 16.4872)
			}
			b.ReportMetric(float64(len(buf)), "bytes/series")
		})
	}
}
