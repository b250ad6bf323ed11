// Lines of series with one value: counters, gauges, and quantiles of summaries. A cell is the
// value of a group in the chart. Several slots can belong to one cell. A step costs as much
// as the number of slots that changed, because most series of a large family rest.
//
// A sink is called as sink(point, row, touched) for each point of a scan: row has the values of
// the cells, and touched the cells whose values can differ from the previous call, or null for
// all cells. A cell can be in touched twice.

import { Rates } from './rates.mjs';

// counterRows calls sink with the rates of the cells. It returns whether the cells had values.
// Rates are never negative. A decrease means that a counter was reset to 0.
//
// A series that the previous step of the family lacks counts from 0, so that the first error
// with a new label value is shown. Prometheus does not show the first value of a series. The
// increase is unknown, and a gap, in three cases: the family was not sampled before, no series
// of the family was present in the previous step, or a series returns with at least its latest
// value. In the last case a collector has probably left the series out for a while.
export function counterRows(scan, { slots, owners, count }, sink) {
  const latest = new Float64Array(slots.length).fill(NaN), present = new Uint8Array(slots.length), rates = new Rates(count);
  const row = new Float64Array(count), seen = new Uint8Array(count), { known } = rates;
  let begin = 0, inRange = false;
  scan.run(slots, (step, changes) => {
    if (step.begin) begin = step.index;
    const enters = step.point >= 0 && !inRange;
    inRange = step.point >= 0;
    changes((s, v, before) => {
      const c = owners[s], last = latest[s];
      if (v !== v) {
        if (present[s]) known.leave(c);
        present[s] = 0;
        if (before === before) latest[s] = before; // of a series that is absent when the scan begins
        return;
      }
      if (inRange) seen[c] = 1;
      const increase = present[s] ? (v >= last ? v - last : v) : last !== last ? (step.known ? v : NaN) : v < last ? v : NaN;
      if (!present[s]) {
        known.join(c);
        if (increase === increase) known.mark(c, step.index);
      }
      if (increase > 0 && step.seconds === step.seconds) rates.add(c, increase);
      present[s] = 1;
      latest[s] = v;
    });
    rates.end(step);
    if (enters) for (let s = 0; s < owners.length; s++) if (present[s]) seen[owners[s]] = 1;
    if (step.last) sink(step.point, row, rates.fill(row, scan.rateStart(step.index, begin)));
  });
  return seen;
}

// COMBINE has the functions of gauges within a cell, for the values of one step.
const COMBINE = {
  sum: (a, b) => a + b,
  avg: (a, b) => a + b,
  max: (a, b) => a > b ? a : b,
  min: (a, b) => a < b ? a : b,
};

// gaugeRows calls sink with the values of the cells, and returns whether the cells had values. A
// point of merged steps has the maximum of the steps for max and the minimum for min. For sum and
// avg it has the value that differs most from the point before, so that a peak of one step stays.
// The last point has the latest value.
export function gaugeRows(scan, { slots, owners, count }, fn, sink) {
  const members = membersOf(owners, count), latest = new Float64Array(slots.length).fill(NaN);
  const now = new Float64Array(count).fill(NaN), row = now.slice(), before = now.slice(); // before: the row of the previous point
  const seen = new Uint8Array(count), staleAt = new Int32Array(count).fill(-1);
  const dirty = new Set(); // cells that can differ in now, row and before
  let touched = [], all = true;
  scan.run(slots, (step, changes) => {
    const stale = [];
    changes((s, v) => {
      latest[s] = v;
      const c = owners[s];
      if (staleAt[c] !== step.index) stale.push(c);
      staleAt[c] = step.index;
    });
    for (const c of stale) {
      now[c] = valueOf(members, latest, c, fn);
      dirty.add(c);
    }
    if (step.begin) {
      touched = [...all ? row.keys() : dirty];
      dirty.clear();
      for (const c of touched) {
        before[c] = row[c];
        row[c] = now[c];
        if (!Object.is(before[c], row[c])) dirty.add(c);
      }
    } else if (step.point >= 0) {
      for (const c of stale) {
        touched.push(c);
        row[c] = merged(fn, row[c], now[c], before[c]);
      }
    }
    if (!step.last) return;
    if (step.final) for (const c of touched) row[c] = merged(fn, row[c], now[c], NaN);
    for (const c of touched) if (row[c] === row[c]) seen[c] = 1;
    sink(step.point, row, all ? null : touched);
    all = false;
  });
  return seen;
}

// valueOf returns the value of a cell at a step.
function valueOf({ first, order }, latest, c, fn) {
  let result = NaN, n = 0;
  for (let m = first[c]; m < first[c + 1]; m++) {
    const v = latest[order[m]];
    if (v === v) result = n++ ? COMBINE[fn](result, v) : v;
  }
  return fn === 'avg' ? result / n : result;
}

// merged returns the value of a point from that of its earlier steps, that of a later step, and
// that of the point before. A step without a value counts only if no step has one.
function merged(fn, earlier, later, before) {
  if (earlier !== earlier || later !== later) return earlier === earlier ? earlier : later;
  if (fn === 'max' || fn === 'min') return COMBINE[fn](earlier, later);
  return Math.abs(later - before) <= Math.abs(earlier - before) ? earlier : later;
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
