// Rates, means and quantiles of groups of histograms. The count of a summary is a histogram with
// one bucket. A step costs as much as the number of buckets that changed.
//
// A Member is the state of a series, and a Part that of a group. The buckets of a member are slots at
// consecutive places. A cell is a bucket of a group. The cells of a group are consecutive and in the
// order of byBounds.

import { CLASSIC, NATIVE } from './bounds.mjs';
import { Member, SUM } from './member.mjs';
import { Part } from './part.mjs';
import { Rates } from './rates.mjs';
import { Window } from './window.mjs';

// histogramRows calls sink(point, row, null) for each point of a scan, and returns whether the
// groups had values. The row has the width values of valuesOf(part) for each group. The increases
// are added to heat, unless heat is null.
export function histogramRows(scan, groups, { width, valuesOf }, bounds, heat, sink) {
  const layout = layoutOf(groups, bounds), { members, parts, slots, owners, buckets } = layout;
  const rates = new Rates(groups.length), seen = new Uint8Array(groups.length), row = new Float64Array(groups.length * width);
  const window = layout.window, changed = [];
  let begin = 0, inRange = false, step = null;
  const add = (place, count) => {
    window.add(layout.cells[place], count);
    if (heat && inRange) heat.add(buckets[place], count, step);
  };
  scan.run(slots, (next, changes) => {
    step = next;
    inRange = step.point >= 0;
    if (step.begin) begin = step.index;
    changes((place, v, before) => {
      const m = members[owners[place]];
      if (m.stepAt !== step.index) {
        m.begin(step.index);
        changed.push(m);
      }
      if (v !== v && before === before) m.recall(place, before);
      m.read(place, v);
    });
    for (const m of changed) m.advance(step, rates, add);
    changed.length = 0;
    if (rates.end(step) && inRange) heat?.know(step);
    window.end(step.index, inRange ? scan.oldest(step.index, begin) : 0);
    if (!inRange) return;
    if (step.last) rates.window(scan.rateStart(step.index, begin));
    parts.forEach((part, g) => {
      if (part.present > 0) seen[g] = 1;
      if (!step.last) return;
      part.increase = rates.sums[g];
      part.elapsed = rates.elapsed(g);
      const values = part.present > 0 ? valuesOf(part) : [];
      for (let i = 0; i < width; i++) row[g * width + i] = values[i] ?? NaN;
    });
    if (step.last) sink(step.point, row, null);
  });
  return seen;
}

// layoutOf returns the members, the parts and the places of groups.
function layoutOf(groups, bounds) {
  const layout = { bounds, members: [], parts: [], slots: [], owners: [], buckets: [], cells: [], left: [], right: [], counts: null, window: null };
  groups.forEach((group, g) => addPart(layout, group, g));
  layout.counts = new Float64Array(layout.slots.length).fill(NaN);
  layout.next = layout.counts.slice();
  layout.window = new Window(layout.left.length);
  Object.assign(layout, { left: Float64Array.from(layout.left), right: Float64Array.from(layout.right) });
  for (const part of layout.parts) part.settle();
  return layout;
}

function addPart(layout, { series }, g) {
  const { bounds, slots, owners, buckets, cells } = layout, first = slots.length, found = new Set();
  for (const s of series) {
    const member = new Member(layout, g, slots.length);
    s.columns.forEach((column, i) => {
      const bucket = column.type === 'sum' ? SUM : bounds.numberOf(column);
      if (bucket === undefined) return;
      slots.push(s.slots[i]);
      owners.push(layout.members.length);
      buckets.push(bucket);
      found.add(bucket);
    });
    member.to = slots.length;
    layout.members.push(member);
  }
  found.delete(SUM);
  const part = new Part(layout, layout.left.length), cellOf = new Map([[SUM, -1]]);
  for (const bucket of Int32Array.from(found).sort()) {
    cellOf.set(bucket, layout.left.length);
    layout.left.push(bounds.left[bucket]);
    layout.right.push(bounds.right[bucket]);
    part.to[bounds.kind[bucket]] = layout.left.length;
    if (bounds.kind[bucket] === CLASSIC) part.from[NATIVE] = part.to[NATIVE] = layout.left.length;
  }
  for (let place = first; place < slots.length; place++) cells.push(cellOf.get(buckets[place]));
  part.observed = layout.left.push(NaN) - 1; // two more cells
  part.sum = layout.right.push(NaN, NaN) && layout.left.push(NaN) - 1;
  layout.parts.push(part);
}
