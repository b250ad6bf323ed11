import { KINDS } from './family.mjs';
import { PollError, beginning, caused, request } from './request.mjs';

// A JSONSource polls the JSON view with metadata and stores each response as a step. If a
// poll of all families is expensive, most polls ask only for the selected families.

const EXPENSIVE_MS = 250, EXPENSIVE_BYTES = 4 << 20;
const FULL_SHARE = .05;      // share of the time for expensive polls of all families
const START = 'process_start_time_seconds';
const ALWAYS = [START, 'tacho_errors_total', 'tacho_series_overflow_total', 'tacho_gather_errors_total'];
const SILENT_INTERVALS = 3;  // intervals without a poll that are a gap

export class JSONSource {
  #fullAt = 0;               // time of the latest poll of all families, in milliseconds
  #pause = 0;                // time until the next one
  #started = NaN;            // value of START in the latest poll
  #rows = new WeakMap();     // family -> series in the order of the latest response

  // The time now is in milliseconds.
  constructor(metrics, fetch, now = () => Date.now()) {
    Object.assign(this, { metrics, fetch, now, offset: 0, leftOut: 0, covered: 0 });
  }

  // poll stores a step of all families or of those with the names selected. interval is the
  // usual time between polls in seconds: a much longer silence is marked as a gap. poll
  // returns the size of the response and the duration.
  async poll(store, selected, interval) {
    const began = this.now(), names = new Set([...ALWAYS, ...selected]);
    const full = began < this.#fullAt || began >= this.#fullAt + this.#pause; // the clock can be set back
    const query = full ? '' : [...names].map(name => `&name[]=${encodeURIComponent(name)}`).join('');
    const response = await request(this.fetch, `${this.metrics}/json?metadata=1${query}`);
    const time = this.now() / 1000, text = await caused(response.text()), view = parseView(text);
    this.#mark(store, view, time, interval);
    store.begin(time, full ? null : this.#define(store, names, view));
    for (const [name, content] of view) this.#addFamily(store, name, content);
    store.end();
    const ms = this.now() - began, bytes = text.length;
    if (full) {
      this.#fullAt = began;
      this.#pause = ms > EXPENSIVE_MS || bytes > EXPENSIVE_BYTES ? Math.max(ms, EXPENSIVE_MS) / FULL_SHARE : 0;
    }
    return { bytes, ms };
  }

  #mark(store, view, time, interval) {
    const started = numberOf(view.get(START)?.series[0]?.value);
    if (Math.abs(started - this.#started) > 1) store.mark('restart', store.last, time);
    if (started === started) this.#started = started;
    if (time - store.last > SILENT_INTERVALS * interval) store.mark('gap', store.last, time);
  }

  // define returns the families that a poll of some names samples.
  #define(store, names, view) {
    for (const [name, content] of view) if (content.series.length) store.define(name, metadata(content));
    return [...new Set([...names, ...view.keys()])].map(name => store.families.get(name)).filter(Boolean);
  }

  #addFamily(store, name, content) {
    if (content.series.length === 0) return;
    const family = store.define(name, metadata(content)), before = this.#rows.get(family) ?? [], now = [];
    let next = 0;
    for (const row of content.series) {
      let series = before[next];
      // The order of most responses is that of the response before, and needs no key.
      if (!series || !hasLabels(series, row.labels)) {
        series = store.addSeries(family, labelsOf(row));
        if (before[series.row] === series) next = series.row;
        else next--;
      }
      next++;
      series.row = now.length;
      now.push(series);
      addValues(store, series, row);
    }
    this.#rows.set(family, now);
  }
}

// parseView returns the families of a response by name, or throws a PollError.
function parseView(text) {
  let view;
  try {
    view = JSON.parse(text);
  } catch {
    throw new PollError(`not a JSON view: ${beginning(text)}`);
  }
  if (!isObject(view)) throw new PollError(`not a JSON view: ${beginning(text)}`);
  const families = new Map(Object.entries(view));
  for (const [name, content] of families) {
    if (!Array.isArray(content?.series) || !content.series.every(isObject)) throw new PollError(`not a JSON view: ${JSON.stringify(name.slice(0, 100))} has no list of series`);
  }
  return families;
}

const isObject = v => typeof v === 'object' && v !== null && !Array.isArray(v);
const textOf = v => typeof v === 'string' ? v : JSON.stringify(v);
const numberOf = v => typeof v === 'number' ? v : NaN;

function metadata({ type, help, unit }) {
  return { kind: KINDS.includes(type) ? type : 'unknown', help: textOf(help ?? ''), unit: textOf(unit ?? '') };
}

function labelsOf({ labels }) {
  return Object.entries(isObject(labels) ? labels : {}).map(([name, value]) => [name, textOf(value)]);
}

// hasLabels reports whether a series has the labels in the same order.
function hasLabels({ labels }, object) {
  let i = 0;
  for (const name in object) {
    const pair = labels[i++];
    if (!pair || pair[0] !== name || pair[1] !== object[name]) return false;
  }
  return i === labels.length;
}

// addValues sets the slots of a series. The JSON view has cumulative classic buckets. Its
// native buckets are lists of texts.
function addValues(store, series, { value, count, buckets, histogram, quantiles }) {
  let i = 0;
  const add = (type, left, right, v) => {
    const column = series.columns[i];
    const known = column && column.type === type && column.left === left && column.right === right;
    store.set(known ? series.slots[i] : store.slot(series, { type, left, right }), v);
    i++;
  };
  const distribution = buckets || quantiles;
  add(distribution ? 'sum' : 'value', 0, 0, numberOf(value));
  if (distribution) add('count', 0, 0, numberOf(count));
  if (Array.isArray(quantiles)) for (const q of quantiles) addQuantile(add, numberOf(q?.quantile), numberOf(q?.value));
  if (isObject(histogram)) addNative(add, histogram);
  else if (Array.isArray(buckets)) addClassic(add, buckets);
}

function addQuantile(add, quantile, value) {
  if (quantile >= 0 && quantile <= 1) add('quantile', quantile, 0, value);
}

function addClassic(add, buckets) {
  let left = -Infinity, below = 0;
  for (const bucket of buckets) {
    const right = numberOf(bucket?.le ?? Infinity), count = numberOf(bucket?.count);
    if (!(right > left && count >= below)) continue;
    add('bucket', left, right, count - below);
    left = right;
    below = count;
  }
}

function addNative(add, { buckets }) {
  if (!Array.isArray(buckets)) return;
  const number = text => Number(textOf(text).replace('Inf', 'Infinity'));
  for (const bucket of buckets) {
    if (!Array.isArray(bucket) || bucket.length !== 4) continue;
    const [left, right, count] = bucket.slice(1).map(number);
    if (left < right && count >= 0) add('native', left, right, count);
  }
}
