// Ratios of two measures, see measures.mjs. A ratio of 200,000 series has few changes at each point,
// so only the changes of the dividends are kept.

import { rowsOf } from './measures.mjs';

// ratioOf returns the measure of the values of one measure divided by those of another.
// counterpart returns the group of the divisor for a group, or is the one group that divides all.
// A division by 0 is a gap.
export function ratioOf(measure, divisor, counterpart, points) {
  const one = typeof counterpart !== 'function';
  let divisors = null; // of one group, by point
  return {
    texts: [''],
    weight: group => Math.max(measure.weight(group), points / 32), // the dividends of few points change
    rows(groups, sink) {
      const changes = Array(points), seen = measure.rows(groups, (point, row, touched) => { changes[point] = changesOf(row, touched); });
      const add = divide(changes, groups.length, one, sink);
      if (!one) divisor.rows(groups.map(counterpart), add);
      else (divisors ??= rowsOf(divisor, [counterpart], points).rows).forEach((row, point) => add(point, row, null));
      return seen;
    },
  };
}

// changesOf returns the cells of a row that are in touched, and their values. The cells are null
// for all cells.
function changesOf(row, touched) {
  if (!touched) return { cells: null, values: row.slice() };
  return { cells: Int32Array.from(touched), values: Float64Array.from(touched, c => row[c]) };
}

// divide returns a sink of divisors that calls sink with the quotients. changes has the changes of
// the dividends at each point. one tells that there is one divisor.
function divide(changes, count, one, sink) {
  const dividends = new Float64Array(count).fill(NaN), row = dividends.slice();
  let next = 0, all = true; // all: every quotient can differ from the previous call of sink
  return (point, divisors, touched) => {
    const stale = touched ? Array.from(touched) : [];
    all ||= !touched;
    for (; next <= point; next++) {
      const { cells, values } = changes[next];
      all ||= !cells;
      values.forEach((v, i) => {
        const c = cells ? cells[i] : i;
        dividends[c] = v;
        if (cells) stale.push(c);
      });
    }
    const quotient = c => {
      const v = dividends[c] / divisors[one ? 0 : c];
      row[c] = Number.isFinite(v) ? v : NaN;
    };
    if (all) for (let c = 0; c < count; c++) quotient(c);
    else stale.forEach(quotient);
    sink(point, row, all ? null : stale);
    all = false;
  };
}
