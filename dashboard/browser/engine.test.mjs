// Tests of the poll loop of the dashboard, with a fake clock and a fake server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../page/model/bytes.mjs';
import { Engine } from '../page/model/engine.mjs';
import { inputsOf } from '../page/model/query.mjs';

// settle waits until the promises that can end have ended.
async function settle() { for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve)); }

// World has an engine, a clock in milliseconds and a server. serve(url) returns the body of a
// response, a status, an error, or a promise of one.
class World {
  frames = []; replies = []; urls = []; ms = 1e9; timers = new Map(); next = 1; skew = 0;
  view = { interval: 2, paused: false, hidden: false, span: 300, from: null, to: null, points: 100, cards: [{ id: 'c', family: 'a' }], search: '', order: 'name', first: 0, count: 10, sizes: false };
  constructor(serve, options = {}) {
    this.serve = serve;
    this.evaluated = [];
    this.engine = new Engine({
      post: m => (m.type === 'frame' ? this.frames : this.replies).push(structuredClone(m)),
      fetch: async url => {
        this.urls.push(url);
        const body = await this.serve(url);
        if (body instanceof Error) throw body;
        return new Response(typeof body === 'number' ? null : body, { status: typeof body === 'number' ? body : 200 });
      },
      evaluate: (store, card, range) => {
        this.evaluated.push(card.id);
        const family = store.families.get(card.family), points = [];
        if (card.family === 'bug') throw new TypeError('x is not a function');
        if (family) store.replay(family, range.from, range.to, (time, value) => points.push([time, value([...family.series.values()][0]?.slots[0])]));
        return { id: card.id, points, range };
      },
      familiesOf: card => [card.family],
      inputsOf,
      now: () => this.ms,
      later: (f, ms) => {
        this.timers.set(this.next, { f, at: this.ms + ms });
        return this.next++;
      },
      cancel: timer => this.timers.delete(timer),
      ...options,
    });
  }
  start(history = '') { this.engine.receive({ type: 'start', metrics: '/metrics', history, path: '/dashboard' }); }
  // change sends a view. set also runs the timer of its frame.
  change(changes = {}) {
    Object.assign(this.view, changes);
    this.engine.receive({ type: 'view', view: { ...this.view } });
  }
  set(changes) {
    const id = this.next;
    this.change(changes);
    const { f, at } = this.timers.get(id);
    assert.equal(at, this.ms);
    this.timers.delete(id);
    f();
  }
  async advance(ms) {
    await settle();
    for (const end = this.ms + ms; ;) {
      const [id, timer] = [...this.timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [];
      if (!timer || timer.at > end) {
        this.ms = Math.max(this.ms, end);
        return;
      }
      this.timers.delete(id);
      this.ms = Math.max(this.ms, timer.at);
      timer.f();
      await settle();
    }
  }
  get last() { return this.frames.at(-1); }
}

const view = (value, start = 5) => JSON.stringify({
  a: { type: 'counter', help: '', series: [{ labels: { l: 'x' }, value }] },
  process_start_time_seconds: { type: 'gauge', help: '', series: [{ labels: {}, value: start }] },
});

// jsonWorld has a server whose counter grows by 10 each second.
function jsonWorld(options) {
  const world = new World(() => view(world.ms / 100), options);
  return world;
}

test('a poll begins each interval, and a frame follows each', async () => {
  const w = jsonWorld();
  w.start();
  w.set();
  assert.deepEqual([w.last.status, w.last.polled], [{ text: 'loading', bad: false }, false]);
  await w.advance(9000);
  assert.equal(w.urls.length, 5);
  assert.deepEqual(w.frames.map(f => f.polled), [false, true, true, true, true, true]);
  assert.deepEqual(w.last.status, { text: '2 series in 2 families', bad: false });
  assert.deepEqual(w.last.list.rows.map(r => r.name), ['a', 'process_start_time_seconds']);
  assert.deepEqual(w.last.range, [1e6 + 8 - 300, 1e6 + 8]);
  assert.deepEqual(w.last.stored, [1e6, 1e6 + 8]);
  assert.deepEqual(w.last.cards[0].points.map(([t]) => t - 1e6), [0, 2, 4, 6, 8]);
  assert.equal(w.timers.size, 1);
});

test('pause and resume', async () => {
  const w = jsonWorld();
  w.start();
  w.set();
  await w.advance(3000);
  w.set({ paused: true });
  assert.deepEqual(w.last.status, { text: 'paused', bad: false });
  await w.advance(60e3);
  assert.equal(w.urls.length, 2);
  w.set({ search: 'a' });
  assert.equal(w.last.range[1], 1e6 + 2, 'the range stays');
  w.set({ paused: false });
  await w.advance(100);
  assert.equal(w.urls.length, 3);
  assert.deepEqual(w.last.marks, [{ kind: 'gap', from: 1e6 + 2, to: 1e6 + 63 }]);
  assert.equal(w.last.status.text, '2 series in 2 families');
});

test('a pause during a poll ends after it', async () => {
  let answer;
  const w = new World(() => new Promise(resolve => { answer = resolve; }));
  w.start();
  w.set();
  await w.advance(100);
  w.set({ paused: true });
  answer(view(1));
  await w.advance(60e3);
  assert.equal(w.urls.length, 1);
  assert.deepEqual([w.last.status.text, w.last.stored[1]], ['paused', 1e6 + .1]);
});

test('changes of the view during a poll are shown at once', async () => {
  let answer;
  const w = new World(() => new Promise(resolve => { answer = resolve; }));
  w.start();
  w.set();
  await w.advance(10);
  answer(view(1));
  await w.advance(2000);
  assert.equal(w.urls.length, 2, 'the second poll runs');
  for (const search of ['p', 'pr']) w.set({ search });
  assert.deepEqual(w.last.list.rows.map(r => r.name), ['process_start_time_seconds']);
  w.engine.receive({ type: 'poll' });
  await w.advance(50e3);
  assert.equal(w.urls.length, 2, 'one poll at a time');
  answer(view(2));
  await w.advance(0);
  assert.equal(w.last.polled, true);
});

test('a hidden page does not poll; a visible one polls at once', async () => {
  const w = jsonWorld();
  w.start();
  w.set();
  await w.advance(100);
  w.set({ hidden: true });
  await w.advance(600e3);
  assert.equal(w.urls.length, 1);
  w.set({ hidden: false });
  await w.advance(0);
  assert.equal(w.urls.length, 2);
  assert.deepEqual(w.last.marks, [{ kind: 'gap', from: 1e6, to: 1e6 + 600.1 }]);
});

test('failed polls name their cause, and the loop goes on', async () => {
  for (const [body, cause] of [
    [new TypeError('fetch failed'), 'connection refused or the server is gone'], [503, 'status 503 of /metrics/json'], ['<html>', 'not a JSON view: the response is an HTML page'],
  ]) {
    let down = false;
    const w = new World(() => down ? body : view(1));
    w.start();
    w.set();
    await w.advance(3000);
    down = true;
    await w.advance(20e3);
    assert.deepEqual(w.last.status, { text: `Scrape failed: ${cause}; retrying in 2 s`, bad: true });
    assert.deepEqual([w.last.polled, w.last.list.families, w.last.cards[0].points.length], [true, 2, 2], 'the page keeps what it had');
    assert.equal(w.last.range[1], 1e6 + 22, 'the range goes on');
    assert.equal(w.urls.length, 12);
    down = false;
    await w.advance(2000);
    assert.deepEqual([w.last.status.bad, w.last.marks.map(m => m.kind)], [false, ['gap']]);
  }
});

test('a request that never ends is given up, and the loop goes on', async t => {
  const aborts = [];
  t.mock.method(AbortSignal, 'timeout', ms => {
    const controller = new AbortController();
    aborts.push(() => controller.abort(new DOMException(`no end within ${ms} ms`, 'TimeoutError')));
    return controller.signal;
  });
  let step = 0;
  const never = signal => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const w = new World(null, { fetch: async (url, { signal }) => {
    if (step++ === 0) return never(signal);
    return { status: 200, text: async () => step === 2 ? never(signal) : view(1) };
  } });
  w.start();
  w.set();
  for (let i = 0; i < 2; i++) {
    await w.advance(30e3);
    assert.equal(aborts.length, i + 1, 'one request');
    aborts[i]();
    await settle();
    assert.deepEqual(w.last.status, { text: 'Scrape failed: no response within 30 s; retrying in 2 s', bad: true });
  }
  await w.advance(2000);
  assert.equal(w.last.status.text, '2 series in 2 families');
});

test('a bug is not a failed scrape', async () => {
  const w = jsonWorld();
  w.start();
  w.set({ cards: [{ id: 'c', family: 'bug' }, { id: 'd', family: 'a' }] });
  await w.advance(100);
  assert.equal(w.last.cards[0].error, 'Internal error: x is not a function');
  assert.deepEqual([w.last.cards[0].id, w.last.cards[0].lines, w.last.cards[1].points.length], ['c', [], 1], 'the other cards have their results');
  const broken = jsonWorld({ familiesOf: () => { throw new RangeError('Maximum call stack size exceeded'); } });
  broken.start();
  broken.set();
  await broken.advance(2500);
  assert.deepEqual(broken.last.status, { text: 'Internal error: Maximum call stack size exceeded; retrying in 2 s', bad: true });
  const frames = broken.frames.length;
  await broken.advance(2000);
  assert.ok(broken.frames.length > frames, 'the loop goes on');
  const wrong = jsonWorld();
  wrong.start();
  wrong.set({ search: null });
  assert.match(wrong.last.status.text, /^Internal error: /);
});

test('a restart is marked in the JSON mode', async () => {
  const w = new World(() => view(1, w.ms < 1e9 + 5000 ? 5 : 99));
  w.start();
  w.set();
  await w.advance(9000);
  assert.deepEqual(w.last.marks, [{ kind: 'restart', from: 1e6 + 4, to: 1e6 + 6 }]);
});

test('a change of the interval marks no gap', async () => {
  const w = jsonWorld();
  w.start();
  w.set({ interval: 30 });
  await w.advance(25e3);
  assert.equal(w.urls.length, 1);
  w.set({ interval: 1 });
  await w.advance(0);
  assert.equal(w.urls.length, 2, 'a shorter interval that is over');
  await w.advance(3000);
  assert.equal(w.urls.length, 5);
  w.set({ interval: 30 });
  await w.advance(29e3);
  assert.equal(w.urls.length, 5);
  await w.advance(1000);
  assert.equal(w.urls.length, 6);
  assert.deepEqual(w.last.marks, []);
  w.set({ interval: 1 });
  await w.advance(5000);
  w.set({ hidden: true });
  await w.advance(20e3);
  w.set({ hidden: false });
  await w.advance(0);
  assert.deepEqual(w.last.marks.map(m => m.kind), ['gap'], 'a silence of 20 s is a gap again');
});

test('the worker rests as long as a poll took, which is no gap', async () => {
  const began = [], w = new World(() => {
    began.push(w.ms);
    w.ms += 9000;
    return view(1);
  });
  w.start();
  w.set();
  await w.advance(80e3);
  assert.deepEqual(began.map(t => t - began[0]), [0, 18e3, 36e3, 54e3, 72e3]);
  assert.deepEqual(w.last.marks, []);
});

test('the worker rests as long as an evaluation took, which is no gap', async () => {
  const w = jsonWorld({ evaluate: (store, card) => {
    if (store.steps.length) w.ms += 10e3;
    return { id: card.id };
  } });
  w.start();
  w.set();
  await w.advance(100e3);
  assert.ok(w.urls.length >= 4 && w.urls.length <= 6, `${w.urls.length} polls in 100 s`);
  assert.deepEqual(w.last.marks, []);
});

test('a clock that is set during a poll does not stop the loop', async () => {
  for (const by of [3600e3, -3600e3]) {
    const w = new World(() => {
      if (w.urls.length === 1) w.ms += by;
      return view(1);
    });
    w.start();
    w.set();
    await w.advance(0);
    await w.advance(62e3);
    assert.ok(w.urls.length >= 2, `${by}: ${w.urls.length} polls`);
  }
});

test('a clock that is set back does not stop the loop', async () => {
  const w = jsonWorld();
  w.start();
  w.set();
  await w.advance(3000);
  w.ms -= 3600e3;
  for (const timer of w.timers.values()) timer.at -= 3600e3;
  await w.advance(10e3);
  assert.equal(w.urls.length, 7);
  const times = w.last.cards[0].points.map(([t]) => t);
  assert.ok(times.every((t, i) => i === 0 || t > times[i - 1]), String(times));
  w.set({ hidden: true });
  w.ms -= 3600e3;
  w.set({ hidden: false });
  await w.advance(2000);
  assert.equal(w.urls.length, 8);
});

test('a card without a change keeps its result', async () => {
  const w = jsonWorld();
  w.start();
  w.set();
  await w.advance(100);
  w.evaluated.length = 0;
  for (let first = 0; first < 5; first++) w.set({ first });
  assert.deepEqual(w.evaluated, []);
  assert.equal(w.last.cards[0].points.length, 1);
  w.set({ from: 1e6 - 10, to: 1e6 + 10 });
  assert.deepEqual([w.evaluated, w.last.range], [['c'], [1e6 - 10, 1e6 + 10]]);
  w.set({ cards: [{ id: 'c', family: 'a' }, { id: 'e', family: 'a' }] });
  assert.deepEqual(w.evaluated, ['c', 'e']);
  await w.advance(2000);
  assert.deepEqual(w.evaluated, ['c', 'e', 'c', 'e']);
});

test('a range of the past is evaluated once', async () => {
  let series = [{ labels: {}, value: 1 }];
  const w = new World(() => JSON.stringify({ a: { type: 'gauge', help: '', series } }));
  w.start();
  w.set();
  await w.advance(400e3);
  const evaluations = async (ms, changes) => {
    w.evaluated.length = 0;
    if (changes) w.set(changes);
    await w.advance(ms);
    return w.evaluated.length;
  };
  const [from, to] = [1e6 + 360, 1e6 + 390], polls = w.urls.length;
  assert.equal(await evaluations(100e3, { from, to }), 1);
  assert.equal(w.urls.length, polls + 50);
  assert.deepEqual([w.last.range, w.last.cards[0].points.length, w.last.cards[0].points.at(-1)], [[from, to], 17, [to, 1]]);
  assert.equal(await evaluations(100e3, { points: 50 }), 1);
  assert.equal(await evaluations(100e3, { cards: [{ id: 'd', family: 'a' }] }), 1);
  series = [{ labels: {}, value: 1 }, { labels: { l: 'new' }, value: 1 }]; // the number of series is in a result
  assert.equal(await evaluations(100e3), 1);
  assert.equal(await evaluations(100e3, { from, to: w.ms / 1000 + 50 }), 1 + 25); // a range that grows until its end
  assert.equal(await evaluations(100e3, { from: null, to: null }), 51);
  // The store keeps 900 s. A range loses its steps when the oldest of them leaves.
  assert.equal(await evaluations(150e3, { from, to }), 1);
  assert.ok(await evaluations(300e3) > 10);
  assert.equal(w.last.cards[0].points[0], undefined);
});

test('views that come together have one frame', async () => {
  const w = jsonWorld();
  w.start();
  w.set();
  await w.advance(100);
  w.evaluated.length = w.frames.length = 0;
  for (let i = 0; i < 100; i++) w.change({ number: i, points: 100 + i, search: i < 99 ? 'x' : 'a' });
  assert.equal(w.frames.length, 0);
  await w.advance(0);
  assert.deepEqual([w.frames.length, w.evaluated, w.last.list.rows.length, w.last.view], [1, ['c'], 2, 99]);
  w.change({ points: 7 });
  await w.advance(1900); // a poll answers the view
  assert.deepEqual(w.frames.map(f => f.polled), [false, false, true]);
  w.evaluated.length = w.frames.length = 0;
  w.change({ number: 100, paused: true, points: 8 });
  w.engine.receive({ type: 'poll' });
  await settle();
  await w.advance(1000);
  assert.deepEqual([w.frames.map(f => f.polled), w.evaluated, w.last.view], [[true], ['c'], 100], 'the frame of a poll is that of the view');
});

test('one family is one', async () => {
  const w = new World(() => JSON.stringify({ a: { type: 'gauge', help: '', series: [{ labels: {}, value: 1 }] } }));
  w.start();
  w.set();
  await w.advance(100);
  assert.equal(w.last.status.text, '1 series in 1 family');
});

test('values of a label and sizes', async () => {
  const w = jsonWorld();
  w.start();
  w.set({ sizes: true });
  await w.advance(100);
  w.engine.receive({ type: 'values', request: 7, family: 'a', label: 'l', text: '' });
  assert.deepEqual(w.replies, [{ type: 'values', request: 7, values: [{ value: 'x', count: 1 }], total: 1 }]);
  assert.deepEqual(w.last.sizes.rows[0], { name: 'a', count: 1, label: 'l', values: 1 });
});

test('tacho\'s errors are at the top', async () => {
  let value = 3;
  const w = new World(() => JSON.stringify({ tacho_errors_total: { type: 'counter', help: '', series: [{ labels: { metric: 'm', reason: 'timeout' }, value }] } }));
  w.start();
  w.set();
  await w.advance(100);
  assert.equal(w.last.notices[0].level, 'old');
  value++;
  await w.advance(2000);
  assert.match(w.last.notices[0].text, /^A function of m hangs/);
  w.set({ search: 'x' });
  assert.equal(w.last.notices.length, 1, 'in each frame');
});

// history returns a response with the counter c at the given [step, ms, value].
function history({ ring, full, now, steps, before }) {
  const w = new ByteWriter(), text = s => {
    w.uvarint(s.length);
    for (const c of s) w.uvarint(c.charCodeAt(0));
  };
  for (const b of [1, Number(full), ring, 0, 0, 0, 0, 0, 0, 0]) w.uvarint(b);
  for (const n of [now, 5000, 900e3, 0]) w.uvarint(n);
  if (full) {
    for (const n of [1, 0, 0]) w.uvarint(n);
    for (const s of ['a', '', '']) text(s);
    for (const n of [1, 0, 0, ...Array(16).fill(0)]) w.uvarint(n); // the column: value
    for (const n of [1, 0, 0, 0]) w.uvarint(n);                    // the series: no labels
    for (const n of [1, 0, 1, 0, 0]) w.uvarint(n);                 // the run
  } else for (const n of [0, 0, 0, 0]) w.uvarint(n);
  w.uvarint(0);
  w.uvarint(steps.length);
  for (const [number, ms, value] of steps) {
    const record = new ByteWriter();
    record.uvarint(0);
    record.value(before, value, false);
    before = value;
    const data = record.take();
    for (const n of [number, ms, data.length]) w.uvarint(n);
    w.reserve(data.length);
    for (const b of data) w.data[w.at++] = b;
  }
  return w.take();
}

test('a page that was hidden for 10 minutes gets the past from the server', async () => {
  let since = 0;
  const w = new World(url => {
    assert.match(url, /^\/dashboard\?history=/);
    const known = Number(url.split('.')[1]), newest = Math.floor((w.ms - 1e9) / 5000) + 100, first = known || newest - 20;
    assert.equal(known, since);
    since = newest;
    const steps = Array.from({ length: newest - first }, (_, i) => [first + i + 1, 1e9 + 5000 * (first + i + 1 - 100), first + i + 1]);
    return history({ ring: 1, full: known === 0, now: w.ms, steps, before: known || NaN });
  });
  w.start('1');
  w.set({ span: 900 });
  await w.advance(100);
  assert.equal(w.last.cards[0].points.length, 20, 'the page opens full');
  w.set({ hidden: true });
  await w.advance(600e3);
  assert.equal(w.urls.length, 1);
  w.set({ hidden: false });
  await w.advance(100);
  const times = w.last.cards[0].points.map(([t]) => t - 1e6);
  assert.deepEqual(times, Array.from({ length: 140 }, (_, i) => 5 * i - 95));
  assert.deepEqual(w.last.cards[0].points.map(([, v]) => v), times.map(t => t / 5 + 100));
  assert.deepEqual([w.last.marks, w.last.status], [[], { text: '1 series in 1 family', bad: false }]);
});

test('a restart is marked in the history mode, and the clock is that of the server', async () => {
  let ring = 1;
  const w = new World(() => history({ ring, full: true, now: w.ms + 50e3, steps: [[1, w.ms + 50e3, 1]], before: NaN }));
  w.start('1');
  w.set({ interval: 10 });
  await w.advance(100);
  assert.deepEqual(w.last.range, [1e6 + 50 - 300, 1e6 + 50]);
  ring = 2;
  await w.advance(10e3);
  assert.deepEqual(w.last.marks, [{ kind: 'restart', from: 1e6 + 50, to: 1e6 + 60 }]);
  assert.equal(w.last.cards[0].points.length, 2);
});

test('a live range has the latest step, whatever the clocks', async () => {
  for (let skew = -4000; skew < 4000; skew += 79) {
    const w = new World(() => history({ ring: 1, full: true, now: w.ms + skew, steps: [[1, w.ms + skew, 1]], before: NaN }));
    w.ms = 1.79e12 + 7 * skew;
    w.start('1');
    w.set();
    await w.advance(100);
    assert.deepEqual([w.last.range[1], w.last.cards[0].points.length], [w.last.stored[1], 1], `a skew of ${skew} ms`);
  }
});
