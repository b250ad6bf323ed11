import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { increase, observations } from '../page/model/buckets.mjs';
import { classicQuantile, nativeQuantile } from '../page/model/quantiles.mjs';
import { evaluate, familiesOf, inputsOf } from '../page/model/query.mjs';
import { Store } from '../page/model/store.mjs';
import { merge } from './bucketlists.mjs';

// A PlainStore has each value of each step. It is the plain form of what a Store encodes.
class PlainStore {
  families = new Map();
  marks = [];
  steps = [];
  slots = 0;
  step = 0;

  define(name, metadata) {
    if (!this.families.has(name)) this.families.set(name, { name, kind: 'unknown', help: '', unit: '', count: 0, series: new Map(), labels: new Map(), find(labels) { return this.series.get(JSON.stringify(labels)); } });
    return Object.assign(this.families.get(name), metadata);
  }
  addSeries(family, labels) {
    const key = JSON.stringify(labels);
    if (family.series.has(key)) return family.series.get(key);
    const series = { family, labels, slots: [], columns: [] };
    family.series.set(key, series);
    family.count = family.series.size;
    for (const [name, value] of labels) {
      if (!family.labels.has(name)) family.labels.set(name, new Map());
      family.labels.get(name).set(value, (family.labels.get(name).get(value) ?? 0) + 1);
    }
    return series;
  }
  slot(series, { type, left = 0, right = 0 }) {
    const i = series.columns.findIndex(c => c.type === type && c.left === left && c.right === right);
    if (i >= 0) return series.slots[i];
    series.columns.push({ type, left, right });
    series.slots.push(this.slots);
    return this.slots++;
  }
  begin(time, families = null) { this.steps.push({ time, families, values: new Map() }); }
  set(slot, value) { this.steps.at(-1).values.set(slot, value); }
  end() {}
  mark() {}
  replay(family, from, to, visit) {
    const steps = this.steps.filter(s => s.time <= to && (!s.families || [...s.families].includes(family)));
    const before = Math.max(0, steps.filter(s => s.time < from).length - 1);
    steps.slice(before).forEach(({ time, values }, i) => {
      const last = slot => steps.slice(0, before + i + 1).map(s => s.values.get(slot) ?? NaN).findLast(v => v === v) ?? NaN;
      visit(time, slot => values.get(slot) ?? NaN, null, last);
    });
  }
}

// fill adds steps to a store. A step is { time, families: { name: [[labels, data]] }, sampled }. The
// data of a series is a number, or lists of [type, left, right, value].
function fill(store, metadata, steps) {
  for (const { time, families, sampled } of steps) {
    for (const name of Object.keys(families)) store.define(name, { kind: 'unknown', help: '', unit: '', ...metadata[name] });
    store.begin(time, sampled ? sampled.map(name => store.families.get(name)) : null);
    for (const [name, list] of Object.entries(families)) {
      for (const [labels, data] of list) {
        const series = store.addSeries(store.families.get(name), Object.entries(labels));
        for (const [type, left, right, value] of typeof data === 'number' ? [['value', 0, 0, data]] : data) store.set(store.slot(series, { type, left, right }), value);
      }
    }
    store.end();
  }
  return store;
}

// both evaluates a card with both stores, checks that the results are equal, and returns the
// result. The usual seconds between two steps are step.
function both(metadata, steps, card, range = {}, step = 0) {
  const whole = { from: steps[0].time, to: steps.at(-1).time, points: 450, ...range };
  const [result, plain] = [new Store({ seconds: 1e9 }), new PlainStore()].map(store => evaluate(fill(Object.assign(store, { step }), metadata, steps), { id: 1, where: [], ...card }, whole));
  assert.deepEqual(lists({ ...result, count: 0 }), lists({ ...plain, count: 0 })); // count is of the latest step
  return result;
}

// lists returns a result with arrays of numbers, because typed arrays have several NaN.
const lists = ({ times, lines, heat, ...rest }) => ({
  ...rest, times: [...times], lines: lines.map(l => ({ ...l, values: [...l.values] })),
  heat: heat && { native: heat.native, bounds: [...heat.bounds], counts: heat.counts.map(c => c && [...c]) },
});

const values = result => Object.fromEntries(result.lines.map(l => [l.text, [...l.values]]));
const counter = name => ({ [name]: { kind: 'counter' } });
const near = (a, b) => Number.isNaN(a) && Number.isNaN(b) || Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b));
function assertNear(got, want, text) {
  assert.equal(got.length, want.length, text);
  got.forEach((v, i) => assert.ok(near(v, want[i]), `${text}: point ${i}: got ${v}, want ${want[i]}`));
}

// one returns steps of one family with one series of one value, or no series for null.
const one = (name, list, times = list.map((_, i) => i)) => list.map((v, i) => ({ time: times[i], families: { [name]: v === null ? [] : [[{}, v]] } }));

test('the rate of a counter is its increase by second, whatever the interval', () => {
  const result = both(counter('c_total'), one('c_total', [5, 15, 25, 75, 5, 5], [0, 1, 2, 7, 8, 9]), { family: 'c_total' });
  assert.deepEqual(values(result), { '(no labels)': [NaN, 10, 10, 10, 5, 0] }); // a decrease is a reset
  assert.deepEqual([...result.times], [0, 1, 2, 7, 8, 9]);
  assert.deepEqual(result.display, { unit: '', perSecond: true });
});

test('a rate is over the usual step, so that a line is as smooth with the steps of an open page', () => {
  const rates = (list, times, step = 5, more = {}) => values(both(counter('c_total'), one('c_total', list, times), { family: 'c_total' }, more, step))['(no labels)'];
  // Steps of 5 s, then of 1 s. The increase of 1 s is 0 or 10. A rate can be over almost two steps of 5 s.
  const times = [0, 5, 10, 15, 16, 17, 18, 19, 20, 21, 22, 23], list = [0, 25, 50, 75, 85, 85, 95, 95, 105, 105, 115, 115];
  assertNear(rates(list, times), [NaN, 5, 5, 5, 35 / 6, 5, 45 / 8, 5, 6, 4, 6, 4], 'steady');
  assertNear(rates(list, times, 0), [NaN, 5, 5, 5, 10, 0, 10, 0, 10, 0, 10, 0], 'without a usual step');
  assertNear(rates(list, times, 1), rates(list, times, 0), 'a usual step of 1 s');
  // A range has the same values, wherever it begins.
  assertNear(rates(list, times, 5, { from: 19, to: 22 }), [5, 6, 4, 6], 'the steps before the range');
  // Steps that are not punctual are one rate each.
  assertNear(rates([0, 10, 30, 60], [0, 4.9, 9.9, 14.8]), [NaN, 10 / 4.9, 4, 30 / 4.9], 'late and early steps');
  // A reset counts from 0. A pause does not smooth the steps after it, and no rate is negative.
  assertNear(rates([50, 60, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5]), [NaN, 10, 7.5, 16 / 3, 17 / 4, 18 / 5], 'a reset');
  assertNear(rates([0, 1, 601, 602, 604, 605, 606, 608], [0, 1, 61, 62, 63, 64, 65, 66]), [NaN, 1, 10, 1, 1.5, 4 / 3, 5 / 4, 7 / 5], 'a pause');
  // The rate of a new series is over the seconds since it appeared.
  const rest = { time: 0, families: { c_total: [[{ l: 'a' }, 0]] } }, appears = [5, 10, 11, 12].map(time => ({ time, families: { c_total: [[{ l: 'a' }, 0], ...time > 10 ? [[{ l: 'b' }, 3]] : []] } }));
  assertNear(values(both(counter('c_total'), [rest, ...appears], { family: 'c_total' }, {}, 5))['l="b"'], [NaN, NaN, NaN, 3, 1.5], 'a new series');
});

test('a series that returns is no spike, wherever the range begins', () => {
  const kinds = { c_total: { kind: 'counter' }, h: { kind: 'histogram' }, n: { kind: 'histogram' }, s: { kind: 'summary' } }, there = t => t < 100 || t >= 200;
  const data = { c_total: v => v, h: v => [['bucket', -Infinity, 1, v / 2], ['bucket', 1, 2, v / 2]], n: v => [['native', 1, 2, v]], s: v => [['count', 0, 0, v], ['sum', 0, 0, v]] };
  const steps = (after = 0) => Array.from({ length: 121 }, (_, i) => 5 * i).map(t => ({
    time: t,
    families: Object.fromEntries(Object.keys(kinds).map(name => [name, [[{ l: 'a' }, data[name](1e6 + t)], ...there(t) ? [[{ l: 'b' }, data[name](t < 100 ? 1e6 + t : 1e6 + t - after)]] : []]])),
  }));
  const rates = (list, from, family) => values(both(kinds, list, { family, by: 'l', fn: 'rate' }, { from }))['b'];
  for (const family of Object.keys(kinds)) for (const from of [0, 100, 155, 165, 180, 195]) {
    const whole = rates(steps(), 0, family).slice(from / 5);
    assert.deepEqual(rates(steps(), from, family), whole, `${family} from ${from}`);
    assert.deepEqual([...new Set(whole.slice(-50))], [1]);
    assert.equal(rates(steps(1e6), from, family)[(200 - from) / 5], 40, 'after a reset the series counts from 0');
  }
});

test('a gap of the family and its first values are no spike', () => {
  assert.deepEqual(values(both(counter('c_total'), one('c_total', [null, 1e6, 1e6 + 2, null, null, 1e6 + 9, 1e6 + 10]), { family: 'c_total' }))['(no labels)'], [NaN, NaN, 2, NaN, NaN, NaN, 1]);
  // A pause without samples: the increase is that of the whole pause.
  assert.deepEqual(values(both(counter('c_total'), one('c_total', [0, 1, 601], [0, 1, 601]), { family: 'c_total' }))['(no labels)'], [NaN, 1, 1]);
  // Steps that sample only another family are no steps of this family.
  const steps = one('c_total', [0, 2, 9, 14], [0, 2, 3, 4]);
  steps[2] = { time: 3, families: { other: [[{}, 1]] }, sampled: ['other'] };
  assert.deepEqual(values(both({ ...counter('c_total'), other: { kind: 'gauge' } }, steps, { family: 'c_total' }))['(no labels)'], [NaN, 1, 6]);
});

test('a series that appears beside others counts from 0', () => {
  const steps = [[1], [1, 3], [1, 4], [1], [1, 5], [1], [1, 2]].map(([a, b], time) => ({ time, families: { c_total: [[{ l: 'a' }, a], ...b === undefined ? [] : [[{ l: 'b' }, b]]] } }));
  // A series that returns with at least its latest value was left out. With less it is new.
  assert.deepEqual(values(both(counter('c_total'), steps, { family: 'c_total' })), { 'l="a"': [NaN, 0, 0, 0, 0, 0, 0], 'l="b"': [NaN, 3, 1, NaN, NaN, NaN, 2] });
  assert.deepEqual(values(both(counter('c_total'), steps, { family: 'c_total', by: '' })), { total: [NaN, 3, 1, 0, 0, 0, 2] });
  // The step before the range shows that the series is new.
  assert.deepEqual(values(both(counter('c_total'), steps, { family: 'c_total' }, { from: 1, to: 1 }))['l="b"'], [3]);
});

test('merged points are exact rates, the latest gauges, or peaks', () => {
  const list = Array.from({ length: 100 }, (_, i) => i * i), times = list.map((_, i) => 1000 + i);
  const rate = both(counter('c_total'), one('c_total', list, times), { family: 'c_total' }, { points: 11 });
  assert.ok(rate.times.length <= 11 && rate.times.length >= 9);
  let sum = 0;
  rate.times.forEach((t, p) => { sum += rate.lines[0].values[p] * (p ? t - rate.times[p - 1] : t - 1000); });
  assert.ok(near(sum, 99 * 99), 'no increase is lost');
  assert.match(rate.note, /each point is the rate over 9.9 s/);
  const spike = one('g', list.map((_, i) => i === 42 ? 7 : i === 43 ? -7 : 1), times);
  for (const [fn, want] of [['max', [7, 1]], ['min', [1, -7]], ['sum', [1, -7]], ['avg', [1, -7]]]) {
    const { lines, note } = both({ g: { kind: 'gauge' } }, spike, { family: 'g', fn }, { points: 11 });
    assert.deepEqual([Math.max(...lines[0].values), Math.min(...lines[0].values)], want, fn);
    assert.equal(/differs most/.test(note), fn === 'sum' || fn === 'avg');
  }
  // A dip stays, too. The last point has the latest value.
  const dip = one('g', list.map((_, i) => i < 42 ? 5 : i < 43 ? 0 : i < 98 ? 5 : i < 99 ? 9 : 4), times), drawn = both({ g: { kind: 'gauge' } }, dip, { family: 'g' }, { points: 12 }).lines[0].values;
  assert.deepEqual([Math.min(...drawn), Math.max(...drawn), drawn.at(-1)], [0, 5, 4]);
  // Points stay when the range moves.
  const points = (from, to) => [...both({ g: { kind: 'gauge' } }, spike, { family: 'g' }, { from, to, points: 11 }).times];
  assert.deepEqual(points(1000, 1050).slice(2, -1), points(1002, 1052).slice(2, -1));
  assert.equal(both({ g: { kind: 'gauge' } }, spike, { family: 'g' }, { points: 1 }).times.length, 1);
});

test('filters and groups', () => {
  const list = [['/a', '200', 10], ['/a', '500', 3], ['/b', '200', 5], ['/b', '404', 1], ['', '200', 2]];
  const steps = [0, 1].map(time => ({ time, families: { g: list.map(([path, status, v]) => [path ? { path, status } : { status }, v]), t: [] } }));
  const card = properties => both({ g: { kind: 'gauge', unit: 'bytes' } }, steps, { family: 'g', ...properties });
  const latest = properties => Object.fromEntries(card(properties).lines.map(l => [l.text, l.values.at(-1)]));
  assert.deepEqual(latest({ by: 'path' }), { '(no path)': 2, '/a': 13, '/b': 6 });
  assert.deepEqual(latest({ by: 'path', fn: 'avg' }), { '(no path)': 2, '/a': 6.5, '/b': 3 });
  assert.deepEqual(latest({ by: '', fn: 'max' }), { max: 10 });
  assert.deepEqual(latest({ by: 'path', fn: 'min', where: [['path', '/b'], ['path', '/a']] }), { '/a': 3, '/b': 1 });
  assert.deepEqual(latest({ by: 'status', where: [['path', '/b']] }), { 200: 5, 404: 1 });
  assert.deepEqual(latest({ where: [['path', '']] }), { 'status="200"': 2 });
  const result = card({ by: 'path', where: [['status', '200'], ['status', '500']] });
  assert.deepEqual({ ...result, times: 0, lines: result.lines.map(({ values, ...l }) => l) }, {
    id: 1, family: 'g', kind: 'gauge', help: '', unit: 'bytes', count: 5, matched: 4, groups: 3, times: 0, rest: 0, heat: null, by: 'path', fn: 'sum', note: '', error: '',
    display: { unit: 'bytes', perSecond: false }, labels: [{ name: 'path', values: 2 }, { name: 'status', values: 3 }],
    lines: [
      { key: '[["path",""]]', text: '(no path)', labels: [['path', '']] },
      { key: '[["path","/a"]]', text: '/a', labels: [['path', '/a']] },
      { key: '[["path","/b"]]', text: '/b', labels: [['path', '/b']] },
    ],
  });
  for (const [properties, error] of [
    [{ where: [['path', '/x'], ['path', '/y'], ['status', '200']] }, 'no series match path="/x" or "/y", status="200"'],
    [{ by: 'method' }, 'no series has the label method'],
    [{ family: 'h' }, 'h has no series in the stored samples'],
    [{ family: 'h', missing: 'register h' }, 'register h'],
    [{ ratio: { family: 'h' } }, 'h has no series in the stored samples'],
  ]) {
    const { error: got, lines } = card(properties);
    assert.deepEqual([got, lines], [error, []]);
  }
  assert.equal(both({ g: { kind: 'gauge' } }, steps, { family: 'g' }, { from: 100, to: 200 }).error, 'no samples of g in this range');
  assert.equal(card({ fn: 'p99' }).fn, 'sum'); // an unknown function
});

test('the largest series of all are shown, with a peak anywhere in the range', () => {
  const at = (time, spike) => ({ time, families: { c_total: Array.from({ length: 2000 }, (_, i) => [{ i: String(i) }, i === 1234 && time >= 1 ? spike : i < 3 ? time * (i + 1) : 0]) } });
  const steps = [at(0), at(1, 50), at(2, 50)], card = { family: 'c_total', top: 5 };
  const result = both(counter('c_total'), steps, card);
  assert.deepEqual(result.lines.map(l => l.text), ['i="0"', 'i="1"', 'i="10"', 'i="1234"', 'i="2"']); // ties by text
  assert.equal(result.rest, 1995);
  assert.equal(result.groups, 2000);
  assert.equal(both(counter('c_total'), steps, { family: 'c_total' }).lines.length, 12);
  // Infinities and absent series are not the largest.
  const g = [[{ i: 'a' }, Infinity], [{ i: 'b' }, 1], [{ i: 'c' }, -2]];
  const more = [{ time: 0, families: { g } }, { time: 1, families: { g: g.slice(1) } }];
  assert.deepEqual(both({ g: { kind: 'gauge' } }, more, { family: 'g', top: 2 }).lines.map(l => l.text), ['i="b"', 'i="c"']);
  assert.deepEqual(both({ g: { kind: 'gauge' } }, more, { family: 'g', top: 9 }, { from: 1 }).lines.map(l => l.text), ['i="b"', 'i="c"']);
});

test('ratios', () => {
  const metadata = { ...counter('errors_total'), ...counter('requests_total'), free: { kind: 'gauge' }, size: { kind: 'gauge' }, h_seconds: { kind: 'histogram' } };
  const steps = Array.from({ length: 5 }, (_, time) => ({ time, families: {
    errors_total: [[{ path: '/a', code: '1' }, time], [{ path: '/a', code: '2' }, time], [{ path: '/b' }, 3 * time], [{ path: '/c' }, time]],
    requests_total: [[{ path: '/a' }, 10 * time], [{ path: '/b' }, 4 * time], [{ path: '/d' }, time], [{ path: '/c' }, 0]],
    free: [[{ disk: '1' }, 2], [{ disk: '2' }, 1]], size: [[{ disk: '1' }, 4], [{ disk: '2' }, 8]],
    h_seconds: [[{}, [['sum', 0, 0, time], ['bucket', -Infinity, 1, 30 * time], ['bucket', 1, Infinity, 0]]]],
  } }));
  const latest = card => Object.fromEntries(both(metadata, steps, card).lines.map(l => [l.text, l.values.at(-1)]));
  const ratio = { family: 'requests_total', where: [] };
  assert.deepEqual(latest({ family: 'errors_total', by: 'path', ratio }), { '/a': .2, '/b': .75, '/c': NaN });
  assert.deepEqual(latest({ family: 'errors_total', by: 'path', ratio, top: 1 }), { '/b': .75 });
  assert.deepEqual(latest({ family: 'errors_total', by: '', ratio }), { total: .4 });
  assert.deepEqual(latest({ family: 'errors_total', by: '', ratio: { family: 'requests_total', where: [['path', '/d']] } }), { total: 6 });
  assert.deepEqual(latest({ family: 'free', ratio: { family: 'size' } }), { 'disk="1"': .5, 'disk="2"': .125 });
  assert.deepEqual(latest({ family: 'requests_total', by: '', ratio: { family: 'h_seconds' } }), { total: .5 });
  assert.deepEqual(latest({ family: 'h_seconds', ratio }), { total: 2 });
  assert.deepEqual(both(metadata, steps, { family: 'free', ratio: { family: 'size' } }).display, { unit: 'ratio', perSecond: false });
});

// The lines of a ratio are the quotients of the lines of the two families. The largest are those
// of all lines, although only the changes of the dividends are kept.
test('random ratios are those of a plain computation', () => {
  const pick = random(7);
  for (let round = 0; round < 24; round++) {
    const kinds = [['counter', 'gauge'][pick(2)], ['counter', 'gauge'][pick(2)]], metadata = { a: { kind: kinds[0] }, b: { kind: kinds[1] } };
    const state = { a: Array(8).fill(0), b: Array(8).fill(0) };
    const steps = Array.from({ length: 20 }, (_, time) => {
      const families = {}, sampled = pick(100) < 70 ? ['a', 'b'] : [['a'], ['b']][pick(2)];
      for (const name of sampled) {
        families[name] = [];
        state[name].forEach((v, i) => {
          const grown = state[name][i] = pick(100) < 60 ? v : pick(100) < 10 ? 0 : v + pick(5);
          if (pick(100) < 95 && !(name === 'b' && i === 7)) families[name].push([{ i: `${i}`, even: `${i % 2}` }, grown]);
        });
      }
      return { time, families, sampled };
    });
    for (const by of ['*', 'even', '']) {
      const ratio = { family: 'b', where: pick(100) < 30 ? [['even', '1']] : [] }, range = { points: [450, 7][pick(2)], from: 3, to: 19 };
      const card = { family: 'a', by, fn: kinds[0] === 'gauge' ? 'max' : 'rate' }, got = both(metadata, steps, { ...card, ratio, top: 100 }, range);
      const above = both(metadata, steps, { ...card, top: 100 }, range), store = fill(new Store({ seconds: 1e9 }), metadata, steps);
      const below = evaluate(store, { ...card, family: 'b', fn: kinds[1] === 'gauge' && card.fn === 'max' ? 'max' : undefined, where: ratio.where, top: 100 }, { from: 3, to: 19, points: 450 });
      if (range.points === 450) {
        for (const line of got.lines) {
          const a = above.lines.find(l => l.key === line.key), b = below.lines.find(l => l.key === line.key);
          assertNear([...line.values], [...got.times].map((t, p) => a.values[p] / (b?.values[below.times.indexOf(t)] || NaN)), `${kinds} ${by} ${line.text}`);
        }
        assert.equal(got.lines.length, above.lines.length);
      }
      const peak = l => l.values.reduce((max, v) => Math.abs(v) > max && Math.abs(v) < Infinity ? Math.abs(v) : max, -1);
      const largest = [...got.lines].sort((x, y) => peak(y) - peak(x) || (x.text < y.text ? -1 : 1)).slice(0, 2).map(l => [l.text, [...l.values]]).sort(([x], [y]) => x < y ? -1 : 1);
      const two = both(metadata, steps, { ...card, ratio, top: 2 }, range);
      assert.deepEqual(two.lines.map(l => [l.text, [...l.values]]), largest, `${kinds} ${by}`);
    }
  }
});

test('series divided by themselves are shares of their total', () => {
  const list = [[{ path: '/a', status: '200' }, 6], [{ path: '/a', status: '500' }, 1], [{ path: '/b', status: '200' }, 3]];
  const steps = [0, 1, 2].map(time => ({ time, families: { c_total: list.map(([labels, v]) => [labels, time * v]) } }));
  const latest = card => Object.fromEntries(both(counter('c_total'), steps, { family: 'c_total', ...card, ratio: { family: 'c_total', where: card.per } }).lines.map(l => [l.text, l.values.at(-1)]));
  assert.deepEqual(latest({ by: 'status' }), { 200: .9, 500: .1 });
  assert.deepEqual(latest({ by: 'status', top: 1 }), { 200: .9 });
  assert.deepEqual(latest({ by: 'path', where: [['status', '200']], per: [['status', '200']] }), { '/a': 2 / 3, '/b': 1 / 3 });
  assert.deepEqual(latest({ by: '*', where: [['path', '/a']] }), { 'path="/a" status="200"': .6, 'path="/a" status="500"': .1 });
  assert.deepEqual(latest({ by: '' }), { total: 1 });
  // The share of a gauge that rests changes with the total.
  const gauges = [1, 3, 9].map((y, time) => ({ time, families: { g: [[{ i: 'x' }, 1], [{ i: 'y' }, y]] } }));
  assert.deepEqual(values(both({ g: { kind: 'gauge' } }, gauges, { family: 'g', ratio: { family: 'g' } })), { 'i="x"': [.5, .25, .1], 'i="y"': [.5, .75, .9] });
  // Other series of the same family divide by the label.
  assert.deepEqual(latest({ by: 'path', where: [['status', '500']] }), { '/a': 1 / 7 });
  assert.deepEqual(latest({ by: 'path', per: [['status', '200']] }), { '/a': 7 / 6, '/b': 1 });
});

test('parts are the lines of one chart', () => {
  const steps = [0, 1].map(time => ({ time, families: { a_bytes: [[{}, 1 + time]], b_bytes: [[{ x: '1' }, 5], [{ x: '2' }, 6]] } }));
  const parts = [{ family: 'z', or: ['a_bytes'], where: [], text: 'A' }, { family: 'b_bytes', where: [], text: 'B' }, { family: 'gone', where: [], text: 'C' }];
  const result = both({ a_bytes: { kind: 'gauge' }, b_bytes: { kind: 'gauge' } }, steps, { parts, missing: 'register it' });
  assert.deepEqual(values(result), { A: [1, 2], 'B x="1"': [5, 5], 'B x="2"': [6, 6] });
  assert.equal(new Set(result.lines.map(l => l.key)).size, 3);
  assert.deepEqual([result.error, result.display.unit, result.count], ['', 'bytes', 3]);
  assert.deepEqual(familiesOf({ parts, ratio: { family: 'r' } }), ['r', 'z', 'a_bytes', 'b_bytes', 'gone']);
  assert.equal(both({ a_bytes: { kind: 'gauge' } }, steps, { parts: parts.slice(2), missing: 'register it' }).error, 'register it');
});

// random returns numbers from 0 to n-1, the same in each run.
function random(seed) {
  return n => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor(seed / 2147483648 * n);
  };
}

// randomTimes returns irregular times, with a pause now and then.
function randomTimes(rnd, count) {
  let t = 1e6;
  return Array.from({ length: count }, () => t += [1, 1, 2, 5, 30][rnd(5)] + rnd(100) / 100);
}

// pointsOf returns the points of the plan: lists of the indexes of steps.
function pointsOf(times, points) {
  const from = times[0], to = times.at(-1), width = times.length > points ? (to - from) / (points - 1) : 0, bins = new Map();
  times.forEach((t, i) => {
    const bin = width ? Math.floor(t / width) : t;
    bins.set(bin, [...bins.get(bin) ?? [], i]);
  });
  return [...bins.values()];
}

// rateSteps returns the indexes of the steps of the rate of a point, which has the given indexes.
function rateSteps(times, indexes, seconds) {
  const [first] = indexes, last = times[indexes.at(-1)], earlier = [];
  for (let i = first - 1; i > 0 && last - times[i] < .9 * seconds && last - times[i - 1] < 2 * seconds; i--) earlier.unshift(i);
  return [...earlier, ...indexes];
}

// increasesOf returns the increase of each step of the list of values of a series, or NaN. A
// value is undefined if the series is absent. present tells whether the family is present.
function increasesOf(list, present) {
  return list.map((v, i) => {
    if (i === 0 || v === undefined) return NaN;
    const before = list[i - 1], latest = list.slice(0, i).findLast(x => x !== undefined);
    if (before !== undefined) return v < before ? v : v - before;
    if (latest === undefined) return present[i - 1] ? v : NaN;
    return v < latest ? v : NaN;
  });
}

test('rates of random counters are those of a plain computation', () => {
  for (let seed = 1; seed <= 25; seed++) {
    const rnd = random(seed), times = randomTimes(rnd, 60), names = Array.from({ length: 8 }, (_, i) => ({ l: 'abc'[i % 3], i: String(i) }));
    const series = names.map(() => { let v = rnd(50), on = rnd(3) > 0; return times.map(() => {
      if (rnd(12) === 0) on = !on;
      v = rnd(15) === 0 ? rnd(5) : v + (rnd(2) ? 0 : rnd(20));
      return on ? v : undefined;
    }); });
    for (const i of [20, 21]) if (seed % 2) for (const list of series) list[i] = undefined; // a gap of the family
    const present = times.map((_, i) => series.some(list => list[i] !== undefined)), increases = series.map(list => increasesOf(list, present));
    const steps = times.map((time, i) => ({ time, families: { c_total: names.flatMap((labels, s) => series[s][i] === undefined ? [] : [[labels, series[s][i]]]) } }));
    for (const by of ['*', '', 'l']) for (const [points, step] of [[450, 0], [13, 0], [450, 5], [450, 20], [13, 20]]) {
      const result = both(counter('c_total'), steps, { family: 'c_total', by }, { points }, step);
      for (const line of result.lines) {
        const members = names.flatMap((n, s) => by === '' || by === 'l' && n.l === line.text || line.text === `l="${n.l}" i="${n.i}"` ? [s] : []);
        const want = pointsOf(times, points).map(indexes => {
          let sum = 0, seconds = 0;
          for (const i of rateSteps(times, indexes, step)) {
            const known = members.map(s => increases[s][i]).filter(v => !Number.isNaN(v));
            if (known.length) seconds += times[i] - times[i - 1];
            for (const v of known) sum += v;
          }
          return sum / seconds;
        });
        assertNear([...line.values], want, `seed ${seed}, by ${by}, ${points} points, ${line.text}, step ${step}`);
        assert.ok(line.values.every(v => !(v < 0)));
      }
    }
  }
});

test('random gauges are those of a plain computation', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const rnd = random(seed), times = randomTimes(rnd, 50), series = Array.from({ length: 7 }, () => { let v = 0; return times.map(() => rnd(6) === 0 ? undefined : rnd(2) ? v : v = rnd(40) - 20); });
    const steps = times.map((time, i) => ({ time, families: { g: series.flatMap((list, s) => list[i] === undefined ? [] : [[{ l: 'ab'[s % 2], s: String(s) }, list[i]]]) } }));
    const functions = { sum: v => v.reduce((a, b) => a + b), avg: v => v.reduce((a, b) => a + b) / v.length, max: v => Math.max(...v), min: v => Math.min(...v) };
    for (const [fn, f] of Object.entries(functions)) for (const points of [450, 9]) {
      for (const line of both({ g: { kind: 'gauge' } }, steps, { family: 'g', by: 'l', fn }, { points }).lines) {
        let before = NaN;
        const want = pointsOf(times, points).map((indexes, p, { length }) => {
          const all = indexes.map(i => series.filter((list, s) => 'ab'[s % 2] === line.text && list[i] !== undefined).map(list => list[i])).filter(v => v.length).map(f);
          if (!all.length) return before = NaN;
          if (fn === 'max' || fn === 'min') return f(all);
          return before = before !== before || p === length - 1 ? all.at(-1) : all.reduce((a, b) => Math.abs(b - before) > Math.abs(a - before) ? b : a);
        });
        assertNear([...line.values], want, `seed ${seed}, ${fn}, ${points} points, ${line.text}`);
      }
    }
  }
});

// Each series has a list of buckets { left, right, count } for each step, or null if it is absent.
// plainHistogram returns the lists of increases of each step of a series, or null.
function plainHistogram(lists, native, present) {
  return lists.map((now, i) => {
    if (i === 0 || !now) return null;
    const before = lists[i - 1], latest = lists.slice(0, i).findLast(x => x);
    if (before) return increase(now, before, native);
    if (!latest) return present[i - 1] ? now : null;
    return observations(now) < observations(latest) ? now : null;
  });
}

const windowOf = (times, i) => times.map((_, j) => j).filter(j => j <= i && (times[j] > times[i] - 60 || j > i - 4));

test('quantiles, rates, means and heat maps of random histograms are those of a plain computation', () => {
  for (let seed = 1; seed <= 24; seed++) {
    const rnd = random(seed), times = randomTimes(rnd, 40), native = seed % 2 === 0, paths = ['/a', '/a', '/b'];
    const series = paths.map((_, s) => {
      let schema = 2, counts = new Map(), sum = 0, on = true;
      const other = !native && s === 1 && seed % 3 === 0; // other classic buckets
      const boundsOf = index => native ? [2 ** (index / 2 ** schema), 2 ** ((index + 1) / 2 ** schema)] : [index ? index * (other ? 2 : 1) : -Infinity, index === 7 ? Infinity : (index + 1) * (other ? 2 : 1)];
      return times.map(() => {
        if (rnd(14) === 0) on = !on;
        if (rnd(12) === 0) { counts = new Map(); sum = 0; schema = 2; } // a restart
        if (native && rnd(12) === 0 && schema > 0) { // a lower resolution
          schema--;
          const wide = new Map();
          for (const [index, n] of counts) wide.set(Math.floor(index / 2), (wide.get(Math.floor(index / 2)) ?? 0) + n);
          counts = wide;
        }
        for (let k = rnd(4); k > 0; k--) { const index = rnd(8), n = 1 + rnd(9); counts.set(index, (counts.get(index) ?? 0) + n); sum += n * rnd(5); }
        const buckets = (native ? [...counts.keys()].sort((a, b) => a - b) : [0, 1, 2, 3, 4, 5, 6, 7]).map(index => ({ left: boundsOf(index)[0], right: boundsOf(index)[1], count: counts.get(index) ?? 0 }));
        return on ? { buckets, sum } : null;
      });
    });
    const present = times.map((_, i) => series.some(list => list[i])), increases = series.map(list => plainHistogram(list.map(x => x && x.buckets), native, present));
    const type = native ? 'native' : 'bucket';
    const steps = times.map((time, i) => ({ time, families: { h: series.flatMap((list, s) => list[i] ? [[{ path: paths[s], s: String(s) }, [['sum', 0, 0, list[i].sum], ['count', 0, 0, observations(list[i].buckets)], ...list[i].buckets.map(b => [type, b.left, b.right, b.count])]]] : []) } }));
    const summed = list => {
      const sums = new Map();
      for (const { left, right, count } of list) sums.set(`${left} ${right}`, { left, right, count: count + (sums.get(`${left} ${right}`)?.count ?? 0) });
      return [...sums.values()];
    };
    const quantile = (q, lists, members) => {
      const all = summed(lists.flat()), mixed = native || seed % 3 === 0 && members.length > 1 && members.includes(1);
      return (native ? nativeQuantile : classicQuantile)(q, merge([mixed ? all.filter(b => b.count > 0) : all]));
    };
    const evaluated = (by, fn, points = 450, step = 0) => both({ h: { kind: 'histogram' } }, steps, { family: 'h', by, fn }, { points }, step);
    const membersOf = line => paths.flatMap((path, s) => path === line.text || line.text === `path="${path}" s="${s}"` || /^p\d\d$|total/.test(line.text) ? [s] : []);
    for (const [by, fn, q] of [['', 'quantiles'], ['path', 'p90', .9], ['*', 'p50', .5]]) {
      const result = evaluated(by, fn);
      for (const line of result.lines) {
        const members = membersOf(line), level = q ?? Number(line.text.slice(1)) / 100;
        const want = times.map((_, i) => members.some(s => series[s][i]) ? quantile(level, windowOf(times, i).map(j => members.flatMap(s => increases[s][j] ?? [])), members) : NaN);
        assertNear([...line.values], want, `seed ${seed}, by ${by}, ${line.text}`);
      }
      const total = result.heat.counts.map(c => c && c.reduce((a, b) => a + b));
      total.forEach((v, i) => {
        const known = increases.map(list => list[i]).filter(Boolean), want = observations(summed(known.flat()).filter(b => b.count > 0)) / (times[i] - times[i - 1]);
        if (!known.length) assert.equal(v, null);
        else assert.ok(Math.abs(v - want) <= 1e-5 * want, `seed ${seed}, heat at ${i}: got ${v}, want ${want}`);
      });
      assert.equal(result.heat.native, native);
    }
    for (const [points, step] of [[450, 0], [9, 0], [450, 5], [450, 20]]) for (const line of evaluated('path', 'rate', points, step).lines) {
      const want = pointsOf(times, points).map((indexes) => {
        const known = rateSteps(times, indexes, step).map(i => [i, membersOf(line).map(s => increases[s][i]).filter(Boolean)]).filter(([, lists]) => lists.length);
        return !membersOf(line).some(s => series[s][indexes.at(-1)]) ? NaN : observations(known.flatMap(([, lists]) => lists.flat())) / known.reduce((n, [i]) => n + times[i] - times[i - 1], 0);
      });
      assertNear([...line.values], want, `seed ${seed}, rate of ${line.text}, ${points} points, step ${step}`);
    }
  }
});

test('histograms of many buckets have bounded heat maps', () => {
  for (const type of ['bucket', 'native']) for (const n of [33, 1000, 150000]) {
    const bucket = (j, v) => type === 'bucket' ? [type, j ? j / 100 : -Infinity, j === n - 1 ? Infinity : (j + 1) / 100, v] : [type, 2 ** (j / n * 40), 2 ** ((j + 1) / n * 40), v];
    const at = time => ({ time, families: { h: [[{}, [['sum', 0, 0, time], ...Array.from({ length: n }, (_, j) => bucket(j, time * (j % 7)))]]] } });
    const store = n > 1000 ? new PlainStore() : new Store();
    if (n > 1000) store.slot = (series, column) => series.columns.push(column) && series.slots.push(store.slots) && store.slots++; // without a search
    const steps = n > 1000 ? [at(1)] : [at(1), at(2), at(3)];
    const { heat, lines, error } = evaluate(fill(store, { h: { kind: 'histogram' } }, steps), { family: 'h', where: [] }, { from: 0, to: 9, points: 100 });
    assert.equal(error, '');
    assert.equal(lines.length, 3);
    if (n > 1000) continue;
    assert.ok(heat.bounds.length >= 16 && heat.bounds.length <= 32, `${type} ${n}: ${heat.bounds.length} rows`);
    const sum = Array.from({ length: n }, (_, j) => j % 7).reduce((a, b) => a + b);
    assert.ok(Math.abs(heat.counts[2].reduce((a, b) => a + b) - sum) < 1e-3 * sum);
    assert.equal(heat.counts[2].length, heat.bounds.length);
  }
});

test('a heat map of many classic buckets shows the buckets with counts in detail', () => {
  const at = time => ({ time, families: { h: [[{}, Array.from({ length: 1000 }, (_, j) => ['bucket', j || -Infinity, j === 999 ? Infinity : j + 1, j >= 500 && j < 520 ? time : 0])]] } });
  const { heat } = both({ h: { kind: 'histogram' } }, [at(0), at(1)], { family: 'h' });
  assert.deepEqual([...heat.bounds], [500, ...Array.from({ length: 20 }, (_, j) => 501 + j), Infinity]);
  assert.deepEqual([...heat.counts[1]], [0, ...Array(20).fill(1), 0]);
});

test('quantiles of native histograms are those of Prometheus', () => {
  const cases = JSON.parse(readFileSync(new URL('testdata/quantiles.json', import.meta.url))), number = text => Number(text.replace('Inf', 'Infinity'));
  for (const { histogram, quantiles } of cases) {
    const steps = [[['sum', 0, 0, 0]], [['sum', 0, 0, 0], ...(histogram.buckets ?? []).map(([, left, right, count]) => ['native', number(left), number(right), Number(count)])]];
    const { lines } = both({ h: { kind: 'histogram' } }, steps.map((data, time) => ({ time, families: { h: [[{}, data]] } })), { family: 'h' });
    for (const [q, text] of Object.entries(quantiles)) {
      const got = lines.find(l => l.text === `p${100 * q}`).values[1];
      assert.ok(Object.is(got, number(text)) || Math.abs(got - number(text)) <= 1e-9 * Math.abs(number(text)), `${q} of ${JSON.stringify(histogram)}: got ${got}, want ${text}`);
    }
  }
});

test('a histogram with other buckets than before, and both kinds of buckets', () => {
  const classic = (...counts) => counts.map((count, j) => ['bucket', j ? 2 ** j : -Infinity, j === counts.length - 1 ? Infinity : 2 ** (j + 1), count]), native = count => [['native', 16, 32, count]];
  const run = (list, card = {}) => both({ h: { kind: 'histogram' } }, list.map((data, time) => ({ time, families: { h: data ? [[{}, data]] : [] } })), { family: 'h', fn: 'rate', ...card });
  const rate = list => [...run(list).lines[0].values];
  assert.deepEqual(rate([native(10), native(1000), classic(3000, 0), classic(3005, 0)]), [NaN, 990, NaN, 5]); // another definition
  assert.deepEqual(rate([native(10), classic(4, 0), native(3)]), [NaN, 4, 3]); // restarts
  assert.deepEqual(rate([[...classic(0, 0), ['sum', 0, 0, 0]], [...classic(7, 0), ...native(7)], [...classic(9, 0), ...native(9)]]), [NaN, 7, 2]);
  assert.deepEqual(rate([classic(1, 2), null, classic(5, 5), classic(1, 1)]), [NaN, NaN, NaN, 2]);
  const quantiles = run([[...classic(0, 0), ...native(0)], [...classic(7, 0), ...native(7)], classic(1, 0)], { fn: 'quantiles' });
  assert.ok(quantiles.lines[0].values[1] > 16 && quantiles.lines[0].values[1] < 32); // of the native buckets
  assert.deepEqual([quantiles.lines[0].values[2] < 2, quantiles.heat.native], [true, false]); // after the restart
});

test('means, and summaries', () => {
  const steps = [[0, 0], [10, 4], [16, 6], [16, 6], [NaN, 7]].map(([sum, count], time) => ({ time: 20 * time, families: {
    h: [[{}, [['sum', 0, 0, sum], ['bucket', -Infinity, Infinity, count]]]],
    s: [[{}, [['sum', 0, 0, sum], ['count', 0, 0, count], ['quantile', .5, 0, time], ['quantile', 1, 0, 2 * time]]]], t: [[{ a: 'b' }, [['sum', 0, 0, sum], ['count', 0, 0, count]]]],
  } }));
  const lines = (family, fn, by) => values(both({ h: { kind: 'histogram' }, s: { kind: 'summary' }, t: { kind: 'summary' } }, steps, { family, fn, by }));
  // The window has the latest four steps, or 60 s.
  assert.deepEqual(lines('h', 'mean'), { mean: [NaN, 2.5, 16 / 6, 16 / 6, NaN] });
  assert.deepEqual(lines('s', 'mean', ''), { mean: [NaN, 2.5, 16 / 6, 16 / 6, NaN] });
  assert.deepEqual(lines('s'), { p50: [0, 1, 2, 3, 4], max: [0, 2, 4, 6, 8] });
  assert.deepEqual(lines('t'), { 'a="b"': [NaN, .2, .1, 0, .05] }); // no quantiles
});

test('a result is the same while its inputs are the same', () => {
  const kinds = { g: 'gauge', c_total: 'counter', h: 'histogram', rare: 'gauge' };
  const cards = [{ family: 'g' }, { family: 'g', by: 'l' }, { family: 'c_total', ratio: { family: 'c_total', where: [['l', '1']] } }, { family: 'h' }, { family: 'rare' }, { family: 'absent', or: ['g'] }]
    .map((card, id) => ({ id, where: [], ...card }));
  let kept = 0, all = 0;
  for (let seed = 1; seed <= 2; seed++) {
    const rnd = random(seed), store = new Store({ seconds: 1e9, maxSteps: 40 }), latest = new Map();
    const ranges = Array.from({ length: 4 }, (_, i) => ({ from: 1e6 + 400 * i + rnd(300), to: 1e6 + 400 * i + 300 + rnd(200), points: [450, 7][i % 2] }));
    let time = 1e6;
    for (let step = 0; step < 120; step++) {
      time += rnd(30) === 0 ? -100 : [1, 5, 15, 60][rnd(4)];
      const sampled = rnd(3) ? null : ['g', 'c_total', 'h'], steady = step % 60 < 45;
      const labels = () => steady ? { l: '1' } : { l: String(rnd(4)) };
      const data = { g: () => rnd(9), c_total: () => step + rnd(3), h: () => [['bucket', -Infinity, 1, rnd(9)], ['bucket', 1, steady ? 2 : 2 + rnd(3), rnd(9)], ['sum', 0, 0, rnd(9)]], rare: () => rnd(9) };
      const families = Object.fromEntries(Object.keys(kinds).filter(name => !sampled || name !== 'rare').map(name => [name, [[labels(), data[name]()]]]));
      fill(store, Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, { kind, help: rnd(40) ? '' : String(step) }])), [{ time, families, sampled }]);
      if (rnd(30) === 0) store.step = [0, 5, 60][rnd(3)];
      for (const range of ranges) for (const card of cards) {
        const key = JSON.stringify([card, range]), inputs = inputsOf(store, card, range), result = lists(evaluate(store, card, range)), before = latest.get(key);
        all++;
        if (before?.inputs === inputs) {
          kept++;
          assert.deepEqual(result, before.result, `seed ${seed}, step ${step}, ${key}`);
        }
        latest.set(key, { inputs, result });
      }
    }
  }
  assert.ok(kept > all / 5, `${kept} of ${all} results are kept`);
});

test('a new bucket of a histogram is an input of the past', () => {
  const store = new Store(), card = { id: 1, family: 'h', where: [] }, range = { from: 0, to: 9, points: 450 };
  const step = (time, ...bounds) => ({ time, families: { h: [[{}, bounds.map((right, i) => ['bucket', bounds[i - 1] ?? -Infinity, right, time])]] } });
  fill(store, { h: { kind: 'histogram' } }, [step(5, 1, 2), step(6, 1, 2), step(10, 1, 2)]);
  const inputs = inputsOf(store, card, range), { heat } = evaluate(store, card, range);
  fill(store, { h: { kind: 'histogram' } }, [step(11, 1, 2, 3)]);
  assert.notDeepEqual([...evaluate(store, card, range).heat.bounds], [...heat.bounds]);
  assert.notEqual(inputsOf(store, card, range), inputs);
});
