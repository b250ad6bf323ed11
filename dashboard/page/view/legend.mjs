// Legend lists the lines of a card with their values. A click hides or shows a line. The button
// "only" filters the card by the labels of a line.

import { element, placeInOrder, setText } from './dom.mjs';
import { swatchOf } from './palette.mjs';

export class Legend {
  // The actions are toggle(key), only(line) and emphasize(key or null).
  constructor(actions) {
    this.actions = actions;
    this.rows = new Map();      // key of a line → row
    this.list = element('ul', { className: 'legend' });
    this.note = element('li', {}, element('span', { className: 'note' }));
  }

  // draw shows the lines. An entry is { line, style, value, off }. An empty note is not shown.
  draw(entries, note, bad) {
    const keys = new Set(entries.map(e => e.line.key));
    for (const key of this.rows.keys()) if (!keys.has(key)) this.rows.delete(key);
    const rows = entries.map(entry => this.drawRow(entry).row);
    setText(this.note.firstChild, note);
    this.note.firstChild.classList.toggle('bad', bad);
    placeInOrder(this.list, note ? [...rows, this.note] : rows);
  }

  // isUsed reports whether the pointer or the focus of the keyboard is in the legend.
  isUsed() { return this.list.matches(':hover') || this.list.querySelector(':focus-visible') !== null; }

  drawRow({ line, style, value, off }) {
    let r = this.rows.get(line.key);
    if (!r) this.rows.set(line.key, r = this.newRow(line.key));
    setText(r.value, value);
    if (r.line === line && r.off === off) return r;
    Object.assign(r, { line, off });
    r.button.className = off ? 'off' : '';
    r.button.setAttribute('aria-pressed', String(!off));
    r.swatch.style.background = swatchOf(style);
    setText(r.labels, line.text);
    r.labels.title = line.text;
    r.only.hidden = !line.labels?.length;
    r.only.setAttribute('aria-label', `Only ${line.text}`);
    return r;
  }

  newRow(key) {
    const [swatch, labels, value] = ['swatch', 'labels', 'value'].map(className => element('span', { className }));
    const button = element('button', { title: 'Hide or show this line' }, swatch, labels, value);
    const only = element('button', { className: 'only', textContent: 'only', title: 'Filter by the labels of this line' });
    const row = element('li', {}, button, only);
    const r = { row, button, swatch, labels, value, only, line: null };
    button.onclick = () => this.actions.toggle(key);
    button.ondblclick = () => { if (!only.hidden) this.actions.only(r.line); };
    only.onclick = () => this.actions.only(r.line);
    row.onpointerenter = button.onfocus = () => this.actions.emphasize(key);
    row.onpointerleave = button.onblur = () => this.actions.emphasize(null);
    return r;
  }
}
