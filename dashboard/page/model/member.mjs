import { CLASSIC, NATIVE } from './bounds.mjs';
import { increase } from './buckets.mjs';

export const SUM = -1; // the bucket of the place of a sum

// Rules for the increase of a member: unknown, from 0, by slot, or by the bounds of the buckets.
const UNKNOWN = 0, FROM_ZERO = 1, BY_SLOT = 2, BY_BOUNDS = 3;

// A Member is the state of a histogram in the latest step and in the present one, see histograms.mjs.
// It ignores its classic buckets in a step with native buckets: kind is NATIVE in such a
// step, otherwise CLASSIC.
export class Member {
  constructor(layout, group, from) {
    Object.assign(this, { layout, group, from, to: from, kind: CLASSIC, observing: -1, seen: false, present: false, broken: false, sum: NaN, nextSum: NaN, total: 0 });
    this.totals = [0, 0];      // counts of the present step, by kind
    this.filled = [0, 0];      // buckets of the present step, by kind
    this.recalled = [0, 0];    // counts before the scan began, by kind
    this.fell = this.gone = false;
    this.places = [];          // that changed in the present step
    this.stepAt = -1;
  }

  begin(index) {
    this.stepAt = index;
    this.fell = this.gone = false;
    this.places.length = 0;
  }

  // recall takes the latest value of a place that is absent when the scan begins.
  recall(place, v) {
    const { buckets, bounds } = this.layout;
    this.seen = true;
    if (buckets[place] === SUM) return;
    this.recalled[bounds.kind[buckets[place]]] += v;
    this.total = this.recalled[NATIVE] || this.recalled[CLASSIC];
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

  // advance ends the present step: it adds the increases to the part, to rates and with add.
  advance(step, rates, add) {
    const { layout, group } = this, { known } = rates, part = layout.parts[group], sum = this.nextSum;
    const kind = this.filled[NATIVE] > 0 ? NATIVE : CLASSIC, present = this.filled[kind] > 0 || sum === sum, total = this.totals[kind];
    const rule = present && step.seconds === step.seconds ? this.rule(kind, total, step.known) : UNKNOWN;
    if (rule !== UNKNOWN) {
      const fromZero = this.addBuckets(rule, kind, add), count = fromZero ? total : total - this.total, ofSum = fromZero ? sum : sum - this.sum;
      if (!this.present) known.mark(group, step.index);
      layout.window.add(part.observed, count);
      if (Number.isFinite(ofSum)) layout.window.add(part.sum, ofSum);
      rates.add(group, count);
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
