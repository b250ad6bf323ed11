// Tests of the tab of the Go runtime.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { open, startServer } from './harness.mjs';

let server;
before(async () => { server = await startServer('-step', '1s'); });

for (const path of ['/dashboard', '/live']) {
  test(`the tab of ${path} shows the Go runtime`, async () => {
    const tab = await open(server.url + path);
    await tab.page.locator('#tab-go').click();
    assert.match(tab.page.url(), /#(.*,)?@go\b/);
    const titles = () => tab.page.locator('article h2').allTextContents();
    await tab.until('the panels', async () => (await titles()).length >= 5);
    const text = (await titles()).join('\n');
    for (const panel of [/heap/i, /pause/i, /goroutines/i, /scheduler/i, /cpu/i]) assert.match(text, panel);
    const charts = tab.page.locator('article canvas:not(.heat)');
    for (let i = 0; i < await charts.count(); i++) {
      const chart = charts.nth(i);
      if (!await chart.isVisible()) continue;
      await chart.scrollIntoViewIfNeeded();
      await tab.until(`a line of panel ${i}: ${text.split('\n')[i]}`, async () => (await tab.drawn(chart)).n > 5);
    }
    await tab.page.reload();
    await tab.until('the tab of the address', async () => (await titles()).join('\n') === text);
    await tab.page.locator('#tab-metrics').click();
    await tab.until('the metrics', async () => (await titles()).join('\n') !== text && !/@go/.test(tab.page.url()));
    await tab.done();
  });
}
