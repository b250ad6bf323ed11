// Numbers with units, as texts.
import { formatDate } from './clock.mjs';

// A table of units has a divisor, a limit and a text for each unit, smallest first.
const unitTable = (base, texts) => texts.map((text, i) => [base ** i, base, text]);

const COUNT_UNITS = unitTable(1000, ['', ' k', ' M', ' G', ' T', ' P', ' E']);
const BYTE_UNITS = unitTable(1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB', ' EiB']);
const PERCENT_UNITS = [[.01, Infinity, ' %']];
const DURATION_UNITS = [[1e-9, 1e3, ' ns'], [1e-6, 1e3, ' µs'], [1e-3, 1e3, ' ms'], [1, 120, ' s'], [60, 120, ' min'], [3600, 48, ' h'], [86400, 1e4, ' d']];
const FIRST_TIMESTAMP = 1e9;   // a gauge of at least FIRST_TIMESTAMP seconds is a Unix time

// formatValue returns the text of a value. The member unit of display is 'seconds', 'bytes',
// 'ratio', 'percent' or 'cores'. The text of a value with another unit has no unit. A rate has the
// suffix "/s". The text of NaN is a dash.
export function formatValue(value, { unit, perSecond }) {
  if (Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (unit === 'cores') return scaleValue(value, COUNT_UNITS) + ' cores';
  if (unit === 'seconds' && !perSecond && isTimestamp(value)) return formatDate(value, 60);
  return unitText(value, unit) + (perSecond ? '/s' : '');
}

// isTimestamp reports whether a number of seconds is a Unix time after 2001, not a duration.
export const isTimestamp = seconds => seconds >= FIRST_TIMESTAMP && seconds < 100 * FIRST_TIMESTAMP;

function unitText(value, unit) {
  if (unit === 'seconds') return value ? scaleValue(value, DURATION_UNITS, ' s') : '0 s';
  if (unit === 'bytes') return scaleValue(value, BYTE_UNITS, ' B');
  if (unit === 'ratio') return scaleValue(value, PERCENT_UNITS, ' × 100 %');
  return scaleValue(value, COUNT_UNITS) + (unit === 'percent' ? ' %' : '');
}

// scaleValue returns the value in the smallest unit with a value below the limit. A larger
// value has an exponent and the text of the base unit.
function scaleValue(value, table, base = '') {
  for (const [divisor, limit, text] of table) {
    const digits = significantDigits(value / divisor);
    if (Math.abs(Number(digits)) < limit) return digits + text;
  }
  return significantDigits(value) + base;
}

// significantDigits returns 3 significant digits, and 4 for integers.
function significantDigits(value) {
  const size = Math.abs(value);
  if (size >= 100 && size < 9999.5) return String(Math.round(value));
  const rounded = Number(value.toPrecision(3));
  if (size === 0 || size >= .001 && size < 100) return String(rounded);
  return rounded.toExponential().replace('+', '');
}
