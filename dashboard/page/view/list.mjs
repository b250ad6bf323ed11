// FamilyList is a virtual list. The worker sends a window of rows, and only the rows in view are
// elements, so that 150,000 families cost as much as 100.

import { byId, element, labelPair, setChildren, setText } from './dom.mjs';

const WINDOW = 240;           // number of rows that the worker sends, and up to which all rows are elements
const MARGIN = 8;             // number of rows above and below the visible rows
const NEAR = 40;              // rows of the window that are left when the list asks for the next window
const LONG = 34, CUT = 46;    // number of characters of a name with small letters, and of a name that is cut in the middle
const TAIL = 20;              // number of characters at the end of a cut name that are always visible
const KINDS = { counter: '↗', gauge: '∿', histogram: '▤', summary: '▥', info: 'ⓘ' };

export class FamilyList {
  // chosen is called after the user chose a family.
  constructor(session, chosen) {
    Object.assign(this, { session, chosen, cursor: -1, cursorName: '', searched: false });
    this.list = byId('list');
    this.search = byId('search');
    session.state.count = WINDOW;
    this.list.addEventListener('scroll', () => this.draw());
    this.search.addEventListener('input', () => this.find(this.search.value));
    byId('sort').onclick = () => this.sort();
  }

  find(text) {
    if (this.search.value !== text) this.search.value = text;
    this.list.scrollTop = 0;
    this.cursor = text.trim() ? 0 : -1;
    this.cursorName = '';
    this.session.set({ search: text, first: 0 });
  }

  sort() {
    const order = this.session.state.order === 'name' ? 'series' : 'name';
    this.list.scrollTop = 0;
    this.session.set({ order, first: 0 });
  }

  // ---- rows ----

  rowHeight() { return parseFloat(getComputedStyle(this.list).getPropertyValue('--row')); }

  rowAt(i) {
    const { first, rows } = this.session.frame.list;
    return rows[i - first];
  }

  draw() {
    const { frame, state } = this.session;
    setText(byId('sort'), state.order === 'series' ? 'By series' : 'By name');
    if (!frame) return;
    const { total, first, rows } = frame.list;
    this.list.classList.toggle('found', rows.some(r => r.match));
    const height = this.rowHeight(), top = Math.floor(this.list.scrollTop / height), bottom = top + Math.ceil(this.list.clientHeight / height);
    this.list.style.setProperty('--rows', total);
    const shown = total <= WINDOW ? [0, total] : [Math.max(first, top - MARGIN), Math.min(first + rows.length, bottom + MARGIN)];
    if (this.session.isSettled()) this.keepCursor(rows, first, total);
    if (shown[1] > shown[0]) this.drawRows(...shown, height, Math.max(1, ...rows.map(r => r.count)));
    else if (!total) this.drawRows(0, 0, height, 1);
    setText(byId('found'), total ? '' : state.search.trim() ? `No family matches "${state.search.trim()}".` : '');
    this.requestWindow(top, bottom, total);
  }

  drawRows(from, to, height, most) {
    setChildren(this.list, to - from, () => this.newRow());
    for (let i = from; i < to; i++) {
      const row = this.rowAt(i);
      if (row) this.drawRow(this.list.children[i - from], i, row, height, most);
    }
    const active = this.cursor >= from && this.cursor < to;
    if (active) this.list.setAttribute('aria-activedescendant', `family-${this.cursor}`);
    else this.list.removeAttribute('aria-activedescendant');
  }

  newRow() {
    const li = element('li', { aria: { role: 'option' } }, ...['kind', 'name', 'count', 'match', 'share'].map(className => element('span', { className })));
    li.onclick = () => this.choose(Number(li.dataset.row));
    return li;
  }

  drawRow(li, i, { name, kind, help, count, match }, height, most) {
    const [symbol, full, number, found, share] = li.children, { total } = this.session.frame.list;
    li.id = `family-${i}`;
    li.dataset.row = i;
    li.dataset.family = name;
    li.style.top = `${i * height}px`;
    li.title = help || name;
    li.setAttribute('aria-selected', String(this.session.cardsOf(name).length > 0));
    li.setAttribute('aria-setsize', total);
    li.setAttribute('aria-posinset', i + 1);
    li.classList.toggle('cursor', i === this.cursor);
    setText(symbol, KINDS[kind] ?? '·');
    symbol.title = kind;
    drawName(full, name);
    setText(number, count);
    setText(found, match ? labelPair(match.label, match.value) : '');
    share.style.width = this.session.state.order === 'series' ? `${100 * count / most}%` : '0';
  }

  // requestWindow asks for other rows before the user reaches the end of the window.
  requestWindow(top, bottom, total) {
    const { first, rows } = this.session.frame.list, { state } = this.session;
    const missing = top < first + Math.min(NEAR, first) || bottom > first + rows.length - (first + rows.length < total ? NEAR : 0);
    const wanted = Math.max(0, Math.round((top + bottom - WINDOW) / 2));
    if (total <= WINDOW || !missing || Math.abs(wanted - state.first) < NEAR / 2) return;
    state.first = wanted;
    this.session.send();
  }

  // ---- cursor ----

  // keepCursor keeps the cursor on its family if rows come or go above the family.
  keepCursor(rows, first, total) {
    if (total && this.cursor >= total) this.cursor = total - 1;
    const name = rows[this.cursor - first]?.name;
    if (!this.cursorName) this.cursorName = name ?? '';
    else if (name !== undefined && name !== this.cursorName) {
      const at = rows.findIndex(r => r.name === this.cursorName);
      if (at >= 0) this.cursor = first + at;
      else this.cursorName = name;
    }
  }

  moveCursor(by) {
    const total = this.session.frame?.list.total ?? 0;
    if (!total) return;
    const from = this.cursor < 0 ? (by > 0 ? -1 : total) : this.cursor;
    this.cursor = Math.min(total - 1, Math.max(0, from + by));
    this.cursorName = this.rowAt(this.cursor)?.name ?? '';
    const height = this.rowHeight(), { scrollTop, clientHeight } = this.list, top = this.cursor * height;
    if (top < scrollTop) this.list.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.list.scrollTop = top + height - clientHeight;
    this.draw();
  }

  page(by) { this.moveCursor(by * Math.max(1, Math.floor(this.list.clientHeight / this.rowHeight()) - 1)); }

  // chooseCursor waits for the rows of the search that the user typed.
  async chooseCursor() {
    await this.session.whenSettled();
    if (this.cursor < 0 && this.session.state.search.trim()) this.cursor = 0;
    if (this.cursor >= 0) this.choose(this.cursor);
  }

  choose(i) {
    const row = this.rowAt(i);
    if (!row) return;
    this.session.toggle(row.name, row.match);
    this.chosen();
  }
}

// drawName splits a long name, so that the list can cut the middle of the name.
function drawName(e, name) {
  if (e.textContent === name) return;
  e.classList.toggle('long', name.length > LONG);
  if (name.length <= CUT) e.textContent = name;
  else e.replaceChildren(...[name.slice(0, -TAIL), name.slice(-TAIL)].map(textContent => element('span', { textContent })));
}
