// The parts that line charts and heat maps share: the area, the time axis, marks, the crosshair
// and the range under the pointer.
import { formatTime, sameDay } from './clock.mjs';
import { themeColors } from './palette.mjs';
import { timeTicks } from './timeaxis.mjs';

const PLOT_LEFT = 62, PLOT_RIGHT = 8, PLOT_BOTTOM = 18;   // margins of the area, in pixels
const TICK_SPACE = 84;                     // pixels for the text of a time tick
const DRAG_PIXELS = 8;                     // a shorter drag is a click
const PLOT_FONT = '11px system-ui, sans-serif';
const plots = new WeakMap();               // the last plot of each canvas

// beginPlot clears a canvas and returns the plot to draw on, or null if the canvas has no room.
// The argument top is the margin above the area. The canvas gets the pixels of its CSS size.
export function beginPlot(canvas, range, top) {
  const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
  const area = { left: PLOT_LEFT, right: width - PLOT_RIGHT, top, bottom: height - PLOT_BOTTOM };
  const base = plots.get(canvas)?.base;
  plots.delete(canvas);
  if (area.right - area.left < 20 || area.bottom - area.top < 20 || !(range[1] > range[0])) return null;
  const pixels = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
  const g = canvas.getContext('2d');
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = PLOT_FONT;
  g.lineWidth = 1;
  g.setLineDash([]);
  g.globalAlpha = 1;
  return { canvas, g, width, height, ratio, area, range, colors: themeColors(), base, isSaved: false, dots: null, cellAt: null };
}

// endPlot draws the marks of restarts, and the pointer. The last plot of the canvas answers
// timeAt.
export function endPlot(plot, marks, crosshair, drag) {
  drawRestarts(plot, marks);
  plots.set(plot.canvas, plot);
  if (crosshair !== null || drag) drawPointer(plot.canvas, crosshair, drag);
}

// plotOf returns the last plot of a canvas.
export const plotOf = canvas => plots.get(canvas);

// plotX returns the horizontal position of a time.
export function plotX({ area, range }, time) {
  return area.left + (area.right - area.left) * (time - range[0]) / (range[1] - range[0]);
}

// clipPlot calls draw. Nothing is drawn outside of the area.
export function clipPlot({ g, area }, draw) {
  g.save();
  g.beginPath();
  g.rect(area.left, area.top - 2, area.right - area.left, area.bottom - area.top + 4);
  g.clip();
  draw();
  g.restore();
}

const isInRange = ({ range }, time) => time >= range[0] && time <= range[1];

function verticalLine({ g }, x, top, bottom) {
  g.beginPath();
  g.moveTo(Math.round(x) + .5, top);
  g.lineTo(Math.round(x) + .5, bottom);
  g.stroke();
}

// ---- behind the data ----

// drawTimeAxis draws ticks at round times.
export function drawTimeAxis(plot) {
  const { g, area, range, colors, width, height } = plot;
  g.textAlign = 'center';
  g.textBaseline = 'alphabetic';
  g.strokeStyle = colors.line;
  g.fillStyle = colors.dim;
  for (const { time, text } of timeTicks(...range, Math.floor((area.right - area.left) / TICK_SPACE))) {
    const x = plotX(plot, time), half = g.measureText(text).width / 2;
    verticalLine(plot, x, area.bottom, area.bottom + 4);
    g.fillText(text, Math.max(half, Math.min(width - half, x)), height - 2);
  }
}

// drawGaps shades the times without samples.
export function drawGaps(plot, marks) {
  const { g, area, colors } = plot;
  g.fillStyle = colors.dim;
  for (const { kind, from, to } of marks) {
    if (kind !== 'gap' || to < plot.range[0] || from > plot.range[1]) continue;
    const left = Math.max(area.left, plotX(plot, from)), right = Math.min(area.right, plotX(plot, to));
    g.globalAlpha = .13;
    g.fillRect(left, area.top, Math.max(1, right - left), area.bottom - area.top);
    g.globalAlpha = 1;
    if (right - left > 50) drawMarkText(plot, 'no data', (left + right) / 2, 'center');
  }
}

// ---- in front of the data ----

function drawRestarts(plot, marks) {
  const { g, area, colors } = plot;
  let end = -Infinity;
  for (const { kind, to } of marks) {
    if (kind !== 'restart' || !isInRange(plot, to)) continue;
    const x = plotX(plot, to), toLeft = x > area.right - 44;
    g.strokeStyle = colors.bad;
    g.setLineDash([4, 3]);
    verticalLine(plot, x, area.top, area.bottom);
    g.setLineDash([]);
    if (x < end) continue;
    drawMarkText(plot, 'restart', x + (toLeft ? -4 : 4), toLeft ? 'right' : 'left');
    end = x + 48;
  }
}

function drawMarkText({ g, area, colors }, text, x, align) {
  g.textAlign = align;
  g.textBaseline = 'top';
  g.lineWidth = 3;
  g.strokeStyle = colors.card;
  g.lineJoin = 'round';
  g.fillStyle = colors.text;
  g.strokeText(text, x, area.top + 2);
  g.fillText(text, x, area.top + 2);
  g.lineWidth = 1;
}

// ---- pointer ----

// drawPointer draws the crosshair at a time, and the shaded range of a drag, over the last plot of
// the canvas. Both can be null. The plot itself is not drawn again.
export function drawPointer(canvas, crosshair, drag) {
  const plot = plots.get(canvas);
  if (!plot || !plot.isSaved && crosshair === null && !drag) return;
  restorePlot(plot);
  if (drag) drawDrag(plot, drag);
  if (crosshair !== null && isInRange(plot, crosshair)) drawCrosshair(plot, crosshair);
}

// restorePlot saves the pixels of a plot on the first call, and copies them back later.
function restorePlot(plot) {
  const { canvas, g, ratio } = plot;
  if (!plot.isSaved) {
    plot.base ??= document.createElement('canvas');
    [plot.base.width, plot.base.height] = [canvas.width, canvas.height];
    plot.base.getContext('2d').drawImage(canvas, 0, 0);
    plot.isSaved = true;
    return;
  }
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, canvas.width, canvas.height);
  g.drawImage(plot.base, 0, 0);
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
}

// snapshotOf returns a canvas with the last plot of a canvas, without crosshair and drag.
export function snapshotOf(canvas) {
  const plot = plots.get(canvas);
  return plot?.isSaved ? plot.base : canvas;
}

function drawDrag(plot, [start, end]) {
  const { g, area, colors } = plot, x0 = plotX(plot, start), x1 = plotX(plot, end);
  const left = Math.max(area.left, Math.min(x0, x1)), right = Math.min(area.right, Math.max(x0, x1));
  g.fillStyle = g.strokeStyle = colors.accent;
  g.globalAlpha = .18;
  g.fillRect(left, area.top, right - left, area.bottom - area.top);
  g.globalAlpha = 1;
  verticalLine(plot, left, area.top, area.bottom);
  verticalLine(plot, right, area.top, area.bottom);
}

function drawCrosshair(plot, time) {
  const { g, area, range, colors, width, height } = plot, x = plotX(plot, time);
  g.strokeStyle = colors.dim;
  verticalLine(plot, x, area.top, area.bottom);
  plot.dots?.(time);
  const text = formatTime(time, !sameDay(...range), range[1] - range[0] < 20 ? .1 : 1);
  const half = g.measureText(text).width / 2 + 5, center = Math.max(half, Math.min(width - half, x));
  g.fillStyle = colors.text;
  g.fillRect(center - half, area.bottom + 2, 2 * half, PLOT_BOTTOM - 2);
  g.fillStyle = colors.card;
  g.textAlign = 'center';
  g.textBaseline = 'alphabetic';
  g.fillText(text, center, height - 4);
}

// ---- times under the pointer ----

// clampedTimeAt returns the time of a horizontal position of the page. A position outside of the area
// is an end of the range. It returns null if nothing was drawn.
export function clampedTimeAt(canvas, clientX) {
  const plot = plots.get(canvas);
  if (!plot) return null;
  const { area, range } = plot, x = clientX - canvas.getBoundingClientRect().left;
  const fraction = Math.max(0, Math.min(1, (x - area.left) / (area.right - area.left)));
  return range[0] + fraction * (range[1] - range[0]);
}

// timeAt returns the time of a horizontal position of the page, or null outside of the area.
export function timeAt(canvas, clientX) {
  const plot = plots.get(canvas);
  if (!plot) return null;
  const x = clientX - canvas.getBoundingClientRect().left;
  return x < plot.area.left || x > plot.area.right ? null : clampedTimeAt(canvas, clientX);
}

// dragRange returns the range between two horizontal positions of the page. It returns null if the
// positions are so near that the drag is a click.
export function dragRange(canvas, clientX0, clientX1) {
  if (Math.abs(clientX1 - clientX0) < DRAG_PIXELS) return null;
  const ends = [clampedTimeAt(canvas, clientX0), clampedTimeAt(canvas, clientX1)].sort((a, b) => a - b);
  return ends[0] !== null && ends[0] < ends[1] ? ends : null;
}
