// A Known has the seconds of the present point in which the increases of a cell are known: a
// member of the cell is present in a step and in the step before, or is known to count from 0.
// The cost of a step does not depend on the number of cells that are always known.
export class Known {
  constructor(count) {
    this.alive = new Int32Array(count);       // members that the previous step had
    this.missing = new Float64Array(count);   // seconds of the point that are not known
    this.markedAt = new Int32Array(count).fill(-1);
    this.joining = [];
    this.dead = [...this.alive.keys()];       // cells without members
    this.changed = false;                     // whether dead is to be made anew
    this.members = 0;
    this.seconds = 0;
    this.partial = true;                      // whether a cell is missing in this point or in the point before
    this.wasPartial = true;
  }

  leave(cell) {
    this.members--;
    if (--this.alive[cell] === 0) this.changed = true;
  }

  // join adds a member after the present step. mark tells that its increase is known already.
  join(cell) { this.joining.push(cell); }
  mark(cell, index) { this.markedAt[cell] = index; }

  // end ends a step and reports whether the increase of any cell is known.
  end({ index, seconds }) {
    if (this.changed) this.dead = [...this.alive.keys()].filter(c => this.alive[c] === 0);
    this.changed = false;
    let any = this.members > 0;
    if (seconds === seconds) {
      this.seconds += seconds;
      for (const c of this.dead) {
        if (this.markedAt[c] === index) any = true;
        else this.missing[c] += seconds;
      }
    }
    if (this.dead.length) this.partial = true;
    for (const c of this.joining) if (this.alive[c]++ === 0) this.changed = true;
    this.members += this.joining.length;
    this.joining.length = 0;
    return any && seconds === seconds;
  }

  elapsed(cell) { return this.seconds - this.missing[cell]; }

  // next begins the next point, or the first one.
  next() {
    this.seconds = 0;
    this.missing.fill(0);
    this.wasPartial = this.partial;
    this.partial = false;
  }
}
