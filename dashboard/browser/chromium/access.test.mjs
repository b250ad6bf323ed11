// Tests of accessibility: the rules of axe-core, and the page without a pointer.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { before, test } from 'node:test';
import { open, startServer } from './harness.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const cards = '#app_requests_total;is=status:200,app_request_seconds,app_queue_bytes';

let page;
before(async () => { page = `${(await startServer('-step', '1s', '-errors')).url}/dashboard`; });

// assertAccessible fails if a rule of axe-core finds a violation.
async function assertAccessible(tab, state) {
  const violations = await tab.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(n => `${n.html.slice(0, 160)} ${n.any[0]?.message ?? ''}`).join('\n    ')}`));
  assert.deepEqual(violations, [], state);
}

for (const [name, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['phone', phone]]) {
  test(`axe-core finds nothing: ${name}`, async () => {
    const tab = await open(page + cards, { init: axe, ...options });
    await tab.until('lines', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).n > 10);
    await tab.until('notices', async () => /miscounted_total/.test(await tab.page.locator('#notices').textContent()));
    await assertAccessible(tab, 'cards');
    if (options.isMobile) {
      await tab.page.locator('#drawer').tap();
      await assertAccessible(tab, 'drawer');
      await tab.page.keyboard.press('Escape');
    }
    await tab.page.locator('#search').fill('/pay', { force: true });
    await assertAccessible(tab, 'search');
    await tab.page.locator('#search').fill('', { force: true });
    await tab.page.locator('#search').blur();
    await tab.page.keyboard.press('c');
    await tab.page.locator('#sizes').waitFor();
    await assertAccessible(tab, 'sizes');
    await tab.page.keyboard.press('?');
    await tab.page.locator('#keys').waitFor();
    await assertAccessible(tab, 'help');
    await tab.page.keyboard.press('Escape');
    await tab.page.keyboard.press('g');
    await tab.until('panels', async () => await tab.page.locator('article').count() >= 5);
    await assertAccessible(tab, 'Go tab');
    await tab.page.goto('about:blank');
    await tab.page.goto(`${page}#`);
    await tab.page.locator('#list li').first().waitFor({ state: 'attached' });
    await tab.hideAll();
    await tab.page.locator('.empty').waitFor();
    await assertAccessible(tab, 'no cards');
    await tab.done();
  });
}

test('axe-core finds nothing: the server is gone', async () => {
  const server = await startServer(), tab = await open(`${server.url}/dashboard#app_queue_bytes`, { init: axe });
  await server.stop();
  await tab.until('the status', async () => /^Scrape failed: /.test(await tab.status()));
  await assertAccessible(tab, 'failed scrape');
  await tab.done(/Failed to load resource/);
});

// focused describes the element that has the focus.
const focused = tab => tab.page.evaluate(() => {
  const e = document.activeElement, { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(e);
  return { id: e.id, tag: e.tagName, class: e.className, visible: outlineStyle !== 'none' && outlineWidth !== '0px' || boxShadow !== 'none' };
});

test('each control is reached by the keyboard, and its focus is visible', async () => {
  const tab = await open(`${page}#app_requests_total;is=status:200,app_request_seconds`);
  await tab.until('lines', async () => (await tab.drawn(tab.lines('app_requests_total'))).n > 10);
  const seen = [];
  for (let i = 0; i < 120; i++) {
    await tab.page.keyboard.press('Tab');
    const f = await focused(tab);
    if (f.tag === 'BODY') break;
    assert.ok(f.visible, `the focus is not visible: ${JSON.stringify(f)}`);
    seen.push(`${f.tag.toLowerCase()}#${f.id}.${f.class}`);
  }
  const all = seen.join(' ');
  for (const want of [/#range/, /#interval/, /#pause/, /#theme/, /#help/, /#search/, /#list/, /select#[^ ]*\.by/, /select#[^ ]*\.label/, /select#[^ ]*\.fn/, /select#[^ ]*\.ratio/, /\.csv/, /\.png/, /canvas#[^ ]*\.lines/, /canvas#[^ ]*\.heat/]) assert.match(all, want);
  await tab.done();
});

test('a tour without a pointer: search, show, group, crosshair, zoom out, hide', async () => {
  const tab = await open(page), { keyboard } = tab.page, name = 'app_request_seconds';
  await tab.hideAll();
  await keyboard.press('/');
  await keyboard.type('request seconds');
  await tab.until('one family', async () => (await tab.page.locator('#list .name').allTextContents()).join() === name);
  await keyboard.press('Enter');
  await tab.until('the card', async () => await tab.card(name).count() === 1);
  await keyboard.press('Escape');
  const tabTo = async (selector, key = 'Tab') => {
    for (let i = 0; i < 60; i++) {
      if (await tab.page.evaluate(s => document.activeElement.matches(s), selector)) return;
      await keyboard.press(key);
    }
    assert.fail(`${selector} is not reached`);
  };
  await tabTo(`article[data-family="${name}"] select.by`);
  await keyboard.press('End'); // the last group
  await tab.until('groups', async () => (await tab.labels(name)).includes('/pay'));
  await tab.until('points', async () => (await tab.drawn(tab.lines(name))).n > 20);
  await tabTo(`article[data-family="${name}"] canvas`);
  const spoken = () => tab.page.locator('[role=status]').allTextContents();
  await keyboard.press('ArrowLeft');
  await keyboard.press('ArrowLeft');
  await tab.until('the values at the crosshair', async () => (await spoken()).some(t => /\d\d:\d\d:\d\d.*\/(cart|pay|search) (\d|–)/.test(t)));
  await keyboard.press('Shift+ArrowLeft');
  await keyboard.press('Shift+ArrowLeft');
  await keyboard.press('Enter');
  await tab.until('a zoom', () => /@[\d.]+-[\d.]+/.test(tab.page.url()));
  await tabTo(`article[data-family="${name}"] h2 button`, 'Shift+Tab');
  await keyboard.press('Enter');
  await tab.until('no card', async () => await tab.card(name).count() === 0);
  assert.notEqual((await focused(tab)).id, undefined);
  await tab.done();
});

test('the chart names its latest values for a screen reader', async () => {
  const tab = await open(`${page}#app_queue_bytes`);
  await tab.until('the label', async () => /app_queue_bytes.*\d (KiB|MiB)/s.test(await tab.lines('app_queue_bytes').getAttribute('aria-label')));
  assert.equal(await tab.lines('app_queue_bytes').getAttribute('role'), 'img');
  assert.equal(await tab.page.locator('#status').getAttribute('role'), 'status');
  await tab.done();
});

test('the page does not move if the reader prefers that', async () => {
  const tab = await open(page + cards, { reducedMotion: 'reduce' });
  const moving = await tab.page.evaluate(() => [...document.querySelectorAll('*')].filter(e => {
    const { animationName, animationDuration, transitionDuration, scrollBehavior } = getComputedStyle(e);
    return animationName !== 'none' && animationDuration !== '0s' || parseFloat(transitionDuration) > 0.01 || scrollBehavior === 'smooth';
  }).length);
  assert.equal(moving, 0);
  await tab.done();
});
