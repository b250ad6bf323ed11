import { CLASSIC, NATIVE, overlap } from './bounds.mjs';
import { mergeSorted } from './buckets.mjs';
import { heatMap } from './heatrows.mjs';

// Heat collects the increases of a heat map by point. Several scans can add to one Heat.
export class Heat {
  constructor(points, bounds) {
    this.bounds = bounds;
    this.columns = Array(points).fill(null); // increases by number of the bucket
    this.elapsed = new Float64Array(points);
    this.known = new Set();    // steps
    this.latest = [-1, -1];    // latest step with an increase, by kind
  }

  add(bucket, increase, { point, index }) {
    const column = this.columns[point] ??= new Float64Array(this.bounds.kind.length), kind = this.bounds.kind[bucket];
    column[bucket] += increase;
    if (this.latest[kind] < index) this.latest[kind] = index;
  }

  // know tells that the increases of a step are known.
  know({ index, point, seconds }) {
    if (this.known.has(index)) return;
    this.known.add(index);
    this.elapsed[point] += seconds;
  }

  // result returns { bounds, counts, native } with observations per second.
  result() {
    const { left, right, kind: kinds } = this.bounds, kind = this.latest[NATIVE] > this.latest[CLASSIC] ? NATIVE : CLASSIC;
    const native = kind === NATIVE, middle = kinds.indexOf(NATIVE) < 0 ? kinds.length : kinds.indexOf(NATIVE);
    const [from, to] = native ? [middle, kinds.length] : [0, middle], nested = overlap(left, right, from, to);
    const columns = this.columns.map((column, point) => {
      if (!(this.elapsed[point] > 0)) return null;
      const list = [];
      for (let i = from; i < to; i++) {
        const count = column ? Math.max(0, column[i]) / this.elapsed[point] : 0;
        if (count > 0 || !nested && !native) list.push({ left: left[i], right: right[i], count });
      }
      return nested ? mergeSorted(list) : list;
    });
    const { bounds, counts } = heatMap(columns, native);
    return { bounds: Float64Array.from(bounds), counts: counts.map(c => c && Float32Array.from(c)), native };
  }
}
