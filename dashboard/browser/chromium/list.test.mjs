// Tests of the list of families, the header and the states of the page.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { family, open, startServer } from './harness.mjs';

let live;
before(async () => { live = `${(await startServer()).url}/live`; });

const names = tab => tab.page.locator('#list .name').allTextContents();

test('the search filters the list, and keys move the cursor', async () => {
  const tab = await open(live), { keyboard } = tab.page;
  await tab.hideAll();
  await keyboard.press('/');
  await keyboard.type('app path');
  await tab.until('two families', async () => (await names(tab)).join() === 'app_request_seconds,app_requests_total');
  await keyboard.press('Enter');
  await tab.until('the card', async () => await tab.card('app_request_seconds').count() === 1);
  await keyboard.press('Escape');
  await tab.until('all families', async () => (await names(tab)).length > 10);
  await tab.hideAll();
  await tab.page.locator('#list').focus();
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'Enter']) await keyboard.press(key);
  await tab.until('a selection', async () => await tab.page.locator('#list li[aria-selected=true]').count() === 1);
  await keyboard.press('?');
  assert.ok(await tab.page.locator('#keys').isVisible());
  await tab.done();
});

test('pause stops polling, and resume begins again', async () => {
  let polls = 0;
  const tab = await open(live, { speed: 4, serve: () => ({ polls: family('gauge', ++polls) }) });
  await tab.until('polls', () => polls >= 2);
  await tab.page.keyboard.press('p');
  const pause = tab.page.locator('#pause');
  assert.equal(await pause.getAttribute('aria-pressed'), 'true');
  assert.equal(await pause.textContent(), 'Resume');
  await tab.until('the status', async () => await tab.status() === 'paused');
  await tab.page.waitForTimeout(300); // a poll can be in flight
  const before = polls;
  await tab.page.waitForTimeout(1000);
  assert.equal(polls, before);
  await pause.click();
  await tab.until('polls again', () => polls > before);
  assert.equal(await pause.textContent(), 'Pause');
  await tab.done();
});

test('the families with the most series come first', async () => {
  const tab = await open(live);
  await tab.page.keyboard.press('c');
  const decreasing = async selector => {
    const counts = (await tab.page.locator(selector).allTextContents()).map(Number);
    return counts.length > 5 && counts.every((n, i) => i === 0 || counts[i - 1] >= n);
  };
  await tab.until('the table', () => decreasing('#sizes tbody td.number'));
  await tab.page.locator('#sort').click();
  await tab.until('the list', () => decreasing('#list .count'));
  const show = tab.page.locator('#sizes tbody button').first(), cards = tab.page.locator('article[data-family]'), before = await cards.count();
  await show.click();
  await tab.until('another card', async () => await cards.count() !== before);
  await tab.done();
});

test('the status names the cause of a failed scrape, and the next response ends it', async () => {
  let answer = 503;
  const tab = await open(live, { speed: 2, list: false, serve: () => answer });
  await tab.until('a status', async () => /^Scrape failed: .*\b503\b.*; retrying in \d+ s$/.test(await tab.status()));
  answer = null;
  await tab.until('no connection', async () => /^Scrape failed: connection refused or the server is gone; retrying in \d+ s$/.test(await tab.status()));
  answer = 404; // the JSON view is not mounted
  await tab.until('not found', async () => /^Scrape failed: .*\b404\b.*; retrying in \d+ s$/.test(await tab.status()));
  answer = '<!doctype html><title>Log in</title>';
  await tab.until('HTML', async () => /^Scrape failed: .*HTML page; retrying in \d+ s$/.test(await tab.status()));
  answer = '{"fine": 3}';
  await tab.until('another view', async () => /^Scrape failed: not a JSON view: .*; retrying in \d+ s$/.test(await tab.status()));
  answer = { fine: family('gauge', 1) };
  await tab.until('a response', async () => /^1 series in 1 famil(y|ies)$/.test(await tab.status()));
  await tab.done(/Failed to load resource/);
});

test('the status of the page with history names the cause of a failed scrape', async () => {
  const answers = [[{ status: 503 }, /\b503\b/], [{ status: 404 }, /\b404\b/], [{ body: '<!doctype html><title>Log in</title>' }, /HTML page/], [{ body: '' }, /empty|damaged/]];
  const tab = await open(live.replace('/live', '/dashboard'));
  for (const [answer, cause] of answers) {
    await tab.page.route('**/dashboard?history=*', route => route.fulfill(answer));
    await tab.until(String(cause), async () => { const s = await tab.status(); return s.startsWith('Scrape failed: ') && cause.test(s); });
    await tab.page.unroute('**/dashboard?history=*');
  }
  await tab.until('a response', async () => /series in/.test(await tab.status()));
  await tab.done(/Failed to load resource/);
});

test('a server that ends is named, and its successor continues the page', async () => {
  const first = await startServer();
  const tab = await open(`${first.url}/dashboard`);
  await tab.until('a response', async () => /^\d[\d,.]* series in \d+ families$/.test(await tab.status()));
  await first.stop();
  await tab.until('a failed scrape', async () => /^Scrape failed: /.test(await tab.status()));
  const second = await startServer('-addr', first.addr);
  await tab.until('a response', async () => /series in/.test(await tab.status()));
  await tab.done(/Failed to load resource/);
  await second.stop();
});

test('a new interval holds from the next poll', async () => {
  const times = [];
  const tab = await open(live, { speed: 4, serve: () => { times.push(Date.now()); return { polls: family('gauge', times.length) }; } });
  await tab.until('polls', () => times.length >= 3);
  await tab.page.locator('#interval').selectOption('5');
  let before = times.length;
  await tab.until('polls', () => times.length >= before + 2);
  const distance = 4 * (times[before + 1] - times[before]) / 1000;
  assert.ok(distance > 2.5, `${distance} s between two polls`);
  before = times.length;
  await tab.page.locator('#interval').selectOption('1');
  await tab.until('polls', () => times.length >= before + 3);
  await tab.done();
});

test('the theme is light or dark and survives a reload', async () => {
  const tab = await open(live);
  const background = () => tab.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await tab.page.keyboard.press('t');
  assert.notEqual(await background(), light);
  await tab.page.reload();
  assert.notEqual(await background(), light); // stored in the browser
  await tab.done();
});
