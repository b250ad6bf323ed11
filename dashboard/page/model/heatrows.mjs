// Rows of heat maps: buckets of many steps in a limited number of rows.
//
// A histogram can have thousands of buckets, and a call has room for a limited number of
// arguments. So no function passes the elements of a list as arguments.

const MIN_ROWS = 8, MAX_ROWS = 24;   // of the heat map of a native histogram
const CLASSIC_ROWS = 32;             // maximum number of rows of the heat map of a classic histogram

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
