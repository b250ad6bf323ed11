// Rates, means and quantiles of groups of histograms. The count of a summary is a histogram with
// one bucket. A step costs as much as the number of buckets that changed.
//
// A member is the state of a series. Its buckets are slots at consecutive places. A cell is a
// bucket of a group. The cells of a group are consecutive and in the order of byBounds.

import { CLASSIC, NATIVE, overlap } from './bounds.mjs';
import { increase, mergeSorted } from './buckets.mjs';
import { Known } from './known.mjs';
import { classicQuantile, classicQuantileOf, nativeQuantile, nativeQuantileOf } from './quantiles.mjs';
import { Window } from './window.mjs';

// histogramRows calls sink(point, row, null) for each point of a scan, and returns whether the
// groups had values. The row has the width values of valuesOf(part) for each group. The increases
// are added to heat, unless heat is null.
export function histogramRows(scan, groups, { width, valuesOf }, bounds, heat, sink) {
  const layout = layoutOf(groups, bounds), { members, parts, slots, owners, buckets } = layout;
  const known = new Known(groups.length), seen = new Uint8Array(groups.length), row = new Float64Array(groups.length * width);
  const window = layout.window, changed = [];
  let begin = 0, inRange = false, step = null;
  const add = (place, count) => {
    window.add(layout.cells[place], count);
    if (heat && inRange) heat.add(buckets[place], count, step);
  };
  scan.run(slots, (next, changes) => {
    step = next;
    inRange = step.point >= 0;
    if (step.begin) {
      known.next();
      begin = step.index;
    }
    changes((place, v) => {
      const m = members[owners[place]];
      if (m.stepAt !== step.index) {
        m.begin(step.index);
        changed.push(m);
      }
      m.read(place, v);
    });
    for (const m of changed) m.advance(step, known, add, inRange);
    changed.length = 0;
    if (known.end(step) && inRange) heat?.know(step);
    window.end(step.index, inRange ? scan.oldest(step.index, begin) : 0);
    if (!inRange) return;
    parts.forEach((part, g) => {
      if (part.present > 0) seen[g] = 1;
      if (!step.last) return;
      part.elapsed = known.elapsed(g);
      const values = part.present > 0 ? valuesOf(part) : [];
      for (let i = 0; i < width; i++) row[g * width + i] = values[i] ?? NaN;
      part.increase = 0;
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

const SUM = -1;                // bucket of the place of a sum

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

// A Part is the state of a group of series.
class Part {
  constructor(layout, cell) {
    Object.assign(this, { layout, from: [cell, cell], to: [cell, cell], nested: [false, false], observed: 0, sum: 0 });
    this.present = this.broken = 0;                // members: all, without a finite sum
    this.observing = [0, 0];                       // members with observations, by kind of their buckets
    this.increase = this.elapsed = 0;              // of the present point
  }

  settle() {
    const { left, right } = this.layout;
    for (const kind of [CLASSIC, NATIVE]) this.nested[kind] = overlap(left, right, this.from[kind], this.to[kind]);
  }

  // kind returns NATIVE if a member has native observations. If no member has observations, as
  // after a restart, it returns NATIVE if the part has any native bucket.
  kind() {
    const [classic, native] = this.observing;
    return native > 0 || classic === 0 && this.from[NATIVE] < this.to[NATIVE] ? NATIVE : CLASSIC;
  }

  // quantile returns a quantile of the increases in the window.
  quantile(q) {
    const { left, right, window: { sums: count } } = this.layout, kind = this.kind(), from = this.from[kind], to = this.to[kind];
    if (!this.nested[kind]) return (kind === NATIVE ? nativeQuantileOf : classicQuantileOf)(q, { left, right, count }, from, to);
    const filled = [];
    for (let i = from; i < to; i++) if (count[i] > 0) filled.push({ left: left[i], right: right[i], count: count[i] });
    return (kind === NATIVE ? nativeQuantile : classicQuantile)(q, mergeSorted(filled));
  }

  mean() {
    const { sums } = this.layout.window;
    return this.broken > 0 || !(sums[this.observed] > 0) ? NaN : sums[this.sum] / sums[this.observed];
  }

  rate() { return this.increase / this.elapsed; } // NaN if no step is known
}

// Rules for the increase of a member: unknown, from 0, by slot, or by the bounds of the buckets.
const UNKNOWN = 0, FROM_ZERO = 1, BY_SLOT = 2, BY_BOUNDS = 3;

// A Member ignores its classic buckets in a step with native buckets: kind is NATIVE in such a
// step, otherwise CLASSIC.
class Member {
  constructor(layout, group, from) {
    Object.assign(this, { layout, group, from, to: from, kind: CLASSIC, observing: -1, seen: false, present: false, broken: false, sum: NaN, nextSum: NaN, total: 0 });
    this.totals = [0, 0];      // counts of the present step, by kind
    this.filled = [0, 0];      // buckets of the present step, by kind
    this.fell = this.gone = false;
    this.places = [];          // that changed in the present step
    this.stepAt = -1;
  }

  begin(index) {
    this.stepAt = index;
    this.fell = this.gone = false;
    this.places.length = 0;
  }

  // read takes the value of a place in the present step.
  read(place, v) {
    const { counts, next, buckets, bounds } = this.layout, b = counts[place];
    if (buckets[place] === SUM) {
      this.nextSum = v;
      return;
    }
    next[place] = v;
    if (v === b || v !== v && b !== b) return;
    const kind = bounds.kind[buckets[place]];
    this.places.push(place);
    this.totals[kind] += (v === v ? v : 0) - (b === b ? b : 0);
    this.filled[kind] += (v === v ? 1 : 0) - (b === b ? 1 : 0);
    if (v < b && kind === NATIVE) this.fell = true;
    if (v !== v && kind === this.kind) this.gone = true;
  }

  // advance ends the present step: it adds the increases to the part, to known and with add.
  advance(step, known, add, inRange) {
    const { layout, group } = this, part = layout.parts[group], sum = this.nextSum;
    const kind = this.filled[NATIVE] > 0 ? NATIVE : CLASSIC, present = this.filled[kind] > 0 || sum === sum, total = this.totals[kind];
    const rule = present && step.seconds === step.seconds ? this.rule(kind, total, step.known) : UNKNOWN;
    if (rule !== UNKNOWN) {
      const fromZero = this.addBuckets(rule, kind, add), count = fromZero ? total : total - this.total, ofSum = fromZero ? sum : sum - this.sum;
      if (!this.present) known.mark(group, step.index);
      layout.window.add(part.observed, count);
      if (Number.isFinite(ofSum)) layout.window.add(part.sum, ofSum);
      if (inRange) part.increase += count;
    }
    if (this.present && (!present || rule === UNKNOWN)) known.leave(group);
    if (present && (!this.present || rule === UNKNOWN)) known.join(group);
    if (present) Object.assign(this, { total, sum, seen: true });
    const broken = present && !Number.isFinite(sum), observing = present && total > 0 ? kind : -1;
    part.present += present - this.present;
    part.broken += broken - this.broken;
    if (this.observing >= 0) part.observing[this.observing]--;
    if (observing >= 0) part.observing[observing]++;
    for (const place of this.places) layout.counts[place] = layout.next[place];
    Object.assign(this, { present, broken, observing, kind: present ? kind : this.kind });
  }

  // rule is as for counters, see counterRows. A series with buckets of another kind counts from 0
  // if its count decreased or was 0. Otherwise its increase is unknown.
  rule(kind, total, known) {
    if (!this.seen) return known ? FROM_ZERO : UNKNOWN;
    if (total < this.total) return FROM_ZERO;
    if (!this.present) return UNKNOWN;
    if (kind !== this.kind) return this.total === 0 ? FROM_ZERO : UNKNOWN;
    if (kind === NATIVE && this.fell) return FROM_ZERO;
    return this.gone ? BY_BOUNDS : BY_SLOT;
  }

  // addBuckets calls add(place, increase) for the buckets. It reports whether they count from 0.
  addBuckets(rule, kind, add) {
    const { counts, next, buckets, bounds } = this.layout, ofKind = place => buckets[place] !== SUM && bounds.kind[buckets[place]] === kind;
    if (rule === BY_SLOT) {
      for (const place of this.places) if (ofKind(place)) add(place, next[place] - (counts[place] === counts[place] ? counts[place] : 0));
    } else if (rule === FROM_ZERO) {
      for (let place = this.from; place < this.to; place++) if (ofKind(place) && next[place] > 0) add(place, next[place]);
    } else if (rule === BY_BOUNDS) {
      const places = [];
      for (let place = this.from; place < this.to; place++) if (ofKind(place)) places.push(place);
      places.sort((a, b) => buckets[a] - buckets[b]);
      const list = values => places.filter(p => values[p] === values[p]).map(p => ({ left: bounds.left[buckets[p]], right: bounds.right[buckets[p]], count: values[p], place: p }));
      const now = list(next), result = increase(now, list(counts), kind === NATIVE);
      for (const { place, count } of result) if (count !== 0) add(place, count);
      return result === now;
    }
    return rule === FROM_ZERO;
  }
}
