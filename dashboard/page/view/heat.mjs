// Heat maps of the buckets of histograms.
import { formatValue } from './format.mjs';
import { beginPlot, clipPlot, drawGaps, drawTimeAxis, endPlot, plotOf, plotX, timeAt } from './plot.mjs';
import { sampleInterval } from './samples.mjs';

const HEAT_ROWS = 32;                // most rows of a heat map
const SCALE_WIDTH = 48;              // pixels
const ROW_TEXT = 13;                 // pixels for the text of a row
const COUNT_DISPLAY = { unit: '', perSecond: true };

// drawHeat draws observations per second by bucket over time. The argument display is of the bounds. A
// column without counts is a gap. The shade is by the square root of the count.
export function drawHeat(canvas, { times, heat, range, display, marks = [], crosshair = null, drag = null }) {
  const plot = beginPlot(canvas, range, 18);
  if (!plot) return;
  const rows = heatRows(heat, HEAT_ROWS), columns = heatColumns(times, heat.counts, rows);
  let most = 0;
  for (const { sums } of columns) for (const n of sums) if (n > most) most = n;
  drawGaps(plot, marks);
  clipPlot(plot, () => drawCells(plot, columns, rows.length, most));
  drawRowTexts(plot, rows, heat, display);
  drawScale(plot, most);
  drawTimeAxis(plot);
  plot.cellAt = (time, y) => cellOf(plot, columns, rows, heat, display, time, y);
  endPlot(plot, marks, crosshair, drag);
}

// heatAt returns { time, text, count } of the bucket and the column at a position of the page, or
// null. The count is per second.
export function heatAt(canvas, clientX, clientY) {
  const time = timeAt(canvas, clientX);
  return time === null ? null : plotOf(canvas).cellAt?.(time, clientY - canvas.getBoundingClientRect().top) ?? null;
}

// heatRows returns at most `most` rows [first, end) of indexes of bounds. Too many bounds are
// joined, and bounds without counts at the ends are left out before.
export function heatRows({ bounds, counts }, most) {
  let first = 0, end = bounds.length;
  if (end > most) {
    const isEmpty = row => counts.every(c => !(c?.[row] > 0));
    while (first < end - 1 && isEmpty(first)) first++;
    while (end > first + 1 && isEmpty(end - 1)) end--;
  }
  const size = Math.max(1, Math.ceil((end - first) / most)), rows = [];
  for (let row = first; row < end; row += size) rows.push([row, Math.min(end, row + size)]);
  return rows;
}

// heatColumns returns { from, to, sums } of each column with counts. The sums are by row.
export function heatColumns(times, counts, rows) {
  const columns = [];
  counts.forEach((column, i) => {
    if (!column) return;
    const sums = rows.map(([first, end]) => {
      let sum = 0;
      for (let row = first; row < end; row++) if (column[row] > 0) sum += column[row];
      return sum;
    });
    columns.push({ from: times[i] - sampleInterval(times, i), to: times[i], sums });
  });
  return columns;
}

// bucketText returns the range of values of the bounds [first, end). A bound is an upper bound. A
// negative bound of a native histogram is a lower bound, and 0 is the zero bucket.
export function bucketText({ bounds, native }, [first, end], display) {
  const text = v => formatValue(v, display);
  const isNegative = native && bounds[first] < 0;
  const low = isNegative ? bounds[first] : first > 0 && !(native && bounds[first - 1] < 0) ? bounds[first - 1] : -Infinity;
  const high = native && bounds[end - 1] < 0 ? bounds[end] ?? 0 : bounds[end - 1];
  if (native && first === end - 1 && bounds[first] === 0) return 'about 0';
  if (low === -Infinity) return high === Infinity ? 'all values' : `≤ ${text(high)}`;
  return high === Infinity ? `> ${text(low)}` : `${text(low)} – ${text(high)}`;
}

// drawCells draws the cells as one picture with a pixel for each row, because thousands of
// rectangles are slow.
function drawCells(plot, columns, count, most) {
  const { g, area, ratio, colors } = plot, scratch = document.createElement('canvas');
  if (!columns.length || !count) return;
  const width = Math.round((area.right - area.left) * ratio);
  [scratch.width, scratch.height] = [width, count];
  const edges = columns.map(c => [c.from, c.to].map(t => Math.round((plotX(plot, t) - area.left) * ratio)));
  const picture = new ImageData(heatPixels(columns, edges, width, count, most, colors.heat), width);
  scratch.getContext('2d').putImageData(picture, 0, 0);
  g.imageSmoothingEnabled = false;
  g.drawImage(scratch, area.left, area.top, area.right - area.left, area.bottom - area.top);
}

// heatPixels returns RGBA pixels of count lines. The first row is the last line. The edges of a column
// are its first pixel and the pixel after its last. A column has at least one pixel.
export function heatPixels(columns, edges, width, count, most, heat) {
  const pixels = new Uint8ClampedArray(4 * width * count), color = heat.split(',').map(Number);
  columns.forEach(({ sums }, i) => {
    const left = Math.max(0, edges[i][0]), right = Math.min(width, Math.max(edges[i][0] + 1, edges[i][1]));
    for (let row = 0; row < count; row++) {
      if (!(sums[row] > 0)) continue;
      const alpha = 255 * shadeOf(sums[row] / most), line = (count - 1 - row) * width;
      for (let at = 4 * (line + left); at < 4 * (line + right); at += 4) {
        [pixels[at], pixels[at + 1], pixels[at + 2]] = color;
        pixels[at + 3] = alpha;
      }
    }
  });
  return pixels;
}

// shadeOf returns the opacity of a count, which is a fraction of the most observations.
const shadeOf = fraction => .12 + .88 * Math.sqrt(fraction);

function drawRowTexts(plot, rows, { bounds }, display) {
  const { g, area, colors } = plot;
  const every = Math.max(1, Math.ceil(ROW_TEXT * rows.length / (area.bottom - area.top)));
  g.fillStyle = colors.dim;
  g.textAlign = 'right';
  g.textBaseline = 'middle';
  for (let row = 0; row < rows.length; row += every) {
    const y = area.bottom - (area.bottom - area.top) * (row + .5) / rows.length;
    const text = formatValue(bounds[rows[row][1] - 1], display);
    g.fillText(text, area.left - 6, y, area.left - 8);
  }
}

// drawScale draws the shades from 0 to the most observations per second.
function drawScale({ g, area, colors }, most) {
  const text = formatValue(most, COUNT_DISPLAY);
  g.fillStyle = colors.dim;
  g.textAlign = 'right';
  g.textBaseline = 'middle';
  g.fillText(text, area.right, 8);
  const left = area.right - g.measureText(text).width - SCALE_WIDTH - 6;
  g.fillText('0', left - 5, 8);
  for (let x = 0; x < SCALE_WIDTH; x += 2) {
    g.fillStyle = `rgba(${colors.heat}, ${shadeOf(x / SCALE_WIDTH).toFixed(3)})`;
    g.fillRect(left + x, 4, 2, 8);
  }
}

function cellOf({ area }, columns, rows, heat, display, time, y) {
  const column = columns.find(c => time > c.from && time <= c.to);
  const row = Math.floor(rows.length * (area.bottom - y) / (area.bottom - area.top));
  if (!column || row < 0 || row >= rows.length) return null;
  return { time: column.to, text: bucketText(heat, rows[row], display), count: column.sums[row] };
}
