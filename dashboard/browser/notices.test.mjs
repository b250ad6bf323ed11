// Tests of the notices of the dashboard, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notices } from '../page/model/notices.mjs';
import { Store } from '../page/model/store.mjs';

const HEALTHY = { leftOut: 0, covered: 0 };

// stored returns a store with a step every 10 seconds. A counter has its labels and its values.
function stored(...counters) {
  const store = new Store();
  for (let i = 0; i < counters[0][2].length; i++) {
    store.begin(1000 + 10 * i);
    for (const [name, labels, values] of counters) {
      if (values[i] !== undefined) store.set(store.slot(store.addSeries(store.define(name, { kind: 'counter' }), Object.entries(labels)), { type: 'value' }), values[i]);
    }
    store.end();
  }
  return store;
}

const errors = (metric, reason, ...values) => ['tacho_errors_total', { metric, reason }, values];

// noticesOf returns the notices of a range of the steps of stored.
const noticesOf = (store, from = 1000, to = 2000, health = HEALTHY) => notices(store, health, [from, to]);

test('an error that grew in the range is bad, earlier ones share a quiet notice', () => {
  const store = stored(errors('old_total', 'nan', 2, 2, 2, 2, 2), errors('now_total', 'negative', 1, 1, 1, 3, 4), errors('new_total', 'nan', ...Array(4), 1));
  const old = { level: 'old', text: 'tacho_errors_total did not grow in this range. Earlier counts: old_total nan 2.', family: 'tacho_errors_total', where: [] };
  assert.deepEqual(noticesOf(store), [
    { level: 'bad', text: 'now_total refused 4 negative values (3 in this range). Fix the recording.', family: 'tacho_errors_total', where: [['metric', 'now_total'], ['reason', 'negative']] },
    { level: 'bad', text: 'new_total refused 1 NaN value (1 in this range). Fix the recording.', family: 'tacho_errors_total', where: [['metric', 'new_total'], ['reason', 'nan']] },
    old,
  ]);
  assert.deepEqual(noticesOf(store, 1000, 1020).map(n => [n.level, n.text.slice(-28)]), [['old', 'old_total nan 2, now_total negative 1.'.slice(-28)]]);
  assert.deepEqual(noticesOf(store, 1030, 1030).map(n => n.text.slice(0, 45)), ['now_total refused 3 negative values (2 in this range). Fix the recording.'.slice(0, 45), old.text.slice(0, 45)]);
});

test('earlier counts are cut', () => {
  const store = stored(...[5, 9, 7, 8, 6].map(n => errors(`m${n}`, 'nan', n, n)));
  assert.deepEqual(noticesOf(store).map(n => n.text), ['tacho_errors_total did not grow in this range. Earlier counts: m9 nan 9, m8 nan 8, m7 nan 7 and 2 more.']);
});

test('a count of before the first step is no count of the range', () => {
  assert.equal(noticesOf(stored(errors('a', 'nan', 5)))[0].level, 'old');
});

test('a restart begins at 0, and the count before it stays', () => {
  assert.match(noticesOf(stored(errors('a', 'nan', 5, 5, 2)))[0].text, /2 NaN values \(2 in/);
  assert.match(noticesOf(stored(errors('a', 'nan', 5, 6, 2)))[0].text, /2 NaN values \(3 in/);
});

test('a count that is absent for a while grows on', () => {
  assert.match(noticesOf(stored(errors('b', 'nan', 1, 1, 1), errors('a', 'nan', 5, undefined, 7)))[0].text, /^a refused 7 NaN values \(2 in/);
});

test('counters at 0 and absent series are no notices', () => {
  assert.deepEqual(noticesOf(stored(errors('a', 'nan', 0, 0))), []);
  assert.deepEqual(noticesOf(new Store()), []);
  assert.deepEqual(noticesOf(stored(errors('a', 'nan', 3)), 10, 20), []);
});

test('each reason has a text that names the metric and the next action', () => {
  const reasons = ['label_count', 'negative', 'nan', 'panic', 'timeout', 'invalid', 'conflict', 'duplicate', 'exemplar', 'other', '__proto__', 'constructor'];
  const all = noticesOf(stored(...reasons.map(reason => errors('go_custom_metric', reason, 1, 2))));
  assert.equal(all.length, reasons.length);
  for (const { text } of all) assert.match(text, /go_custom_metric/);
  assert.equal(new Set(all.map(n => n.text)).size, reasons.length);
  const of = reason => all.find(n => n.where[1][1] === reason).text;
  assert.match(of('timeout'), /^A function of go_custom_metric hangs: scrapes leave the metric out/);
  assert.match(of('__proto__'), /reason __proto__/);
  assert.match(noticesOf(stored(errors('', 'panic', 1, 2)))[0].text, /^A function of a collector panicked/);
});

test('a full limit and a failed gatherer are notices', () => {
  const store = stored(['tacho_series_overflow_total', { metric: 'http_requests_total' }, [1, 8]], ['tacho_gather_errors_total', {}, [1, 3]]);
  assert.deepEqual(noticesOf(store).map(n => [n.level, n.family, n.text]), [
    ['bad', 'tacho_series_overflow_total', 'http_requests_total reached its limit of series: 8 lookups (7 in this range) were counted under other. Remove a label with many values or raise the limit.'],
    ['bad', 'tacho_gather_errors_total', 'A gatherer of client_golang failed in 3 scrapes (2 in this range). Its metrics can be incomplete: look for the error in the log.'],
  ]);
  assert.match(noticesOf(store, 1500)[1].text, /^tacho_gather_errors_total did not grow in this range. Earlier counts: 3\.$/);
});

test('a history without room says so', () => {
  const store = stored(errors('a', 'nan', 0, 0, 0, 0));
  assert.match(noticesOf(store, 1000, 2000, { leftOut: 7, covered: 0 })[0].text, /^The history has no room for 7 series\. Raise Options\.MaxBytes/);
  assert.match(noticesOf(store, 1000, 2000, { leftOut: 0, covered: 240 })[0].text, /^The history of the server has only 4 of 15 minutes/);
  store.maxSteps = 2;
  for (const time of [1040, 1050, 1060]) {
    store.begin(time);
    store.end();
  }
  assert.match(noticesOf(store)[0].text, /^The page keeps only 0\.2 of 15 minutes/);
  Object.assign(store, { maxSteps: 100, seconds: 20 });
  for (const time of [1070, 1080]) {
    store.begin(time);
    store.end();
  }
  assert.deepEqual(noticesOf(store), []);
});

test('many notices are cut, with a line that says how many', () => {
  const all = noticesOf(stored(...Array.from({ length: 50 }, (_, i) => errors(`m${i}`, 'nan', 1, i === 30 ? 3 : 2))));
  assert.equal(all.length, 21);
  assert.match(all[0].text, /^m30 /);
  assert.match(all[20].text, /^30 more/);
});
