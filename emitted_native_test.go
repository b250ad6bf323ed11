package tacho

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestEmittedNative: a collector that emits the snapshot of a native histogram shows what the
// histogram shows, if the registry has WithNative.
func TestEmittedNative(t *testing.T) {
	for _, buckets := range [][]float64{nil, {1, 2}} {
		defined, emitted, plain := NewRegistry(WithNative()), NewRegistry(WithNative()), NewRegistry()
		h := defined.Histogram("h", "help", buckets)
		for _, v := range []float64{0, 0.5, 1, 1.5, 1.5, 300, -2, math.Inf(+1)} {
			h.Observe(v)
		}
		collect := func(e *Emitter) { e.Histogram("h", "help", h.Snapshot()) }
		emitted.Collect(collect)
		plain.Collect(collect)
		for name, write := range map[string]func(testing.TB, *Registry) string{"text": text, "protobuf": protobufText, "JSON": jsonText} {
			want := write(t, defined)
			if got := write(t, emitted); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
			}
			if got := write(t, plain); (got == want) != (name == "text") {
				t.Errorf("%s without WithNative: got\n%s", name, got)
			}
		}
	}
}

// TestEmittedNativeTime: an emitted native histogram can have a time.
func TestEmittedNativeTime(t *testing.T) {
	r := NewRegistry(WithNative())
	r.Collect(func(e *Emitter) {
		s := HistogramSnapshot{Count: 1, Sum: 1, Native: &NativeSnapshot{Positive: []NativeBucket{{0, 1}}}}
		e.At(time.UnixMilli(1500)).Histogram("h", "", s)
	})
	if got := protobufText(t, r); !strings.Contains(got, "timestamp_ms:1500") || !strings.Contains(got, "positive_span") {
		t.Error(got)
	}
}

// TestBadEmittedNative: a bad native part is refused, and counted.
func TestBadEmittedNative(t *testing.T) {
	one := []NativeBucket{{0, 1}}
	for name, s := range map[string]HistogramSnapshot{
		"good":            {Count: 1, Native: &NativeSnapshot{Positive: one}},
		"good NaN":        {Count: 2, Sum: math.NaN(), Native: &NativeSnapshot{Positive: one}},
		"good lowest":     {Count: 1, Native: &NativeSnapshot{Positive: []NativeBucket{{-1074, 1}}}},
		"good infinite":   {Count: 1, Native: &NativeSnapshot{Positive: []NativeBucket{{1025, 1}}}},
		"count":           {Count: 2, Native: &NativeSnapshot{Positive: one}},
		"count of NaN":    {Count: 0, Sum: math.NaN(), Native: &NativeSnapshot{Positive: one}},
		"good greatest":   {Count: 1<<64 - 1, Native: &NativeSnapshot{ZeroCount: 1, Positive: []NativeBucket{{0, 1<<63 - 1}}, Negative: []NativeBucket{{0, 1<<63 - 1}}}},
		"bucket":          {Count: 1 << 63, Native: &NativeSnapshot{Positive: []NativeBucket{{0, 1 << 63}}}},
		"overflow":        {Count: 1, Native: &NativeSnapshot{ZeroCount: 3, Positive: []NativeBucket{{0, 1<<63 - 1}}, Negative: []NativeBucket{{0, 1<<63 - 1}}}},
		"overflow later":  {Count: 1, Native: &NativeSnapshot{ZeroCount: 1<<64 - 1, Negative: []NativeBucket{{0, 2}}}},
		"schema":          {Count: 1, Native: &NativeSnapshot{Schema: 9, Positive: one}},
		"low schema":      {Count: 1, Native: &NativeSnapshot{Schema: -53, Positive: one}},
		"order":           {Count: 2, Native: &NativeSnapshot{Positive: []NativeBucket{{1, 1}, {0, 1}}}},
		"negative twice":  {Count: 2, Native: &NativeSnapshot{Negative: []NativeBucket{{1, 1}, {1, 1}}}},
		"index":           {Count: 1, Native: &NativeSnapshot{Positive: []NativeBucket{{1026, 1}}}},
		"low index":       {Count: 1, Native: &NativeSnapshot{Positive: []NativeBucket{{-1075, 1}}}},
		"threshold":       {Count: 1, Native: &NativeSnapshot{ZeroThreshold: -1, Positive: one}},
		"NaN threshold":   {Count: 1, Native: &NativeSnapshot{ZeroThreshold: math.NaN(), Positive: one}},
		"large threshold": {Count: 1, Native: &NativeSnapshot{ZeroThreshold: math.Inf(+1), Positive: one}},
	} {
		r := NewRegistry(WithNative())
		r.Collect(func(e *Emitter) { e.Histogram("h", "", s) })
		got := text(t, r)
		good := strings.HasPrefix(name, "good")
		if good != strings.Contains(got, "h_count") || good == strings.Contains(text(t, r), `{metric="h",reason="invalid"}`) {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}
