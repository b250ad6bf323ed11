// Quantiles of buckets. A list of buckets is sorted by the bounds, see buckets.mjs.

// classicQuantile interpolates linearly within a bucket, as Prometheus' histogram_quantile does.
export const classicQuantile = (q, buckets) => classicQuantileOf(q, columnsOf(buckets), 0, buckets.length);

// nativeQuantile interpolates exponentially within a bucket, and linearly within the zero
// bucket, as Prometheus' histogram_quantile does. The argument q is at least 0.5: Prometheus
// then starts at the highest bucket.
export const nativeQuantile = (q, buckets) => nativeQuantileOf(q, columnsOf(buckets), 0, buckets.length);

// columnsOf returns the arrays left, right and count of a list. Quantiles of many histograms are
// of such arrays, because arrays of numbers are faster than lists of objects.
const columnsOf = buckets => ({ left: buckets.map(b => b.left), right: buckets.map(b => b.right), count: buckets.map(b => b.count) });

function countOf(count, from, to) {
  let sum = 0;
  for (let i = from; i < to; i++) sum += count[i];
  return sum;
}

// classicQuantileOf is classicQuantile for the buckets from index from to index to.
export function classicQuantileOf(q, { left, right, count }, from, to) {
  let rank = q * countOf(count, from, to);
  if (!(rank > 0)) return NaN;
  for (let i = from; i < to; i++) {
    if (rank > count[i]) {
      rank -= count[i];
      continue;
    }
    const lowest = left[i] === -Infinity;
    if (right[i] === Infinity) return lowest ? NaN : left[i];
    const low = lowest ? Math.min(0, right[i]) : left[i];
    return low + (right[i] - low) * (count[i] > 0 ? rank / count[i] : 1);
  }
  return NaN;
}

// nativeQuantileOf is nativeQuantile for the buckets from index from to index to.
export function nativeQuantileOf(q, { left, right, count }, from, to) {
  const rank = (1 - q) * countOf(count, from, to);
  while (from < to && !(count[from] > 0)) from++;
  while (from < to && !(count[to - 1] > 0)) to--;
  let above = 0;
  for (let i = to - 1; i >= from; i--) {
    if (!(count[i] > 0)) continue;
    above += count[i];
    if (above >= rank) return withinNative(left[i], right[i], (above - rank) / count[i], i === from && to - from > 1, i > from && i === to - 1);
  }
  return NaN;
}

// withinNative returns the value at a fraction of a native bucket. The values of the zero bucket
// have one sign if the bucket is the lowest or the highest of several.
function withinNative(left, right, fraction, lowest, highest) {
  if (left < 0 && right > 0) {
    if (lowest) left = 0;
    else if (highest) right = 0;
  }
  if (left <= 0 && right >= 0) return left + (right - left) * fraction;
  const low = Math.log2(Math.abs(left)), high = Math.log2(Math.abs(right));
  return left > 0 ? 2 ** (low + (high - low) * fraction) : -(2 ** (high + (low - high) * (1 - fraction)));
}
