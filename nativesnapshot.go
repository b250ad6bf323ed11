package tacho

import "github.com/tachikoma/tacho/internal/native"

// A NativeSnapshot has the native buckets of a histogram at one time.
type NativeSnapshot struct {
	Schema        int     // from -4 to 8: the factor from one bound to the next is 2^(2^-Schema)
	ZeroThreshold float64 // the zero bucket has the values from -ZeroThreshold to ZeroThreshold
	ZeroCount     uint64
	Positive      []NativeBucket // by increasing index
	Negative      []NativeBucket // of the absolute values of negative observations
}

// A NativeBucket counts the observations in one bucket. It is not cumulative.
type NativeBucket struct {
	Index int // see [NativeSnapshot.Bound]
	Count uint64
}

// Bound returns the upper bound of the bucket with the given index, which is inclusive. The bound of
// the index before is the exclusive lower bound. Index 0 has the upper bound 1. For negative
// observations the bounds are those of the absolute values.
func (s *NativeSnapshot) Bound(index int) float64 { return native.Bound(s.Schema, index) }

func (nativeCode) snapshotNative(h *Histogram, counts []uint64) (float64, *NativeSnapshot) {
	r := new(native.Reader)
	sum, _ := readNative(h, r, counts, false)
	return sum, &NativeSnapshot{r.Schema, r.ZeroThreshold, r.Zero, nativeBuckets(r.Positive), nativeBuckets(r.Negative)}
}

func nativeBuckets(list []native.Bucket) []NativeBucket {
	own := make([]NativeBucket, len(list))
	for i, b := range list {
		own[i] = NativeBucket{b.Key, b.Count}
	}
	return own
}
