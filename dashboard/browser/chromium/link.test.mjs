// Tests of the link to the shown range.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open, startServer } from './harness.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

let page;
before(async () => {
  page = `${(await startServer('-step', '500ms')).url}/dashboard`;
  await sleep(4000); // the steps of the history before the first page
});

// listen records what a screen reader hears of the status.
const listen = tab => tab.page.locator('#status').evaluate(e => {
  window.heard = [];
  new MutationObserver(() => window.heard.push(`${e.getAttribute('aria-live')}: ${e.textContent}`)).observe(e, { childList: true, characterData: true, subtree: true });
});
const heard = (tab, text) => tab.until(text, () => tab.page.evaluate(text => window.heard.includes(text), text));

const rangeOf = url => /[#,]@([\d.]+)-([\d.]+)/.exec(url)?.slice(1).map(Number);

test('a link opens to the range that was shown, and the way back to live is open', async () => {
  const tab = await open(`${page}#@15m,app_requests_total;by=status;is=path:%2Fpay,app_queue_bytes`, { permissions: ['clipboard-read', 'clipboard-write'] });
  await tab.until('points', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).n > 10);
  await tab.page.keyboard.press('p'); // the range stays
  await tab.until('the pause', async () => await tab.status() === 'paused');
  const address = tab.page.url();
  await listen(tab);
  await tab.page.locator('#copy').focus();
  const [link, mine] = await tab.until('a link and the values at its time', async () => { // a poll can end after the pause
    const values = await tab.table('app_queue_bytes');
    await tab.page.keyboard.press('Enter');
    await heard(tab, 'polite: Link copied');
    const text = await tab.page.evaluate(() => navigator.clipboard.readText());
    return (await tab.csv('app_queue_bytes')).split('\r\n').length === values.rows.length + 2 && [text, values];
  });
  await heard(tab, 'polite: paused');
  assert.equal(tab.page.url(), address); // this page stays as it is
  const [from, to] = rangeOf(link);
  assert.ok(link.startsWith(`${page}#@`), link);
  assert.ok(from <= mine.rows[0][0] && mine.rows.at(-1)[0] <= to && to <= Date.now() / 1000 && to - from < 900, `${from} to ${to}`);

  const other = await open(link);
  assert.equal(other.page.url(), link);
  assert.equal(await other.page.locator('#range').inputValue(), 'zoom');
  const theirs = await other.until('values', async () => { const t = await other.table('app_queue_bytes'); return t.rows.length && t; });
  assert.deepEqual(theirs, mine);
  assert.deepEqual(await other.card('app_requests_total').locator('.filters button').allTextContents(), ['path="/pay"']);
  assert.equal(await other.card('app_requests_total').locator('select.by').inputValue(), 'status');
  await other.page.locator('#live').click();
  await other.until('live', async () => !rangeOf(other.page.url()) && !await other.page.locator('#live').isVisible());
  await other.done();
  await tab.done();
});

for (const [name, clipboard, options] of [
  ['without a clipboard', 'undefined', {}],
  ['if the browser refuses', '({ writeText: () => Promise.reject(new DOMException("no", "NotAllowedError")) })', phone],
]) {
  test(`${name}, a field has the link`, async () => {
    const tab = await open('about:blank', { list: false, init: axe, ...options });
    await tab.page.addInitScript(`Object.defineProperty(navigator, 'clipboard', { value: ${clipboard} })`);
    await tab.page.goto(`${page}#app_queue_bytes`);
    await tab.until('points', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).n > 10);
    if (options.isMobile) await tab.page.locator('#menu').tap();
    await tab.page.locator('#copy').click();
    const field = tab.page.locator('#address');
    await field.waitFor();
    const link = await field.inputValue();
    assert.ok(rangeOf(link) && link.endsWith(',app_queue_bytes'), link);
    assert.equal(await tab.page.evaluate(() => document.getSelection().toString()), link);
    await tab.page.keyboard.type('x'); // read only, and no shortcut of the page
    assert.equal(await field.inputValue(), link);
    assert.equal(await tab.card('app_queue_bytes').count(), 1);
    const violations = await tab.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map(v => `${v.id}: ${v.help}`));
    assert.deepEqual(violations, []);
    const { left, right } = await tab.page.locator('#link').evaluate(e => e.getBoundingClientRect().toJSON());
    assert.ok(left >= 0 && right <= await tab.page.evaluate(() => innerWidth), `${left} to ${right}`);
    await tab.page.keyboard.press('Escape');
    await tab.until('the focus back at the control', () => tab.page.evaluate(() => document.activeElement.id === 'copy'));
    await tab.done(/request for/);
  });
}

test('the header fits with a zoomed range and the message', async () => {
  for (const width of [1201, 1200, 1081, 1080, 390]) {
    const now = Math.floor(Date.now() / 1000), tab = await open(`${page}#@${now - 60}-${now + 60},app_queue_bytes`, { viewport: { width, height: 844 }, permissions: ['clipboard-write'] });
    await listen(tab);
    if (width <= 1080) await tab.page.locator('#menu').click();
    const text = tab.page.locator('#status span').first();
    const [wide, clipped] = await tab.until('the message', async () => {
      await tab.page.locator('#copy').click();
      await heard(tab, 'polite: Link copied');
      const seen = await text.evaluate(e => e.textContent === 'Link copied' && [document.documentElement.scrollWidth > innerWidth, e.parentElement.scrollWidth > e.parentElement.clientWidth]);
      return seen;
    });
    assert.ok(!wide && !clipped, `${width} px: too wide ${wide}, clipped ${clipped}`);
    assert.ok(await tab.page.locator('#live').isVisible());
    await tab.done();
  }
});
