// Tests of the order of the lines in a legend.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Order } from '../page/view/order.mjs';

let order;
beforeEach(() => { order = new Order(); });

// sort returns the keys of lines in the order. values has the latest value of each line, in the order of the texts.
const sort = (values, time = 0, held = false, live = true) => order.sort(Object.entries(values).map(([key, v]) => ({ key, values: Float64Array.of(9, v) })), time, { held, live }).map(l => l.key).join('');

test('the largest latest value is first, and equal values are in the order of the texts', () => {
  assert.equal(sort({ a: 1, b: 3, c: 2 }), 'bca');
  assert.equal(sort({ a: 1, b: 1, c: 2, d: 1 }, 100), 'cabd');
  assert.equal(sort({ a: NaN, b: -1, c: Infinity, d: NaN, e: -Infinity, f: 0 }, 200), 'cfbead');
  assert.deepEqual(order.sort([], undefined, { held: false, live: true }), []);
  assert.deepEqual(order.sort([{ key: 'a', values: new Float64Array() }], undefined, { held: false, live: true }).length, 1);
});

test('an order stays for 10 seconds', () => {
  assert.equal(sort({ a: 1, b: 2, c: 3 }, 100), 'cba');
  for (const time of [100, 101, 105, 109.9]) assert.equal(sort({ a: 9, b: 2, c: 3 }, time), 'cba');
  assert.equal(sort({ a: 9, b: 2, c: 3 }, 110), 'acb');
  assert.equal(sort({ a: 1, b: 2, c: 3 }, 119), 'acb');
  assert.equal(sort({ a: 1, b: 2, c: 3 }, 120), 'cba');
  assert.equal(sort({ a: 9, b: 2, c: 3 }, 50), 'acb'); // a range of the past
});

test('lines that come, go, or have their first value give a new order', () => {
  assert.equal(sort({ a: NaN, b: NaN }, 80), 'ab');
  assert.equal(sort({ a: NaN, b: 2 }, 81), 'ba');
  assert.equal(sort({ a: 3, b: 2 }, 82), 'ab');
  assert.equal(sort({ a: 3, b: 4 }, 83), 'ab');
  assert.equal(sort({ a: 1, b: 2 }, 100), 'ba');
  assert.equal(sort({ a: 9, b: 2, c: 3 }, 101), 'acb');
  assert.equal(sort({ a: 1, b: 2 }, 102), 'ba');
});

test('while the order is held, no line changes its place', () => {
  assert.equal(sort({ a: 1, b: 2, c: 3 }, 100), 'cba');
  assert.equal(sort({ a: 9, b: 8, c: 3 }, 200, true), 'cba');
  assert.equal(sort({ a: 9, b: 8, c: 3, d: 1, e: 7 }, 201, true), 'cbaed'); // new lines are the last
  assert.equal(sort({ a: 9, b: 8, d: 9, e: 7 }, 202, true), 'baed');
  assert.equal(sort({ a: 9, b: 8, d: 9, e: 7 }, 203), 'adbe');
});

test('a range of the past has its own order, which no later values renew', () => {
  assert.equal(sort({ a: 1, b: 2, c: 3 }, 100), 'cba');
  assert.equal(sort({ a: 9, b: 2, c: 3 }, 108), 'cba');
  assert.equal(sort({ a: 9, b: 2, c: 3 }, 108, false, false), 'acb'); // a zoom that ends with the live range
  assert.equal(sort({ a: 1, b: 2, c: 3 }, 109, true, false), 'acb');
  assert.equal(sort({ a: 1, b: 2, c: 3 }, 109, false, false), 'cba');
});
