// Board has the cards of the present tab. It draws the canvases of visible cards at most once a
// screen refresh.

import { Card } from './card.mjs';
import { byId, element, placeInOrder, setText } from './dom.mjs';
import { goCardsWithData, missingText } from './gotab.mjs';
import { SizesTable } from './sizes.mjs';

const MAX_POINTS = 450;

export class Board {
  constructor(session) {
    Object.assign(this, { session, cards: new Map(), visible: new Set(), dirty: new Set(), due: 0, moved: false });
    this.section = byId('cards');
    this.empty = element('p', { className: 'empty' });
    this.sizes = new SizesTable(session);
    this.seen = new IntersectionObserver(entries => this.scrolled(entries), { rootMargin: '200px' });
    new ResizeObserver(() => this.resized()).observe(this.section);
    this.actions = {
      point: (time, drag, speaker) => this.point(time, drag, speaker),
      zoom: range => session.zoomTo(range),
      pointer: () => session.pointer,
      repaint: card => this.invalidate([card]),
    };
  }

  draw() {
    this.keepFocus(() => this.drawCards());
    this.invalidate(this.cards.values());
    this.showOpened();
  }

  // keepFocus moves the focus to a chart if the element with the focus is removed or hidden.
  keepFocus(draw) {
    const active = document.activeElement, article = active?.closest('article');
    const at = [...this.section.children].indexOf(article);
    draw();
    if (!article || document.contains(active) && !active.closest('[hidden]')) return;
    const next = document.contains(article) ? article : this.section.children[Math.min(at, this.section.children.length - 1)];
    (next?.querySelector('canvas') ?? byId('list')).focus({ preventScroll: true });
  }

  // drawCards adds and removes cards, and shows the results of the last frame.
  drawCards() {
    const { state, frame } = this.session;
    const results = new Map(this.session.hasValues() ? frame.cards.map(r => [r.id, r]) : []);
    const specs = state.tab === 'go' ? goCardsWithData([...results.values()]) : state.cards;
    this.removeCards(new Set(specs.map(s => s.id)));
    const sizes = state.tab === 'metrics' && state.sizes && frame?.sizes;
    if (sizes) this.sizes.draw(sizes);
    setText(this.empty, this.emptyText(specs, [...results.values()]));
    const articles = specs.map(s => this.cardOf(s).article);
    placeInOrder(this.section, [...sizes ? [this.sizes.article] : [], ...articles, ...this.empty.textContent && !sizes ? [this.empty] : []]);
    for (const spec of specs) this.cards.get(spec.id).update(spec, results.get(spec.id));
  }

  cardOf(spec) {
    let card = this.cards.get(spec.id);
    if (!card) {
      this.cards.set(spec.id, card = new Card(this.session, spec, this.actions));
      this.seen.observe(card.article);
    }
    return card;
  }

  removeCards(keep) {
    for (const [id, card] of this.cards) {
      if (keep.has(id)) continue;
      this.seen.unobserve(card.article);
      this.cards.delete(id);
      this.visible.delete(card);
      this.dirty.delete(card);
      this.point(null, null); // a removed canvas gets no event pointerleave
    }
  }

  // emptyText returns the text below the cards.
  emptyText(specs, results) {
    const { state, frame, choosing } = this.session;
    if (state.tab === 'go') return missingText(results);
    if (specs.length) return '';
    return frame?.list.families && !choosing ? 'Select families in the list.' : 'Waiting for the first values.';
  }

  // showOpened scrolls to a card that the user opened, and again when the card has its size.
  showOpened() {
    const card = this.cards.get(this.session.opened);
    if (!card) return;
    if (card.result) this.session.opened = null;
    card.article.scrollIntoView({ block: 'nearest' });
  }

  // ---- pointer ----

  point(time, drag, speaker = null) {
    const old = this.session.pointer;
    if (old.time === null && time === null && !old.drag) return;
    this.session.pointer = { time, drag, spoken: Boolean(speaker) };
    if (speaker) setText(byId('reading'), speaker.spoken(time));
    this.moved = true;
    if (old.time === null) this.paint(); // the crosshair appears at once
    else this.schedule();
  }

  // ---- painting ----

  invalidate(cards) {
    for (const card of cards) this.dirty.add(card);
    this.schedule();
  }

  schedule() { this.due ||= requestAnimationFrame(() => this.paint()); }

  paint() {
    cancelAnimationFrame(this.due);
    this.due = 0;
    const { session } = this, range = session.range(), marks = session.frame?.marks ?? [];
    for (const card of this.visible) {
      if (this.dirty.delete(card)) card.paint(range, marks, session.pointer);
      if (this.moved) card.paintPointer(session.pointer);
    }
    this.moved = false;
  }

  scrolled(entries) {
    const byArticle = new Map([...this.cards.values()].map(c => [c.article, c]));
    for (const { target, isIntersecting } of entries) {
      const card = byArticle.get(target);
      if (card) this.visible[isIntersecting ? 'add' : 'delete'](card);
    }
    this.schedule();
  }

  // resized asks for as many points as the charts can show.
  resized() {
    const width = this.section.querySelector('canvas')?.clientWidth || this.section.clientWidth / 2;
    const points = Math.min(MAX_POINTS, Math.max(60, Math.round(width / 2)));
    if (Math.abs(points - this.session.state.points) > 20) {
      this.session.state.points = points;
      this.session.send();
    }
    this.invalidate(this.cards.values());
  }
}
