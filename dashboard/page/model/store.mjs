import { ByteReader, ByteWriter } from './bytes.mjs';
import { Family } from './family.mjs';

// A Store has the values of the recent past. A slot is the place of one number: the value of
// a series, or its sum, its count or one of its buckets. A step has the slots that changed
// since the step before, grouped by family, so that a replay of a family skips the others.

const SLOTS = 2 ** 26;             // slots are below SLOTS
const STEP_BYTES = 200;            // size of a step without its records
const LEAST_STEPS = 2;             // a rate needs two steps

export class Store {
  #nextFamily = 0;
  #nextSeries = 0;
  #step = 0;                       // number of the step that begins or was stored last
  #slots = 0;                      // number of slots, with the free slots
  #free = [];
  #owners = [];                    // series by slot
  #columns = new Map();            // shared column objects, by their text
  #absent = new Map();             // absent series -> the step that they are absent since
  #now = new Float64Array(1024);   // values of the latest step
  #has = new Uint8Array(1024);     // 1 for the slots that are not absent in the latest step
  #base = new Float64Array(1024);  // values before the first stored step
  #baseLast = new Float64Array(1024);  // the latest values that are not NaN before the first stored step
  #before = new Float64Array(1024);  // values before the step that begins
  #setAt = new Uint32Array(1024);  // the step of the last set
  #changedAt = new Uint32Array(1024);
  #replayed = new Float64Array(1024);
  #last = new Float64Array(1024);  // the latest values that are not NaN of a replay
  #changed = new Uint32Array(1024);
  #changes = 0;                    // number of slots in changed
  #writer = new ByteWriter();
  #open = null;                    // the step that begins

  // seconds, maxBytes and maxSteps limit the stored steps. At least two steps stay.
  constructor({ seconds = 900, maxBytes = 48 << 20, maxSteps = 1200 } = {}) {
    Object.assign(this, { seconds, maxBytes, maxSteps });
    this.families = new Map();     // by name
    this.marks = [];               // { kind, from, to }, oldest first
    this.steps = [];               // oldest first
    this.bytes = 0;                // size of steps
    this.series = 0;               // number of series with a value at the latest step
    this.step = 0;                 // usual seconds between two steps of a server without an open page; 0 if unknown
    this.short = false;            // the steps cover less than seconds, for lack of room
    this.version = 0;              // changes with the families, their series and their counts
  }

  // first and last are the times of the oldest and the latest step, or NaN.
  get first() { return this.steps.length ? this.steps[0].time : NaN; }
  get last() { return this.steps.length ? this.steps.at(-1).time : NaN; }

  // define finds or makes a family and sets its metadata.
  define(name, { kind = 'unknown', help = '', unit = '' }) {
    let family = this.families.get(name);
    if (!family) this.families.set(name, family = new Family(this.#nextFamily++, name));
    else if (family.kind === kind && family.help === help && family.unit === unit) return family;
    this.version++;
    family.version++;
    return Object.assign(family, { kind, help, unit });
  }

  // addSeries finds or makes a series of a family in families.
  addSeries(family, labels) {
    let series = family.find(labels);
    if (series) return series;
    series = { id: this.#nextSeries++, family, labels, slots: [], columns: [], present: 0 };
    family.add(series);
    this.#absent.set(series, this.#step);
    this.version++;
    return series;
  }

  // slot finds or makes the slot of a column { type, left, right } of a series.
  slot(series, { type, left = 0, right = 0 }) {
    const { columns, slots } = series;
    for (let i = 0; i < columns.length; i++) {
      if (columns[i].type === type && columns[i].left === left && columns[i].right === right) return slots[i];
    }
    const slot = this.#free.pop() ?? this.#slots++;
    if (slot >= this.#now.length) this.#grow();
    this.#owners[slot] = series;
    series.family.version++;
    this.#now[slot] = this.#base[slot] = this.#baseLast[slot] = NaN;
    this.#has[slot] = this.#setAt[slot] = this.#changedAt[slot] = 0;
    slots.push(slot);
    columns.push(this.#column(type, left, right));
    return slot;
  }

  // owns reports whether a slot is still that of a series. A series that was forgotten has
  // no slots.
  owns(series, slot) { return this.#owners[slot] === series; }

  #column(type, left, right) {
    const text = `${type} ${left} ${right}`;
    let column = this.#columns.get(text);
    if (!column) this.#columns.set(text, column = { type, left, right });
    return column;
  }

  #grow() {
    const larger = old => {
      const array = new old.constructor(2 * old.length);
      array.set(old);
      return array;
    };
    this.#now = larger(this.#now);
    this.#has = larger(this.#has);
    this.#base = larger(this.#base);
    this.#baseLast = larger(this.#baseLast);
    this.#before = larger(this.#before);
    this.#setAt = larger(this.#setAt);
    this.#changedAt = larger(this.#changedAt);
    this.#replayed = larger(this.#replayed);
    this.#last = larger(this.#last);
    this.#changed = larger(this.#changed);
  }

  // begin starts a step. families are the families that the step samples, or null for all.
  // A slot that is not set in the step becomes absent if its family is sampled. With sparse
  // the slot keeps its value. If the time did not advance, the clock went back: the stored
  // times are moved back, so that no rate is negative, and a gap is marked.
  begin(time, families = null, { sparse = false } = {}) {
    const { last } = this;
    if (time <= last) this.#setClockBack(time);
    this.#step++;
    this.#changes = 0;
    this.#open = { number: this.#step, time, sampled: families && new Set(Array.from(families, f => f.id)), families, sparse };
  }

  #setClockBack(time) {
    const n = this.steps.length, usual = n > 1 ? this.steps[n - 1].time - this.steps[n - 2].time : 1;
    const by = this.last - (time - usual);
    for (const step of this.steps) step.time -= by;
    for (const mark of this.marks) {
      mark.from -= by;
      mark.to -= by;
    }
    this.mark('gap', this.last, time);
  }

  // set sets a slot in the step. NaN is a value: the slot is not absent.
  set(slot, value) {
    this.#setAt[slot] = this.#step;
    const old = this.#now[slot];
    if (this.#has[slot] && (old === value || old !== old && value !== value)) return;
    this.#change(slot, value);
    if (this.#has[slot]) return;
    this.#has[slot] = 1;
    const series = this.#owners[slot];
    if (series.present++ === 0) {
      this.#absent.delete(series);
      this.#count(series.family, 1);
    }
  }

  // unset makes a slot absent in the step.
  unset(slot) {
    if (!this.#has[slot]) return;
    this.#change(slot, NaN);
    this.#has[slot] = 0;
    const series = this.#owners[slot];
    if (--series.present === 0) {
      this.#absent.set(series, this.#step);
      this.#count(series.family, -1);
    }
  }

  #change(slot, value) {
    if (this.#changedAt[slot] !== this.#step) {
      this.#changedAt[slot] = this.#step;
      this.#before[slot] = this.#now[slot];
      this.#changed[this.#changes++] = slot;
    }
    this.#now[slot] = value;
  }

  #count(family, by) {
    family.count += by;
    family.version++;
    this.series += by;
    this.version++;
  }

  // end stores the step and drops the oldest steps beyond the limits.
  end() {
    const { number, time, sampled, families, sparse } = this.#open;
    if (!sparse) this.#unsetOthers(families);
    this.#open = null;
    const step = { number, time, sampled, ...this.#encode() };
    step.bytes = STEP_BYTES + step.data.length + 8 * step.ids.length + 32 * (sampled?.size ?? 0);
    this.steps.push(step);
    this.bytes += step.bytes;
    while (this.steps.length > LEAST_STEPS && this.#full()) this.#dropOldest();
    while (this.marks.length && this.marks[0].to < this.first) this.marks.shift();
  }

  #unsetOthers(families) {
    if (!families) {
      for (let slot = 0; slot < this.#slots; slot++) if (this.#has[slot] && this.#setAt[slot] !== this.#step) this.unset(slot);
      return;
    }
    for (const family of families) {
      for (const { slots } of family.series.values()) for (const slot of slots) if (this.#setAt[slot] !== this.#step) this.unset(slot);
    }
  }

  // encode returns the records of the step. ids has the families with records in ascending
  // order. The records of ids[i] end at ends[i] in data.
  #encode() {
    const keys = new Float64Array(this.#changes), ids = [], ends = [], writer = this.#writer;
    for (let i = 0; i < keys.length; i++) keys[i] = this.#owners[this.#changed[i]].family.id * SLOTS + this.#changed[i];
    keys.sort();
    let id = -1, last = -1;
    for (const key of keys) {
      const family = Math.floor(key / SLOTS), slot = key - family * SLOTS;
      if (family !== id) {
        if (id >= 0) ends.push(writer.at);
        ids.push(id = family);
        last = -1;
      }
      writer.uvarint(slot - last - 1);
      writer.value(this.#before[slot], this.#now[slot], !this.#has[slot]);
      last = slot;
    }
    if (id >= 0) ends.push(writer.at);
    return { ids: Uint32Array.from(ids), ends: Uint32Array.from(ends), data: writer.take() };
  }

  // full reports whether the oldest step has to leave, and sets short.
  #full() {
    if (this.steps[1].time <= this.last - this.seconds) this.short = false;
    else if (this.steps.length > this.maxSteps || this.bytes > this.maxBytes) this.short = true;
    else return false;
    return true;
  }

  // dropOldest adds the records of the oldest step to the base, and forgets the series that
  // no later step has.
  #dropOldest() {
    const step = this.steps.shift();
    this.bytes -= step.bytes;
    for (let i = 0; i < step.ids.length; i++) readRecords(step, i, this.#base, this.#baseLast, null);
    for (const [series, since] of this.#absent) {
      if (since > step.number) break;
      this.#absent.delete(series);
      this.#forget(series);
    }
  }

  #forget(series) {
    const { family, slots } = series;
    for (const slot of slots) {
      this.#owners[slot] = null;
      this.#free.push(slot);
    }
    family.remove(series);
    if (family.series.size === 0) this.families.delete(family.name);
    this.version++;
  }

  // mark adds a mark { kind, from, to } if there is a step. The kind is restart or gap.
  mark(kind, from, to) { if (this.steps.length) this.marks.push({ kind, from, to }); }

  // visited returns the steps that replay visits.
  visited(family, from, to) {
    const steps = this.steps.filter(step => step.time <= to && samples(step, family));
    return steps.slice(Math.max(0, steps.findLastIndex(step => step.time < from)));
  }

  // replay calls visit(time, value, changed, last) for each step with a time from from to to that
  // samples the family, oldest first, after the latest such step before from. value(slot)
  // returns the value of a slot of the family at the step, or NaN. changed has the slots
  // that changed since the previous call; it is null in the first call. last(slot) returns the latest
  // value that is not NaN, or NaN, also of steps before the first call. All are valid only during the
  // call. visit must not call replay, and a step must not be open.
  replay(family, from, to, visit) {
    const { steps } = this, values = this.#replayed, lasts = this.#last, value = slot => values[slot], last = slot => lasts[slot];
    let first = 0;
    for (let i = 0; i < steps.length && steps[i].time < from; i++) if (samples(steps[i], family)) first = i;
    for (const { slots } of family.series.values()) {
      for (const slot of slots) {
        values[slot] = this.#base[slot];
        lasts[slot] = this.#baseLast[slot];
      }
    }
    let visited = false;
    for (let i = 0; i < steps.length && steps[i].time <= to; i++) {
      const n = readRecords(steps[i], indexOf(steps[i].ids, family.id), values, lasts, this.#changed);
      if (i < first || !samples(steps[i], family)) continue;
      visit(steps[i].time, value, visited ? this.#changed.subarray(0, n) : null, last);
      visited = true;
    }
  }
}

const samples = ({ sampled }, family) => !sampled || sampled.has(family.id);

// readRecords sets the values of the records of the family ids[i], and in lasts those that are not NaN. It
// writes the slots to changed if changed is not null. It returns the number of records.
function readRecords({ ends, data }, i, values, lasts, changed) {
  if (i < 0) return 0;
  const reader = new ByteReader(data);
  reader.at = i > 0 ? ends[i - 1] : 0;
  let slot = -1, n = 0;
  while (reader.at < ends[i]) {
    slot += 1 + reader.uvarint();
    const v = values[slot] = reader.value(values[slot]);
    if (v === v) lasts[slot] = v;
    if (changed) changed[n] = slot;
    n++;
  }
  return n;
}

// indexOf returns the index of a number in a sorted array, or -1.
function indexOf(array, number) {
  let low = 0, high = array.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (array[middle] < number) low = middle + 1;
    else high = middle;
  }
  return array[low] === number ? low : -1;
}
