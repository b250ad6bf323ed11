// Filters and groups of the series of a family.

// labelText returns the labels as text, for example a="b" c="d".
export function labelText(labels) {
  return labels.map(([name, value]) => `${name}="${value}"`).join(' ') || '(no labels)';
}

// labelValue returns the value of a label of a series, or '' if the series lacks the label.
export function labelValue(series, label) {
  for (const pair of series.labels) if (pair[0] === label) return pair[1];
  return '';
}

// matching returns the series of a family that match the pairs [label, value] of where. Several
// values of one label are alternatives. The value '' matches series without the label.
export function matching(family, where) {
  const filters = [...alternatives(where)].map(([label, values]) => [label, new Set(values)]);
  const all = [...family.series.values()];
  return filters.length ? all.filter(s => filters.every(([label, values]) => values.has(labelValue(s, label)))) : all;
}

// filterText returns the text of a filter, for example path="/a" or "/b", status="500".
export function filterText(where) {
  return [...alternatives(where)].map(([label, values]) => `${label}=${values.map(v => `"${v}"`).join(' or ')}`).join(', ');
}

function alternatives(where) {
  const values = new Map();
  for (const [label, value] of where ?? []) values.set(label, [...values.get(label) ?? [], value]);
  return values;
}

// groupsOf returns the groups { by, value, series }. The argument by is '*' for a group of each
// series, '' for one group, or a label for a group of each value of the label.
export function groupsOf(series, by) {
  if (by === '*') return series.map(s => ({ by, value: '', series: [s] }));
  if (by === '') return series.length ? [{ by, value: '', series }] : [];
  const groups = new Map();
  for (const s of series) {
    const value = labelValue(s, by), group = groups.get(value);
    if (group) group.series.push(s);
    else groups.set(value, { by, value, series: [s] });
  }
  return [...groups.values()];
}

// groupLabels returns the labels that all series of a group have by definition of the group.
export function groupLabels({ by, value, series }) {
  if (by === '*') return series[0].labels;
  return by ? [[by, value]] : [];
}

// groupText returns the text of a group in the legend, or '' for the group of all series.
export function groupText({ by, value, series }) {
  if (by === '*') return labelText(series[0].labels);
  return value || by && `(no ${by})`;
}

// groupKey returns a text that is different for different groups of a family.
export const groupKey = group => JSON.stringify(groupLabels(group));

// counterpartOf returns a function of a group of another family. The function returns the group
// with equal labels of the given series of a family. The result has no series if there are none.
export function counterpartOf(family, series, by) {
  const group = list => ({ by, value: '', series: list });
  if (by === '*') {
    const members = new Set(series);
    return ({ series: [s] }) => group([family.find(s.labels)].filter(found => members.has(found)));
  }
  const groups = new Map(groupsOf(series, by).map(g => [g.value, g]));
  return ({ value }) => groups.get(value) ?? group([]);
}
