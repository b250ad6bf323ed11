// Tests of the arithmetic of buckets, without a browser.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { increase, observations } from '../page/model/buckets.mjs';
import { heatMap } from '../page/model/heatrows.mjs';
import { classicQuantile, nativeQuantile } from '../page/model/quantiles.mjs';
import { merge, nativeBuckets } from './bucketlists.mjs';

const list = (...buckets) => buckets.map(([left, right, count]) => ({ left, right, count }));

// The file is written by TestQuantilesOfDashboard of the module conformance.
test('quantiles of native histograms are those of Prometheus', () => {
  const cases = JSON.parse(readFileSync(new URL('testdata/quantiles.json', import.meta.url)));
  assert.ok(cases.length >= 50);
  for (const { histogram, quantiles } of cases) {
    for (const [q, text] of Object.entries(quantiles)) {
      const want = Number(text.replace('Inf', 'Infinity')), got = nativeQuantile(Number(q), nativeBuckets(histogram));
      assert.ok(Object.is(got, want) || Math.abs(got - want) <= 1e-9 * Math.abs(want), `${q} of ${JSON.stringify(histogram)}: got ${got}, want ${want}`);
    }
  }
  assert.ok(Number.isNaN(nativeQuantile(.5, [])));
});

test('quantiles of classic histograms are interpolated linearly', () => {
  const buckets = list([-Infinity, 1, 2], [1, 2, 0], [2, 4, 2], [4, Infinity, 1]);
  assert.deepEqual([.2, .4, .6, .8, .99].map(q => classicQuantile(q, buckets)), [.5, 1, 3, 4, 4]);
  assert.equal(classicQuantile(.5, list([-Infinity, -1, 2], [-1, Infinity, 0])), -1);
  for (const none of [[], list([-Infinity, 1, 0]), list([-Infinity, Infinity, 3])]) assert.ok(Number.isNaN(classicQuantile(.5, none)));
});

test('the increase is that of each bucket', () => {
  const now = list([-2, -1, 3], [-.5, .5, 2], [1, 2, 7], [2, 4, 1]);
  assert.deepEqual(increase(now, list([-.5, .5, 2], [1, 2, 4]), true), list([-2, -1, 3], [-.5, .5, 0], [1, 2, 3], [2, 4, 1]));
  assert.deepEqual(increase(now, [], true), now);
  assert.equal(observations(increase(now, now, true)), 0);
  assert.equal(now[2].count, 7); // not changed
});

test('buckets of a lower resolution have the counts of the narrower buckets', () => {
  const r = Math.SQRT2;
  const before = list([-2, -r, 1], [-r, -1, 2], [-.5, .5, 1], [.5, r / 2, 1], [1, r, 3], [r, 2, 4], [2, 2 * r, 5]);
  const now = list([-2, -1, 4], [-1, 1, 3], [1, 2, 9], [2, 4, 6], [4, 8, 1]); // the zero bucket is wider too
  assert.deepEqual(increase(now, before, true), list([-2, -1, 1], [-1, 1, 1], [1, 2, 2], [2, 4, 1], [4, 8, 1]));
});

test('a restart begins at 0', () => {
  const r = Math.SQRT2;
  for (const [what, before, now] of [
    ['a count decreases', list([1, 2, 5], [2, 4, 1]), list([1, 2, 4], [2, 4, 9])],
    ['a bucket is missing', list([1, 2, 5], [2, 4, 1]), list([1, 2, 9])],
    ['the lowest bucket is missing', list([1, 2, 1], [4, 8, 1]), list([4, 8, 9])],
    ['a higher resolution', list([1, 2, 5]), list([1, r, 3], [r, 2, 9])],
    ['a narrower zero bucket', list([-1, 1, 5]), list([-.5, .5, 9])],
    ['no bucket', list([1, 2, 5]), []],
  ]) assert.deepEqual(increase(now, before, true), now, what);
  assert.deepEqual(increase(list([-Infinity, 1, 3], [1, Infinity, 0]), list([-Infinity, 1, 2], [1, Infinity, 2]), false), list([-Infinity, 1, 3], [1, Infinity, 0]));
  // The counts of a classic histogram of a collector can be of different times.
  assert.deepEqual(increase(list([-Infinity, 1, 9], [1, Infinity, 1]), list([-Infinity, 1, 2], [1, Infinity, 2]), false), list([-Infinity, 1, 7], [1, Infinity, -1]));
});

test('sums have the buckets of the lowest resolution', () => {
  const r = Math.SQRT2;
  assert.deepEqual(
    merge([list([1, r, 1], [r, 2, 2], [4, 4 * r, 3]), [], list([-.5, .5, 5], [1, 2, 10]), list([-2, -1, 1], [4, 4 * r, 20])]),
    list([-2, -1, 1], [-.5, .5, 5], [1, 2, 13], [4, 4 * r, 23]));
  const classic = list([-Infinity, 1, 1], [1, Infinity, 2]);
  assert.deepEqual(merge([classic, classic]), list([-Infinity, 1, 2], [1, Infinity, 4]));
  assert.deepEqual(merge([list([-1, 1, 1]), list([.5, 2, 1])]), list([-1, 1, 1], [1, 2, 1])); // no overlap
});

test('a heat map of classic buckets has their bounds', () => {
  const { bounds, counts } = heatMap([null, list([-Infinity, 1, 0], [1, Infinity, 2])], false);
  assert.deepEqual(bounds, [1, Infinity]);
  assert.deepEqual(counts, [null, new Float64Array([0, 2])]);
});

// exponential returns buckets of a schema from the bound of one index to another.
const exponential = (schema, from, to) => Array.from({ length: to - from }, (_, i) => ({ left: 2 ** ((from + i) / 2 ** schema), right: 2 ** ((from + i + 1) / 2 ** schema), count: 1 }));
const mirror = buckets => buckets.map(({ left, right, count }) => ({ left: -right, right: -left, count })).reverse();
// INEXACT is an index of schema 3 whose bound has a logarithm above the exact one, unlike the next bound.
const above = i => Math.log2(2 ** (i / 8)) * 8 > i;
const INEXACT = Array.from({ length: 16000 }, (_, i) => i - 8000).find(i => above(i) && !above(i + 1));

test('a heat map of native buckets has 8 to 24 rows', () => {
  for (const [what, columns, low, high] of [
    ['one bucket', [exponential(3, 7, 8)], 8, 8],
    ['one octave', [exponential(5, 0, 32)], 8, 8],
    ['11 octaves', [exponential(3, -80, 8)], 12, 24],
    ['27 octaves', [exponential(3, 0, 27 * 8)], 12, 24],
    ['all magnitudes', [exponential(0, -1000, 1000)], 12, 24],
    ['lowest resolution', [exponential(-4, -67, 63)], 12, 24],
    ['two resolutions', [exponential(3, 0, 80), exponential(0, 0, 10)], 8, 12],
    ['an outlier', [exponential(3, 0, 80), exponential(3, 8000, 8001)], 20, 24],
    ['the last finite bucket and infinities', [exponential(3, 0, 80), list([-Infinity, -Number.MAX_VALUE, 1], [2 ** 1023.5, Number.MAX_VALUE, 1], [Number.MAX_VALUE, Infinity, 1])], 13, 24],
    ['both signs', [[...mirror(exponential(3, 0, 40)), ...list([-1, 1, 7]), ...exponential(3, 0, 40)]], 17, 24],
    ['negative, lowest resolution', [mirror(exponential(-4, 0, 10))], 10, 24],
    ['negative, two resolutions', [mirror(exponential(3, 0, 80)), mirror(exponential(0, 0, 10))], 8, 12],
  ]) {
    const { bounds, counts } = heatMap(columns, true);
    assert.ok(bounds.length >= low && bounds.length <= high, `${what}: ${bounds.length} rows`);
    assert.deepEqual(bounds, [...bounds].sort((a, b) => a - b), what);
    const used = new Set();
    columns.forEach((column, i) => {
      assert.equal(counts[i].reduce((a, b) => a + b), observations(column), what); // no bucket is lost
      for (const { left, right } of column) {
        const outer = left < 0 && right < 0 ? -left : right > 0 && left < 0 ? 0 : right, inner = left < 0 && right < 0 ? -right : left;
        const rows = bounds.map(bound => left < 0 && right < 0 ? -bound : bound); // the magnitudes of values of the sign
        const row = rows.indexOf(Math.min(...rows.filter(bound => bound >= outer * (1 - 1e-9))));
        const below = Math.max(...rows.filter(bound => bound < rows[row]));
        assert.ok(outer === 0 || below <= inner * (1 + 1e-9), `${what}: the bucket from ${left} to ${right} is in several rows`);
        assert.ok(counts[i][row] > 0, `${what}: the row of ${left} to ${right} is empty`);
        used.add(row);
      }
    });
    assert.ok(used.size >= Math.min(low, columns.flat().length / 8), `${what}: ${used.size} rows have counts`);
  }
  const { counts } = heatMap([exponential(3, INEXACT - 3, INEXACT + 1)], true);
  assert.equal(counts[0].filter(n => n === 1).length, 4, 'buckets as wide as the rows');
  const last = heatMap([list([2 ** 1023.5, Number.MAX_VALUE, 1], [Number.MAX_VALUE, Infinity, 2])], true);
  assert.deepEqual(last.bounds.slice(-2), [Number.MAX_VALUE, Infinity]);
  assert.deepEqual(heatMap([null, []], true), { bounds: [], counts: [null, new Float64Array()] });
});
