import { CLASSIC, NATIVE, overlap } from './bounds.mjs';
import { mergeSorted } from './buckets.mjs';
import { classicQuantile, classicQuantileOf, nativeQuantile, nativeQuantileOf } from './quantiles.mjs';

// A Part is the state of a group of histograms: the increases of its cells in the window, and those of
// the present point. See histograms.mjs.
export class Part {
  constructor(layout, cell) {
    Object.assign(this, { layout, from: [cell, cell], to: [cell, cell], nested: [false, false], observed: 0, sum: 0 });
    this.present = this.broken = 0;                // members: all, without a finite sum
    this.observing = [0, 0];                       // members with observations, by kind of their buckets
    this.increase = this.elapsed = 0;              // of the window of rates
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
