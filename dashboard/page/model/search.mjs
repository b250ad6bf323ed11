// Search finds the families of the list: a family matches if each word is in its name, its
// type, its help, or a name or a value of its labels. The last result is kept, so that a
// scroll costs little, and a longer text is searched only in the families of the shorter.

const FEW_SERIES = 16;   // up to this number, the labels of the series are read one by one

export class Search {
  constructor(store) {
    this.store = store;
    this.last = { version: -1 };
  }

  // find returns the rows from first, at most count. total is the number of families that
  // match. families and series are the numbers of all with a value at the latest step.
  find({ text = '', order = 'name', first = 0, count = 50 }) {
    const result = this.#result(text.toLowerCase(), order);
    const rows = result.found.slice(first, first + count).map(family => row(family, result.words));
    return { total: result.found.length, families: result.families, series: this.store.series, rows };
  }

  #result(text, order) {
    const { store, last } = this, same = last.version === store.version;
    if (same && last.text === text && last.order === order) return last;
    const all = same ? last.all : byName([...store.families.values()]);
    const words = text.split(/\s+/).filter(Boolean);
    const narrows = same && last.order === order && text.startsWith(last.text);
    const found = (narrows ? last.found : all).filter(family => words.every(word => matches(family, word)));
    if (order === 'series' && !narrows) found.sort((a, b) => b.count - a.count);
    const families = same ? last.families : all.reduce((n, f) => n + (f.count > 0), 0);
    return this.last = { version: store.version, text, order, words, all, found, families };
  }
}

// byName sorts families. Most servers send families in this order.
function byName(families) { return families.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0); }

const has = (text, word) => text.toLowerCase().includes(word);

function matches(family, word) { return describes(family, word) || labelsHave(family, word); }

function describes({ name, help, kind }, word) { return has(name, word) || has(kind, word) || has(help, word); }

function labelsHave(family, word) {
  if (family.series.size <= FEW_SERIES) {
    for (const { labels } of family.series.values()) for (const [name, value] of labels) if (has(name, word) || has(value, word)) return true;
    return false;
  }
  for (const name of family.labels.keys()) if (has(name, word)) return true;
  return firstValue(family, word) !== null;
}

// firstValue returns the first label value with a word and the number of its series, or null.
function firstValue(family, word) {
  for (const [label, values] of family.labels) for (const [value, count] of values) if (has(value, word)) return { label, value, count };
  return null;
}

// row returns a row of the list. match is the label value that a word found, if the family has
// the word in no other place.
function row(family, words) {
  const { name, kind, unit, help, count } = family;
  const word = words.find(w => !describes(family, w) && ![...family.labels.keys()].some(label => has(label, w)));
  return { name, kind, unit, help, count, match: word === undefined ? null : firstValue(family, word) };
}

// labelValues returns at most 100 values of a label that contain a text, those of most series
// first, and the number of all.
export function labelValues(store, { family, label, text = '' }) {
  const part = text.toLowerCase(), found = [];
  for (const [value, count] of store.families.get(family)?.labels.get(label) ?? []) if (has(value, part)) found.push({ value, count });
  found.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
  return { values: found.slice(0, 100), total: found.length };
}

// sizesOf returns the families with the most series and the label with the most values of
// each.
export function sizesOf(store) {
  const all = [...store.families.values()].filter(f => f.count > 0).sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
  const rows = all.slice(0, 50).map(({ name, count, labels }) => {
    const [label, values] = [...labels].reduce((widest, [l, v]) => v.size > widest[1] ? [l, v.size] : widest, ['', 0]);
    return { name, count, label, values };
  });
  return { total: store.series, families: all.length, rows };
}
