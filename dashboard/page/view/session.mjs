// Session has the state of the page: the choices of the user and the last frame of the worker.
// Each change of the state goes to the worker, to the address and to the screen.

import { parseAddress, formatAddress } from './address.mjs';
import { preferredCards, chooseDefaults } from './defaults.mjs';
import { goCards } from './gotab.mjs';

export const DEFAULT_SPAN = 300;
const SPANS = [60, 300, 900, 0];
const MIN_ZOOM = .1, MAX_ZOOM = 30 * 86400; // seconds of a chosen range; an address has at most 31 days
const REPLY_MS = 1000;        // a view waits at most this long for the frame of the view before

export class Session {
  // post sends a message to the worker. render draws the page.
  constructor(post, render) {
    Object.assign(this, { post, render, frame: null, settled: [], pointer: { time: null, drag: null } });
    this.requests = new Map();  // number of a request for label values → resolve function
    this.requested = 0;
    this.numbered = 0;          // number of cards so far
    this.sent = 0;              // time of the last view
    this.views = 0;             // number of the last view
    this.answered = 0;          // number of the view that the last frame has
    this.stale = false;         // reports whether the state changed after the last view
    this.state = { interval: 2, paused: false, search: '', order: 'name', first: 0, count: 0, sizes: false, points: 300 };
    this.readAddress();
  }

  readAddress() {
    const { tab, span, zoom, cards } = parseAddress(location.hash);
    const old = this.state.cards ?? [];
    this.choosing = !cards.length; // reports whether the default cards are still to be chosen
    Object.assign(this.state, { tab, span, zoom, cards: cards.map((c, i) => old[i]?.family === c.family ? { ...c, id: old[i].id } : this.withId(c)) });
  }

  // reload takes the state of the address after the user went back or forward.
  reload() {
    this.readAddress();
    this.send();
    this.render();
  }

  withId(card) { return { where: [], ratio: null, ...card, id: `card-${this.numbered++}` }; }

  // set changes the state. A change of the zoom is a new entry of the browser's history.
  set(changes) {
    const push = 'zoom' in changes && String(changes.zoom) !== String(this.state.zoom);
    if (push) this.saveAddress(false); // the address before can lack the default cards
    Object.assign(this.state, changes);
    if ('cards' in changes) this.choosing = false;
    if (['tab', 'span', 'zoom', 'cards'].some(name => name in changes)) this.saveAddress(push);
    this.send();
    this.render();
  }

  saveAddress(push) {
    const hash = formatAddress(this.state);
    if (hash === location.hash) return;
    history[push ? 'pushState' : 'replaceState'](null, '', hash || location.pathname + location.search);
  }

  // ---- worker ----

  // send sends the state to the worker. While a frame is due, the state waits for the frame, so
  // that a slow worker gets the last state only.
  send() {
    this.stale = this.answered < this.views && performance.now() - this.sent < REPLY_MS;
    if (this.stale) return;
    this.sent = performance.now();
    this.views++;
    this.post({ type: 'view', view: this.view() });
  }

  view() {
    const { interval, paused, zoom, points, search, order, first, count, sizes } = this.state;
    const span = this.sentSpan = this.span() || this.storedSpan();
    return {
      number: this.views, interval, paused, hidden: document.hidden, span, from: zoom?.[0] ?? null, to: zoom?.[1] ?? null,
      points, cards: this.shownCards(), search, order, first, count, sizes,
    };
  }

  // receive takes a message of the worker: a frame, or the values of a label.
  receive(message) {
    if (message.type === 'frame') return this.receiveFrame(message);
    this.requests.get(message.request)?.(message);
    this.requests.delete(message.request);
  }

  // receiveFrame takes a frame. Several views can have one frame, which has the number of the last.
  receiveFrame(frame) {
    this.frame = frame;
    this.answered = frame.view;
    if (this.choosing && this.state.tab === 'metrics' && frame.polled && frame.list.total) this.chooseCards();
    if (this.stale && this.answered === this.views || !this.span() && this.sentSpan !== this.storedSpan()) this.send();
    if (this.isSettled()) for (const resolve of this.settled.splice(0)) resolve();
    this.render();
  }

  // fail shows an error of the page itself.
  fail(text) {
    const list = { total: 0, families: 0, series: 0, first: 0, rows: [] };
    this.frame = { range: [0, 1], stored: [NaN, NaN], cards: [], marks: [], notices: [], sizes: null, list, ...this.frame, status: { text, bad: true } };
    this.render();
  }

  // chooseCards does not change the address, so that the address of the page stays short.
  chooseCards() {
    this.choosing = false;
    this.state.cards = chooseDefaults(this.frame.cards, this.frame.list.rows).map(c => this.withId(c));
    this.send();
  }

  // isSettled reports whether the frame is of the present state.
  isSettled() { return this.answered === this.views && !this.stale; }

  // whenSettled returns a promise that ends when the frame is of the present state.
  whenSettled() {
    return this.isSettled() ? Promise.resolve() : new Promise(resolve => this.settled.push(resolve));
  }

  // values asks for the values of a label that contain a text.
  values(family, label, text) {
    const request = ++this.requested;
    this.post({ type: 'values', request, family, label, text });
    return new Promise(resolve => this.requests.set(request, resolve));
  }

  // ---- time ----

  span() { return this.state.span ?? DEFAULT_SPAN; }

  // hasValues reports whether the worker has stored a step.
  hasValues() { return Number.isFinite(this.frame?.stored[1]); }

  // storedSpan returns the seconds of all stored time, in full minutes.
  storedSpan() {
    const [from, to] = this.frame?.stored ?? [0, 0];
    return 60 * Math.max(1, Math.ceil((to - from) / 60) || 0);
  }

  // range returns the time range of the charts. A live range begins with the first stored step,
  // so that a chart with few steps is not empty for the most part.
  range() {
    const [from, to] = this.state.zoom ?? this.frame?.range ?? [0, 1], first = this.frame?.stored?.[0];
    return this.state.zoom || !Number.isFinite(first) ? [from, to] : [Math.max(from, Math.min(first, to - 10)), to];
  }

  // link returns the address of the page with the shown range as two times, so that a live range does not move on.
  link() {
    const zoom = this.hasValues() ? this.range() : this.state.zoom;
    return location.origin + location.pathname + location.search + formatAddress({ ...this.state, zoom });
  }

  live() { this.set({ zoom: null }); }

  // changeSpan makes the range longer (by > 0) or shorter.
  changeSpan(by) {
    const { zoom } = this.state;
    if (!zoom) {
      const i = SPANS.findIndex(s => s === this.span());
      return this.set({ span: SPANS[Math.min(SPANS.length - 1, Math.max(0, (i < 0 ? 1 : i) + by))] });
    }
    const middle = (zoom[0] + zoom[1]) / 2, half = Math.max(1, (zoom[1] - zoom[0]) / 2 * 2 ** by);
    this.zoomTo([middle - half, middle + half]);
  }

  zoomTo(range) { this.set({ zoom: withAddress(range) }); }

  // ---- cards ----

  shownCards() {
    if (this.state.tab === 'go') return goCards();
    return this.choosing ? preferredCards() : this.state.cards;
  }

  editCard(id, changes) {
    this.set({ cards: this.state.cards.map(c => c.id === id ? { ...c, ...changes } : c) });
  }

  removeCard(id) { this.set({ cards: this.state.cards.filter(c => c.id !== id) }); }

  cardsOf(family) { return this.state.cards.filter(c => c.family === family); }

  // toggle shows or hides a family. A match of the search is a filter: the card gets the filter,
  // and a card that has exactly this filter is hidden.
  toggle(family, match = null) {
    const shown = this.cardsOf(family);
    const filter = match ? [[match.label, match.value]] : null;
    if (filter && !shown.some(c => sameFilters(c.where, filter))) return this.open(family, filter);
    if (shown.length) this.set({ cards: this.state.cards.filter(c => c.family !== family), tab: 'metrics' });
    else this.open(family, []);
  }

  // open shows a family with filters in the default group.
  open(family, where) {
    const old = this.cardsOf(family)[0], card = { ...old ?? this.withId({ family }), where, by: undefined, fn: undefined };
    this.opened = card.id;
    this.set({ tab: 'metrics', cards: old ? this.state.cards.map(c => c === old ? card : c) : [...this.state.cards, card] });
  }
}

// withAddress returns the range that an address can have: in full milliseconds, since 1970, from MIN_ZOOM to MAX_ZOOM long.
function withAddress([from, to]) {
  const half = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, to - from)) / 2, middle = Math.max(half, (from + to) / 2);
  return [middle - half, middle + half].map(t => Math.round(t * 1000) / 1000);
}

const sameFilters = (a, b) => JSON.stringify(a) === JSON.stringify(b);
