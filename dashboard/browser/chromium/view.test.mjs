// Tests of the view: controls while they have the focus, states before the first values, long texts,
// print, and a proxy in front of the server.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { family, open, startServer } from './harness.mjs';

let server;
before(async () => { server = await startServer(); });

test('the bounds of a heat map keep their unit with the function rate', async () => {
  const tab = await open(`${server.url}/dashboard#app_request_seconds;fn=rate`);
  await tab.until('bounds', async () => (await tab.texts(tab.heat('app_request_seconds'))).some(text => /\d (ms|s)$/.test(text)));
  await tab.done();
});

test('a control with the focus gets the choices that come later', async () => {
  const first = { labels: { zone: 'z' }, value: 1 }, later = ['a', 'b'].map(kind => ({ labels: { zone: 'z', kind }, value: 1 }));
  const tab = await open(`${server.url}/live#late`, { speed: 4, serve: n => ({ late: family('gauge', ...n < 6 ? [first] : later) }) });
  const by = tab.card('late').locator('select.by');
  await tab.until('a label', () => by.isVisible());
  await by.focus();
  await tab.until('the other label', async () => (await by.locator('option').allTextContents()).includes('kind'));
  assert.ok(await by.evaluate(e => e === document.activeElement));
  await tab.page.keyboard.type('kind');
  await tab.until('the groups', async () => (await tab.labels('late')).join() === 'a,b,(no kind)');
  await tab.done();
});

test('Enter at once after a search shows the family that the search finds', async () => {
  const tab = await open(`${server.url}/dashboard`), { keyboard } = tab.page;
  await tab.hideAll();
  await keyboard.press('/');
  await keyboard.type('request seconds');
  await keyboard.press('Enter');
  await tab.until('the card', async () => await tab.card('app_request_seconds').count() === 1);
  assert.equal(await tab.page.locator('article[data-family]').count(), 1);
  await tab.done();
});

test('the space key chooses in the list', async () => {
  const tab = await open(`${server.url}/dashboard`), { keyboard } = tab.page;
  await tab.hideAll();
  await tab.page.locator('#list').focus();
  await keyboard.press('ArrowDown');
  await keyboard.press('Space');
  await tab.until('a card', async () => await tab.page.locator('article[data-family]').count() === 1);
  await tab.done();
});

test('a card waits for the first values', async () => {
  const tab = await open('about:blank', { list: false });
  let answer;
  const answered = new Promise(resolve => { answer = resolve; });
  await tab.page.route(/[?&]history=/, async route => { await answered; await route.continue(); });
  await tab.page.goto(`${server.url}/dashboard#app_requests_total`);
  await tab.until('the text', async () => (await tab.card('app_requests_total').allTextContents()).some(text => text.includes('Waiting for the first values')));
  assert.equal(await tab.page.locator('.note.bad').count(), 0);
  answer();
  await tab.until('the chart', async () => (await tab.labels('app_requests_total')).length > 0);
  await tab.close();
});

test('a screen reader hears failures, not each number of series', async () => {
  let answer = { one: family('gauge', 1) };
  const tab = await open(`${server.url}/live`, { speed: 4, serve: () => answer }), status = tab.page.locator('#status');
  await status.evaluate(e => {
    window.heard = [];
    new MutationObserver(() => window.heard.push(`${e.getAttribute('aria-live')}: ${e.textContent}`)).observe(e, { childList: true, characterData: true, subtree: true });
  });
  const heard = text => tab.until(text, () => tab.page.evaluate(text => window.heard.some(h => new RegExp(text).test(h)), text));
  answer = { one: family('gauge', 1), two: family('gauge', 2) };
  await heard('^off: 2 series');
  answer = 503;
  await heard('^polite: Scrape failed');
  answer = { one: family('gauge', 1) };
  await heard('^polite: [12] series'); // a page of a slow server polls some of the families
  await tab.done(/Failed to load resource/);
});

test('a failed scrape is readable in full on narrow windows', async () => {
  for (const viewport of [{ width: 390, height: 844 }, { width: 900, height: 700 }]) {
    const tab = await open(`${server.url}/live`, { speed: 4, list: false, viewport, serve: () => '<!doctype html><title>Log in</title>' });
    await tab.until('a failure', async () => /Scrape failed/.test(await tab.status()));
    const { left, right, clipped } = await tab.page.locator('#status').evaluate(e => {
      const { left, right } = e.getBoundingClientRect();
      return { left, right, clipped: e.scrollWidth > e.clientWidth };
    });
    assert.ok(!clipped && left >= 0 && right <= viewport.width, `${viewport.width}: ${left} to ${right}, clipped ${clipped}`);
    await tab.done();
  }
});

test('very long texts take a few lines', async () => {
  const long = 'x'.repeat(20_000);
  const tab = await open(`${server.url}/live#long`, { serve: () => ({ long: { type: 'gauge', help: long, series: [{ labels: { l: long }, value: 1 }, { labels: { l: 'short' }, value: 2 }] } }) });
  await tab.until('two lines', async () => (await tab.labels('long')).length === 2);
  const heights = await tab.card('long').locator('.legend .labels, p').evaluateAll(list => list.map(e => e.clientHeight));
  assert.ok(heights.every(h => h < 100), heights.join());
  const excess = await tab.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(excess <= 0, `${excess} pixels too wide`);
  await tab.done();
});

test('a card that is hidden takes the crosshair with it', async () => {
  const tab = await open(`${server.url}/live#@1m,rising,falling`, { speed: 5, serve: n => ({ rising: family('gauge', n), falling: family('gauge', 1000 - n) }) });
  await tab.until('points', async () => (await tab.drawn(tab.lines('falling'))).extent > 0.5);
  await tab.page.keyboard.press('p');
  await tab.until('the pause', async () => await tab.status() === 'paused');
  const [latest] = await tab.values('falling'), box = await tab.lines('rising').boundingBox();
  await tab.page.mouse.move(box.x + 0.6 * box.width, box.y + box.height / 2, { steps: 5 });
  await tab.until('the crosshair on the other card', async () => (await tab.values('falling'))[0] !== latest);
  await tab.card('rising').locator('h2 button').evaluate(button => button.click());
  await tab.until('no card', async () => await tab.card('rising').count() === 0);
  await tab.until('the latest value', async () => (await tab.values('falling'))[0] === latest);
  await tab.done();
});

test('a print has the cards alone', async () => {
  const tab = await open(`${server.url}/dashboard#app_requests_total`);
  await tab.page.emulateMedia({ media: 'print' });
  for (const selector of ['header', '#side', 'article .tools']) {
    assert.ok(!await tab.page.locator(selector).first().isVisible(), `${selector} is visible`);
  }
  assert.ok(await tab.card('app_requests_total').isVisible());
  await tab.done();
});

test('both pages work behind a proxy with a prefix', async () => {
  const upstream = new URL(server.url);
  const proxy = createServer((from, to) => {
    if (!from.url.startsWith('/behind/')) return to.writeHead(404).end();
    const req = request({ host: upstream.hostname, port: upstream.port, path: from.url.slice('/behind'.length), headers: from.headers }, res => {
      to.writeHead(res.statusCode, res.headers);
      res.pipe(to);
    });
    req.on('error', () => to.destroy());
    from.pipe(req);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  after(() => proxy.close());
  for (const page of ['dashboard', 'relative']) {
    const tab = await open(`http://127.0.0.1:${proxy.address().port}/behind/${page}#app_requests_total`);
    await tab.until(`lines of ${page}`, async () => (await tab.labels('app_requests_total')).length > 0);
    await tab.done();
  }
});

test('the legend has the largest latest value first, and no line moves under the pointer', async () => {
  const series = (...values) => ({ moving: family('gauge', ...values.map((value, i) => ({ labels: { l: 'abc'[i] }, value }))) });
  let polls = 0, answer = series(1, 3, 2);
  const tab = await open(`${server.url}/live#moving;by=l`, { speed: 8, serve: () => { polls++; return answer; } });
  const legend = async () => (await tab.card('moving').locator('.legend button:first-child').allTextContents()).join();
  const shows = text => tab.until(text, async () => await legend() === text);
  const colors = () => tab.card('moving').locator('.legend li').evaluateAll(list => Object.fromEntries(list.map(li => [li.querySelector('.labels').textContent, li.querySelector('.swatch').style.background])));
  await shows('b3,c2,a1');
  const before = await colors();
  answer = series(9, 3, 2);
  await shows('a9,b3,c2');
  assert.deepEqual(await colors(), before);

  await tab.card('moving').locator('.legend button').first().hover();
  answer = series(0, 3, 5);
  await shows('a0,b3,c5');
  const then = polls;
  await tab.until('polls for 20 seconds', () => polls >= then + 20);
  assert.equal(await legend(), 'a0,b3,c5');
  await tab.page.mouse.move(5, 5);
  await shows('c5,b3,a0');

  await tab.card('moving').locator('.legend button').first().focus();
  await tab.page.keyboard.press('Tab');
  answer = series(7, 3, 5);
  await shows('c5,b3,a7');
  const later = polls;
  await tab.until('polls for 20 seconds', () => polls >= later + 20);
  assert.equal(await legend(), 'c5,b3,a7');
  await tab.page.evaluate(() => document.activeElement.blur());
  await shows('a7,c5,b3');
  await tab.done();
});

test('a range of the past is evaluated once', async () => {
  const tab = await open('about:blank', { list: false });
  await tab.page.route(/[?&]worker=/, async route => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `{ const original = evaluate; self.evaluations = 0; evaluate = (...args) => { self.evaluations++; return original(...args); }; }\n${await response.text()}` });
  });
  let polls = 0;
  tab.page.on('response', r => { if (/[?&]history=/.test(r.url())) polls++; });
  const passed = async n => { const then = polls; await tab.until(`${n} polls`, () => polls >= then + n); };
  const evaluations = () => tab.page.workers()[0].evaluate(() => self.evaluations);
  await tab.page.goto(`${server.url}/dashboard#@1m,app_queue_bytes`);
  await tab.page.locator('#interval').selectOption('1');
  await tab.until('points', async () => (await tab.column('app_queue_bytes')).length >= 3);
  const live = await evaluations();
  await passed(3);
  assert.ok(await evaluations() > live);

  const { rows } = await tab.table('app_queue_bytes');
  await tab.page.evaluate(hash => { location.hash = hash; }, `#@${rows[0][0]}-${rows.at(-2)[0]},app_queue_bytes`);
  await tab.until('the range', async () => (await tab.table('app_queue_bytes')).rows.at(-1)[0] === rows.at(-2)[0]);
  const past = await evaluations();
  await passed(4);
  assert.equal(await evaluations(), past);
  assert.deepEqual((await tab.table('app_queue_bytes')).rows, rows.slice(0, -1));
  await tab.done(/request for/);
});
