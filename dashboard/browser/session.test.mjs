// Tests of the messages between the page and its worker.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

// The page has these objects in a browser. The clock stands still unless a test sets it.
let now = 0;
Object.assign(globalThis, {
  performance: { now: () => now },
  location: { hash: '#f', origin: 'http://h:1', pathname: '/dashboard', search: '?x' }, document: { hidden: false },
  history: { replaceState() {}, pushState() {} },
});
const { Session } = await import('../page/view/session.mjs');
const { parseAddress } = await import('../page/view/address.mjs');

let session, views;
beforeEach(() => {
  views = [];
  session = new Session(message => { if (message.type === 'view') views.push(message.view); }, () => {});
  session.send();
});

const row = name => ({ name, kind: 'gauge', unit: '', help: '', count: 1, match: null });

// reply sends a frame with rows to the session. It is the frame of the last view, or of an earlier one.
function reply(names, { polled = false, view = views.at(-1).number } = {}) {
  const list = { total: names.length, families: 9, series: 9, first: 0, rows: names.map(row) };
  session.receive({ type: 'frame', polled, view, status: { text: '', bad: false }, range: [0, 1], stored: [0, 1], list, cards: [], marks: [], notices: [], sizes: null });
}

test('a search is settled by its own frame, not by the frame of a poll before', async () => {
  reply(['a', 'b']);
  session.set({ search: 'b', first: 0 });
  let rows = null;
  const settled = session.whenSettled().then(() => { rows = session.frame.list.rows.map(r => r.name); });
  reply(['a', 'b'], { polled: true, view: 1 });
  await setImmediate();
  assert.equal(session.isSettled(), false);
  assert.equal(rows, null);
  reply(['b']);
  await settled;
  assert.deepEqual(rows, ['b']);
  assert.equal(session.isSettled(), true);
});

test('a slow worker gets the last state only', () => {
  assert.equal(views.length, 1);
  for (const search of ['a', 'ab', 'abc']) session.set({ search });
  assert.equal(views.length, 1);
  reply([], { polled: true, view: 0 });
  assert.equal(views.length, 1);
  reply([]);
  assert.deepEqual(views.slice(1).map(v => v.search), ['abc']);
  assert.equal(session.isSettled(), false);
  reply([]);
  assert.equal(session.isSettled(), true);
});

test('a view that waits for a second is sent without the frame of the view before', () => {
  session.send();
  session.set({ search: 'a' });
  assert.equal(views.length, 1);
  now += 2000;
  session.set({ search: 'ab' });
  assert.deepEqual(views.slice(1).map(v => v.search), ['ab']);
  reply(['old'], { view: 1 });
  assert.equal(session.isSettled(), false);
  reply(['ab']);
  assert.equal(session.isSettled(), true);
});

test('one frame settles all views before it, and a frame of a poll settles too', () => {
  for (const polled of [false, true]) {
    for (const search of ['a', 'ab']) {
      now += 2000;
      session.set({ search });
    }
    reply(['ab'], { polled });
    assert.equal(session.isSettled(), true);
  }
});

test('values of labels go to their request', async () => {
  const first = session.values('f', 'l', ''), second = session.values('f', 'l', 'x');
  session.receive({ type: 'values', request: 2, values: [{ value: 'x', count: 1 }], total: 1 });
  session.receive({ type: 'values', request: 1, values: [], total: 0 });
  assert.equal((await second).total, 1);
  assert.equal((await first).total, 0);
});

test('a link has the shown range, and all that the address has', () => {
  const filters = { where: [['path', '/a,b']], by: 'status', top: 5 };
  session.set({ span: 900, tab: 'go', cards: [session.withId({ family: 'f', ...filters }), session.withId({ family: 'g' })] });
  const receive = (range, stored) => session.receive({
    type: 'frame', polled: true, view: views.at(-1).number, status: { text: '', bad: false }, range, stored,
    list: { total: 0, families: 0, series: 0, first: 0, rows: [] }, cards: [], marks: [], notices: [], sizes: null,
  });
  const opened = () => {
    const [page, hash] = session.link().split('#');
    assert.equal(page, 'http://h:1/dashboard?x');
    return parseAddress(hash);
  };
  assert.equal(opened().zoom, null); // without values there is no range
  receive([1000.0004, 1900.0016], [NaN, NaN]);
  assert.equal(opened().zoom, null);
  receive([1000.0004, 1900.0016], [900, 1900]);
  assert.deepEqual(opened().zoom, [1000, 1900.002]);
  receive([1000, 1900], [1500.25, 1900]); // the charts begin with the first step
  assert.deepEqual(opened().zoom, session.range());
  assert.deepEqual(opened().zoom, [1500.25, 1900]);
  assert.equal(opened().tab, 'go');
  assert.deepEqual(opened().cards.map(c => c.family), ['f', 'g']);
  const [{ where, by, top }] = opened().cards;
  assert.deepEqual({ where, by, top }, filters);
  session.zoomTo([1600.5, 1700]);
  assert.deepEqual(opened().zoom, [1600.5, 1700]);
  assert.equal(session.state.span, 900); // the page itself stays as it is
});

test('each range that a drag or the keys can choose has an address', () => {
  const zoomOf = () => parseAddress(session.link().slice(session.link().indexOf('#'))).zoom;
  session.zoomTo([1700000000.00012, 1700000000.00034]); // a drag in a chart of some milliseconds
  assert.ok(session.state.zoom[0] <= 1700000000 && session.state.zoom[1] > 1700000000);
  assert.deepEqual(zoomOf(), session.state.zoom);
  for (const by of [1, -1]) {
    session.zoomTo([1700000000, 1700000300]);
    for (let i = 0; i < 30; i++) {
      session.changeSpan(by);
      assert.deepEqual(zoomOf(), session.state.zoom);
    }
  }
  session.zoomTo([5, 10]);
  for (let i = 0; i < 9; i++) session.changeSpan(1);
  assert.deepEqual(zoomOf(), session.state.zoom);
});
