// Tests of the store of the dashboard, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteReader, ByteWriter } from '../page/model/bytes.mjs';
import { Store } from '../page/model/store.mjs';

const VALUE = { type: 'value' };

// random returns a generator of integers below n with a seed.
function random(seed) {
  return n => {
    seed = Math.imul(seed ^ seed >>> 15, seed | 1) + 0x6d2b79f5 | 0;
    return Math.floor(((seed ^ seed >>> 14) >>> 0) / 2 ** 32 * n);
  };
}

// step stores a full step with the values by name of a family and text of a label.
function step(store, time, content, families = null) {
  store.begin(time, families);
  for (const [name, series] of Object.entries(content)) {
    const family = store.define(name, { kind: 'gauge' });
    for (const [text, value] of Object.entries(series)) store.set(store.slot(store.addSeries(family, [['l', text]]), VALUE), value);
  }
  store.end();
}

// replay returns [time, values by label] of each visited step.
function replay(store, name, from = -Infinity, to = Infinity) {
  const family = store.families.get(name), visited = [];
  store.replay(family, from, to, (time, value) => {
    const values = {};
    for (const { labels, slots } of family.series.values()) if (!Number.isNaN(value(slots[0]))) values[labels[0][1]] = value(slots[0]);
    visited.push([time, values]);
  });
  return visited;
}

test('the visited steps are those of a replay', () => {
  const rnd = random(7), store = new Store({ seconds: 1e9, maxSteps: 20 });
  for (let time = 0; time < 60; time++) {
    step(store, time, { a: { x: rnd(5) } });
    if (rnd(2)) step(store, time + .5, { b: { x: rnd(5) } }, [store.define('b', { kind: 'gauge' })]);
    for (const [from, to] of [[-Infinity, Infinity], [time - 5, time], [time - 2.4, time - 1], [time + 5, time + 9], [0, 1]]) {
      for (const family of store.families.values()) assert.deepEqual(store.visited(family, from, to).map(s => s.time), replay(store, family.name, from, to).map(([t]) => t));
    }
  }
});

test('a replay has the last values of earlier steps, also of steps that left', () => {
  const store = new Store({ seconds: 1e9, maxSteps: 5 }), lasts = () => {
    const found = [], a = store.families.get('a');
    store.replay(a, -Infinity, Infinity, (time, value, changed, last) => found.push(last([...a.series.values()][1].slots[0])));
    return found;
  };
  for (let time = 0; time < 12; time++) step(store, time, { a: time < 3 || time > 6 ? { x: time, y: 10 + time } : { x: time } });
  assert.deepEqual(lasts(), [17, 18, 19, 20, 21]);
  for (let time = 12; time < 15; time++) step(store, time, { a: { x: time } });
  assert.deepEqual(lasts(), [20, 21, 21, 21, 21]);
  const away = new Store({ seconds: 1e9, maxSteps: 3 });
  for (let time = 0; time < 4; time++) step(away, time, { a: time === 0 || time === 3 ? { x: 1, y: 7 } : { x: 1 } });
  const seen = [];
  away.replay(away.families.get('a'), -Infinity, Infinity, (time, value, changed, last) => seen.push([...away.families.get('a').series.values()].map(s => last(s.slots[0]))));
  assert.equal(seen.length, 3);
  assert.deepEqual(seen[0], [1, 7]);
});

test('values have the code of the history protocol', () => {
  const cases = [
    [0, 0], [5, 5], [5, 4], [1, 32], [1, 33], [0, -1], [0, -32], [0, -33], [0, 2 ** 40], [2 ** 53 - 1, 0], [0, 2 ** 53 - 1], [0, 1 - 2 ** 53],
    [1, .5], [.5, 1], [NaN, 7], [NaN, .5], [7, NaN], [7, Infinity], [-Infinity, 3], [2 ** 53, 2 ** 53 + 2], [1 - 2 ** 53, 2 ** 53 - 1], [2 ** 53 - 1, .5],
  ];
  const writer = new ByteWriter(1);
  for (const [previous, now] of cases) writer.value(previous, now, false);
  writer.value(3, NaN, true);
  const reader = new ByteReader(writer.take());
  for (const [previous, now] of cases) {
    assert.equal(reader.value(previous), now, `${previous} to ${now}`);
    assert.equal(reader.absent, false);
  }
  assert.ok(Number.isNaN(reader.value(3)) && reader.absent);
  assert.equal(reader.at, reader.end);
});

test('codes of values are those of the protocol', () => {
  const bytes = (previous, now) => {
    const writer = new ByteWriter();
    writer.value(previous, now, false);
    return [...writer.take()];
  };
  // An even code is twice the zigzag of the difference: 1 -> 2 -> 4, -1 -> 1 -> 2.
  assert.deepEqual(bytes(0, 1), [4]);
  assert.deepEqual(bytes(1, 0), [2]);
  assert.deepEqual(bytes(0, 31), [124]);
  assert.deepEqual(bytes(0, 32), [128, 1]);
  assert.deepEqual(bytes(10, 1010), [0xa0, 31]); // 1000 -> 2000 -> 4000
  assert.deepEqual(bytes(0, .5), [3, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f]);
});

test('bytes that end too early and too large numbers are errors', () => {
  for (const data of [[], [128], [4, 128], [3, 0, 0]]) {
    const reader = new ByteReader(Uint8Array.from(data));
    assert.throws(() => { for (;;) reader.value(0); }, RangeError);
  }
  for (const data of [[255, 255, 255, 255, 255, 255, 255, 31], [...Array(20).fill(128), 0]]) {
    assert.throws(() => new ByteReader(Uint8Array.from(data)).uvarint(), /^RangeError: an integer is too large/);
  }
  assert.equal(new ByteReader(Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 15])).uvarint(), 2 ** 53 - 1);
  assert.throws(() => new ByteReader(Uint8Array.from([255, 255, 255, 255, 15])).count(1), RangeError);
  assert.throws(() => new ByteReader(Uint8Array.from([200, 1, 65])).text(), RangeError);
  assert.throws(() => new ByteReader(Uint8Array.from([5])).value(0), RangeError);
});

test('a replay has the values of each step', () => {
  const store = new Store();
  step(store, 1, { a: { x: 1 }, b: { x: 10 } });
  step(store, 2, { a: { x: 1, y: 2.5 }, b: { x: 11 } });
  step(store, 3, { a: { y: NaN }, b: { x: 12 } });
  step(store, 4, { a: { y: 3 } });
  assert.deepEqual(replay(store, 'a'), [[1, { x: 1 }], [2, { x: 1, y: 2.5 }], [3, {}], [4, { y: 3 }]]);
  assert.deepEqual(replay(store, 'b'), [[1, { x: 10 }], [2, { x: 11 }], [3, { x: 12 }], [4, {}]]);
  assert.deepEqual(replay(store, 'a', 3, 3), [[2, { x: 1, y: 2.5 }], [3, {}]], 'with the step before the range');
  assert.deepEqual(replay(store, 'a', 9, 10), [[4, { y: 3 }]]);
  assert.deepEqual([store.families.get('a').count, store.families.get('b').count, store.series], [1, 0, 1]);
  assert.deepEqual([store.first, store.last], [1, 4]);
});

test('a series with the value NaN counts, an absent series does not', () => {
  const store = new Store();
  step(store, 1, { a: { x: NaN, y: 1 } });
  assert.equal(store.families.get('a').count, 2);
  step(store, 2, { a: { x: NaN } });
  assert.equal(store.families.get('a').count, 1);
});

test('only the sampled families have a partial step', () => {
  const store = new Store();
  step(store, 1, { a: { x: 1, y: 1 }, b: { x: 1 } });
  step(store, 2, { a: { x: 2 } }, [store.families.get('a')]);
  assert.deepEqual(replay(store, 'a'), [[1, { x: 1, y: 1 }], [2, { x: 2 }]]);
  assert.deepEqual(replay(store, 'b'), [[1, { x: 1 }]]);
  assert.equal(store.families.get('b').count, 1);
  step(store, 3, { a: { x: 3 }, b: { x: 3 } });
  assert.deepEqual(replay(store, 'b', 3), [[1, { x: 1 }], [3, { x: 3 }]], 'the step before the range is one that samples the family');
});

test('changed has the slots that changed', () => {
  const store = new Store();
  step(store, 1, { a: { x: 1, y: 1 }, b: { x: 1 } });
  step(store, 2, { a: { x: 1, y: 2 }, b: { x: 2 } });
  step(store, 3, { a: { x: 1, y: 2 }, b: { x: 3 } });
  step(store, 4, { a: { x: 5, y: 2, z: 1 }, b: { x: 3 } });
  const family = store.families.get('a'), slot = text => family.find([['l', text]]).slots[0], seen = [];
  store.replay(family, 1, 9, (time, value, changed) => seen.push(changed && [...changed]));
  assert.deepEqual(seen, [null, [slot('y')], [], [slot('x'), slot('z')].sort((a, b) => a - b)]);
});

test('label values have the number of their series', () => {
  const store = new Store(), family = store.define('a', {});
  for (const labels of [[['p', '1'], ['q', 'x']], [['p', '1'], ['q', 'y']]]) store.addSeries(family, labels);
  assert.deepEqual(family.labels, new Map([['p', new Map([['1', 2]])], ['q', new Map([['x', 1], ['y', 1]])]]));
  store.addSeries(family, [['p', '2'], ['__proto__', 'constructor']]);
  assert.deepEqual(family.labels.get('p'), new Map([['1', 2], ['2', 1]]));
  assert.deepEqual(family.labels.get('__proto__'), new Map([['constructor', 1]]));
});

test('texts of labels do not run together', () => {
  const store = new Store(), family = store.define('a', {});
  const all = [[['a', 'bc:d']], [['a', 'b'], ['c', 'd']], [['a', 'b1:c']], [['a', 'b'], ['c', '']], [['ab', '']], [['a', 'b']], [['a', '1:b']], []];
  assert.equal(new Set(all.map(labels => store.addSeries(family, labels))).size, all.length);
  assert.equal(store.addSeries(family, [['a', 'b']]), family.find([['a', 'b']]));
});

test('steps leave by time, number and bytes, and absent series with them', () => {
  for (const [limit, least, most] of [[{ seconds: 10 }, 10, 12], [{ maxSteps: 7 }, 7, 7], [{ maxBytes: 3000 }, 5, 15]]) {
    const store = new Store({ seconds: 1e9, maxSteps: 1e9, ...limit });
    for (let t = 1; t <= 100; t++) {
      step(store, t, { a: { [`x${t}`]: t, constant: 5 }, [`f${t}`]: { y: t } });
      assert.ok(store.families.get('a').labels.get('l').has(`x${t}`));
      assert.equal(store.bytes, store.steps.reduce((n, s) => n + s.bytes, 0));
    }
    const what = JSON.stringify(limit), n = store.steps.length;
    assert.ok(n >= least && n <= most, `${what}: ${n} steps`);
    assert.ok(store.families.size <= n + 2, `${what}: ${store.families.size} families`);
    assert.ok(store.families.get('a').series.size <= n + 2, what);
    assert.equal(store.families.get('a').labels.get('l').size, store.families.get('a').series.size, what);
    assert.equal(replay(store, 'a').at(-1)[1].constant, 5);
  }
});

test('a series and a family without a value are forgotten', () => {
  const store = new Store({ maxSteps: 3 });
  store.addSeries(store.define('empty', {}), [['l', '1']]);
  for (let t = 1; t <= 10; t++) step(store, t, { a: { x: 1 } });
  assert.equal(store.families.has('empty'), false);
});

test('a clock that goes back moves the past and marks a gap', () => {
  const store = new Store();
  for (let t = 1000; t < 1020; t += 2) step(store, t, { a: { x: t } });
  store.mark('restart', 1008, 1010);
  step(store, 500, { a: { x: 1020 } });
  step(store, 502, { a: { x: 1022 } });
  const times = replay(store, 'a').map(([time]) => time);
  assert.deepEqual(times, [480, 482, 484, 486, 488, 490, 492, 494, 496, 498, 500, 502]);
  assert.deepEqual(store.marks, [{ kind: 'restart', from: 488, to: 490 }, { kind: 'gap', from: 498, to: 500 }]);
});

test('marks leave with the steps', () => {
  const store = new Store({ seconds: 5 });
  store.mark('restart', store.last, 1);
  assert.deepEqual(store.marks, [], 'before the first step');
  step(store, 1, {});
  store.mark('gap', 1, 3);
  for (let t = 3; t < 20; t++) step(store, t, {});
  assert.deepEqual(store.marks, []);
});

test('buckets of a series have their slots', () => {
  const store = new Store(), series = store.addSeries(store.define('h', { kind: 'histogram' }), []);
  const slots = [{ type: 'sum' }, { type: 'bucket', left: -Infinity, right: 1 }, { type: 'bucket', left: 1, right: Infinity }].map(c => store.slot(series, c));
  assert.deepEqual(series.slots, slots);
  assert.equal(store.slot(series, { type: 'bucket', left: 1, right: Infinity }), slots[2]);
  assert.deepEqual(series.columns[1], { type: 'bucket', left: -Infinity, right: 1 });
  assert.equal(new Set(slots).size, 3);
});

// A naive model: a list of steps, each with the values by family and series.
class Model {
  constructor() { this.steps = []; }
  add(time, content, sampled) {
    const before = this.steps.at(-1)?.state ?? {}, state = {};
    for (const name of new Set([...Object.keys(before), ...Object.keys(content)])) {
      state[name] = !sampled || sampled.includes(name) ? content[name] ?? {} : before[name];
    }
    this.steps.push({ time, state, sampled });
  }
  replay(name, from, to, oldest) {
    const seen = this.steps.filter(s => s.time >= oldest && s.time <= to && (!s.sampled || s.sampled.includes(name)));
    const first = Math.max(0, seen.findLastIndex(s => s.time < from));
    return seen.slice(first).map(({ time, state }) => {
      const present = Object.entries(state[name] ?? {}).filter(([, v]) => !Number.isNaN(v));
      return [time, Object.fromEntries(present)];
    });
  }
}

test('random steps are those of a naive model', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const next = random(seed), limits = [{ seconds: 40 }, { maxSteps: 12 }, { maxBytes: 6000 }][seed % 3];
    const store = new Store({ seconds: 1e6, maxSteps: 1e6, ...limits }), model = new Model();
    const families = 1 + next(6), series = 1 + next(12), values = [() => next(50), () => next(1e9) / 7, () => 3, () => NaN, () => -1 - next(5), () => Infinity];
    let time = 100;
    for (let i = 0; i < 80; i++) {
      time += 1 + next(5);
      const content = {};
      for (let f = 0; f < families; f++) {
        if (next(5) === 0) continue;
        content[`f${f}`] = {};
        for (let s = 0; s < series; s++) if (next(4)) content[`f${f}`][`s${s + (next(9) === 0 ? i : 0)}`] = values[next(values.length)]();
        if (!Object.keys(content[`f${f}`]).length) delete content[`f${f}`];
      }
      let sampled = null;
      if (next(3) === 0) {
        sampled = [...store.families.keys()].filter(() => next(2));
        for (const name of Object.keys(content)) if (!sampled.includes(name)) delete content[name];
      }
      step(store, time, content, sampled?.map(name => store.families.get(name)) ?? null);
      model.add(time, content, sampled);
      const state = model.steps.at(-1).state;
      assert.equal(store.series, Object.values(state).reduce((n, s) => n + Object.keys(s).length, 0), `seed ${seed}, step ${i}`);
      for (const name of store.families.keys()) {
        const from = time - next(60), to = from + next(40);
        assert.deepEqual(replay(store, name), model.replay(name, -Infinity, Infinity, store.first), `seed ${seed}, step ${i}, ${name}`);
        assert.deepEqual(replay(store, name, from, to), model.replay(name, from, to, store.first), `seed ${seed}, step ${i}, ${name} from ${from} to ${to}`);
      }
      for (const [name, s] of Object.entries(state)) if (Object.keys(s).length) assert.equal(store.families.get(name).count, Object.keys(s).length);
    }
    assert.ok(store.steps.length < 80);
  }
});

test('a sparse step keeps the values without a change', () => {
  const store = new Store();
  step(store, 1, { a: { x: 1, y: 1 } });
  const [x, y] = ['x', 'y'].map(text => store.families.get('a').find([['l', text]]).slots[0]);
  store.begin(2, null, { sparse: true });
  store.set(x, 2);
  store.end();
  store.begin(3, null, { sparse: true });
  store.unset(y);
  store.unset(y);
  store.end();
  assert.deepEqual(replay(store, 'a'), [[1, { x: 1, y: 1 }], [2, { x: 2, y: 1 }], [3, { x: 2 }]]);
});

test('a slot of a forgotten series is free', () => {
  const store = new Store({ maxSteps: 2 });
  step(store, 1, { a: { x: 1 } });
  const old = store.families.get('a').find([['l', 'x']]), [slot] = old.slots;
  for (let t = 2; t < 9; t++) step(store, t, { a: { [`x${t}`]: t } });
  assert.equal(store.owns(old, slot), false);
  assert.ok([...store.families.get('a').series.values()].every(s => s.slots[0] <= 4), 'slots are used again');
});
