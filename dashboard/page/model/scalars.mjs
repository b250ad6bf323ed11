// Lines of series with one value: counters, gauges, and quantiles of summaries. A cell is the
// value of a group in the chart. Several slots can belong to one cell. A step costs as much
// as the number of slots that changed, because most series of a large family rest.
//
// A sink is called as sink(point, row, touched) for each point of a scan: row has the values of
// the cells, and touched the cells whose values are not 0 or changed, or null for all cells.

import { Known } from './known.mjs';

// counterRows calls sink with the rates of the cells. It returns whether the cells had values.
// Rates are never negative. A decrease means that a counter was reset to 0.
//
// A series that the previous step of the family lacks counts from 0, so that the first error
// with a new label value is shown. Prometheus does not show the first value of a series. The
// increase is unknown, and a gap, in three cases: the family was not sampled before, no series
// of the family was present in the previous step, or a series returns with at least its latest
// value. In the last case a collector has probably left the series out for a while.
export function counterRows(scan, { slots, owners, count }, sink) {
  const latest = new Float64Array(slots.length).fill(NaN), present = new Uint8Array(slots.length), known = new Known(count);
  const increases = new Float64Array(count), row = new Float64Array(count), seen = new Uint8Array(count);
  let touched = [];
  scan.run(slots, (step, changes) => {
    if (step.begin) known.next();
    changes((s, v) => {
      const c = owners[s], before = latest[s];
      if (v !== v) {
        if (present[s]) known.leave(c);
        present[s] = 0;
        return;
      }
      const increase = present[s] ? (v >= before ? v - before : v) : before !== before ? (step.known ? v : NaN) : v < before ? v : NaN;
      if (!present[s]) {
        known.join(c);
        if (increase === increase) known.mark(c, step.index);
      }
      if (step.point >= 0 && increase > 0 && step.seconds === step.seconds) {
        if (increases[c] === 0) touched.push(c);
        increases[c] += increase;
      }
      present[s] = 1;
      latest[s] = v;
    });
    known.end(step);
    if (step.point < 0) return;
    if (step.begin) seeAll(owners, present, seen);
    else changes(s => { if (present[s]) seen[owners[s]] = 1; });
    if (!step.last) return;
    const all = known.partial || known.wasPartial;
    if (all) for (let c = 0; c < count; c++) row[c] = increases[c] / known.elapsed(c); // NaN if no step is known
    else for (const c of touched) row[c] = increases[c] / known.elapsed(c);
    sink(step.point, row, all ? null : touched);
    for (const c of touched) row[c] = increases[c] = 0;
    touched = [];
  });
  return seen;
}

function seeAll(owners, present, seen) {
  for (let s = 0; s < owners.length; s++) if (present[s]) seen[owners[s]] = 1;
}

// COMBINE has the functions of gauges within a cell, for the values of one step.
const COMBINE = {
  sum: (a, b) => a + b,
  avg: (a, b) => a + b,
  max: (a, b) => a > b ? a : b,
  min: (a, b) => a < b ? a : b,
};

// gaugeRows calls sink with the values of the cells, and returns whether the cells had values. A
// point of merged steps has the maximum of the steps for max, the minimum for min, and the
// latest value for sum and avg.
export function gaugeRows(scan, { slots, owners, count }, fn, sink) {
  const combine = COMBINE[fn], extreme = fn === 'max' || fn === 'min', members = membersOf(owners, count);
  const latest = new Float64Array(slots.length).fill(NaN), now = new Float64Array(count).fill(NaN), row = now.slice();
  const seen = new Uint8Array(count), staleAt = new Int32Array(count).fill(-1);
  const valueOf = c => {
    let result = NaN, n = 0;
    for (let m = members.first[c]; m < members.first[c + 1]; m++) {
      const v = latest[members.order[m]];
      if (v === v) result = n++ ? combine(result, v) : v;
    }
    return fn === 'avg' ? result / n : result;
  };
  const stale = [];
  let touched = [], all = true;
  scan.run(slots, (step, changes) => {
    changes((s, v) => {
      latest[s] = v;
      const c = owners[s];
      if (staleAt[c] !== step.index) stale.push(c);
      staleAt[c] = step.index;
    });
    for (const c of stale) now[c] = valueOf(c);
    if (step.begin) {
      if (all) row.set(now);
      else for (const c of touched) row[c] = now[c];
      touched = [];
    }
    if (step.point >= 0) {
      for (const c of stale) {
        touched.push(c);
        if (step.begin || !extreme && now[c] === now[c] || row[c] !== row[c]) row[c] = now[c];
        else if (extreme && now[c] === now[c]) row[c] = combine(row[c], now[c]);
      }
    }
    stale.length = 0;
    if (!step.last) return;
    sink(step.point, row, all ? null : touched);
    for (let c = 0; c < (all ? count : 0); c++) if (row[c] === row[c]) seen[c] = 1;
    for (const c of touched) if (row[c] === row[c]) seen[c] = 1;
    all = false;
  });
  return seen;
}

// membersOf returns the indexes of the slots by cell: those of cell c are order[first[c]] to
// order[first[c + 1] - 1].
function membersOf(owners, count) {
  const first = new Int32Array(count + 1), order = new Int32Array(owners.length);
  for (const c of owners) first[c + 1]++;
  for (let c = 0; c < count; c++) first[c + 1] += first[c];
  const next = first.slice();
  owners.forEach((c, s) => { order[next[c]++] = s; });
  return { first, order };
}
