// A Window has the sums of the increases of the latest steps by cell.
export class Window {
  constructor(cells) {
    this.sums = new Float64Array(cells);
    this.increases = new Float64Array(cells); // of the present step
    this.changed = [];
    this.steps = [];                          // { index, changed: cells, increases }
  }

  add(cell, increase) {
    if (this.increases[cell] === 0) this.changed.push(cell);
    this.increases[cell] += increase;
  }

  // end ends a step. Steps before the step oldest leave the window.
  end(index, oldest) {
    const changed = Int32Array.from(this.changed), increases = new Float64Array(changed.length);
    for (let i = 0; i < changed.length; i++) { // a cell is in changed twice if its increase returned to 0
      increases[i] = this.increases[changed[i]];
      this.increases[changed[i]] = 0;
    }
    this.changed.length = 0;
    this.steps.push({ index, changed, increases });
    this.apply(this.steps.at(-1), 1);
    while (this.steps[0].index < oldest) this.apply(this.steps.shift(), -1);
  }

  apply({ changed, increases }, sign) {
    for (let i = 0; i < changed.length; i++) this.sums[changed[i]] += sign * increases[i];
  }
}
