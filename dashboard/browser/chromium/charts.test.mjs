// Tests of the charts: counters, gauges and histograms.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { family, open, startServer } from './harness.mjs';

let live;
before(async () => { live = `${(await startServer()).url}/live`; });

// inTurn returns a function that returns the value for a poll. The first two polls have the same
// value: open chooses an interval, so the second poll can be soon after the first.
const inTurn = values => n => values[Math.min(Math.max(0, n - 1), values.length - 1)];

// native returns the series of a histogram without classic buckets. A bucket is
// [rule, left, right, count].
const native = (...buckets) => {
  const count = buckets.reduce((n, b) => n + b[3], 0);
  return { value: 1, count, buckets: [{ le: null, count }], histogram: { count: `${count}`, sum: '1', ...count && { buckets: buckets.map(([rule, ...b]) => [rule, ...b.map(String)]) } } };
};

test('a click shows a counter as a rate, and a second click hides the counter', async () => {
  const tab = await open(live);
  await tab.hideAll();
  assert.equal(await tab.page.locator('article').count(), 0);
  const name = 'app_requests_total';
  await tab.item(name).click();
  assert.match(await tab.until('about', () => tab.card(name).locator('p').first().textContent()), /^counter, per second · \d+ series · Requests by path and status\.$/);
  await tab.until('lines', async () => (await tab.drawn(tab.lines(name))).n > 100);
  await tab.until('a rate', async () => /\d\/s$/.test((await tab.values(name))[0]));
  assert.match(tab.page.url(), /#app_requests_total$/);
  await tab.item(name).click();
  await tab.until('no card', async () => await tab.card(name).count() === 0);
  await tab.done();
});

test('a histogram has quantiles and a heat map', async () => {
  const name = 'app_request_seconds', tab = await open(`${live}#${name}`);
  await tab.until('quantiles', async () => /\d (ms|s|µs)$/.test((await tab.values(name)).at(-1)));
  await tab.until('heat', async () => (await tab.drawn(tab.heat(name))).n > 50);
  assert.deepEqual((await tab.labels(name)).sort(), ['p50', 'p90', 'p99']);
  const line = tab.card(name).locator('.legend button').first();
  await line.click();
  assert.equal(await line.getAttribute('aria-pressed'), 'false');
  await tab.done();
});

test('a native histogram has exponential quantiles and a heat map of its buckets', async () => {
  const tab = await open(`${live}#native_seconds,signs_volts`, {
    serve: n => {
      const seconds = n ? native([0, 1, 2, 10 * n], [0, 1024, 2048, n]) : native();
      const signs = native([1, -4, -2, n], [3, -1e-3, 1e-3, 6 * n], [0, 2, 4, n]);
      return { native_seconds: family('histogram', seconds), signs_volts: family('histogram', signs, { ...signs, labels: { a: 'b' } }) };
    },
  });
  // 10 values of 11 are between 1 and 2. In this bucket 5.5 of 10 values are below the median.
  const close = (got, want) => got?.length === want.length && want.every((v, i) => Math.abs(got[i] - v) <= 0.005 * Math.abs(v));
  const latest = async name => (await tab.table(name)).rows.at(-1)?.slice(1);
  await tab.until('quantiles', async () => close(await latest('native_seconds'), [2 ** .55, 2 ** .99, 1024 * 2 ** .89]));
  await tab.until('quantiles of two signs', async () => close(await latest('signs_volts'), [0, 2 ** 1.2, 2 ** 1.92]));
  for (const name of ['native_seconds', 'signs_volts']) {
    assert.match(await tab.card(name).locator('p').first().textContent(), /^histogram · [12] series/);
    await tab.until('heat', async () => (await tab.drawn(tab.heat(name))).n > 50);
  }
  await tab.done();
});

test('a lower resolution, a restart and missing series do not show observations twice', async () => {
  const polls = [
    native([0, 1, Math.SQRT2, 2], [0, Math.SQRT2, 2, 2]),
    native([0, 1, Math.SQRT2, 12], [0, Math.SQRT2, 2, 22]),
    native([0, 1, 2, 74]), // 40 more, in buckets of a lower resolution
    native([0, 1, Math.SQRT2, 5], [0, Math.SQRT2, 2, 45]), // a restart
    native(), // another
    null, // no series: the next increase is unknown
    native([0, 1, 2, 1000]),
    { value: 1, count: 3000, buckets: [{ le: 4, count: 3000 }, { le: null, count: 3000 }] }, // another definition
  ];
  const poll = inTurn(polls);
  let served = 0;
  const tab = await open(`${live}#@1m,h_seconds;fn=rate`, {
    speed: 4, serve: n => { served = n; return { h_seconds: family('histogram', ...[poll(n)].filter(Boolean)) }; },
  });
  await tab.until('all polls', () => served > polls.length + 2);
  const { rows } = await tab.table('h_seconds');
  const increases = rows.map(([time, rate], i) => i > 0 ? rate * (time - rows[i - 1][0]) : NaN).filter(v => !Number.isNaN(v)).map(Math.round);
  assert.ok(increases.every(n => [0, 30, 40, 50].includes(n)), increases.join());
  assert.ok([40, 50].every(n => increases.includes(n)), increases.join());
  await tab.done();
});

test('the reset of a counter is not a negative rate', async () => {
  const values = [100, 110, 5, 15, 25, 35], value = inTurn(values);
  const tab = await open(`${live}#@1m,again_total`, { speed: 4, serve: n => ({ again_total: family('counter', value(n)) }) });
  const rates = await tab.until('all values', async () => {
    const column = await tab.column('again_total');
    return column.length > values.length && column;
  });
  assert.ok(rates.every(r => r >= 0 && r < 60), rates.join()); // two polls can be near each other
  await tab.done();
});

test('a clock that goes back is not a negative rate', async () => {
  const tab = await open(`${live}#back_total`, { speed: -1, interval: 0, serve: n => ({ back_total: family('counter', n) }) });
  const seen = new Set();
  for (let i = 0; i < 20; i++) {
    seen.add((await tab.values('back_total'))[0] ?? '');
    await tab.page.waitForTimeout(100);
  }
  assert.ok(![...seen].some(v => /^-|NaN|Infinity/.test(v)), [...seen].join(' '));
  await tab.done();
});

test('types and help texts come with the values, and the page requests nothing else', async () => {
  const tab = await open(live, {
    serve: n => ({ count: family('counter', n), late_total: { ...family('unknown', n), help: `Poll ${n > 2}` } }),
  });
  const requests = new Set();
  tab.page.on('request', r => requests.add(r.url().replace(/&name.*/, '')));
  await tab.hideAll();
  for (const name of ['count', 'late_total']) await tab.item(name).click();
  await tab.until('the counter', async () => await tab.card('count').locator('p').first().textContent() === 'counter, per second · 1 series · A counter.');
  await tab.until('the latest help text', async () => await tab.card('late_total').locator('p').first().textContent() === 'unknown · 1 series · Poll true');
  assert.deepEqual([...requests], [live.replace('/live', '/metrics/json?metadata=1')]);
  await tab.done();
});

test('a gauge is a line with its latest value', async () => {
  const tab = await open(`${live}#level`, { serve: () => ({ level: family('gauge', 42) }) });
  await tab.until('two polls', async () => (await tab.drawn(tab.lines('level'))).n > 3);
  await tab.until('the value', async () => (await tab.values('level'))[0] === '42');
  assert.match(await tab.card('level').locator('p').first().textContent(), /^gauge · 1 series/);
  await tab.done();
});
