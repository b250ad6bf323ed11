// Card shows the result of a query: a line chart, a heat map for histograms, a legend and the
// controls. The elements of a card stay from frame to frame.

import { unitOf } from '../model/units.mjs';
import { lineAxis } from './axis.mjs';
import { drawLines } from './chart.mjs';
import { formatTime } from './clock.mjs';
import { Controls } from './controls.mjs';
import { element, labelPair, setText } from './dom.mjs';
import { csvOf, fileName, pngOf, saveFile } from './export.mjs';
import { formatValue } from './format.mjs';
import { drawHeat, heatAt } from './heat.mjs';
import { Legend } from './legend.mjs';
import { describe } from './options.mjs';
import { Order } from './order.mjs';
import { lineStyle, styleIndexes } from './palette.mjs';
import { drawPointer } from './plot.mjs';
import { watchPointer } from './pointer.mjs';
import { nearestSample } from './samples.mjs';

const SPOKEN_LINES = 4;       // maximum number of lines in the label of a chart

export class Card {
  // A card with a title is fixed: it has no controls and cannot be hidden.
  constructor(session, spec, actions) {
    Object.assign(this, { session, spec, result: null, axis: null, styles: undefined, bold: null, hot: null, hidden: new Set(), order: new Order(), sorted: [] });
    this.name = spec.title ?? spec.family;
    this.about = element('p', { className: 'about', textContent: 'Waiting for the first values.' });
    this.lines = this.newCanvas('lines', actions);
    this.heat = this.newCanvas('heat', actions);
    this.heat.hidden = true;
    this.legend = new Legend({
      toggle: key => this.toggleLine(key),
      only: line => this.filterBy(line),
      emphasize: key => { this.bold = key; actions.repaint(this); },
    });
    this.repaint = () => actions.repaint(this);
    this.controls = spec.title ? null : new Controls(session, spec.id);
    const title = this.newTitle(), tools = this.newTools();
    if (spec.title) title.append(tools);
    this.article = element('article', {}, title, this.about, ...this.controls ? [tools, this.controls.filters] : [], this.lines, this.heat, this.legend.list);
    this.article.dataset.family = spec.family;
  }

  newTitle() {
    const title = element('h2', {}, element('span', { textContent: this.name }));
    if (!this.spec.title) {
      const hide = element('button', { textContent: '×', className: 'hide', title: 'Hide', aria: { label: `Hide ${this.name}` } });
      hide.onclick = () => this.session.removeCard(this.spec.id);
      title.append(hide);
    }
    return title;
  }

  newTools() {
    const csv = element('button', { className: 'csv', textContent: 'CSV', title: 'Save the values as CSV', aria: { label: `CSV of ${this.name}` } });
    const png = element('button', { className: 'png', textContent: 'PNG', title: 'Save the chart as PNG', aria: { label: `PNG of ${this.name}` } });
    csv.onclick = () => this.saveCSV();
    png.onclick = () => this.savePNG();
    return element('div', { className: 'tools' }, ...this.controls?.elements ?? [], element('span', { className: 'save' }, csv, png));
  }

  newCanvas(className, actions) {
    const canvas = element('canvas', { className, tabIndex: 0, aria: { role: 'img', label: `${this.name} over time` } });
    watchPointer(canvas, { ...actions, point: (time, drag, spoken) => actions.point(time, drag, spoken ? this : null), times: () => this.result?.times ?? [] });
    if (className === 'heat') {
      canvas.addEventListener('pointermove', e => { this.hot = heatAt(canvas, e.clientX, e.clientY); });
      canvas.addEventListener('pointerleave', () => { this.hot = null; });
    }
    return canvas;
  }

  // ---- actions ----

  toggleLine(key) {
    if (!this.hidden.delete(key)) this.hidden.add(key);
    this.drawLegend();
    this.repaint();
  }

  // filterBy filters by the labels of a line. The group is the default, so that the card shows the
  // parts of the line.
  filterBy({ labels }) {
    if (this.spec.title) return;
    const names = new Set(labels.map(([name]) => name));
    const where = [...this.spec.where.filter(([name]) => !names.has(name)), ...labels];
    this.session.editCard(this.spec.id, { where, by: undefined, fn: undefined });
  }

  saveCSV() {
    if (this.result) saveFile(this.fileName('csv'), new Blob([csvOf(this.result)], { type: 'text/csv' }));
  }

  async savePNG() {
    if (!this.result) return;
    const entries = this.entries(null).filter(e => !e.off);
    const blob = await pngOf({
      title: this.name, about: this.about.textContent, filters: this.spec.where.map(f => labelPair(...f)), range: this.session.range(),
      canvases: [this.lines, this.heat].filter(c => !c.hidden),
      legend: entries.map(({ line, style, value }) => ({ style, text: line.text, value })), note: this.note(),
    });
    saveFile(this.fileName('png'), blob);
  }

  fileName(extension) { return fileName(this.name, this.session.range(), extension); }

  // ---- drawing ----

  // update shows the text of a result. The canvases are drawn by paint.
  update(spec, result) {
    this.spec = spec;
    if (!result) return;
    this.result = result;
    this.styles = styleIndexes(result.lines.map(l => l.key), this.styles);
    const { pointer, state } = this.session;
    this.sorted = this.order.sort(result.lines, result.times.at(-1), { held: pointer.time !== null || this.legend.isUsed(), live: !state.zoom });
    const present = result.count > 0;
    setText(this.about, spec.title ? (spec.parts ? '' : result.help) : present ? describe(spec, result) : 'no series in the latest poll');
    this.heat.hidden = !result.heat;
    this.controls?.draw(spec, result);
    this.drawLegend();
    this.lines.setAttribute('aria-label', this.spoken(null));
    if (result.heat) this.heat.setAttribute('aria-label', `${this.name}, observations by bucket over time`);
  }

  drawLegend() {
    if (!this.result) return;
    const { time } = this.session.pointer;
    this.shown = this.position(time);
    this.legend.draw(this.entries(time), this.hotText() || this.note(time), Boolean(this.result.error));
  }

  // position returns a text with the sample and the bucket under the pointer. The legend is drawn again
  // only if the position changed.
  position(time) { return `${this.indexAt(time)} ${this.hotText()}`; }

  // entries returns the lines of the legend with the values at a time, or the latest values.
  entries(time) {
    const { display } = this.result, at = this.indexAt(time);
    return this.sorted.map(line => ({
      line, style: this.style(line), value: formatValue(line.values[at] ?? NaN, display), off: this.hidden.has(line.key),
    }));
  }

  style(line) { return lineStyle(this.styles.get(line.key) ?? 0); }

  note(time = null) {
    const { error, rest, lines, note, heat } = this.result;
    const more = rest > 0 ? `${rest} more, only the ${lines.length} largest are shown` : '';
    return error || [more, heat ? this.observations(time) : '', note].filter(Boolean).join(' · ');
  }

  observations(time) {
    const counts = this.result.heat.counts[this.indexAt(time)];
    return `${formatValue(counts ? counts.reduce((a, b) => a + b, 0) : NaN, { unit: '', perSecond: false })} observations per second`;
  }

  // indexAt returns the index of the sample at a time, or of the latest sample.
  indexAt(time) {
    const { times } = this.result;
    return time === null ? times.length - 1 : nearestSample(times, time);
  }

  hotText() {
    if (!this.hot || this.heat.hidden) return '';
    return `${this.hot.text}: ${formatValue(this.hot.count, { unit: '', perSecond: true })}`;
  }

  // spoken returns the name of the chart with the values at a time, or the latest values.
  spoken(time) {
    const entries = this.result ? this.entries(time).filter(e => !e.off).slice(0, SPOKEN_LINES) : [];
    return `${this.name} ${time === null ? 'over time, latest' : `at ${formatTime(time, false)}`}: ${entries.map(e => `${e.line.text} ${e.value}`).join(', ') || 'no values'}`;
  }

  // paint draws the canvases.
  paint(range, marks, { time, drag }) {
    if (!this.result) return;
    const { family, unit, times, lines, display, heat } = this.result;
    const shown = lines.filter(l => !this.hidden.has(l.key));
    this.axis = lineAxis(shown, display, this.axis);
    const common = { times, range, marks, crosshair: time, drag };
    const bold = shown.findIndex(l => l.key === this.bold);
    drawLines(this.lines, { ...common, axis: this.axis, lines: shown.map(l => ({ values: l.values, style: this.style(l) })), bold });
    if (heat) drawHeat(this.heat, { ...common, heat, display: { unit: unitOf(family, unit), perSecond: false } });
  }

  paintPointer({ time, drag }) {
    for (const canvas of [this.lines, this.heat]) if (!canvas.hidden) drawPointer(canvas, time, drag);
    if (this.result && this.position(time) !== this.shown) this.drawLegend();
  }
}
