// Families and their series, with the number of series of each label value.

// KINDS are the types of families, in the order of their numbers in the history protocol.
export const KINDS = ['counter', 'gauge', 'histogram', 'unknown', 'info', 'summary'];

// A Family has the series of one name. count is the number of series with a value at the
// latest step. series has also the series that only earlier steps have. version changes with all but
// the values.
export class Family {
  #labels = null;

  constructor(id, name) {
    Object.assign(this, { id, name, kind: 'unknown', help: '', unit: '', count: 0, series: new Map(), version: 0 });
  }

  // labels has the number of series by label and value. The first call counts the series,
  // because most families of a large program are never asked.
  get labels() {
    if (!this.#labels) {
      this.#labels = new Map();
      for (const series of this.series.values()) countLabels(this.#labels, series, 1);
    }
    return this.#labels;
  }

  // find returns the series with these labels, or undefined.
  find(labels) { return this.series.get(seriesKey(labels)); }

  add(series) {
    this.version++;
    this.series.set(seriesKey(series.labels), series);
    if (this.#labels) countLabels(this.#labels, series, 1);
  }

  remove(series) {
    this.version++;
    this.series.delete(seriesKey(series.labels));
    if (this.#labels) countLabels(this.#labels, series, -1);
  }
}

// seriesKey has the lengths of the texts, because a label value can contain each character.
function seriesKey(labels) {
  let key = '';
  for (const [name, value] of labels) key += `${name.length}:${name}${value.length}:${value}`;
  return key;
}

function countLabels(index, series, by) {
  for (const [name, value] of series.labels) {
    let values = index.get(name);
    if (!values) index.set(name, values = new Map());
    const n = (values.get(value) ?? 0) + by;
    if (n > 0) values.set(value, n);
    else values.delete(value);
    if (values.size === 0) index.delete(name);
  }
}
