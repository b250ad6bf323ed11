// Tests of the sources of the dashboard, without a browser and a server.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ByteWriter } from '../page/model/bytes.mjs';
import { HistorySource } from '../page/model/history.mjs';
import { JSONSource } from '../page/model/json.mjs';
import { PollError } from '../page/model/request.mjs';
import { Store } from '../page/model/store.mjs';

// server returns a fetch with one response after the other and the list of requested URLs.
function server(...bodies) {
  const urls = [];
  const fetch = async url => {
    urls.push(url);
    const body = bodies.shift();
    if (body instanceof Error) throw body;
    return new Response(typeof body === 'number' ? null : body, { status: typeof body === 'number' ? body : 200 });
  };
  return { fetch, urls };
}

const view = families => JSON.stringify(Object.fromEntries(Object.entries(families).map(([name, f]) => [name, { type: 'gauge', help: '', ...f }])));
const gauge = (value, labels = {}) => ({ series: [{ labels, value }] });

// values returns the values of a family at each step, by the text of the labels and the column.
function values(store, name) {
  const family = store.families.get(name), result = [];
  store.replay(family, -Infinity, Infinity, (time, value) => {
    const at = { time };
    for (const { labels, slots, columns } of family.series.values()) {
      columns.forEach(({ type, left, right }, i) => {
        const v = value(slots[i]);
        if (v === v) at[[...labels.flat(), type, ...type === 'bucket' || type === 'native' ? [left, right] : type === 'quantile' ? [left] : []].join(' ')] = v;
      });
    }
    result.push(at);
  });
  return result;
}

function jsonSource(...bodies) {
  const s = server(...bodies), clock = { ms: 1e6 }, store = new Store();
  const source = new JSONSource('/metrics', s.fetch, () => clock.ms);
  return { ...s, clock, store, poll: (selected = [], interval = 2) => source.poll(store, selected, interval) };
}

test('the JSON view has all kinds of families', async () => {
  const { poll, store, urls } = jsonSource(`{"h":{"type":"histogram","help":"H","unit":"seconds","series":[
    {"labels":{"p":"a"},"value":0.75,"count":4,"buckets":[{"le":0.5,"count":1},{"le":2,"count":3},{"le":null,"count":4}]}]},
    "n":{"type":"histogram","help":"","series":[{"labels":{},"value":null,"count":3,"buckets":[{"le":null,"count":3}],
      "histogram":{"count":"3","sum":"NaN","buckets":[[1,"-Inf","-2","1"],[3,"-0.5","0.5","1"],[0,"1","2","1"]]}}]},
    "s":{"type":"summary","help":"","series":[{"labels":{},"value":5,"count":2,"quantiles":[{"quantile":0.5,"value":2},{"quantile":0.9,"value":null}]}]},
    "c_total":{"type":"counter","help":"","series":[{"labels":{},"value":3,"timestamp":12.5}]},
    "z":{"type":"strange","help":"","series":[{"labels":{},"value":1}]},
    "none":{"type":"gauge","help":"","series":[]}}`);
  await poll();
  assert.deepEqual(urls, ['/metrics/json?metadata=1']);
  const { kind, help, unit, count } = store.families.get('h');
  assert.deepEqual({ kind, help, unit, count }, { kind: 'histogram', help: 'H', unit: 'seconds', count: 1 });
  assert.deepEqual(values(store, 'h'), [{ time: 1000, 'p a sum': .75, 'p a count': 4, 'p a bucket -Infinity 0.5': 1, 'p a bucket 0.5 2': 2, 'p a bucket 2 Infinity': 1 }]);
  assert.deepEqual(values(store, 'n'), [{ time: 1000, count: 3, 'native -Infinity -2': 1, 'native -0.5 0.5': 1, 'native 1 2': 1 }]);
  assert.deepEqual(values(store, 's'), [{ time: 1000, sum: 5, count: 2, 'quantile 0.5': 2 }]);
  assert.deepEqual(values(store, 'c_total'), [{ time: 1000, value: 3 }]);
  assert.equal(store.families.get('z').kind, 'unknown');
  assert.equal(store.families.has('none'), false);
});

test('series keep their values if the order changes, and leave', async () => {
  const rows = texts => view({ a: { series: [...texts].map(t => ({ labels: { l: t }, value: t.charCodeAt(0) })) } });
  const { poll, store, clock } = jsonSource(...['abc', 'abc', 'cab', 'xaby', 'b', 'abcxy'].map(rows));
  for (let i = 0; i < 6; i++) {
    await poll();
    clock.ms += 2000;
  }
  const seen = values(store, 'a').map(at => Object.keys(at).filter(k => k !== 'time').map(k => k[2]).sort().join(''));
  assert.deepEqual(seen, ['abc', 'abc', 'abc', 'abxy', 'b', 'abcxy']);
  for (const at of values(store, 'a')) for (const [k, v] of Object.entries(at)) if (k !== 'time') assert.equal(v, k.charCodeAt(2));
  assert.equal(store.families.get('a').series.size, 5);
});

test('a series that left for long returns in the JSON mode', async () => {
  const full = view({ a: { series: ['x', 'y'].map(l => ({ labels: { l }, value: 1 })) }, b: gauge(1) }), rest = view({ b: gauge(1) });
  const { poll, store, clock } = jsonSource(full, rest, rest, rest, rest, full);
  store.maxSteps = 3;
  for (let i = 0; i < 6; i++) {
    if (i === 5) assert.equal(store.families.has('a'), false);
    await poll();
    clock.ms += 2000;
  }
  assert.deepEqual(values(store, 'a').at(-1), { time: 1010, 'l x value': 1, 'l y value': 1 });
});

test('names of Object are names of labels and families', async () => {
  const body = '{"__proto__":{"type":"gauge","help":"","series":[{"labels":{"__proto__":"x","constructor":"y"},"value":1},{"labels":{"toString":"__proto__"},"value":2}]},"constructor":{"type":"gauge","help":"","series":[{"labels":{},"value":3}]}}';
  const { poll, store, clock } = jsonSource(body, body);
  await poll();
  clock.ms += 2000;
  await poll();
  assert.deepEqual([...store.families.keys()], ['__proto__', 'constructor']);
  assert.deepEqual([...store.families.get('__proto__').series.values()].map(s => s.labels), [[['__proto__', 'x'], ['constructor', 'y']], [['toString', '__proto__']]]);
  assert.equal({}.type, undefined);
});

test('members of wrong types do no harm', async () => {
  const bad = [null, 'x', 5, [], {}, [null], [[1, 2]], [[0, '1', '2', 'x']], [{ le: 'x', count: 1 }], [{ quantile: null }], { buckets: 5 }, { buckets: [5, [0, {}, [], null], [0, '2', '1', '3']] }];
  for (const v of bad) {
    const row = { labels: v, value: v, count: v, buckets: v, histogram: v, quantiles: v }, body = view({ a: { help: v, unit: v, type: v, series: [row, row] } });
    const { poll, store, clock } = jsonSource(body, body, body);
    for (let i = 0; i < 3; i++) {
      await poll();
      clock.ms += 2000;
    }
    const size = [...store.families.get('a').series.values()][0].slots.length;
    assert.ok(size <= 6, `${JSON.stringify(v)}: ${size} slots after three polls`);
  }
});

test('a response that is not the view is an error that says so', async () => {
  for (const [body, want] of [
    ['<!doctype html><p>Log in', /^not a JSON view: the response is an HTML page$/],
    ['', /^not a JSON view: the response is empty$/],
    ['null', /^not a JSON view: the response begins with "null"$/],
    ['[1,2]', /not a JSON view: .*\[1,2\]/],
    ['"text"', /not a JSON view/],
    ['{"a":[{"labels":{},"value":1}]}', /^not a JSON view: "a" has no list of series$/],
    ['{"a":{"series":{}}}', /not a JSON view: "a"/],
    ['{"a":{"series":[1]}}', /not a JSON view: "a"/],
    ['{"a":null}', /not a JSON view: "a"/],
    ['{"a":{"series":[', /not a JSON view/],
    [503, /^status 503 of /],
    [404, /^status 404 of /],
    [new TypeError('fetch failed'), /^connection refused or the server is gone$/],
    [Object.assign(new Error(), { name: 'TimeoutError' }), /^no response within 30 s$/],
  ]) {
    const { poll, store } = jsonSource(body);
    await assert.rejects(poll(), e => e instanceof PollError && want.test(e.message) || assert.fail(`${body}: ${e}`));
    assert.equal(store.steps.length, 0);
  }
});

test('an expensive view is polled rarely, and the selected families often', async () => {
  const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`f${i}`, gauge(i)])), clock = { ms: 1e6 }, urls = [];
  const fetch = async url => {
    urls.push(url);
    const names = [...new URLSearchParams(url.split('?')[1]).getAll('name[]')];
    clock.ms += names.length ? 5 : 400;
    return new Response(view(names.length ? Object.fromEntries(names.filter(n => many[n]).map(n => [n, many[n]])) : many));
  };
  const source = new JSONSource('/metrics', fetch, () => clock.ms), store = new Store();
  for (let i = 0; i < 40; i++) {
    many.f7 = gauge(i);
    await source.poll(store, ['f7', 'a b&c'], 1);
    clock.ms += 1000;
  }
  const full = urls.filter(url => !url.includes('name[]')).length;
  assert.ok(full >= 4 && full <= 6, `${full} of 40 polls are full: 5 % of the time , and one takes 400 ms`);
  assert.ok(urls[1].includes('name[]=f7&name[]=a%20b%26c') && urls[1].includes('name[]=process_start_time_seconds'), urls[1]);
  assert.deepEqual(values(store, 'f7').map(at => at.value), Array.from({ length: 40 }, (_, i) => i));
  assert.equal(values(store, 'f8').length, full);
  assert.equal(store.series, 2000);
});

test('a large view is expensive', async () => {
  const { poll, urls, clock, store } = jsonSource(view({ a: { help: 'x'.repeat(5 << 20), series: [{ labels: {}, value: 1 }] }, other: gauge(1) }), view({ other: gauge(2) }), view({}));
  await poll();
  clock.ms += 1;
  await poll(['a']);
  assert.match(urls[1], /name\[\]=a/);
  assert.equal(values(store, 'other').length, 2, 'a server can send families without a request for them');
  clock.ms -= 3600e3;
  await poll(['a']);
  assert.doesNotMatch(urls[2], /name/, 'after the clock was set back');
});

test('restarts, silences and a clock that goes back are marked in the JSON mode', async () => {
  const body = start => view({ process_start_time_seconds: gauge(start), a: gauge(1) });
  const { poll, store, clock } = jsonSource(...[5, 5, 90, 90, 90.2, 90].map(body));
  for (const ms of [1e6, 1002e3, 1004e3, 1104e3, 1106e3, 50e3]) {
    clock.ms = ms;
    await poll();
  }
  assert.deepEqual(store.marks.map(m => m.kind), ['restart', 'gap', 'gap']);
  const times = values(store, 'a').map(at => at.time);
  assert.ok(times.every((t, i) => i === 0 || t > times[i - 1]), String(times));
  assert.equal(times.at(-1), 50);
});

// ---- history ----

// Ring makes responses of the history protocol.
class Ring {
  families = []; columns = []; series = []; runs = []; base = []; steps = [];
  constructor(full, { ring = 1, step = 5000, range = 900e3, now = 1e6, leftOut = 0 } = {}) { Object.assign(this, { full, ring, step, range, now, leftOut }); }
  bytes() {
    const w = new ByteWriter();
    const text = s => {
      const data = new TextEncoder().encode(s);
      w.uvarint(data.length);
      raw(data);
    };
    const raw = data => {
      w.reserve(data.length);
      w.data.set(data, w.at);
      w.at += data.length;
    };
    const float = v => raw(new Uint8Array(Float64Array.of(v).buffer));
    const zigzag = v => w.uvarint(v < 0 ? -2 * v - 1 : 2 * v);
    const list = (items, write) => {
      w.uvarint(items.length);
      items.forEach(item => write(...item));
    };
    raw([1, Number(this.full), ...Array.from({ length: 8 }, (_, i) => i === 0 ? this.ring : 0)]);
    for (const n of [this.now, this.step, this.range, this.leftOut]) w.uvarint(n);
    list(this.families, (id, kind, name, unit = '', help = '') => {
      w.uvarint(id);
      raw([kind]);
      [name, unit, help].forEach(text);
    });
    list(this.columns, (id, type, left = 0, right = 0) => {
      w.uvarint(id);
      raw([type]);
      float(left);
      float(right);
    });
    list(this.series, (id, family, labels = {}) => {
      w.uvarint(id);
      w.uvarint(family);
      list(Object.entries(labels), (k, v) => [k, v].forEach(text));
    });
    list(this.runs, (...numbers) => numbers.forEach(n => w.uvarint(n)));
    let last = -1;
    list(this.base, (slot, value) => {
      w.uvarint(slot - last - 1);
      float(value);
      last = slot;
    });
    list(this.steps, (number, time, records) => {
      w.uvarint(number);
      w.uvarint(time);
      const outer = w.take();
      let slot = -1;
      if (records instanceof Uint8Array) raw(records);
      else {
        for (const [at, previous, now] of records) {
          zigzag(at - slot - 1);
          w.value(previous, now, Number.isNaN(now));
          slot = at;
        }
      }
      const payload = w.take();
      raw(outer);
      w.uvarint(payload.length);
      raw(payload);
    });
    return w.take();
  }
}

// first is a full response with a gauge of two series and a histogram.
function first(options) {
  return Object.assign(new Ring(true, options), {
    families: [[0, 1, 'a', 'bytes', 'Help'], [1, 2, 'h']],
    columns: [[0, 0], [1, 1], [2, 3, -Infinity, 1], [3, 3, 1, Infinity]],
    series: [[0, 0, { l: 'x' }], [1, 0, { l: 'y' }], [2, 1]],
    runs: [[0, 1, 0, 0], [1, 1, 1, 0], [2, 3, 2, 1]],
    base: [[0, 7], [2, .5], [3, 1], [4, 0]],
    steps: [[11, 1000e3, [[0, 7, 8]]], [12, 1005e3, [[4, 0, 3], [1, NaN, 2.5], [2, .5, .75]]]],
  });
}

function historySource(...bodies) {
  const s = server(...bodies), store = new Store(), source = new HistorySource('', s.fetch, () => 990e3);
  return { ...s, store, source, poll: () => source.poll(store) };
}

test('the first response has the past', async () => {
  const { poll, store, source, urls } = historySource(first({ leftOut: 4, range: 600e3 }).bytes(), new Ring(false, { leftOut: 4, range: 600e3 }).bytes());
  await poll();
  await poll();
  assert.deepEqual(urls, ['?history=0.0', '?history=0000000000000001.12']);
  assert.deepEqual(values(store, 'a'), [{ time: 1000, 'l x value': 8 }, { time: 1005, 'l x value': 8, 'l y value': 2.5 }]);
  assert.deepEqual(values(store, 'h'), [
    { time: 1000, sum: .5, 'bucket -Infinity 1': 1, 'bucket 1 Infinity': 0 }, { time: 1005, sum: .75, 'bucket -Infinity 1': 1, 'bucket 1 Infinity': 3 },
  ]);
  const { kind, unit, help, count } = store.families.get('a');
  assert.deepEqual({ kind, unit, help, count }, { kind: 'gauge', unit: 'bytes', help: 'Help', count: 2 });
  assert.deepEqual([source.leftOut, source.covered, source.offset, store.seconds], [4, 5, 10, 600]);
  assert.deepEqual(store.marks, []);
});

test('a ring that is full before its range ends is not the whole range', async () => {
  for (const [numbers, range, want] of [[[11, 12], 600e3, 5], [[11, 12], 5e3, 0], [[1, 2], 600e3, 0], [[], 600e3, 0]]) {
    const ring = first({ range });
    ring.steps = numbers.map((n, i) => [n, 1000e3 + 5000 * i, []]);
    const { poll, source } = historySource(ring.bytes());
    await poll();
    assert.equal(source.covered, want, JSON.stringify([numbers, range]));
  }
});

test('the page has room for a step each second of the range', async () => {
  const { poll, store } = historySource(first({ range: 3600e3 }).bytes());
  await poll();
  assert.ok(store.maxSteps >= 3600);
});

test('a response can change the metadata of a family', async () => {
  const { poll, store } = historySource(first().bytes(), Object.assign(new Ring(false), { families: [[0, 0, 'a', 'seconds', 'New']] }).bytes());
  await poll();
  await poll();
  const { kind, unit, help } = store.families.get('a');
  assert.deepEqual([kind, unit, help], ['counter', 'seconds', 'New']);
});

test('a response adds steps, series and new meanings of slots', async () => {
  const more = Object.assign(new Ring(false), {
    families: [[7, 0, 'c_total']], series: [[3, 7, { __proto__: 'x' }], [1, 0, { l: 'z' }]], runs: [[5, 1, 3, 0], [1, 1, 1, 0]],
    steps: [[13, 1010e3, [[5, NaN, 40], [0, 8, NaN]]], [14, 1015e3, [[1, NaN, 1], [5, 40, 41]]]],
  });
  const { poll, store } = historySource(first().bytes(), more.bytes());
  await poll();
  await poll();
  assert.deepEqual(values(store, 'a').slice(1), [{ time: 1005, 'l x value': 8, 'l y value': 2.5 }, { time: 1010 }, { time: 1015, 'l z value': 1 }]);
  assert.deepEqual(values(store, 'c_total').map(at => Object.values(at)), [[1000], [1005], [1010, 40], [1015, 41]]);
  assert.equal(store.series, 3);
});

// The ring has two families of one name while the kind changes. They share the series of the page.
test('a family whose kind changes keeps its series', async () => {
  const more = Object.assign(new Ring(false), {
    families: [[7, 0, 'a']], series: [[3, 7, { l: 'x' }]], runs: [[5, 1, 3, 0]], steps: [[13, 1010e3, [[5, NaN, 40], [0, 8, NaN]]], [14, 1015e3, [[5, 40, 41]]]],
  });
  const { poll, store } = historySource(first().bytes(), more.bytes());
  await poll();
  await poll();
  assert.deepEqual(values(store, 'a').map(at => at['l x value']), [8, 8, 40, 41]);
  assert.deepEqual([store.families.get('a').kind, store.families.get('a').count], ['counter', 2]);
});

test('two restarts are two marks', async () => {
  const { poll, store } = historySource(...[1, 2, 3, 1].map((ring, i) => {
    const r = first({ ring });
    r.steps = [[1, 1000e3 + 5000 * i, [[0, 7, 10 + i]]]];
    return r.bytes();
  }));
  for (let i = 0; i < 4; i++) await poll();
  assert.deepEqual(values(store, 'a').map(at => at['l x value']), [10, 11, 12, 13]);
  assert.deepEqual(store.marks, [1005, 1010, 1015].map(to => ({ kind: 'restart', from: to - 5, to })));
});

// Each process of a load balancer answers in turn. The page grows by the steps only.
test('many restarts take no more memory', async () => {
  const bodies = [];
  for (let i = 0; i < 300; i++) {
    const r = first({ ring: 1 + i % 2, range: 100e3 });
    r.series[0] = [0, 0, { l: `x${i % 50}` }];
    r.steps = [[i + 1, 1000e3 + 5000 * i, [[0, 7, i]]]];
    bodies.push(r.bytes());
  }
  const { poll, store } = historySource(...bodies);
  for (let i = 0; i < 300; i++) await poll();
  assert.ok(store.steps.length <= 22 && store.marks.length <= 44 && store.families.get('a').series.size <= 24, `${store.steps.length} ${store.marks.length} ${store.families.get('a').series.size}`);
});

test('a new ring is a restart: the page keeps what it had', async () => {
  const later = first({ ring: 9 });
  later.steps = [[1, 1030e3, [[0, 7, 1]]], [2, 1035e3, []]];
  later.base = [[0, 7]];
  const { poll, store } = historySource(first().bytes(), later.bytes());
  await poll();
  await poll();
  assert.deepEqual(values(store, 'a').map(at => [at.time, at['l x value']]), [[1000, 8], [1005, 8], [1030, 1], [1035, 1]]);
  assert.deepEqual(store.marks, [{ kind: 'restart', from: 1005, to: 1030 }, { kind: 'gap', from: 1005, to: 1030 }]);
  assert.equal(values(store, 'h').at(-1).sum, undefined, 'absent in the new ring');
});

test('a full response of the same ring adds only the new steps', async () => {
  const again = first();
  again.steps.push([13, 1010e3, [[0, 8, 9]]], [19, 1040e3, [[0, 9, 10]]]);
  const { poll, store, urls } = historySource(first().bytes(), again.bytes(), new Ring(false).bytes());
  for (let i = 0; i < 3; i++) await poll();
  assert.deepEqual(values(store, 'a').map(at => [at.time, at['l x value'], at['l y value']]), [[1000, 8, undefined], [1005, 8, 2.5], [1010, 9, 2.5], [1040, 10, 2.5]]);
  assert.deepEqual(store.marks, [{ kind: 'gap', from: 1010, to: 1040 }]);
  assert.equal(urls[2], '?history=0000000000000001.19');
});

test('a series that the store has forgotten returns', async () => {
  const bodies = [first().bytes(), Object.assign(new Ring(false), { steps: [[13, 1010e3, [[3, 1, NaN], [4, 3, NaN], [2, .75, NaN]]]] }).bytes()];
  for (let i = 0; i < 10; i++) bodies.push(Object.assign(new Ring(false), { steps: [[14 + i, 1015e3 + 5e3 * i, [[0, 8 + i, 9 + i]]]] }).bytes());
  bodies.push(Object.assign(new Ring(false), { steps: [[30, 1070e3, [[2, NaN, 4], [3, NaN, 5], [4, NaN, 6]]]] }).bytes());
  const { poll, store } = historySource(...bodies);
  store.maxBytes = 900;
  for (let i = 0; i < 12; i++) await poll();
  assert.equal(store.families.has('h'), false);
  await poll();
  assert.deepEqual(values(store, 'h').at(-1), { time: 1070, sum: 4, 'bucket -Infinity 1': 5, 'bucket 1 Infinity': 6 });
});

test('a response of another kind is an error that says so', async () => {
  const short = first().bytes().slice(0, 60), many = new Ring(true);
  Object.assign(many, { families: [[0, 0, 'a']], columns: [[0, 0]], series: [[0, 0]], runs: [[0, 2 ** 40, 0, 0]] });
  const overlaps = Object.assign(new Ring(true), { runs: Array(5).fill([0, 2 ** 20, 0, 0]) }), unknown = Object.assign(new Ring(true), { columns: [[0, 0, NaN]] });
  const cut = Object.assign(new Ring(true), { steps: [[1, 1e6, Uint8Array.of(0, 3)], [2, 2e6, new Uint8Array(20)]] });
  const disorder = first();
  disorder.steps.reverse();
  for (const [body, want] of [
    ['<!doctype html>', /^not a history: the response is an HTML page$/],
    ['', /^not a history: the response is empty$/],
    ['{"a":1}', /^not a history: the response begins with/],
    [Uint8Array.of(2, 0, 0), /^this page is older than the server: reload$/],
    [short, /^the history is damaged: /],
    [many.bytes(), /^the history is damaged: it has too many slots$/],
    [overlaps.bytes(), /^the history is damaged: it has too many slots$/],
    [unknown.bytes(), /^the history is damaged: a column is unknown$/],
    [cut.bytes(), /^the history is damaged: the bytes end too early$/],
    [disorder.bytes(), /^the history is damaged: the steps are not in order$/],
    [404, /^status 404 of /],
    [new TypeError('fetch failed'), /^connection refused/],
  ]) {
    const { poll, store } = historySource(body);
    await assert.rejects(poll(), e => e instanceof PollError && want.test(e.message) || assert.fail(`${body}: ${e}`));
    assert.equal(store.families.size + store.steps.length, 0);
  }
});

test('a damaged response changes nothing, and the next one is added', async () => {
  const more = Object.assign(new Ring(false), { steps: [[13, 1010e3, [[0, 8, 9], [1, 2.5, 3.5]]]] }).bytes();
  for (let n = 0; n < more.length; n++) {
    const { poll, store } = historySource(first().bytes(), more.slice(0, n), more);
    await poll();
    const before = values(store, 'a');
    await assert.rejects(poll(), PollError);
    assert.deepEqual(values(store, 'a'), before);
    await poll();
    assert.deepEqual(values(store, 'a').at(-1), { time: 1010, 'l x value': 9, 'l y value': 3.5 });
  }
});

// The files are written by TestFixture of internal/history.
test('responses of the server have the values that the server sampled', async () => {
  const file = name => readFileSync(new URL(`testdata/${name}`, import.meta.url)), want = JSON.parse(file('history.json'));
  const { poll, store, source, urls } = historySource(file('history.bin'), Buffer.from(want.increment, 'base64'));
  const number = text => Number(text.replace('Inf', 'Infinity'));
  const check = (steps, oldest) => {
    const got = new Map(steps.map(({ time }) => [time / 1000, []]));
    for (const family of store.families.values()) {
      store.replay(family, oldest, Infinity, (time, value) => {
        for (const { labels, slots, columns } of family.series.values()) {
          columns.forEach(({ type, left, right }, i) => {
            const v = value(slots[i]);
            if (v === v) got.get(time).push([family.name, labels.map(([l, t]) => `${l}=${t}`).join(), type, left, right, v].join(' '));
          });
        }
      });
    }
    for (const { time, values } of steps) {
      if (time / 1000 < store.first) continue;
      const texts = values.map(v => [v.family, v.labels, v.type, number(v.left), number(v.right), v.value].join(' '));
      assert.deepEqual(got.get(time / 1000).sort(), texts.sort(), `at ${time}`);
    }
  };
  await poll();
  assert.equal(store.steps.length, want.full.length);
  check(want.full, -Infinity);
  await poll();
  assert.equal(store.last, want.after.at(-1).time / 1000);
  check(want.after, -Infinity);
  assert.match(urls[1], new RegExp(`^.history=0*${want.ring}\\.`));
  assert.deepEqual([store.seconds, store.step, source.offset], [want.range / 1000, want.step / 1000, (want.now - 990e3) / 1000]);
  for (const { name, kind, unit, help } of want.families) {
    const family = store.families.get(name);
    assert.deepEqual([family.kind, family.unit, family.help], [kind, unit, help]);
  }
});

test('random changes of a response give a valid content or a clear error', async () => {
  const valid = first().bytes();
  let seed = 7, damaged = 0;
  const next = n => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor(seed / 2 ** 32 * n);
  };
  for (let i = 0; i < 5000; i++) {
    const data = Uint8Array.from([...valid, ...i % 7 === 0 ? Array.from({ length: next(40) }, () => next(256)) : []]);
    for (let k = next(4); k >= 0; k--) data[2 + next(data.length - 2)] = [next(256), 255, 128, 0][next(4)];
    const { poll, store } = historySource(data.slice(0, i % 5 === 0 ? 2 + next(data.length) : data.length), valid);
    try {
      await poll();
      for (const name of store.families.keys()) values(store, name);
    } catch (e) {
      assert.ok(e instanceof PollError, `${i}: ${e?.stack}`);
      damaged++;
    }
    await poll();
  }
  assert.ok(damaged > 500 && damaged < 4750, `${damaged} of 5000 are damaged`);
});
