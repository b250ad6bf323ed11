// Units of metrics, from the metadata or the name.

const UNITS = ['seconds', 'bytes', 'ratio', 'celsius', 'meters', 'volts', 'amperes', 'joules', 'grams', 'hertz', 'percent'];
const ALIASES = { s: 'seconds', second: 'seconds', cpu_seconds: 'seconds', by: 'bytes', byte: 'bytes', 1: '', none: '' };

// A time is a number of seconds since 1970. It has no unit here: it is not a duration.
const TIME = /_(timestamp|start_time|last_[a-z]+_time)_seconds$/;
const CPU = /(^|_)cpu(_|$)/;

// unitOf returns the unit of a family. The unit in the metadata precedes the unit in the name.
// The result is '' if there is none. A unit that this file does not know stays as it is.
export function unitOf(name, unit) {
  if (TIME.test(name)) return '';
  if (unit) return Object.hasOwn(ALIASES, unit.toLowerCase()) ? ALIASES[unit.toLowerCase()] : unit;
  const last = name.replace(/_total$/, '').split('_').pop();
  return UNITS.includes(last) ? last : '';
}

// displayOf returns how the values of a function are shown. The rate of a counter of CPU seconds
// is a number of cores. The rate of any other counter of seconds stays a number of seconds per
// second, for example 20 ms/s of pauses. The rate of a histogram is observations per second.
export function displayOf({ name, kind, unit }, fn) {
  if (fn !== 'rate') return { unit: unitOf(name, unit), perSecond: false };
  if (kind === 'histogram' || kind === 'summary') return { unit: '', perSecond: true };
  const own = unitOf(name, unit);
  return own === 'seconds' && CPU.test(name) ? { unit: 'cores', perSecond: false } : { unit: own, perSecond: true };
}
