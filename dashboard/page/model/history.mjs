import { ByteReader } from './bytes.mjs';
import { KINDS } from './family.mjs';
import { PollError, beginning, caused, request } from './request.mjs';

// A HistorySource polls the ring of the server. The first response has all stored steps, so
// that the page begins with the past. Later responses have the steps since.

const VERSION = 1;
const COLUMNS = ['value', 'sum', 'count', 'bucket', 'quantile', 'native'];
const MAX_SLOTS = 1 << 22;   // the largest number of slots of a ring
const SILENT_STEPS = 3;      // steps without a sample that are a gap

export class HistorySource {
  #ring = '0';
  #since = 0;                // number of the latest step
  #families = new Map();     // by the id of the ring
  #columns = new Map();
  #series = new Map();
  #slots = [];               // by its number in the ring: { series, column, value, present, stored, local }

  // The time now is in milliseconds. offset is the clock of the server less that of the
  // page in seconds, after the first poll. leftOut is the number of series that the ring has
  // no room for. covered is the time of the ring in seconds if it is full before its range ends,
  // or 0.
  constructor(path, fetch, now = () => Date.now()) {
    Object.assign(this, { path, fetch, now, offset: 0, leftOut: 0, covered: 0 });
  }

  // poll stores the steps since the previous poll. It returns the size of the response and
  // the duration. A response with an error changes nothing.
  async poll(store) {
    const began = this.now();
    const response = await request(this.fetch, `${this.path}?history=${this.#ring}.${this.#since}`);
    const data = new Uint8Array(await caused(response.arrayBuffer())), content = parseHistory(data);
    this.offset = (content.now - this.now()) / 1000;
    this.leftOut = content.leftOut;
    if (content.full) this.covered = coveredOf(content);
    store.seconds = content.range;
    store.step = content.step;
    store.maxSteps = Math.max(store.maxSteps, content.range);
    this.#add(store, content);
    return { bytes: data.length, ms: this.now() - began };
  }

  #add(store, content) {
    const { full, ring, steps } = content, known = ring === this.#ring ? this.#since : -1;
    let restart = known < 0 && this.#ring !== '0', whole = full;
    if (full) this.#forget();
    const stale = this.#define(store, content);
    for (const [number, value] of content.base) this.#change(number, value, true);
    for (const step of steps) {
      const changed = this.#read(content.reader, step);
      if (step.number <= known) continue;
      this.#mark(store, step.time, content.step, restart);
      store.begin(step.time, null, { sparse: !whole });
      for (const slot of stale.splice(0)) store.unset(slot);
      // Families of one name and different kinds share slots of the store: present values come last.
      for (const present of [false, true]) for (const slot of whole ? this.#slots : changed) if (slot?.present === present) storeSlot(store, slot);
      store.end();
      restart = whole = false;
    }
    this.#ring = ring;
    if (steps.length) this.#since = steps.at(-1).number;
    else if (full) this.#since = 0;
  }

  #mark(store, time, interval, restart) {
    if (restart) store.mark('restart', store.last, time);
    if (time - store.last > SILENT_STEPS * interval) store.mark('gap', store.last, time);
  }

  #forget() {
    for (const map of [this.#families, this.#columns, this.#series]) map.clear();
    this.#slots = [];
  }

  // define adds the dictionaries of a response. It returns the slots of the store whose
  // number has another meaning now. An entry with an unknown number is ignored.
  #define(store, { families, columns, series, runs }) {
    for (const { id, name, metadata } of families) {
      this.#families.set(id, { name, metadata });
      if (store.families.has(name)) store.define(name, metadata);
    }
    for (const { id, column } of columns) this.#columns.set(id, column);
    for (const { id, family, labels } of series) this.#series.set(id, { family: this.#families.get(family), labels });
    const stale = [];
    for (const { first, count, id, column } of runs) {
      const series = this.#series.get(id);
      for (let i = 0; i < count && series?.family && this.#columns.has(column + i); i++) {
        const old = this.#slots[first + i];
        if (old?.present && store.owns(old.stored, old.local)) stale.push(old.local);
        while (this.#slots.length < first + i) this.#slots.push(null);
        this.#slots[first + i] = { series, column: this.#columns.get(column + i), stored: null, local: -1, value: NaN, present: false };
      }
    }
    return stale;
  }

  #change(number, value, present) {
    const slot = this.#slots[number];
    if (!slot) return null;
    slot.value = value;
    slot.present = present;
    return slot;
  }

  // read changes the slots by the records of a step and returns them.
  #read(reader, { at, end }) {
    const changed = [];
    reader.at = at;
    for (let number = -1; reader.at < end;) {
      number += 1 + reader.zigzag();
      const value = reader.value(this.#slots[number]?.value ?? 0);
      changed.push(this.#change(number, value, !reader.absent));
    }
    return changed;
  }
}

function coveredOf({ steps, range }) {
  if (!steps.length || steps[0].number === 1) return 0;
  const seconds = steps.at(-1).time - steps[0].time;
  return seconds < .9 * range ? seconds : 0;
}

// storeSlot writes a slot to a step. The store forgets a series that was absent for long, so
// the series may have to be added again.
function storeSlot(store, slot) {
  if (!store.owns(slot.stored, slot.local)) {
    if (!slot.present) return;
    const { family, labels } = slot.series;
    slot.stored = store.addSeries(store.define(family.name, family.metadata), labels);
    slot.local = store.slot(slot.stored, slot.column);
  }
  if (slot.present) store.set(slot.local, slot.value);
  else store.unset(slot.local);
}

// parseHistory returns the content of a response. It throws a PollError if the response is
// not of this version or is damaged. The content is not larger than some times the bytes.
function parseHistory(data) {
  checkVersion(data);
  const reader = new ByteReader(data);
  try {
    reader.at = 1;
    return readHistory(reader);
  } catch (e) {
    if (e instanceof RangeError) throw new PollError(`the history is damaged: ${e.message}`);
    throw e;
  }
}

function checkVersion(data) {
  if (data[0] === VERSION) return;
  if (data[0] > VERSION && data[0] < 32) throw new PollError('this page is older than the server: reload');
  throw new PollError(`not a history: ${beginning(new TextDecoder().decode(data.subarray(0, 100)))}`);
}

function readHistory(reader) {
  const full = reader.byte() === 1, id = reader.skip(8);
  return {
    full, reader,
    ring: Array.from(reader.data.subarray(id, id + 8), b => b.toString(16).padStart(2, '0')).reverse().join(''),
    now: reader.uvarint(), step: reader.uvarint() / 1000, range: reader.uvarint() / 1000, leftOut: reader.uvarint(),
    families: readList(reader, 5, readFamily),
    columns: readList(reader, 18, readColumn),
    series: readList(reader, 3, readSeries),
    runs: readRuns(reader),
    base: readBase(reader),
    steps: readSteps(reader),
  };
}

// readList reads a list. Each element has at least size bytes.
function readList(reader, size, read) {
  const list = [];
  for (let n = reader.count(size); n > 0; n--) list.push(read(reader));
  return list;
}

function readFamily(reader) {
  const id = reader.uvarint(), kind = KINDS[reader.byte()] ?? 'unknown', name = reader.text(), unit = reader.text();
  return { id, name, metadata: { kind, unit, help: reader.text() } };
}

function readColumn(reader) {
  const id = reader.uvarint(), type = COLUMNS[reader.byte()], left = reader.float(), right = reader.float();
  if (!type || left !== left || right !== right) throw new RangeError('a column is unknown');
  return { id, column: { type, left, right } };
}

function readSeries(reader) {
  return { id: reader.uvarint(), family: reader.uvarint(), labels: readList(reader, 2, () => [reader.text(), reader.text()]) };
}

function readRuns(reader) {
  let slots = 0;
  return readList(reader, 4, () => {
    const first = reader.uvarint(), count = reader.uvarint(), id = reader.uvarint(), column = reader.uvarint();
    slots += count;
    if (slots > MAX_SLOTS || first + count > MAX_SLOTS) throw new RangeError('it has too many slots');
    return { first, count, id, column };
  });
}

function readBase(reader) {
  let number = -1;
  return readList(reader, 9, () => [number += 1 + reader.uvarint(), reader.float()]);
}

// readSteps reads the heads of the steps and checks the records.
function readSteps(reader) {
  let previous = 0;
  const steps = readList(reader, 3, () => {
    const number = reader.uvarint(), time = reader.uvarint() / 1000, size = reader.uvarint(), at = reader.skip(size);
    if (number <= previous) throw new RangeError('the steps are not in order');
    previous = number;
    return { number, time, at, end: at + size };
  });
  for (const { at, end } of steps) checkRecords(reader, at, end);
  return steps;
}

function checkRecords(reader, at, end) {
  const whole = reader.end;
  reader.at = at;
  reader.end = end;
  while (reader.at < end) {
    reader.zigzag();
    reader.value(0);
  }
  reader.end = whole;
}
