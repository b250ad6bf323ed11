import { Known } from './known.mjs';

// Rates has the increases of cells in the latest steps, and the seconds in which the increases are known. The cost
// of a step does not depend on the number of cells without a change.
export class Rates {
  constructor(count) {
    this.known = new Known(count);
    this.increases = new Float64Array(count); // of the present step
    this.changed = [];
    this.steps = [];                          // { index, seconds, missing, cells, increases }, oldest first
    this.sums = new Float64Array(count);      // of the window
    this.touched = [];                        // cells with an increase in the window
    this.missing = new Float64Array(count);   // seconds of the window that are not known
    this.runs = [];                           // { missing, seconds }: cells, and seconds of neighbouring steps of the window
    this.seconds = 0;                         // of the window
    this.partial = true;                      // reports whether a cell is missing in the window
  }

  add(cell, increase) {
    if (this.increases[cell] === 0) this.changed.push(cell);
    this.increases[cell] += increase;
  }

  // end ends a step and reports whether the increase of any cell is known.
  end(step) {
    const any = this.known.end(step), cells = Int32Array.from(this.changed), increases = new Float64Array(cells.length);
    for (let i = 0; i < cells.length; i++) { // a cell is in changed twice if its increase returned to 0
      increases[i] = this.increases[cells[i]];
      this.increases[cells[i]] = 0;
    }
    this.changed.length = 0;
    this.steps.push({ index: step.index, seconds: step.seconds, missing: this.known.missing, cells, increases });
    return any;
  }

  // window begins the window with step first. It sums anew, because a difference of sums is not exact.
  window(first) {
    while (this.steps.length && this.steps[0].index < first) this.steps.shift();
    for (const c of this.touched) this.sums[c] = 0;
    this.touched = [];
    for (const { cells, increases } of this.steps) {
      for (let i = 0; i < cells.length; i++) {
        if (this.sums[cells[i]] === 0) this.touched.push(cells[i]);
        this.sums[cells[i]] += increases[i];
      }
    }
    this.measure();
  }

  // measure sums the seconds of the window. The seconds of a cell that is missing in all steps are exactly those of
  // the window, so that the elapsed seconds are 0.
  measure() {
    for (const { missing } of this.runs) for (const c of missing) this.missing[c] = 0;
    this.runs = [];
    for (const { seconds, missing } of this.steps) {
      const run = this.runs.at(-1);
      if (seconds !== seconds) continue;
      if (run?.missing === missing) run.seconds += seconds;
      else this.runs.push({ missing, seconds });
    }
    this.seconds = 0;
    for (const { missing, seconds } of this.runs) {
      this.seconds += seconds;
      for (const c of missing) this.missing[c] += seconds;
    }
    this.partial = this.seconds === 0 || this.runs.some(run => run.missing.length > 0);
  }

  elapsed(cell) { return this.seconds - this.missing[cell]; }

  // fill sets the rates of the window that begins with step first in a row. It returns the cells that can differ
  // from the previous call, or null for all cells. A rate is NaN if no step is known.
  fill(row, first) {
    const { touched, partial } = this;
    this.window(first);
    const cells = partial || this.partial ? null : touched.concat(this.touched);
    for (const c of cells ?? row.keys()) row[c] = this.sums[c] / this.elapsed(c);
    return cells;
  }
}
