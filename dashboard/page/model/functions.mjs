// Functions of a card by kind of the family.

// QUANTILES has the quantiles of the functions of histograms.
export const QUANTILES = {
  quantiles: [[.5, 'p50'], [.9, 'p90'], [.99, 'p99']],
  p50: [[.5, '']], p90: [[.9, '']], p99: [[.99, '']],
};

// functionsOf returns the functions of a kind of family for a grouping, the default first.
export function functionsOf(kind, by) {
  if (kind === 'counter') return ['rate'];
  if (kind === 'histogram') return by === '' ? ['quantiles', 'rate', 'mean'] : ['p99', 'p90', 'p50', 'rate', 'mean'];
  if (kind === 'summary') return ['quantiles', 'rate', 'mean'];
  return ['sum', 'avg', 'max', 'min'];
}

// groupingOf returns the default of by for a kind of family.
export const groupingOf = kind => kind === 'histogram' ? '' : '*';

// quantileText returns the text of a quantile, for example p99.9.
export function quantileText(q) {
  if (q === 0) return 'min';
  return q === 1 ? 'max' : 'p' + +(100 * q).toPrecision(10);
}
