// Arithmetic of histogram buckets. A bucket is { left, right, count }. Counts are not
// cumulative. A list of buckets is sorted by the bounds. The exports are for tests: the page
// has this file and page.js in one script.

const MIN_ROWS = 8, MAX_ROWS = 24;   // of the heat map of a native histogram

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

export const observations = buckets => buckets.reduce((n, b) => n + b.count, 0);

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
export function merge(lists) {
  const merged = [];
  for (const b of lists.flat().sort((a, b) => a.left - b.left || b.right - a.right)) {
    const last = merged.at(-1);
    if (last && b.right <= last.right) last.count += b.count;
    else merged.push({ ...b, left: last ? Math.max(b.left, last.right) : b.left });
  }
  return merged;
}

// classicQuantile interpolates linearly within a bucket, as Prometheus' histogram_quantile does.
export function classicQuantile(q, buckets) {
  let rank = q * observations(buckets);
  if (!(rank > 0)) return NaN;
  for (const [i, { left, right, count }] of buckets.entries()) {
    if (rank <= count) {
      if (right === Infinity) return i > 0 ? left : NaN;
      const low = i > 0 ? left : Math.min(0, right);
      return low + (right - low) * (count > 0 ? rank / count : 1);
    }
    rank -= count;
  }
  return NaN;
}

// nativeQuantile interpolates exponentially within a bucket, and linearly within the zero
// bucket, as Prometheus' histogram_quantile does. No bucket is empty, and q is at least 0.5:
// Prometheus then starts at the highest bucket.
export function nativeQuantile(q, buckets) {
  const rank = (1 - q) * observations(buckets);
  let above = 0;
  for (let i = buckets.length - 1; i >= 0; i--) {
    let { left, right, count } = buckets[i];
    above += count;
    if (above < rank) continue;
    const fraction = (above - rank) / count;
    if (left < 0 && right > 0) { // values have one sign if all other buckets have one
      if (i === 0 && buckets.length > 1) left = 0;
      else if (i > 0 && i === buckets.length - 1) right = 0;
    }
    if (left <= 0 && right >= 0) return left + (right - left) * fraction;
    const low = Math.log2(Math.abs(left)), high = Math.log2(Math.abs(right));
    return left > 0 ? 2 ** (low + (high - low) * fraction) : -(2 ** (high + (low - high) * (1 - fraction)));
  }
  return NaN;
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

function classicRows(columns) {
  const row = b => b.right;
  return { bounds: sorted(columns.flatMap(c => c?.map(row) ?? [])), row };
}

// nativeRows chooses rows whose bounds are powers of 2^step. No bucket is wider than a row.
// Rows without counts are left out if the values are too far apart.
function nativeRows(columns) {
  const widths = new Map();
  for (const b of columns.flatMap(c => c ?? [])) widths.set(outer(b), Math.max(widths.get(outer(b)) ?? 0, octaves(b)));
  const least = 2 ** Math.ceil(Math.log2(Math.max(1 / 8, ...widths.values())) - 1e-6);
  for (const dense of [true, false]) {
    for (let step = least; !dense || step <= Math.max(least, 2); step *= 2) {
      const rows = [...widths.keys()].map(bound => rowBound(bound, step));
      if (dense) rows.push(...between(rows, step));
      const bounds = sorted(rows);
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
    const low = Math.min(...exponents), high = Math.max(...exponents), more = Math.max(0, MIN_ROWS - 1 - (high - low));
    const count = Math.min(MAX_ROWS + 1, high - low + 1 + more);
    return Array.from({ length: count }, (_, i) => sign * power(low - (more >> 1) + i, step));
  });
}
