// A Known has the cells whose increases are known in a step: a member of the cell is present in the
// step and in the step before, or is known to count from 0. The cost of a step does not depend on the
// number of cells that are always known.
export class Known {
  constructor(count) {
    this.alive = new Int32Array(count);       // members that the previous step had
    this.markedAt = new Int32Array(count).fill(-1);
    this.marked = false;                      // reports whether the present step has a mark
    this.joining = [];
    this.dead = [...this.alive.keys()];       // cells without members
    this.missing = this.dead;                 // cells whose increases are not known in the latest step
    this.changed = false;                     // whether dead is to be made anew
    this.members = 0;
  }

  leave(cell) {
    this.members--;
    if (--this.alive[cell] === 0) this.changed = true;
  }

  // join adds a member after the present step. mark tells that its increase is known already.
  join(cell) { this.joining.push(cell); }
  mark(cell, index) {
    this.markedAt[cell] = index;
    this.marked = true;
  }

  // end ends a step, sets missing and reports whether the increase of any cell is known.
  end({ index, seconds }) {
    if (this.changed) this.dead = [...this.alive.keys()].filter(c => this.alive[c] === 0);
    this.changed = false;
    const any = this.members > 0 || this.marked;
    this.missing = this.marked ? this.dead.filter(c => this.markedAt[c] !== index) : this.dead;
    this.marked = false;
    for (const c of this.joining) if (this.alive[c]++ === 0) this.changed = true;
    this.members += this.joining.length;
    this.joining.length = 0;
    return any && seconds === seconds;
  }
}
