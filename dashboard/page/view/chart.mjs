// Line charts.
import { beginPlot, clipPlot, drawGaps, drawTimeAxis, endPlot, plotX } from './plot.mjs';
import { isGap, nearestSample } from './samples.mjs';

const TICK_HEIGHT = 13;   // pixels for the text of a tick
const FEW_LINES = 8;      // more lines are thin

// drawLines draws lines over time. A line is { values, style }, with a value for each of the
// times. A value that is not finite is a gap. The argument bold is the index of a line to
// emphasize.
export function drawLines(canvas, { times, lines, range, axis, marks = [], crosshair = null, drag = null, bold = -1 }) {
  const plot = beginPlot(canvas, range, 8);
  if (!plot) return;
  drawGaps(plot, marks);
  drawValueAxis(plot, axis);
  drawTimeAxis(plot);
  const xs = Array.from(times, t => plotX(plot, t)), breaks = Array.from(times, (_, i) => i === 0 || isGap(times, i));
  const width = lines.length > FEW_LINES ? 1 : 1.6;
  clipPlot(plot, () => {
    lines.forEach((line, i) => drawLine(plot, axis, line, xs, breaks, i === bold ? 3 : width));
  });
  plot.dots = time => drawDots(plot, axis, lines, xs, nearestSample(times, time));
  endPlot(plot, marks, crosshair, drag);
}

// valueY returns the vertical position of a value.
function valueY({ area }, { low, high }, value) {
  const v = Math.max(low, Math.min(high, value));
  return area.bottom - (area.bottom - area.top) * ((v - low) / (high - low));
}

function drawValueAxis(plot, axis) {
  const { g, area, colors } = plot, { ticks } = axis;
  const every = Math.ceil(TICK_HEIGHT * (ticks.length - 1) / (area.bottom - area.top));
  g.strokeStyle = colors.line;
  g.fillStyle = colors.dim;
  g.textAlign = 'right';
  g.textBaseline = 'middle';
  for (let i = 0; i < ticks.length; i += every) {
    const y = Math.round(valueY(plot, axis, ticks[i].value));
    g.beginPath();
    g.moveTo(area.left, y + .5);
    g.lineTo(area.right, y + .5);
    g.stroke();
    g.fillText(ticks[i].text, area.left - 6, y, area.left - 8);
  }
}

function drawLine(plot, axis, { values, style }, xs, breaks, width) {
  const { g } = plot;
  g.strokeStyle = g.fillStyle = style.color;
  g.lineWidth = width;
  g.lineJoin = 'round';
  g.setLineDash(style.dash);
  g.beginPath();
  let length = 0;   // number of connected points
  for (let i = 0; i <= xs.length; i++) {
    const isFinite = i < xs.length && Number.isFinite(values[i]);
    if (length === 1 && (!isFinite || breaks[i])) drawPoint(g, xs[i - 1], valueY(plot, axis, values[i - 1]), 3);
    if (!isFinite) {
      length = 0;
      continue;
    }
    const y = valueY(plot, axis, values[i]);
    length = breaks[i] ? 1 : length + 1;
    if (length === 1) g.moveTo(xs[i], y);
    else g.lineTo(xs[i], y);
  }
  g.stroke();
}

const drawPoint = (g, x, y, size) => g.fillRect(x - size / 2, y - size / 2, size, size);

// drawDots draws the points of sample i.
function drawDots(plot, axis, lines, xs, i) {
  for (const { values, style } of lines) {
    if (i < 0 || !Number.isFinite(values[i])) continue;
    plot.g.fillStyle = style.color;
    drawPoint(plot.g, xs[i], valueY(plot, axis, values[i]), 5);
  }
}
