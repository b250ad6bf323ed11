// Arithmetic of histogram buckets. A bucket is { left, right, count }. Counts are not
// cumulative. A list of buckets is sorted by the bounds.
//
// A histogram can have thousands of buckets, and a call has room for a limited number of
// arguments. So no function passes the elements of a list as arguments.

const MIN_ROWS = 8, MAX_ROWS = 24;   // of the heat map of a native histogram
const CLASSIC_ROWS = 32;             // maximum number of rows of the heat map of a classic histogram

// classicBuckets returns the buckets of the member "buckets" of a series.
export function classicBuckets(list) {
  let left = -Infinity, below = 0;
  return list.map(({ le, count }) => {
    const bucket = { left, right: le ?? Infinity, count: count - below };
    left = bucket.right;
    below = count;
    return bucket;
  });
}

// nativeBuckets returns the buckets of the member "histogram" of a series. No bucket is empty.
export function nativeBuckets({ buckets = [] }) {
  const number = text => Number(text.replace('Inf', 'Infinity'));
  return buckets.map(([, left, right, count]) => ({ left: number(left), right: number(right), count: Number(count) }));
}

// observations returns the sum of the counts.
export function observations(buckets) {
  let sum = 0;
  for (const b of buckets) sum += b.count;
  return sum;
}

// increase returns the increase of each bucket since the previous poll. The buckets of a
// native histogram can be wider than in the previous poll. A count that decreases, and a
// bucket that is narrower or missing, mean that the program was restarted.
export function increase(now, previous, native) {
  if (observations(now) < observations(previous)) return now;
  const result = now.map(b => ({ ...b }));
  let i = 0;
  for (const p of previous) {
    while (i < result.length && result[i].right < p.right) i++;
    const b = result[i];
    if (!b || b.left > p.left) return now;
    b.count -= p.count;
    if (native && b.count < 0) return now;
  }
  return result;
}

// merge returns the sums of lists of buckets. A bucket that is within a wider bucket becomes
// a part of the wider bucket. All bounds of a native histogram are bounds of the histograms
// with more buckets.
export const merge = lists => mergeSorted(lists.flat().sort(byBounds));

// byBounds is the order of mergeSorted: a wider bucket precedes the buckets within it.
export const byBounds = (a, b) => a.left - b.left || b.right - a.right;

// mergeSorted is merge for one list whose buckets are in the order of byBounds.
export function mergeSorted(list) {
  const merged = [];
  for (const b of list) {
    const last = merged.at(-1);
    if (last && b.right <= last.right) last.count += b.count;
    else merged.push({ ...b, left: last ? Math.max(b.left, last.right) : b.left });
  }
  return merged;
}

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

// heatMap returns the bounds of the rows of a heat map, and the counts of each column by row. A
// column is a list of buckets or null. The bounds are upper bounds, and lower bounds for
// negative values of a native histogram.
export function heatMap(columns, native) {
  const { bounds, row } = native ? nativeRows(columns) : classicRows(columns);
  const index = new Map(bounds.map((bound, i) => [bound, i]));
  const counts = columns.map(column => {
    if (!column) return null;
    const sums = new Float64Array(bounds.length);
    for (const b of column) sums[index.get(row(b))] += b.count;
    return sums;
  });
  return { bounds, counts };
}

const sorted = numbers => [...new Set(numbers)].sort((a, b) => a - b);
const largest = (numbers, least) => numbers.reduce((a, b) => Math.max(a, b), least);

// classicRows returns a row for each bound if there are few bounds. Otherwise it merges
// neighbouring buckets: the buckets with counts share all rows except the lowest and highest.
function classicRows(columns) {
  const all = columns.flatMap(c => c ?? []), bounds = sorted(all.map(b => b.right));
  if (bounds.length <= CLASSIC_ROWS) return { bounds, row: b => b.right };
  const used = sorted(all.filter(b => b.count > 0).map(b => b.right));
  const low = used.length ? bounds.indexOf(used[0]) : 0;
  const high = used.length ? bounds.indexOf(used.at(-1)) : bounds.length - 1;
  const size = Math.ceil((high - low + 1) / (CLASSIC_ROWS - 2));
  const rows = low > 0 ? [bounds[low - 1]] : [];
  for (let i = low + (high - low) % size; i <= high; i += size) rows.push(bounds[i]);
  if (high < bounds.length - 1) rows.push(bounds.at(-1));
  const rowOf = new Map();
  for (let i = 0, row = 0; i < bounds.length; i++) {
    if (bounds[i] > rows[row]) row++;
    rowOf.set(bounds[i], rows[row]);
  }
  return { bounds: rows, row: b => rowOf.get(b.right) };
}

// nativeRows chooses rows whose bounds are powers of 2^step. No bucket is wider than a row.
// Rows without counts are left out if the values are too far apart.
function nativeRows(columns) {
  const widths = new Map();
  for (const b of columns.flatMap(c => c ?? [])) widths.set(outer(b), Math.max(widths.get(outer(b)) ?? 0, octaves(b)));
  const least = 2 ** Math.ceil(Math.log2(largest([...widths.values()], 1 / 8)) - 1e-6);
  for (const dense of [true, false]) {
    for (let step = least; !dense || step <= Math.max(least, 2); step *= 2) {
      const rows = [...widths.keys()].map(bound => rowBound(bound, step));
      const bounds = sorted(dense ? rows.concat(between(rows, step)) : rows);
      if (bounds.length <= MAX_ROWS) return { bounds, row: b => rowBound(outer(b), step) };
    }
  }
}

// outer returns the bound of a native bucket that is farther from 0, and 0 for the zero bucket.
function outer({ left, right }) { return left >= 0 ? right : right > 0 ? 0 : left; }

// octaves returns the width of a native bucket, or 0 for a bucket at 0 or at an infinity.
function octaves({ left, right }) {
  const ratio = left < 0 ? left / right : right / left;
  return ratio > 0 && ratio < Infinity ? Math.log2(ratio) : 0;
}

const power = (exponent, step) => Math.min(Number.MAX_VALUE, 2 ** (exponent * step));

function rowBound(bound, step) {
  if (bound === 0 || !Number.isFinite(bound)) return bound;
  return Math.sign(bound) * power(Math.ceil(Math.log2(Math.abs(bound)) / step - 1e-6), step);
}

// between returns the bounds between the lowest and the highest row of each sign, with at least
// MIN_ROWS rows and at most one row more than MAX_ROWS.
function between(rows, step) {
  return [-1, 1].flatMap(sign => {
    const exponents = rows.filter(v => sign * v > 0 && Number.isFinite(v)).map(v => Math.round(Math.log2(Math.abs(v)) / step));
    if (!exponents.length) return [];
    const low = -largest(exponents.map(e => -e), -Infinity), high = largest(exponents, -Infinity), more = Math.max(0, MIN_ROWS - 1 - (high - low));
    const count = Math.min(MAX_ROWS + 1, high - low + 1 + more);
    return Array.from({ length: count }, (_, i) => sign * power(low - (more >> 1) + i, step));
  });
}
