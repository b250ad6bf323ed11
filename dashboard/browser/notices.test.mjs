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

test('an error that happens now is bad, an earlier one is a warning', () => {
  const store = stored(errors('old_total', 'nan', 2, 2, 2, 2, 2, 2, 2, 2, 2), errors('now_total', 'negative', 1, 1, 1, 1, 1, 1, 1, 3, 4), errors('new_total', 'nan', ...Array(8), 1));
  assert.deepEqual(notices(store, HEALTHY), [
    { level: 'bad', text: 'now_total refused 4 negative values (3 in the last minute). Fix the recording.', family: 'tacho_errors_total', where: [['metric', 'now_total'], ['reason', 'negative']] },
    { level: 'bad', text: 'new_total refused 1 NaN value (1 in the last minute). Fix the recording.', family: 'tacho_errors_total', where: [['metric', 'new_total'], ['reason', 'nan']] },
    { level: 'warn', text: 'old_total refused 2 NaN values (none in the last minute). Fix the recording.', family: 'tacho_errors_total', where: [['metric', 'old_total'], ['reason', 'nan']] },
  ]);
});

test('a count of before the first step is no count of the last minute', () => {
  assert.equal(notices(stored(errors('a', 'nan', 5)), HEALTHY)[0].level, 'warn');
});

test('a restart begins at 0', () => {
  assert.match(notices(stored(errors('a', 'nan', 5, 5, 2)), HEALTHY)[0].text, /2 NaN values \(2 in/);
});

test('counters at 0 and absent series are no notices', () => {
  assert.deepEqual(notices(stored(errors('a', 'nan', 0, 0), errors('b', 'nan', 3)), HEALTHY), []);
  assert.deepEqual(notices(new Store(), HEALTHY), []);
});

test('each reason has a text that names the metric and the next action', () => {
  const reasons = ['label_count', 'negative', 'nan', 'panic', 'timeout', 'invalid', 'conflict', 'duplicate', 'exemplar', 'other', '__proto__', 'constructor'];
  const all = notices(stored(...reasons.map(reason => errors('go_custom_metric', reason, 1, 2))), HEALTHY);
  assert.equal(all.length, reasons.length);
  for (const { text } of all) assert.match(text, /go_custom_metric/);
  assert.equal(new Set(all.map(n => n.text)).size, reasons.length);
  const of = reason => all.find(n => n.where[1][1] === reason).text;
  assert.match(of('timeout'), /^A function of go_custom_metric hangs: scrapes leave the metric out/);
  assert.match(of('__proto__'), /reason __proto__/);
  assert.match(notices(stored(errors('', 'panic', 1)), HEALTHY)[0].text, /^A function of a collector panicked/);
});

test('a full limit and a failed gatherer are notices', () => {
  const store = stored(['tacho_series_overflow_total', { metric: 'http_requests_total' }, [1, 8]], ['tacho_gather_errors_total', {}, [1, 1]]);
  assert.deepEqual(notices(store, HEALTHY).map(n => [n.level, n.family, n.text]), [
    ['bad', 'tacho_series_overflow_total', 'http_requests_total reached its limit of series: 8 lookups (7 in the last minute) were counted under other. Remove a label with many values or raise the limit.'],
    ['warn', 'tacho_gather_errors_total', 'A gatherer of client_golang failed in 1 scrape (none in the last minute). Its metrics can be incomplete: look for the error in the log.'],
  ]);
});

test('a history without room says so', () => {
  const store = stored(errors('a', 'nan', 0, 0, 0, 0));
  assert.match(notices(store, { leftOut: 7, covered: 0 })[0].text, /^The history has no room for 7 series\. Raise Options\.MaxBytes/);
  assert.match(notices(store, { leftOut: 0, covered: 240 })[0].text, /^The history of the server has only 4 of 15 minutes/);
  store.maxSteps = 2;
  for (const time of [1040, 1050, 1060]) {
    store.begin(time);
    store.end();
  }
  assert.match(notices(store, HEALTHY)[0].text, /^The page keeps only 0\.2 of 15 minutes/);
  Object.assign(store, { maxSteps: 100, seconds: 20 });
  for (const time of [1070, 1080]) {
    store.begin(time);
    store.end();
  }
  assert.deepEqual(notices(store, HEALTHY), []);
});

test('many notices are cut, with a line that says how many', () => {
  const all = notices(stored(...Array.from({ length: 50 }, (_, i) => errors(`m${i}`, 'nan', 1, i === 30 ? 2 : 1))), HEALTHY);
  assert.equal(all.length, 20);
  assert.match(all[0].text, /^m30 /);
  assert.match(all[19].text, /^31 more/);
});
