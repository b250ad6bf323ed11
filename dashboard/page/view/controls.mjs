// Controls of a card: the group, the function, the number of lines, the ratio and the filters.

import { functionsOf } from '../model/functions.mjs';
import { element, labelPair, placeInOrder, setChildren, setOptions } from './dom.mjs';
import { functionOptions, groupOptions, lineCountOptions, ratioOptions } from './options.mjs';

const DEFAULT_LINES = 12;

export class Controls {
  constructor(session, id) {
    Object.assign(this, { session, id, spec: null, result: null });
    const select = (className, label) => element('select', { className, title: label, hidden: true, aria: { label } }); // without choices before a result
    this.by = select('by', 'Group by');
    this.fn = select('fn', 'Function');
    this.top = select('top', 'Number of lines');
    this.ratio = select('ratio', 'Divide by');
    this.label = select('label', 'Filter by label');
    this.known = element('datalist', { id: `values-${id}` });
    this.value = element('input', { className: 'value', hidden: true, autocomplete: 'off', spellcheck: false });
    this.value.setAttribute('list', this.known.id);
    this.group = element('label', { textContent: 'by ', hidden: true }, this.by);
    this.elements = [this.group, this.fn, this.top, this.ratio, this.label, this.value, this.known];
    this.filters = element('div', { className: 'filters', hidden: true });
    this.listen();
  }

  listen() {
    this.by.onchange = () => this.edit({ by: this.by.value, fn: this.keptFunction(this.by.value) });
    this.fn.onchange = () => this.edit({ fn: this.fn.value });
    this.top.onchange = () => this.edit({ top: Number(this.top.value) });
    this.ratio.onchange = () => this.edit(this.newRatio(this.ratio.value));
    this.label.onchange = () => this.askValue();
    this.value.oninput = e => this.typed(e);
    this.value.onchange = () => this.addFilter();
    this.value.onkeydown = e => {
      if (e.key === 'Enter') this.addFilter();
      else if (e.key === 'Escape') this.closeValue();
      else return;
      e.preventDefault();
    };
  }

  edit(changes) { this.session.editCard(this.id, changes); }

  // keptFunction returns the present function if the function is possible for the group.
  keptFunction(by) {
    return functionsOf(this.result.kind, by).includes(this.spec.fn) ? this.spec.fn : undefined;
  }

  // newRatio divides by the own family without filters, or by another family with the filters of
  // its card, or with the filters of this card. A series divided by itself is 1, so the group of
  // a share is not each series.
  newRatio(family) {
    if (!family) return { ratio: null };
    if (family !== this.spec.family) return { ratio: { family, where: this.session.cardsOf(family)[0]?.where ?? this.spec.where } };
    return { ratio: { family, where: [] }, ...this.result.by === '*' && { by: '' } };
  }

  // ---- filters ----

  askValue() {
    const label = this.label.value;
    this.value.hidden = !label;
    if (!label) return;
    this.value.value = '';
    this.value.placeholder = `value of ${label}`;
    this.value.setAttribute('aria-label', `Value of ${label}`);
    this.value.focus();
    this.complete('');
  }

  async complete(text) {
    const label = this.label.value;
    const { values } = await this.session.values(this.spec.family, label, text);
    if (this.label.value !== label || this.value.value !== text) return; // an old reply
    setChildren(this.known, values.length, () => element('option'));
    values.forEach(({ value, count }, i) => { Object.assign(this.known.children[i], { value, label: `${count} series` }); });
  }

  // typed adds the filter if the user chooses a value of the list.
  typed(e) {
    const chosen = e.inputType === 'insertReplacementText' || e.inputType === undefined;
    if (chosen && [...this.known.children].some(o => o.value === this.value.value)) this.addFilter();
    else this.complete(this.value.value);
  }

  addFilter() {
    const label = this.label.value, value = this.value.value;
    if (!label || this.value.hidden) return;
    this.closeValue();
    if (!value || this.spec.where.some(([l, v]) => l === label && v === value)) return;
    this.edit({ where: [...this.spec.where, [label, value]] });
  }

  closeValue() {
    const typing = this.value === document.activeElement;
    this.label.value = '';
    this.value.hidden = true;
    if (typing) this.label.focus();
  }

  // ---- drawing ----

  // draw prefers the choices of the card to the choices of the result. The result can be of an earlier
  // choice.
  draw(spec, result) {
    Object.assign(this, { spec, result });
    const { frame, state } = this.session;
    const by = spec.by ?? result.by ?? '', top = spec.top ?? DEFAULT_LINES, functions = functionOptions(result.kind, by);
    setOptions(this.by, groupOptions(result, by), by);
    setOptions(this.fn, functions, [spec.fn, result.fn, functions[0]?.[0]].find(fn => functions.some(f => f[0] === fn)) ?? '');
    setOptions(this.top, lineCountOptions(top), String(top));
    setOptions(this.ratio, ratioOptions(spec, result.kind, state.cards, frame.list.rows), spec.ratio?.family ?? '');
    setOptions(this.label, [['', '+ filter'], ...result.labels.map(l => [l.name, l.name])], this.label.value);
    this.fn.hidden = functions.length < 2 || !result.fn;
    this.top.hidden = by === '' || result.groups <= Math.min(top, DEFAULT_LINES);
    this.ratio.hidden = result.kind === 'summary' || !result.count;
    this.by.hidden = false;
    this.group.hidden = this.label.hidden = !result.labels.length && !spec.by;
    this.drawFilters(spec);
  }

  drawFilters({ where, ratio }) {
    const chips = [
      ...where.map((filter, i) => ({ text: labelPair(...filter), remove: { where: without(where, i) } })),
      ...(ratio?.where ?? []).map((filter, i) => ({ text: `÷ ${labelPair(...filter)}`, remove: { ratio: { ...ratio, where: without(ratio.where, i) } } })),
    ];
    this.filters.hidden = !chips.length;
    const old = new Map([...this.filters.children].map(b => [b.textContent, b]));
    placeInOrder(this.filters, chips.map(({ text, remove }) => {
      const chip = old.get(text) ?? element('button', { textContent: text, title: 'Remove this filter', aria: { label: `Remove the filter ${text}` } });
      chip.onclick = () => this.edit(remove);
      return chip;
    }));
  }
}

const without = (list, at) => list.filter((_, i) => i !== at);
