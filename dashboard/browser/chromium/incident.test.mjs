// A simulated incident in examples/server: a path becomes slow and fails for a minute. The test
// finds the path in three clicks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './harness.mjs';

const url = process.env.TACHO_URL;
const requests = 'http_requests_total', duration = 'http_request_duration_seconds';

// only clicks the button of a legend line that filters the card by the labels of the line.
async function only(tab, name, text) {
  const line = tab.card(name).locator('.legend li', { hasText: text }).first();
  await line.hover();
  await line.getByRole('button', { name: /^Only / }).click();
}

test('the path of an incident is found in three clicks', async () => {
  assert.ok(url, 'TACHO_URL is not set');
  const tab = await open(`${url}/dashboard`);
  // The page opens with the requests by status, and with a quantile of the latency by path.
  await tab.until('failed requests', async () => (await tab.labels(requests)).some(l => /^5\d\d$/.test(l)), 90);
  const status = (await tab.labels(requests)).find(l => /^5\d\d$/.test(l));
  await only(tab, requests, status); // the first click
  const line = await tab.until('the path that fails', async () => {
    const labels = await tab.labels(requests);
    return labels.length > 0 && labels.every(l => l.includes(`status="${status}"`)) && labels[0];
  });
  const path = /path="([^"]*)"/.exec(line)[1];
  await only(tab, duration, path); // the second click
  await tab.until('the quantiles of the path', async () => (await tab.labels(duration)).sort().join() === 'p50,p90,p99');
  const { labels, rows } = await tab.table(duration);
  const p99 = rows.map(row => row[1 + labels.indexOf('p99')]).filter(v => !Number.isNaN(v));
  assert.ok(Math.max(...p99) > 5 * Math.min(...p99), `the latency of ${path} rises: ${p99}`);
  await tab.lines(duration).click({ position: { x: 400, y: 60 } }); // the third click: the time
  assert.match((await tab.texts(tab.lines(requests))).at(-1), /\d\d:\d\d/);
  await tab.done();
});