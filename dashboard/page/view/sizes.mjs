// SizesTable shows the families with the most series.

import { element, setChildren, setText } from './dom.mjs';

const HEADINGS = ['family', 'series', 'share', 'label with the most values', 'shown'];

export class SizesTable {
  constructor(session) {
    this.session = session;
    this.about = element('p', { className: 'about' });
    this.body = element('tbody');
    const head = HEADINGS.map((textContent, i) => element('th', { textContent, scope: 'col', className: i === 1 ? 'number' : '' }));
    const table = element('table', {}, element('thead', {}, element('tr', {}, ...head)), this.body);
    this.article = element('article', { id: 'sizes', className: 'wide' }, element('h2', {}, element('span', { textContent: 'Series per family' })), this.about, table);
  }

  // draw keeps the rows, so that a button does not lose the focus.
  draw({ total, families, rows }) {
    setText(this.about, `${total} series in ${families} ${families === 1 ? 'family' : 'families'}`);
    setChildren(this.body, rows.length, () => this.newRow());
    rows.forEach(({ name, count, label, values }, i) => {
      const row = this.body.children[i], [family, number, share, widest, show] = row.children;
      row.dataset.family = name;
      setText(family, name);
      setText(number, count);
      Object.assign(share.firstChild, { max: total, value: count });
      share.firstChild.setAttribute('aria-label', `share of ${name}`);
      setText(widest, label ? `${label}: ${values}` : '');
      setText(show.firstChild, this.session.cardsOf(name).length ? 'hide' : 'show');
      show.firstChild.setAttribute('aria-label', `${show.textContent} ${name}`);
    });
  }

  newRow() {
    const button = element('button');
    const row = element('tr', {}, element('td'), element('td', { className: 'number' }), element('td', {}, element('meter')), element('td'), element('td', {}, button));
    button.onclick = () => this.session.toggle(row.dataset.family);
    return row;
  }
}
