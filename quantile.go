package tacho

import (
	"math"
	"slices"
)

// Quantile returns an estimate of the value that the fraction q of the observations does not
// exceed. The estimate is that of histogram_quantile() of Prometheus. Its error is at most the
// width of a bucket.
//
// Quantile returns NaN if q is NaN or there are no observations. It returns -Inf if q is below 0,
// and +Inf if q is above 1.
//
// If s has native buckets, Quantile uses only these. It interpolates exponentially within a
// bucket, and linearly within the zero bucket. Otherwise Quantile interpolates linearly within a
// classic bucket. The lowest classic bucket begins at 0 if its bound is positive. A quantile above
// the last finite bound is that bound, or NaN if there is none. A missing bucket for +Inf is added
// from Count.
func (s HistogramSnapshot) Quantile(q float64) float64 {
	switch {
	case q < 0:
		return math.Inf(-1)
	case q > 1:
		return math.Inf(+1)
	case q != q || s.Count == 0:
		return math.NaN()
	case s.Native != nil:
		return s.Native.quantile(q, float64(s.Count), s.Sum != s.Sum)
	}
	return classicQuantile(s.Buckets, s.Count, q*float64(s.Count))
}

func classicQuantile(buckets []Bucket, total uint64, rank float64) float64 {
	last := len(buckets) - 1
	if last < 0 || !math.IsInf(buckets[last].UpperBound, 1) {
		last++
		buckets = append(slices.Clip(buckets), Bucket{math.Inf(1), total})
	}
	i, lower, below := 0, 0.0, 0.0
	for i < last && float64(buckets[i].Count) < rank {
		lower, below = buckets[i].UpperBound, float64(buckets[i].Count)
		i++
	}
	switch upper := buckets[i].UpperBound; {
	case last == 0:
		return math.NaN()
	case i == last:
		return lower
	case i == 0 && upper <= 0:
		return upper
	default:
		return lower + (upper-lower)*((rank-below)/(float64(buckets[i].Count)-below))
	}
}

// A valueRange has the number of observations between two bounds.
type valueRange struct {
	lower, upper float64
	count        float64
}

// ranges returns all populated buckets by increasing bounds.
func (s *NativeSnapshot) ranges() []valueRange {
	var all []valueRange
	for i := len(s.Negative) - 1; i >= 0; i-- {
		b := s.Negative[i]
		all = append(all, valueRange{-s.Bound(b.Index), -s.lower(b.Index), float64(b.Count)})
	}
	if s.ZeroCount > 0 {
		zero := valueRange{-s.ZeroThreshold, s.ZeroThreshold, float64(s.ZeroCount)}
		switch { // if all other values have one sign, Prometheus assumes that sign
		case len(s.Negative) == 0 && len(s.Positive) > 0:
			zero.lower = 0
		case len(s.Positive) == 0 && len(s.Negative) > 0:
			zero.upper = 0
		}
		all = append(all, zero)
	}
	for _, b := range s.Positive {
		all = append(all, valueRange{s.lower(b.Index), s.Bound(b.Index), float64(b.Count)})
	}
	return all
}

// lower returns the lower bound of a bucket, or the threshold of the zero bucket if the threshold is
// in the bucket. A lower bound below the least float64 is 0. It stays 0, as in Prometheus.
func (s *NativeSnapshot) lower(index int) float64 {
	lower := s.Bound(index - 1)
	if lower > 0 {
		return max(lower, s.ZeroThreshold)
	}
	return lower
}

// quantile returns the value that the fraction q of n observations does not exceed. If q is between
// two buckets with a gap, quantile returns the bound that is farther from the median. If noSum is true,
// quantile returns the lower bound instead. Prometheus does the same for a sum that is NaN.
func (s *NativeSnapshot) quantile(q, n float64, noSum bool) float64 {
	all := s.ranges()
	if len(all) == 0 {
		return math.NaN()
	}
	if q < 0.5 || noSum {
		rank, i := q*n, 0
		for ; i < len(all)-1 && rank > all[i].count; i++ {
			rank -= all[i].count
		}
		return all[i].at(rank / all[i].count)
	}
	rank, i := (1-q)*n, len(all)-1
	for ; i > 0 && rank > all[i].count; i-- {
		rank -= all[i].count
	}
	return all[i].at(1 - rank/all[i].count)
}

// at returns the value at a fraction of the width of r. The width is logarithmic, unless r contains 0.
func (r valueRange) at(fraction float64) float64 {
	switch {
	case r.lower > 0:
		lower, upper := math.Log2(r.lower), math.Log2(r.upper)
		return math.Exp2(lower + (upper-lower)*fraction)
	case r.upper < 0:
		return -valueRange{-r.upper, -r.lower, r.count}.at(1 - fraction)
	}
	return r.lower + (r.upper-r.lower)*fraction
}
