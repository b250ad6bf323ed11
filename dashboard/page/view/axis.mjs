// The axis of values of a chart: round bounds that stay, and ticks.
import { formatValue, isTimestamp } from './format.mjs';

const MOST_INTERVALS = 5;
const MOST_BOUND = 1e307, LEAST_BOUND = 1e-300;   // bounds beyond would overflow or underflow
const LONG_STEPS = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

// valueAxis returns { low, high, ticks, unit } of an axis that contains 0, low and high. A tick
// is { value, text }. The previous axis stays unless a value exceeds the bounds of previous, or all
// values are under half of the bounds, or the unit is another. The argument previous can be
// null.
export function valueAxis(low, high, display, previous) {
  const unit = `${display.unit} ${display.perSecond}`;
  if (previous?.unit === unit && staysOn(previous, low, high)) return previous;
  if (!(low <= high)) [low, high] = [0, 1];
  low = Math.max(-MOST_BOUND, Math.min(0, low));
  high = Math.min(MOST_BOUND, Math.max(0, high));
  if (high - low < LEAST_BOUND) high = low === 0 && high === 0 ? 1 : LEAST_BOUND;
  const shown = display.unit === 'seconds' && isTimestamp(high) ? { ...display, unit: '' } : display;
  const step = axisStep(low, high, shown.unit);
  const [first, last] = intervalEnds(low, high, step);
  const ticks = [];
  for (let i = first; i <= last; i++) {
    const value = Number((i * step).toPrecision(15));
    ticks.push({ value, text: formatValue(value, shown) });
  }
  return { low: ticks[0].value, high: ticks.at(-1).value, ticks, unit };
}

// lineAxis returns the axis of all finite values of the lines.
export function lineAxis(lines, display, previous) {
  let low = Infinity, high = -Infinity;
  for (const { values } of lines) {
    for (const v of values) {
      if (v < low && v > -Infinity) low = v;
      if (v > high && v < Infinity) high = v;
    }
  }
  return valueAxis(low, high, display, previous);
}

function staysOn(previous, low, high) {
  if (!(low <= high)) return true;
  if (low < previous.low || high > previous.high) return false;
  return Math.max(high, -low) >= Math.max(previous.high, -previous.low) / 2;
}

// intervalEnds returns the numbers of the first and the last step of an axis.
function intervalEnds(low, high, step) {
  return [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
}

function axisStep(low, high, unit) {
  let step = roundStep((high - low) / MOST_INTERVALS, unit);
  for (;;) {
    const [first, last] = intervalEnds(low, high, step);
    if (last - first <= MOST_INTERVALS) return step;
    step = roundStep(step * 1.01, unit);
  }
}

// roundStep returns the smallest round step of at least minimum.
function roundStep(minimum, unit) {
  minimum *= 1 - 1e-9;
  if (unit === 'bytes' && minimum > .5) return 2 ** Math.ceil(Math.log2(minimum));
  if (unit === 'seconds' && minimum > 5) {
    const long = LONG_STEPS.find(s => s >= minimum);
    return long ?? 86400 * decimalStep(minimum / 86400);
  }
  return decimalStep(minimum);
}

function decimalStep(minimum) {
  const exponent = Math.floor(Math.log10(minimum));
  for (const mantissa of [1, 2, 2.5, 5, 10, 20]) {
    const step = Number(`${mantissa}e${exponent}`);
    if (step >= minimum) return step;
  }
}
