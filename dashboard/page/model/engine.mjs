import { HistorySource } from './history.mjs';
import { JSONSource } from './json.mjs';
import { notices } from './notices.mjs';
import { PollError } from './request.mjs';
import { Search, labelValues, sizesOf } from './search.mjs';
import { Store } from './store.mjs';

// An Engine polls, stores and evaluates for a view. It gets the messages start, view, poll and
// values. It posts a frame after each poll, a frame after views that came together, and a reply to
// values. A frame has the number of the last view.

const FIRST_VIEW = { number: 0, interval: 2, paused: false, hidden: false, span: 300, from: null, to: null, points: 300, cards: [], search: '', order: 'name', first: 0, count: 50, sizes: false };

const MAX_REST = 60e3;   // milliseconds

export class Engine {
  #view = null;
  #store = new Store();
  #search = new Search(this.#store);
  #source = null;
  #timer = null;             // of the next poll
  #frameTimer = null;        // of a frame for the latest view
  #polling = false;
  #failure = '';             // of the latest poll, without the time of the next
  #began = -Infinity;        // of the latest poll, in milliseconds
  #ended = -Infinity;
  #framed = -Infinity;       // the time that the frame of the latest poll was posted
  #longest = 0;              // the longest interval since the latest poll began, in seconds
  #results = new Map();      // results of the latest frame, by all that they depend on

  // post copies a message to the view, because the results of cards are kept. evaluate, inputsOf and familiesOf are those
  // of query.mjs. now returns milliseconds. later and cancel are setTimeout and clearTimeout.
  constructor({ post, fetch, evaluate, inputsOf, familiesOf, now, later, cancel }) {
    Object.assign(this, { post, fetch, evaluate, inputsOf, familiesOf, now, later, cancel });
  }

  receive(message) {
    if (message.type === 'start') this.#start(message);
    else if (message.type === 'view') this.#change(message.view);
    else if (message.type === 'poll') this.#poll();
    else if (message.type === 'values') this.post({ type: 'values', request: message.request, ...labelValues(this.#store, message) });
  }

  #start({ metrics, history, path }) {
    this.#source = history ? new HistorySource(path, this.fetch, this.now) : new JSONSource(metrics, this.fetch, this.now);
    this.#schedule();
  }

  #change(view) {
    this.#view = { ...FIRST_VIEW, ...view };
    this.#longest = Math.max(this.#longest, this.#view.interval);
    this.#frameTimer ??= this.later(() => this.#postFrame(false), 0); // after the views that wait already
    this.#schedule();
  }

  // ---- polls ----

  #schedule() {
    this.cancel(this.#timer);
    if (!this.#source || !this.#view || this.#polling || this.#view.paused || this.#view.hidden) return;
    this.#timer = this.later(() => this.#poll(), this.#delay());
  }

  // delay returns the time until the next poll in milliseconds. The worker rests at least as
  // long as a poll and its frame took. The clock can be set at any time, so the delay has a bound.
  #delay() {
    const interval = 1000 * this.#view.interval, since = this.now() - this.#framed;
    const rest = this.#failure ? interval : Math.max(interval - this.#took, this.#took);
    return this.#framed > 0 ? Math.min(Math.max(rest - since, 0), rest) : 0;
  }

  // took returns the duration of the latest poll and its frame in milliseconds.
  get #took() { return Math.min(Math.max(this.#framed - this.#began, 0), MAX_REST); }

  async #poll() {
    if (!this.#source || !this.#view || this.#polling) return;
    this.cancel(this.#timer);
    this.#polling = true;
    const usual = Math.max(this.#longest, this.#framed > 0 ? this.#took / 500 : 0);
    this.#longest = this.#view.interval;
    this.#began = this.now();
    try {
      await this.#source.poll(this.#store, new Set(this.#view.cards.flatMap(this.familiesOf)), usual);
      this.#failure = '';
    } catch (e) {
      this.#failure = e instanceof PollError ? `Scrape failed: ${e.message}` : internal(e);
    }
    this.#ended = this.now();
    this.#polling = false;
    this.#postFrame(true);
    this.#framed = this.now();
    this.#schedule();
  }

  // ---- frames ----

  #postFrame(polled) {
    this.cancel(this.#frameTimer);
    this.#frameTimer = null;
    const view = this.#view, store = this.#store, list = { total: 0, families: 0, series: 0, first: 0, rows: [] };
    const frame = { type: 'frame', polled, view: view.number, status: { text: '', bad: false }, range: this.#range(), stored: [store.first, store.last], list, cards: [], marks: store.marks, notices: [], sizes: null };
    try {
      frame.cards = this.#evaluateAll(frame.range);
      if (this.#source) frame.notices = notices(store, this.#source, frame.range);
      frame.list = { first: view.first, ...this.#search.find({ ...view, text: view.search }) };
      if (view.sizes) frame.sizes = sizesOf(store);
      frame.status = this.#status(frame.list);
    } catch (e) {
      frame.status = { text: internal(e), bad: true };
    }
    this.post(frame);
  }

  // range returns the range of the view in seconds. A live range ends at the latest poll. Its end is in full
  // milliseconds, as the times of steps are, so that it is not before a step of the same millisecond.
  #range() {
    const { from, to, span } = this.#view;
    if (from !== null && to !== null) return [from, to];
    const end = Math.round((this.#ended > 0 ? this.#ended : this.now()) + 1000 * (this.#source?.offset ?? 0)) / 1000;
    return [end - span, end];
  }

  // evaluateAll returns the results of the cards. A card keeps its result of the latest frame if nothing
  // changed that the result depends on, as for a range of the past.
  #evaluateAll([from, to]) {
    const results = new Map(), { cards, points } = this.#view, range = { from, to, points };
    for (const card of cards) {
      const key = JSON.stringify([card, range, this.inputsOf(this.#store, card, range)]);
      results.set(key, this.#results.get(key) ?? this.#evaluateCard(card, range));
    }
    this.#results = results;
    return [...results.values()];
  }

  #evaluateCard(card, range) {
    try {
      return this.evaluate(this.#store, card, range);
    } catch (e) {
      return {
        id: card.id, family: card.family, kind: 'unknown', help: '', unit: '', count: 0, matched: 0, groups: 0, times: new Float64Array(0), lines: [], rest: 0,
        display: { unit: '', perSecond: false }, heat: null, labels: [], fn: '', by: '', note: '', error: internal(e),
      };
    }
  }

  #status({ families, series }) {
    const { paused, interval } = this.#view;
    if (paused) return { text: 'paused', bad: false };
    if (this.#failure) return { text: `${this.#failure}; retrying in ${interval} s`, bad: true };
    if (!(this.#ended > 0)) return { text: 'loading', bad: false };
    return { text: `${series} series in ${families} ${families === 1 ? 'family' : 'families'}`, bad: false };
  }
}

function internal(e) { return `Internal error: ${e?.message ?? e}`; }
