// Tests of the page on the screen of a phone.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { family, open, startServer } from './harness.mjs';

let page;
before(async () => { page = `${(await startServer('-step', '1s')).url}/dashboard`; });

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

// controls returns the visible controls of the page with their boxes.
const controls = tab => tab.page.locator('button, select, input, a[href]').evaluateAll(list => list
  .filter(e => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().width > 0)
  .map(e => ({ name: e.id || e.ariaLabel || e.textContent.trim() || e.className, ...e.getBoundingClientRect().toJSON() })));

test('the chosen family comes into view, and the drawer closes', async () => {
  const tab = await open(`${page}#app_requests_total,app_request_seconds,go_goroutines`, phone);
  const side = tab.page.locator('#side');
  assert.ok(!await side.isVisible());
  await tab.page.locator('#drawer').tap();
  assert.ok(await side.isVisible());
  await tab.page.locator('#search').fill('queue');
  await tab.item('app_queue_bytes').tap();
  await tab.until('a closed drawer', async () => !await side.isVisible());
  await tab.until('the card in view', async () => {
    const box = await tab.card('app_queue_bytes').locator('h2').boundingBox();
    return box && box.y >= 0 && box.y + box.height < 844;
  });
  await tab.until('a line', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).n > 30);
  await tab.done();
});

test('the header is one line, and nothing is wider than the screen', async () => {
  const tab = await open(`${page}#app_requests_total,app_request_seconds`, phone);
  const header = await tab.page.locator('header').boundingBox();
  assert.ok(header.height <= 60, `${header.height} px`);
  const middles = await tab.page.locator('header > *').evaluateAll(list => list.filter(e => e.checkVisibility() && e.getBoundingClientRect().width > 0)
    .map(e => { const { top, bottom } = e.getBoundingClientRect(); return (top + bottom) / 2; }));
  assert.ok(Math.max(...middles) - Math.min(...middles) < 8, middles.join());
  const excess = await tab.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(excess <= 0, `${excess} pixels too wide`);
  await tab.done();
});

test('the menu has the help', async () => {
  const tab = await open(page, phone);
  const help = tab.page.locator('#help');
  if (!await help.isVisible()) await tab.page.getByRole('button', { name: /menu/i }).tap();
  await help.tap();
  assert.ok(await tab.page.locator('#keys').isVisible());
  await tab.page.locator('#keys button').first().tap();
  assert.ok(!await tab.page.locator('#keys').isVisible());
  await tab.done();
});

test('controls are large enough for a finger', async () => {
  const tab = await open(`${page}#app_requests_total;by=path;is=status:200`, phone);
  await tab.until('a line', async () => (await tab.drawn(tab.lines('app_requests_total'))).n > 10);
  const seen = await controls(tab);
  await tab.page.locator('#drawer').tap();
  seen.push(...await controls(tab));
  assert.ok(seen.length > 8);
  const small = seen.filter(c => c.height < 39.5 || c.width < 39.5).map(c => `${c.name}: ${Math.round(c.width)}x${Math.round(c.height)}`);
  assert.deepEqual(small, []);
  await tab.done();
});

test('a tap sets the crosshair', async () => {
  let latest = 0;
  const tab = await open(`${page.replace('/dashboard', '/live')}#@1m,polls`, { ...phone, speed: 4, serve: n => { latest = n; return { polls: family('gauge', n) }; } });
  await tab.until('points', () => latest >= 8);
  const { width, height } = await tab.lines('polls').boundingBox(), value = async () => Number((await tab.values('polls'))[0]);
  await tab.lines('polls').tap({ position: { x: 0.92 * width, y: height / 2 } });
  const tapped = await tab.until('the value at the crosshair', async () => { const v = await value(); return v < latest && v; });
  const then = latest;
  await tab.until('later polls', () => latest >= then + 3);
  assert.equal(await value(), tapped);
  await tab.done();
});
