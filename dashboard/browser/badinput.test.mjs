// Tests of the model of the dashboard with input that no well-behaved program or page sends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistorySource } from '../page/model/history.mjs';
import { JSONSource } from '../page/model/json.mjs';
import { evaluate, familiesOf } from '../page/model/query.mjs';
import { Search, labelValues, sizesOf } from '../page/model/search.mjs';
import { Store } from '../page/model/store.mjs';

// Polls has a JSONSource whose server answers with the views given to poll, 2 seconds apart.
class Polls {
  store = new Store();
  ms = 1e12;
  source = new JSONSource('/metrics', async () => new Response(this.body), () => this.ms);
  async poll(view, selected = []) {
    this.body = typeof view === 'string' ? view : JSON.stringify(view);
    this.ms += 2000;
    await this.source.poll(this.store, selected, 2);
  }
  evaluate(card, range = {}) { return evaluate(this.store, { id: 'c', ...card }, { from: this.store.first, to: this.store.last, points: 300, ...range }); }
  values(card, range) { return Object.fromEntries(this.evaluate(card, range).lines.map(l => [l.text, [...l.values]])); }
}

const long = 'x'.repeat(100e3), many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`l${i}`, `v${i}`]));

// viewAt returns the k-th view of a program with all kinds of families.
const viewAt = k => ({
  c_total: { type: 'counter', series: [{ labels: { p: '/a' }, value: 10 * k }, { labels: { p: '/b' }, value: k === 3 ? 1 : 5 * k }, ...k % 3 ? [{ labels: { p: '/c' }, value: k }] : []] },
  dup: { type: 'gauge', series: [{ labels: { a: '1' }, value: 1 }, { labels: { a: '1' }, value: 2 }] },
  long: { type: 'gauge', series: [{ labels: { [long]: long }, value: 1 }] },
  many: { type: 'gauge', series: [{ labels: many, value: k }] },
  nan: { type: 'gauge', series: [{ labels: {}, value: null }] },
  s: { type: 'summary', series: [{ labels: {}, value: 1, count: k, quantiles: [{ quantile: .5, value: null }, { quantile: .99, value: 1 }] }] },
  zero_total: { type: 'counter', series: [{ labels: { p: '/a' }, value: 7 }] },
  big_total: { type: 'counter', series: [{ labels: {}, value: 2 ** 53 + 1000 * k }] },
  huge: { type: 'gauge', series: [{ labels: { i: '1' }, value: 1e308 * (k % 2 ? 1 : -1) }, { labels: { i: '2' }, value: 1e308 }] },
  mixed: { type: 'histogram', series: [{ labels: {}, value: k, count: 3 * k, buckets: [{ le: 1, count: k }, { le: null, count: 3 * k }], ...k % 2 ? { histogram: { buckets: [[0, '1', k < 3 ? '1.4' : '2', String(3 * k)]] } } : {} }] },
});

async function hostile() {
  const polls = new Polls();
  for (let k = 0; k < 6; k++) await polls.poll(viewAt(k));
  return polls;
}

test('each card and each range has a result or an error with a cause', async () => {
  const polls = await hostile(), T = polls.store.last;
  const ranges = [[T - 20, T, 300], [T, T - 20, 300], [T - 20, T, 0], [T - 20, T, NaN], [NaN, NaN, 10], [-Infinity, Infinity, 10], [-Infinity, Infinity, 3], [T - 20, T, -5], [T - 20, T, .5], [0, 1, 10], [T, T, 1]];
  const cards = [
    {}, { by: '' }, { by: 'p' }, { by: 'zz' }, { by: '__proto__' }, { fn: 'unknown' }, { fn: 'rate' }, { fn: 'mean' }, { fn: 'p99', by: '*' }, { fn: 'constructor' },
    { top: 1e9 }, { top: -1 }, { top: NaN }, { top: '5' }, { where: [['p', 'none']] }, { where: [['p', '/a'], ['p', '/b']] },
    { ratio: { family: 'c_total' } }, { ratio: { family: 'absent' } }, { ratio: { family: 'zero_total', where: [['x', 'y']] } }, { ratio: { family: 'mixed' }, by: '' },
    { parts: [] }, { parts: [{ family: 'absent', text: 'a' }, { family: 'c_total', text: 'b' }] },
  ];
  const keys = Object.keys(polls.evaluate({ family: 'dup' })).sort();
  for (const family of [...polls.store.families.keys(), 'absent', '', undefined, '__proto__']) for (const card of cards) for (const [from, to, points] of ranges) {
    const result = polls.evaluate({ family, ...card }, { from, to, points }), what = JSON.stringify([family?.slice(0, 9), card, from, to, points]);
    assert.ok(familiesOf({ family, ...card }).length >= 0);
    assert.deepEqual(Object.keys(result).sort(), keys, what);
    assert.ok(result.lines.length ? result.lines.length <= 100 : result.error, what);
    assert.ok(result.times.length <= Math.max(1, (points || 0) + 1), what);
    for (const { values } of result.lines) {
      assert.equal(values.length, result.times.length, what);
      if (result.kind === 'counter') assert.ok(!values.some(v => v < 0), what);
      if (card.ratio) assert.ok(values.every(v => Number.isFinite(v) || v !== v), what);
    }
  }
});

test('values of unusual series', async () => {
  const polls = await hostile();
  assert.deepEqual(polls.values({ family: 'c_total' }), { 'p="/a"': [NaN, 5, 5, 5, 5, 5], 'p="/b"': [NaN, 2.5, 2.5, .5, 9.5, 2.5], 'p="/c"': [NaN, .5, .5, NaN, NaN, .5] });
  assert.deepEqual(polls.values({ family: 'dup' }), { 'a="1"': [2, 2, 2, 2, 2, 2] }, 'the last duplicate counts');
  assert.deepEqual(polls.values({ family: 'big_total' })['(no labels)'].slice(1), [500, 500, 500, 500, 500]);
  assert.deepEqual(polls.values({ family: 's' }), { p50: Array(6).fill(NaN), p99: Array(6).fill(1) });
  assert.equal(polls.evaluate({ family: 's' }).note, '', 'the quantiles of a summary are those of the program');
  assert.deepEqual(polls.values({ family: 'c_total', by: 'p', fn: 'none', where: [['p', '/a']], ratio: { family: 'c_total' } }), { '/a': [NaN, 1, 1, 1, 1, 1] });
  const { lines: [{ labels }] } = polls.evaluate({ family: 'many' });
  assert.equal(labels.length, 1000);
});

test('errors name the cause', async () => {
  const polls = await hostile(), error = (card, range) => polls.evaluate(card, range).error;
  assert.equal(error({ family: 'nan' }), 'no values of nan in this range: absent or NaN');
  assert.equal(error({ family: 'dup' }, { from: 0, to: 1 }), 'no samples of dup in this range');
  assert.equal(error({ family: 'absent' }), 'absent has no series in the stored samples');
  assert.equal(error({ family: 'c_total', where: [['p', 'x'], ['p', 'y'], ['q', '']] }), 'no series match p="x" or "y", q=""');
  assert.equal(error({ family: 'c_total', by: 'q' }), 'no series has the label q');
  for (const by of ['', 'p', '*']) assert.equal(error({ family: 'c_total', by, ratio: { family: 'zero_total' } }), 'zero_total is 0 or absent in this range: nothing to divide by');
  assert.equal(error({ family: 'c_total', ratio: { family: 'absent' } }), 'absent has no series in the stored samples');
  assert.equal(error({ family: 'x', missing: 'call f', parts: [{ family: 'absent', text: 'a' }] }), 'call f');
  assert.equal(error({ family: 'c_total', parts: [] }), 'this chart has no parts');
});

test('the list bears long texts and many labels', async () => {
  const { store } = await hostile(), search = new Search(store);
  assert.deepEqual(search.find({ text: long }).rows.map(r => r.name), ['long']);
  assert.deepEqual(search.find({ text: 'v999' }).rows.map(r => [r.name, r.match]), [['many', { label: 'l999', value: 'v999', count: 1 }]]);
  for (const [first, count] of [[-5, 2], [1e9, 10], [NaN, NaN], [0, -1]]) assert.ok(search.find({ first, count }).rows.length <= 10);
  assert.deepEqual(labelValues(store, { family: 'absent', label: 'x' }), { values: [], total: 0 });
  assert.equal(labelValues(store, { family: 'long', label: long, text: long }).total, 1);
  assert.equal(sizesOf(store).families, store.families.size - 0);
});

test('1,500 polls with new series in each take no more memory than the stored steps', async () => {
  const polls = new Polls();
  Object.assign(polls.store, { seconds: 60 });
  for (let k = 0; k < 1500; k++) {
    await polls.poll({ c_total: { type: 'counter', series: [{ labels: { id: `${k}` }, value: k }, { labels: { id: 'same' }, value: k % 1000 }] }, [`f${k % 70}`]: { type: 'gauge', series: [{ labels: {}, value: k }] }, process_start_time_seconds: { type: 'gauge', series: [{ labels: {}, value: Math.floor(k / 500) * 10 }] } });
  }
  const { store } = polls, slot = store.slot(store.addSeries(store.define('new', {}), []), { type: 'value' });
  assert.ok(store.steps.length <= 32 && store.marks.length <= 1, `${store.steps.length} steps, ${store.marks.length} marks`);
  assert.ok(store.families.get('c_total').series.size <= 34 && store.families.get('c_total').labels.get('id').size <= 34);
  assert.ok(store.families.size <= 36, `${store.families.size} families`);
  assert.ok(slot <= 80, `${slot} slots`);
  assert.ok(store.bytes < 32e3, `${store.bytes} bytes`);
});

test('steps that leave in the middle of a range leave exact rates of the rest', async () => {
  const polls = new Polls();
  for (let k = 0; k < 50; k++) await polls.poll({ c_total: { type: 'counter', series: Array.from({ length: 200 }, (_, i) => ({ labels: { i: `${i}` }, value: k * (1 + i) })) } });
  const first = polls.store.first;
  polls.store.maxBytes = polls.store.bytes / 2;
  await polls.poll({ c_total: { type: 'counter', series: Array.from({ length: 200 }, (_, i) => ({ labels: { i: `${i}` }, value: 50 * (1 + i) })) } });
  assert.ok(polls.store.first > first + 40 && polls.store.short);
  const { lines, times } = polls.evaluate({ family: 'c_total', top: 100 }, { from: first });
  assert.equal(times.length, polls.store.steps.length);
  for (const { text, values } of lines) assert.deepEqual([...values].map(v => 2 * v), [NaN, ...Array(times.length - 1).fill(1 + Number(text.match(/\d+/)[0]))]);
});

test('a history of nothing is no history', async () => {
  const store = new Store(), source = new HistorySource('/d', async () => new Response(Uint8Array.of(1, 1, ...Array(8).fill(7), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), () => 0);
  for (let i = 0; i < 3; i++) await source.poll(store);
  assert.deepEqual([store.steps.length, store.families.size], [0, 0]);
  assert.equal(evaluate(store, { id: 1, family: 'a' }, { from: 0, to: 1, points: 10 }).error, 'a has no series in the stored samples');
});
