// The pictures of docs/: the page during the simulated incident of examples/server. With
// TACHO_SHOTS, the test waits until the history has one incident and the second begins.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { open } from './harness.mjs';

const url = process.env.TACHO_URL;
const requests = 'http_requests_total', duration = 'http_request_duration_seconds', flight = 'http_requests_in_flight';
const seconds = process.env.TACHO_SHOTS ? 170 : 0; // of history before a picture

const cards = `${requests};by=path,${duration};by=path,${flight},db_query_duration_seconds;by=query_type`;
const large = { viewport: { width: 1440, height: 900 } }, lower = { viewport: { width: 1440, height: 760 } };
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

before(async () => {
  assert.ok(url, 'TACHO_URL is not set');
  const tab = await open(`${url}/dashboard#@all,${requests};by=status`);
  const { process_start_time_seconds: [{ value: start }] } = await (await fetch(`${url}/metrics/json?name[]=process_start_time_seconds`)).json();
  await tab.until('failed requests now', async () => {
    const [failed] = await tab.card(requests).locator('.legend button', { hasText: '500' }).locator('.value').allTextContents();
    return Date.now() / 1000 - start >= seconds && failed && (!seconds || /^[1-9]/.test(failed));
  }, 300);
  await tab.done();
});

for (const [name, hash, options] of [
  ['incident', '', large],
  ['light', `#@5m,${cards}`, lower],
  ['dark', `#@5m,${cards}`, { ...lower, colorScheme: 'dark' }],
  ['phone', `#@5m,${requests};by=status,${duration};by=path`, phone],
]) {
  test(`the page has a picture: ${name}`, async () => {
    const tab = await open(`${url}/dashboard${hash}`, options);
    for (const family of [requests, duration]) {
      await tab.until(family, async () => (await tab.labels(family)).length > 1 && (await tab.drawn(tab.lines(family))).n > 30);
    }
    await tab.screenshot(`dashboard-${name}`);
    await tab.done();
  });
}
