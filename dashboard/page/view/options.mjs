// The choices of a card: groups, functions, numbers of lines and ratios.

import { functionsOf } from '../model/functions.mjs';

const FUNCTION_TEXT = {
  rate: 'per second', sum: 'sum', avg: 'average', max: 'maximum', min: 'minimum', mean: 'mean',
  quantiles: 'quantiles', p99: 'p99', p90: 'p90', p50: 'p50',
};
const LINE_COUNTS = [5, 12, 25];
const MAX_RATIOS = 40;        // maximum number of families to choose a ratio from
const RUNTIME = /^(go|process|promhttp|tacho)_/;

// programFirst returns the names of families. The names of the runtime are the last.
export const programFirst = names => [...names.filter(n => !RUNTIME.test(n)), ...names.filter(n => RUNTIME.test(n))];

// groupOptions returns the choices of "group by": all series, each series, or a label.
export function groupOptions({ labels }, by) {
  const names = labels.map(l => l.name);
  if (by && by !== '*' && !names.includes(by)) names.push(by);
  return [['', 'none'], ['*', 'each series'], ...names.map(name => [name, name])];
}

// functionOptions returns the functions that a card can have. Each series of a gauge is its own
// sum and average, so there is nothing to choose.
export function functionOptions(kind, by) {
  const single = by === '*' && !['histogram', 'summary'].includes(kind);
  return single ? [] : functionsOf(kind, by).map(fn => [fn, FUNCTION_TEXT[fn]]);
}

export function lineCountOptions(top) {
  const counts = LINE_COUNTS.includes(top) ? LINE_COUNTS : [...LINE_COUNTS, top].sort((a, b) => a - b);
  return counts.map(n => [String(n), `top ${n}`]);
}

// ratioOptions returns the choices of the divisor: the own family without filters, the families of
// other cards, and the families in the list. Families of the runtime are the last.
export function ratioOptions({ family, ratio }, kind, cards, rows) {
  const names = new Set(cards.map(c => c.family));
  for (const name of programFirst(rows.filter(r => r.kind === kind).map(r => r.name))) names.add(name);
  names.delete(family);
  const others = [...names].slice(0, MAX_RATIOS);
  if (ratio && ratio.family !== family && !others.includes(ratio.family)) others.unshift(ratio.family);
  return [['', 'no ratio'], [family, '÷ all series'], ...others.map(name => [name, `÷ ${name}`])];
}

// describe returns the text below the title of a card.
export function describe(spec, { kind, by, fn, count, matched, help }) {
  const number = matched === count ? `${count} series` : `${matched} of ${count} series`;
  return [[kind, method(spec, kind, by, fn)].filter(Boolean).join(', '), number, help].filter(Boolean).join(' · ');
}

// method returns how the values of a card are computed, for example "p99 by path".
function method({ ratio, family }, kind, by, fn) {
  const group = by && by !== '*' ? `by ${by}` : '';
  let name = fn !== 'quantiles' && functionOptions(kind, by).some(([f]) => f === fn) ? FUNCTION_TEXT[fn] : '';
  if (ratio) name = ratio.family === family ? 'share of all series' : `divided by ${ratio.family}`;
  else if (kind === 'counter') name = 'per second';
  return [name, group].filter(Boolean).join(' ');
}
