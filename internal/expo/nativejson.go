package expo

import (
	"math"
	"strconv"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/native"
)

// The rules of buckets: the bounds that belong to a bucket.
const (
	rightClosed = '0' // positive buckets
	leftClosed  = '1' // negative buckets
	bothClosed  = '3' // the zero bucket
)

// AppendJSON appends a comma and the native part of a histogram as a member of a JSON
// object. The value of the member is a native histogram of Prometheus' query API
// (prometheus.io, "HTTP API", section "Native histograms"). Its numbers are strings. A bucket
// is a list of the rule, the left bound, the right bound and the count. Buckets are sorted by
// their bounds, and empty buckets are left out.
//
// Counts are exact. Prometheus rounds counts above 2^53 to a float64.
func (NativeCode) AppendJSON(b []byte, s *native.Snapshot, sum float64) []byte {
	b = decimal.AppendUint(put(b, `,"histogram":{"count":"`), s.Count())
	l := bucketList{appendAPIFloat(put(b, `","sum":"`), sum), `","buckets":[[`, 0, 0, 0}
	for i := len(s.Negative) - 1; i >= 0; i-- {
		from, to := outside(s, s.Negative[i].Key)
		l.add(leftClosed, -to, -from, s.Negative[i].Count)
	}
	l.add(bothClosed, -s.ZeroThreshold, s.ZeroThreshold, s.Zero)
	for _, bucket := range s.Positive {
		from, to := outside(s, bucket.Key)
		l.add(rightClosed, from, to, bucket.Count)
	}
	if l.end == 0 { // no bucket
		return put(l.b, `"}`)
	}
	return put(l.b, `"]]}`)
}

// outside returns the bounds of the part of a bucket that is above the zero threshold.
func outside(s *native.Snapshot, key int) (from, to float64) {
	if from, to = native.Bound(s.Schema, key-1), native.Bound(s.Schema, key); 0 < from && from < s.ZeroThreshold {
		from = s.ZeroThreshold
	}
	return from, to
}

// A bucketList is the JSON text of a native histogram with the buckets so far.
type bucketList struct {
	b          []byte
	before     string  // the text before the rule of the next bucket
	right      float64 // the right bound of the last bucket
	start, end int     // the text of right is b[start:end]; end is 0 before the first bucket
}

// add appends a bucket, unless count is 0.
func (l *bucketList) add(rule byte, left, right float64, count uint64) {
	if count == 0 {
		return
	}
	b := append(append(put(l.b, l.before), rule), `,"`...)
	// Copying the bound that two buckets share is faster than the shortest decimal of a
	// float64. The bits differ if only one of the bounds is -0.
	if l.end > 0 && math.Float64bits(left) == math.Float64bits(l.right) {
		b = append(b, b[l.start:l.end]...)
	} else {
		b = appendAPIFloat(b, left)
	}
	b = append(b, `","`...)
	l.start = len(b)
	b = appendAPIFloat(b, right)
	l.end, l.right, l.before = len(b), right, `"],[`
	l.b = decimal.AppendUint(append(b, `","`...), count)
}

// appendAPIFloat appends v in the form of Prometheus' query API: without an exponent from
// 1e-6 to below 1e21.
func appendAPIFloat(b []byte, v float64) []byte {
	form := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(b, v, form, -1, 64)
}
