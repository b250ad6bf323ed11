// Charts as files: CSV and PNG.
import { formatRange } from './clock.mjs';
import { snapshotOf } from './plot.mjs';
import { themeColors } from './palette.mjs';

const PICTURE_PADDING = 14, PICTURE_LINE = 17;   // of a picture, in pixels
const TITLE_FONT = '600 14px system-ui, sans-serif', TEXT_FONT = '12px system-ui, sans-serif';
const LEGEND_LINES = 3;                 // most lines of the text of a legend entry
const UNIT_NAMES = { seconds: 's', bytes: 'B' };

// csvOf returns a result as CSV (RFC 4180): the time in UTC, a column for each line, and a column
// of observations per second for each bucket of a heat map.
export function csvOf({ family, times, lines, display, heat }) {
  const unit = csvUnit(display);
  const header = ['time', ...lines.map(l => (l.text === '(no labels)' ? family : l.text) + unit)];
  if (heat) for (const bound of heat.bounds) header.push(`bucket ${csvNumber(bound)} [1/s]`);
  const rows = [header.map(csvText).join(',')];
  times.forEach((time, i) => {
    const cells = [isoTime(time), ...lines.map(l => csvNumber(l.values[i]))];
    if (heat) for (let b = 0; b < heat.bounds.length; b++) cells.push(csvNumber(heat.counts[i]?.[b] ?? NaN));
    rows.push(cells.join(','));
  });
  return rows.join('\r\n') + '\r\n';
}

const isoTime = time => new Date(Math.round(time * 1000)).toISOString();

function csvUnit({ unit, perSecond }) {
  const isRate = perSecond && unit !== 'cores', name = UNIT_NAMES[unit] ?? unit;
  return name || isRate ? ` [${name || '1'}${isRate ? '/s' : ''}]` : '';
}

// csvNumber returns an empty cell for NaN.
const csvNumber = v => Number.isNaN(v) ? '' : Number.isFinite(v) ? String(v) : v > 0 ? 'Inf' : '-Inf';

// csvText returns a cell with a text. A spreadsheet does not take the text as a formula.
function csvText(text) {
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

// fileName returns a name for a file. Only ASCII letters, digits, '_', '-' and '.' of the family
// remain, and the range is in UTC.
export function fileName(family, [from, to], extension) {
  const name = family.replace(/[^\w.-]/g, '_').replace(/^[.-]+/, '').slice(0, 100) || 'chart';
  const stamp = time => isoTime(time).slice(0, 19).replace(/[-:]/g, '') + 'Z';
  return `${name}_${stamp(from)}-${stamp(to)}.${extension}`;
}

// saveFile starts a download.
export function saveFile(name, blob) {
  const link = Object.assign(document.createElement('a'), { download: name, href: URL.createObjectURL(blob) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// pngOf returns a picture of a card: title, about line, filters, range, charts without the
// crosshair, legend and note, on the background of the theme. An entry of the legend is { style, text,
// value }.
export function pngOf({ title, about = '', filters = [], range, canvases, legend = [], note = '' }) {
  const charts = canvases.filter(c => c.clientWidth > 0 && c.clientHeight > 0);
  const ratio = window.devicePixelRatio || 1;
  const width = 2 * PICTURE_PADDING + charts.reduce((most, c) => Math.max(most, c.clientWidth), 400);
  const picture = document.createElement('canvas'), g = picture.getContext('2d');
  const rows = pictureRows(g, { title, about, filters, range, charts, legend, note }, width - 2 * PICTURE_PADDING);
  picture.width = Math.round(width * ratio);
  picture.height = Math.round((2 * PICTURE_PADDING + rows.reduce((sum, r) => sum + r.height, 0)) * ratio);
  g.scale(ratio, ratio);
  g.fillStyle = themeColors().card;
  g.fillRect(0, 0, width, picture.height);
  g.textBaseline = 'middle';
  let y = PICTURE_PADDING;
  for (const row of rows) {
    row.draw(y);
    y += row.height;
  }
  return new Promise((resolve, reject) => {
    picture.toBlob(blob => blob ? resolve(blob) : reject(new Error('the browser cannot encode the picture')), 'image/png');
  });
}

// pictureRows returns the rows { height, draw } of a picture.
function pictureRows(g, { title, about, filters, range, charts, legend, note }, width) {
  const { text, dim } = themeColors();
  const paragraph = (words, font, color) => textRows(g, words, { font, color, width, left: PICTURE_PADDING, most: LEGEND_LINES });
  return [
    ...paragraph(title, TITLE_FONT, text),
    ...paragraph(about, TEXT_FONT, dim),
    ...filters.flatMap(f => paragraph(f, TEXT_FONT, text)),
    ...paragraph(formatRange(...range), TEXT_FONT, dim),
    ...charts.map(c => chartRow(g, c)),
    ...legend.flatMap(entry => legendRows(g, entry, width)),
    ...paragraph(note, TEXT_FONT, dim),
  ];
}

function chartRow(g, canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  return { height: height + 10, draw: y => g.drawImage(snapshotOf(canvas), PICTURE_PADDING, y + 5, width, height) };
}

function textRows(g, words, { font, color, width, left, most }) {
  g.font = font;
  return wrapText(words, width, most, t => g.measureText(t).width).map(line => ({
    height: PICTURE_LINE,
    draw(y) {
      g.font = font;
      g.fillStyle = color;
      g.textAlign = 'left';
      g.fillText(line, left, y + PICTURE_LINE / 2);
    },
  }));
}

function legendRows(g, { style, text, value }, width) {
  g.font = TEXT_FONT;
  const room = Math.ceil(g.measureText(value).width) + 12;
  const rows = textRows(g, text || ' ', { font: TEXT_FONT, color: themeColors().text, width: width - room - 26, left: PICTURE_PADDING + 26, most: LEGEND_LINES });
  const { draw } = rows[0];
  rows[0].draw = y => {
    draw(y);
    g.textAlign = 'right';
    g.fillText(value, PICTURE_PADDING + width, y + PICTURE_LINE / 2);
    g.strokeStyle = style.color;
    g.lineWidth = 3;
    g.setLineDash(style.dash);
    g.beginPath();
    g.moveTo(PICTURE_PADDING, y + PICTURE_LINE / 2);
    g.lineTo(PICTURE_PADDING + 20, y + PICTURE_LINE / 2);
    g.stroke();
  };
  return rows;
}

// wrapText returns at most `most` lines of a text, each at most width wide. The argument measure returns
// the width of a text. The last line ends with an ellipsis if the text is longer.
export function wrapText(text, width, most, measure) {
  const lines = [];
  let rest = text.replace(/\s+/g, ' ').trim().slice(0, 4000);
  while (rest) {
    const isLast = lines.length === most - 1;
    if (measure(rest) <= width) return [...lines, rest];
    const fits = fittingLength(rest, width, isLast ? '…' : '', measure);
    if (isLast) return [...lines, rest.slice(0, fits) + '…'];
    const space = rest.lastIndexOf(' ', fits), end = space > fits / 2 ? space : fits;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return lines;
}

// fittingLength returns the length of the longest start of a text that fits with the suffix, at
// least 1.
function fittingLength(text, width, suffix, measure) {
  let low = 1, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure(text.slice(0, middle) + suffix) <= width) low = middle;
    else high = middle - 1;
  }
  return low;
}
