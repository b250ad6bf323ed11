// Tests of the choices of a card and of the cards that the page shows first.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseDefaults } from '../page/view/defaults.mjs';
import { describe, functionOptions, groupOptions, lineCountOptions, ratioOptions } from '../page/view/options.mjs';

const result = (options = {}) => ({ kind: 'counter', by: '*', fn: 'rate', count: 4, matched: 4, help: 'Help', labels: [], ...options });
const spec = (options = {}) => ({ family: 'f', where: [], ratio: null, ...options });
const values = options => options.map(o => o[0]);

test('the text of a card says how its values are computed', () => {
  const text = (r, s) => describe(spec(s), result(r)).split(' · ')[0];
  assert.equal(describe(spec(), result()), 'counter, per second · 4 series · Help');
  assert.equal(describe(spec(), result({ matched: 1, help: '' })), 'counter, per second · 1 of 4 series');
  assert.equal(text({ by: 'code' }), 'counter, per second by code');
  assert.equal(text({ kind: 'gauge', fn: 'sum' }), 'gauge');
  assert.equal(text({ kind: 'gauge', fn: 'max', by: 'zone' }), 'gauge, maximum by zone');
  assert.equal(text({ kind: 'histogram', fn: 'quantiles', by: '' }), 'histogram');
  assert.equal(text({ kind: 'histogram', fn: 'p99', by: 'path' }), 'histogram, p99 by path');
  assert.equal(text({ by: 'path' }, { ratio: { family: 'f', where: [] } }), 'counter, share of all series by path');
  assert.equal(text({ by: '' }, { ratio: { family: 'g', where: [] } }), 'counter, divided by g');
});

test('the functions belong to the type and the group', () => {
  assert.deepEqual(functionOptions('gauge', '*'), []);
  assert.equal(functionOptions('counter', 'a').length, 1);
  assert.deepEqual(values(functionOptions('gauge', '')), ['sum', 'avg', 'max', 'min']);
  assert.equal(functionOptions('histogram', '')[0][1], 'quantiles');
  assert.equal(functionOptions('histogram', 'path')[0][1], 'p99');
});

test('a choice of the address is always an option', () => {
  const labels = [{ name: 'a', values: 2 }];
  assert.deepEqual(values(groupOptions({ labels }, '*')), ['', '*', 'a']);
  assert.deepEqual(values(groupOptions({ labels }, 'a')), ['', '*', 'a']);
  assert.deepEqual(values(groupOptions({ labels }, 'gone')), ['', '*', 'a', 'gone']);
  assert.deepEqual(values(lineCountOptions(7)), ['5', '7', '12', '25']);
  const rows = [{ name: 'go_gc_total', kind: 'counter' }, { name: 'g', kind: 'counter' }, { name: 'h', kind: 'histogram' }, { name: 'f', kind: 'counter' }];
  assert.deepEqual(values(ratioOptions(spec(), 'counter', [spec(), spec({ family: 'other' })], rows)), ['', 'f', 'other', 'g', 'go_gc_total']);
  assert.ok(values(ratioOptions(spec({ ratio: { family: 'gone', where: [] } }), 'counter', [], rows)).includes('gone'));
});

test('the first cards show an incident', () => {
  const found = [
    { family: 'http_requests_total', count: 9, labels: [{ name: 'method' }, { name: 'code' }] },
    { family: 'http_request_duration_seconds', count: 9, labels: [{ name: 'path' }] },
    { family: 'http_requests_in_flight', count: 1, labels: [] },
    { family: 'go_goroutines', count: 1, labels: [] },
  ];
  const rows = ['go_gc', 'process_x', 'app_jobs'].map(name => ({ name }));
  assert.deepEqual(chooseDefaults(found, rows), [
    { family: 'http_requests_total', by: 'code', fn: undefined }, { family: 'http_request_duration_seconds', by: 'path', fn: 'p99' }, { family: 'http_requests_in_flight' },
  ]);
  const missing = found.map(r => ({ ...r, count: 0, labels: [] }));
  assert.deepEqual(chooseDefaults(missing, rows), ['app_jobs', 'go_gc', 'process_x'].map(family => ({ family })));
  assert.deepEqual(chooseDefaults([], []), []);
});
