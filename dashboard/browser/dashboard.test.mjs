// Tests of the dashboard in Chromium. The environment variables are:
//
// TACHO_URL: URL of a running examples/server
// TACHO_SHOTS: folder for screenshots, optional
// CHROMIUM: path of the browser, /usr/bin/chromium by default
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';

const url = process.env.TACHO_URL;
const screenshots = process.env.TACHO_SHOTS;
let browser, page, problems;

before(async () => {
  assert.ok(url, 'TACHO_URL is not set');
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});
after(() => browser?.close());

async function open(options = {}, hash = '') {
  await page?.close();
  page = await browser.newPage({ viewport: { width: 1360, height: 900 }, colorScheme: 'light', ...options });
  problems = [];
  const ignored = /getImageData/; // a warning about the canvas reads of these tests
  page.on('console', m => { if (['error', 'warning'].includes(m.type()) && !ignored.test(m.text())) problems.push(m.text()); });
  page.on('pageerror', e => problems.push(String(e)));
  page.on('request', r => { if (!r.url().startsWith(url) && !r.url().startsWith('data:')) problems.push(`request for ${r.url()}`); });
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation', e => console.error('policy violation', e.violatedDirective)));
  await page.goto(`${url}/dashboard${hash}`);
  await page.selectOption('#interval', '1');
  await page.locator('#list li').first().waitFor({ state: 'attached' });
}
beforeEach(() => open());

const item = name => page.locator('#list li', { has: page.locator(`.name:text-is("${name}")`) });
const card = name => page.locator(`article[data-family="${name}"]`);

// drawn returns the number of colored pixels of a canvas and the number of their colors.
const drawn = canvas => canvas.evaluate(c => {
  const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
  const colors = new Set();
  let n = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 128 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60) { n++; colors.add(`${data[i] >> 5},${data[i + 1] >> 5},${data[i + 2] >> 5}`); }
  return { n, colors: colors.size };
});
// until waits until check returns true.
const until = async (name, check) => {
  for (let i = 0; i < 150; i++) {
    if (await check()) return;
    await page.waitForTimeout(100);
  }
  assert.fail(`timeout after 15 s: ${name}`);
};
const assertNoProblems = () => assert.deepEqual(problems, []);

test('a click shows a counter as a rate and a second click hides the counter', async () => {
  await page.keyboard.press('x');
  assert.equal(await page.locator('article').count(), 0);
  await item('tachikoma_tokens_used_total').click();
  const c = card('tachikoma_tokens_used_total');
  assert.match(await c.locator('p').textContent(), /^counter, per second · \d+ series · Total tokens used$/);
  await until('lines', async () => (await drawn(c.locator('canvas').first())).n > 100);
  await until('a rate', async () => /\d( k)?\/s$/.test(await c.locator('.legend .value').first().textContent()));
  assert.match(page.url(), /#tachikoma_tokens_used_total$/);
  await item('tachikoma_tokens_used_total').click();
  assert.equal(await c.count(), 0);
  assertNoProblems();
});

test('a histogram has quantiles and a heat map', async () => {
  await open({}, '#db_query_duration_seconds');
  const c = card('db_query_duration_seconds');
  await until('quantiles', async () => /\d (ms|s|µs)$/.test(await c.locator('.legend .value').last().textContent()));
  await until('heat', async () => (await drawn(c.locator('canvas.heat'))).n > 50);
  assert.deepEqual(await c.locator('.legend .labels').allTextContents(), ['p50', 'p90', 'p99']);
  const line = c.locator('.legend button').first();
  await line.click();
  assert.equal(await line.getAttribute('aria-pressed'), 'false');
  assertNoProblems();
});

// view returns the JSON view with metadata of families, which are lists of series by name.
const view = families => Object.fromEntries(Object.entries(families).map(([name, series]) => {
  const type = name.endsWith('_total') ? 'counter' : /_(seconds|volts)$/.test(name) ? 'histogram' : 'gauge';
  return [name, { type, help: `Help of ${name}.`, series }];
}));

// native returns the JSON of a histogram without classic buckets. A bucket is [rule, left, right, count].
const native = (...buckets) => {
  const count = buckets.reduce((n, b) => n + b[3], 0);
  return { labels: {}, value: 1, count, buckets: [{ le: null, count }], histogram: { count: `${count}`, sum: '1', ...count && { buckets: buckets.map(([rule, ...b]) => [rule, ...b.map(String)]) } } };
};

test('a native histogram has exponential quantiles and a heat map of its buckets', async () => {
  let n = 0;
  await page.route('**/metrics/json?metadata=1', route => {
    const seconds = native();
    if (n++) Object.assign(seconds, native([0, 1, 2, 10 * n], [0, 1024, 2048, n]));
    const signs = native([1, -4, -2, n], [3, -1e-3, 1e-3, 6 * n], [0, 2, 4, n]);
    route.fulfill({ json: view({ native_seconds: [seconds], signs_volts: [signs, { ...signs, labels: { a: 'b' } }] }) });
  });
  await page.keyboard.press('x');
  await item('native_seconds').click();
  await item('signs_volts').click();
  const values = name => card(name).locator('.legend .value').allTextContents();
  // 10 values of 11 are between 1 and 2. In this bucket 5.5 of 10 values are below the median.
  await until('quantiles', async () => (await values('native_seconds')).join() === [2 ** .55, 2 ** .99, 1024 * 2 ** .89].map(v => `${+v.toFixed(v < 10 ? 2 : 0)} s`).join());
  await until('quantiles of two signs', async () => (await values('signs_volts')).join() === ['0', '2.3', '3.78'].join());
  for (const name of ['native_seconds', 'signs_volts']) {
    assert.match(await card(name).locator('p').textContent(), /^histogram · [12] series/);
    await until('heat', async () => (await drawn(card(name).locator('canvas.heat'))).n > 50);
  }
  if (screenshots) await page.screenshot({ path: `${screenshots}/dashboard-native.png` });
  assertNoProblems();
});

test('a lower resolution, a restart and a gap do not show observations twice', async () => {
  await page.evaluate(() => { const start = Date.now(); let polls = 0; Date.now = () => start + 1000 * polls++; });
  const polls = [
    native([0, 1, Math.SQRT2, 2], [0, Math.SQRT2, 2, 2]),
    native([0, 1, Math.SQRT2, 12], [0, Math.SQRT2, 2, 22]),
    native([0, 1, 2, 74]), // 40 more, in buckets of a lower resolution
    native([0, 1, Math.SQRT2, 5], [0, Math.SQRT2, 2, 45]), // a restart
    native(), // another
    null, // a gap: the next increase is unknown
    native([0, 1, 2, 1000]),
    { labels: {}, value: 1, count: 3000, buckets: [{ le: 4, count: 3000 }, { le: null, count: 3000 }] }, // another definition
  ];
  let n = 0;
  await page.route('**/metrics/json?metadata=1', route => route.fulfill({ json: view({ h_seconds: [polls[Math.min(n++, polls.length - 1)]].filter(Boolean) }) }));
  await item('h_seconds').click();
  const seen = new Set();
  await until('all polls', async () => {
    seen.add((await card('h_seconds').locator('.legend .note').textContent()).split(' ')[0]);
    return n > polls.length;
  });
  assert.ok([...seen].every(v => ['–', '0', '30', '40', '50'].includes(v)), [...seen].join());
  assert.ok(seen.has('40') && seen.has('50'), [...seen].join());
  assertNoProblems();
});

test('a poll without a histogram does not show the poll that had its place', async () => {
  const series = { 0: native([0, 1, 2, 10]), 1: native([0, 1, 2, 20]), 100: native([0, 1, 2, 30]) };
  await page.route('**/metrics/json?metadata=1', route => route.abort());
  await page.evaluate(series => {
    const request = window.fetch;
    let n = -1; // 240 polls are stored, and the last has the place of the second
    window.fetch = async (url, options) => {
      if (!url.endsWith('/json?metadata=1')) return request(url, options);
      if (++n > 241) throw new Error('the end');
      return new Response(JSON.stringify({ other: { type: 'gauge', help: '', series: [{ labels: {}, value: 1 }] }, ...series[n] && { h_seconds: { type: 'histogram', help: '', series: [series[n]] } } }));
    };
    setInterval(() => document.querySelector('#interval').dispatchEvent(new Event('change')), 1);
  }, series);
  await item('h_seconds').click();
  await until('the last poll', async () => /the end/.test(await page.locator('#status').textContent()));
  assert.match(await card('h_seconds').locator('.legend .note').textContent(), /^0 observations per second/);
  assert.equal(await card('h_seconds').locator('.legend .value').first().textContent(), '–');
});

test('types and help texts come with the values, and the page requests nothing else', async () => {
  const requests = new Set();
  page.on('request', r => requests.add(r.url()));
  let n = 0;
  await page.route('**/metrics/json?metadata=1', route => {
    const series = [{ labels: {}, value: ++n }];
    route.fulfill({ json: { count: { type: 'counter', help: 'A counter without a suffix.', series }, late_total: { type: 'unknown', help: `Poll ${n > 2}`, series } } });
  });
  await page.keyboard.press('x');
  await item('count').click();
  await item('late_total').click();
  await until('the counter', async () => await card('count').locator('p').textContent() === 'counter, per second · 1 series · A counter without a suffix.');
  await until('the latest help text', async () => await card('late_total').locator('p').textContent() === 'unknown · 1 series · Poll true');
  assert.equal(await item('late_total').getAttribute('title'), 'Poll true');
  assert.deepEqual([...requests], [`${url}/metrics/json?metadata=1`]);
  assertNoProblems();
});

test('a gauge is a line with the value under the pointer', async () => {
  await open({}, '#http_requests_in_flight');
  const c = card('http_requests_in_flight');
  await until('two polls', async () => (await drawn(c.locator('canvas').first())).n > 20);
  assert.match(await c.locator('p').textContent(), /^gauge · 1 series/);
  // The poll itself is in flight. A request of the workload can be in flight too.
  await until('one request in flight', async () => await c.locator('.legend .value').textContent() === '1');
  await c.locator('canvas').first().hover();
  assertNoProblems();
});

test('the search filters the list and keys move the cursor', async () => {
  await page.keyboard.press('x');
  await page.keyboard.press('/');
  await page.keyboard.type('cache hits');
  assert.deepEqual(await page.locator('#list .name').allTextContents(), ['cache_hits_total']);
  await page.keyboard.press('Enter');
  assert.equal(await card('cache_hits_total').count(), 1);
  await page.keyboard.press('Escape');
  assert.ok(await page.locator('#list li').count() > 10);
  await page.keyboard.press('x');
  await page.locator('#list').focus();
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'Enter']) await page.keyboard.press(key);
  assert.equal(await page.locator('#list li[aria-selected=true]').count(), 1);
  await page.keyboard.press('?');
  assert.ok(await page.locator('#keys').isVisible());
  assertNoProblems();
});

test('pause stops and resumes polling', async () => {
  let polls = 0;
  page.on('request', r => { if (r.url().endsWith('/metrics/json?metadata=1')) polls++; });
  await until('polls', () => polls >= 2);
  await page.keyboard.press('p');
  assert.equal(await page.locator('#pause').getAttribute('aria-pressed'), 'true');
  await page.waitForTimeout(300); // a poll can be in flight
  const before = polls;
  await page.waitForTimeout(2500);
  assert.equal(polls, before);
  await page.locator('#pause').click();
  await until('polls again', () => polls > before);
  assertNoProblems();
});

test('the families with the most series come first', async () => {
  await page.keyboard.press('c');
  const counts = (await page.locator('#sizes tbody td.number').allTextContents()).map(Number);
  assert.ok(counts.length > 5);
  assert.deepEqual(counts, [...counts].sort((a, b) => b - a));
  await page.locator('#sort').click();
  const listed = (await page.locator('#list .count').allTextContents()).map(Number);
  assert.deepEqual(listed, [...listed].sort((a, b) => b - a));
  await page.locator('#sizes tbody button').first().click();
  assertNoProblems();
});

test('the status shows a failed request and the next response', async () => {
  await page.route('**/metrics/json?metadata=1', route => route.abort());
  await until('a failed request', async () => /request failed/.test(await page.locator('#status').textContent()));
  await page.unroute('**/metrics/json?metadata=1');
  await until('a response', async () => /series in/.test(await page.locator('#status').textContent()));
});

test('HTML in names and label values is shown as text', async () => {
  await page.route('**/metrics/json?metadata=1', route => route.fulfill({
    json: view({ evil: [{ labels: { a: '<img src=x onerror=alert(1)>' }, value: 1 }], '<b>name</b>': [{ labels: {}, value: 2 }] }),
  }));
  await until('the families', async () => (await page.locator('#list .name').allTextContents()).includes('<b>name</b>'));
  await item('evil').click();
  await until('the label', async () => (await card('evil').locator('.legend .labels').allTextContents())[0] === 'a="<img src=x onerror=alert(1)>"');
  assertNoProblems();
});

test('the reset of a counter is not a negative rate', async () => {
  let n = 0;
  const values = [100, 110, 5, 15, 25, 35];
  await page.route('**/metrics/json?metadata=1', route => route.fulfill({ json: view({ again_total: [{ labels: {}, value: values[Math.min(n++, values.length - 1)] }] }) }));
  await item('again_total').click();
  const seen = new Set();
  await until('all values', async () => {
    seen.add(await card('again_total').locator('.legend .value').first().textContent());
    return n > values.length;
  });
  assert.ok(![...seen].some(v => v.startsWith('-')), [...seen].join(' '));
  assertNoProblems();
});

test('a clock that goes back is not a negative rate', async () => {
  await page.evaluate(() => { const start = Date.now(); let calls = 0; Date.now = () => start - 1000 * calls++; });
  let n = 0;
  await page.route('**/metrics/json?metadata=1', route => route.fulfill({ json: view({ back_total: [{ labels: {}, value: n++ }] }) }));
  await item('back_total').click();
  const seen = new Set();
  await until('some values', async () => {
    seen.add(await card('back_total').locator('.legend .value').first().textContent());
    return n > 4;
  });
  assert.ok(![...seen].some(v => v.startsWith('-') || v.includes('NaN')), [...seen].join(' '));
  assertNoProblems();
});

test('the theme is light or dark and survives a reload', async () => {
  await open({}, '#http_requests_total,http_request_duration_seconds,db_query_duration_seconds,tachikoma_tokens_used_total,tachikoma_missions_active,cache_hits_total');
  for (let i = 0; i < 60; i++) {
    await page.evaluate(u => Promise.all(['missions/1', 'missions', 'healthz', 'nowhere'].map(p => fetch(`${u}/${p}`))), url).catch(() => {});
    await page.waitForTimeout(250);
  }
  problems = problems.filter(t => !t.includes('404')); // the request for /nowhere
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  if (screenshots) await page.screenshot({ path: `${screenshots}/dashboard-light.png` });
  await page.keyboard.press('t');
  assert.notEqual(await background(), light);
  if (screenshots) await page.screenshot({ path: `${screenshots}/dashboard-dark.png` });
  await page.reload();
  assert.notEqual(await background(), light); // stored in the browser
  assertNoProblems();
});

test('the page fits the screen of a phone', async () => {
  await open({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, '#http_requests_total,http_request_duration_seconds');
  assert.ok(!await page.locator('#side').isVisible());
  await page.locator('#drawer').tap();
  assert.ok(await page.locator('#side').isVisible());
  await item('cache_misses_total').tap();
  await page.locator('#drawer').tap();
  await until('a chart', async () => await card('cache_misses_total').locator('canvas').first().isVisible());
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(excess <= 0, `${excess} pixels too wide`);
  await until('a line', async () => (await drawn(card('http_requests_total').locator('canvas').first())).n > 30);
  if (screenshots) await page.screenshot({ path: `${screenshots}/dashboard-phone.png` });
  assertNoProblems();
});
