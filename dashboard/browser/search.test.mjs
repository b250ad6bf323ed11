// Tests of the search of families, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Search, labelValues, sizesOf } from '../page/model/search.mjs';
import { Store } from '../page/model/store.mjs';

// stored returns a store with one step. A family has its kind, its help and the labels of its series.
function stored(families) {
  const store = new Store();
  step(store, 1, families);
  return store;
}

function step(store, time, families) {
  store.begin(time);
  for (const [name, [kind, help, ...series]] of families) {
    const family = store.define(name, { kind, help });
    for (const labels of series) store.set(store.slot(store.addSeries(family, Object.entries(labels)), { type: 'value' }), 1);
  }
  store.end();
}

const FAMILIES = [
  ['http_requests_total', ['counter', 'Requests.', { path: '/api/Users', status: '200' }, { path: '/api/Users', status: '500' }, { path: '/', status: '200' }]],
  ['go_goroutines', ['gauge', 'Number of goroutines.', {}]],
  ['job_seconds', ['histogram', 'Time of jobs.', { queue: 'mail' }, { queue: '__proto__' }]],
  ['a_total', ['counter', '', {}]],
];

const names = (store, query) => new Search(store).find(query).rows.map(r => r.name);

test('words are in the name, type, help, label names and label values', () => {
  const store = stored(FAMILIES);
  for (const [text, want] of [
    ['', ['a_total', 'go_goroutines', 'http_requests_total', 'job_seconds']],
    ['JOB', ['job_seconds']],
    ['counter', ['a_total', 'http_requests_total']],
    ['number', ['go_goroutines']],
    ['queue', ['job_seconds']],
    ['/api/users', ['http_requests_total']],
    ['  counter   500 ', ['http_requests_total']],
    ['counter mail', []],
    ['__proto__', ['job_seconds']],
    ['nothing', []],
  ]) assert.deepEqual(names(store, { text }), want, text);
});

test('a row says which label value matches', () => {
  const search = new Search(stored(FAMILIES)), match = text => search.find({ text }).rows[0].match;
  assert.deepEqual(match('users'), { label: 'path', value: '/api/Users', count: 2 });
  assert.deepEqual(match('http 500'), { label: 'status', value: '500', count: 1 });
  for (const text of ['', 'http', 'status', 'requests.']) assert.equal(match(text), null, text);
  assert.deepEqual(search.find({ text: 'mail' }).rows[0], { name: 'job_seconds', kind: 'histogram', unit: '', help: 'Time of jobs.', count: 2, match: { label: 'queue', value: 'mail', count: 1 } });
});

test('the order is by name or by series', () => {
  const store = stored(FAMILIES);
  assert.deepEqual(names(store, { order: 'series' }), ['http_requests_total', 'job_seconds', 'a_total', 'go_goroutines']);
  const search = new Search(store);
  search.find({ text: 'o', order: 'series' });
  assert.deepEqual(search.find({ text: 'o', order: 'name' }).rows.map(r => r.name), names(store, { text: 'o' }), 'after another order');
});

test('a window has some of the rows', () => {
  const { total, families, series, rows } = new Search(stored(FAMILIES)).find({ first: 1, count: 2 });
  assert.deepEqual([total, families, series, rows.map(r => r.name)], [4, 4, 7, ['go_goroutines', 'http_requests_total']]);
});

test('a search sees changes of the store', () => {
  const store = stored(FAMILIES), search = new Search(store);
  assert.equal(search.find({ text: 'new' }).total, 0);
  step(store, 2, [...FAMILIES, ['new_total', ['counter', '', { l: 'x' }]]]);
  assert.equal(search.find({ text: 'new' }).total, 1);
  step(store, 3, FAMILIES.slice(1));
  const { total, families, series } = search.find({});
  assert.deepEqual([total, families, series], [5, 3, 4], 'families of earlier steps are in the list');
  store.define('a_total', { kind: 'gauge', help: 'Described later.' });
  assert.equal(search.find({ text: 'later' }).total, 1);
});

test('a longer or other text gives what a new search gives', () => {
  const labels = i => Array.from({ length: i % 40 }, (_, k) => ({ l: `value${k * i % 97}` }));
  const store = stored(Array.from({ length: 300 }, (_, i) => [`family_${i}`, [['gauge', 'counter'][i % 2], `Help ${i % 7}`, {}, ...labels(i)]]));
  const search = new Search(store);
  for (const order of ['name', 'series']) {
    for (const text of ['v', 'va', 'value1', 'value1 ', 'value1 g', 'value1 ga', 'value1 help 3', 'value', '', '9', '96', 'x', '96']) {
      const query = { text, order, count: 1000 };
      assert.deepEqual(search.find(query), new Search(store).find(query), `${order} ${text}`);
    }
  }
});

test('values of a label are at most 100, those of most series first', () => {
  const series = Array.from({ length: 300 }, (_, i) => ({ user: `User${i % 150}`, n: String(i), ...i % 150 === 140 ? { extra: '1' } : {} }));
  const store = stored([['a', ['gauge', '', ...series, { user: 'User7', n: 'x' }]]]);
  const { values, total } = labelValues(store, { family: 'a', label: 'user', text: 'uSeR' });
  assert.deepEqual([values.length, total, values[0], values[1]], [100, 150, { value: 'User7', count: 3 }, { value: 'User0', count: 2 }]);
  assert.deepEqual(labelValues(store, { family: 'a', label: 'user', text: '149' }), { values: [{ value: 'User149', count: 2 }], total: 1 });
  for (const query of [{ family: 'a', label: 'none' }, { family: 'none', label: 'user' }, { family: '__proto__', label: '__proto__' }]) {
    assert.deepEqual(labelValues(store, query), { values: [], total: 0 });
  }
});

test('sizes have the label with the most values', () => {
  const { total, families, rows } = sizesOf(stored(FAMILIES));
  assert.deepEqual([total, families], [7, 4]);
  assert.deepEqual(rows.slice(0, 3), [
    { name: 'http_requests_total', count: 3, label: 'path', values: 2 }, { name: 'job_seconds', count: 2, label: 'queue', values: 2 }, { name: 'a_total', count: 1, label: '', values: 0 },
  ]);
});
