package native

// A Snapshot has the buckets of a native histogram at one time.
type Snapshot struct {
	Schema        int
	ZeroThreshold float64 // the zero bucket has the values from -ZeroThreshold to ZeroThreshold
	Zero          uint64  // count of the zero bucket
	Positive      []Bucket
	Negative      []Bucket // of the absolute values of negative observations
}

// A Bucket is a bucket with observations. Buckets are sorted by key.
type Bucket struct {
	Key   int // see [Bound]
	Count uint64
}

// Count returns the number of observations.
func (s *Snapshot) Count() uint64 {
	n := s.Zero
	for _, list := range [2][]Bucket{s.Positive, s.Negative} {
		for _, b := range list {
			n += b.Count
		}
	}
	return n
}
