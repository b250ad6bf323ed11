// Tests of the past: the page opens full, and its range can be chosen, shared and saved.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open, parseCSV, startServer } from './harness.mjs';

let server, page;
before(async () => {
  server = await startServer('-step', '500ms');
  page = `${server.url}/dashboard`;
  await sleep(8000); // the steps of the history before the first page
});

// drag selects a part of the chart of a family with the pointer.
async function drag(tab, name, from, to) {
  const box = await tab.lines(name).boundingBox(), y = box.y + box.height / 2;
  const { mouse } = tab.page;
  await mouse.move(box.x + from * box.width, y);
  await mouse.down();
  await mouse.move(box.x + (from + to) / 2 * box.width, y, { steps: 4 });
  await mouse.move(box.x + to * box.width, y, { steps: 4 });
  await mouse.up();
}

// zoomed returns the range in the address, or null.
function zoomed(tab) {
  const match = /@([\d.]+)-([\d.]+)/.exec(tab.page.url());
  return match && { from: Number(match[1]), to: Number(match[2]) };
}

// only lets the page have the first response of the server, and counts the requests.
function onlyFirst(page) {
  const seen = { requests: 0 };
  page.route('**/dashboard?history=*', route => seen.requests++ ? route.abort() : route.continue());
  return seen;
}

test('the first response has the past, and the page opens with it', async () => {
  const tab = await open('about:blank', { list: false });
  const seen = onlyFirst(tab.page);
  await tab.page.goto(`${page}#@30s,app_queue_bytes`);
  const extent = await tab.until('a line', async () => { const d = await tab.drawn(tab.lines('app_queue_bytes')); return d.n > 30 && d.extent; });
  assert.ok(extent > 0.3, `the line covers ${extent} of the chart`);
  const { rows } = await tab.table('app_queue_bytes');
  const times = rows.filter(row => row[1] > 0).map(row => row[0]);
  assert.ok(times.length >= 10, `${times.length} points`);
  assert.ok(times.at(-1) - times[0] >= 6, `${times.at(-1) - times[0]} s`);
  assert.ok(seen.requests >= 1);
  await tab.done(/Failed to load resource|request for/);
});

test('a page of Handler has no history on the server', async () => {
  const statuses = await Promise.all(['/dashboard', '/live'].map(async path => (await fetch(`${server.url}${path}?history=0.0`)).status));
  assert.deepEqual(statuses, [200, 404]);
  const source = await (await fetch(`${server.url}/live`)).text();
  assert.match(source, /<meta name="history" content="">/);
});

test('counters and histograms have rates and quantiles of the past', async () => {
  const tab = await open(`${page}#@1m,app_requests_total,app_request_seconds`);
  for (const name of ['app_requests_total', 'app_request_seconds']) {
    const { rows } = await tab.until('points', async () => { const t = await tab.table(name); return t.rows.length >= 10 && t; });
    assert.ok(rows.filter(row => row.slice(1).some(v => v > 0)).length >= 8, JSON.stringify(rows));
  }
  await tab.until('heat', async () => (await tab.drawn(tab.heat('app_request_seconds'))).extent > 0.15);
  await tab.done();
});

test('the range can be chosen and is in the address', async () => {
  const tab = await open(`${page}#app_queue_bytes`);
  const range = tab.page.locator('#range');
  const values = await range.locator('option').evaluateAll(list => list.map(o => o.value));
  const shortest = values[0];
  await range.selectOption(shortest);
  await tab.until('the address', async () => /#(.*,)?@\d+(s|m)\b/.test(tab.page.url()));
  await tab.until('a wide line', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).extent > 0.1);
  await tab.page.reload();
  assert.equal(await range.inputValue(), shortest);
  await tab.done();
});

test('a drag zooms, the address is shared, and the way back is open', async () => {
  const tab = await open(`${page}#@30s,app_queue_bytes,app_requests_total`);
  await tab.until('points', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).extent > 0.3);
  assert.ok(!await tab.page.locator('#live').isVisible());
  await drag(tab, 'app_queue_bytes', 0.3, 0.9);
  const range = await tab.until('a range in the address', () => zoomed(tab));
  assert.ok(range.to - range.from > 4 && range.to - range.from < 20, `${range.to - range.from} s`);
  assert.ok(await tab.page.locator('#live').isVisible());

  const other = await open(tab.page.url());
  assert.deepEqual(zoomed(other), range);
  assert.ok(await other.page.locator('#live').isVisible());
  for (const name of ['app_queue_bytes', 'app_requests_total']) { // the past does not change
    const mine = await tab.until('values', async () => { const t = await tab.table(name); return t.rows.length > 3 && t; });
    const theirs = await other.until('values', async () => { const t = await other.table(name); return t.rows.length > 3 && t; });
    assert.deepEqual(theirs.labels, mine.labels);
    const common = theirs.rows.filter(row => mine.rows.some(r => r.join() === row.join()));
    assert.ok(common.length >= 3, `${JSON.stringify(mine)}\n${JSON.stringify(theirs)}`);
  }
  await other.page.locator('#live').click();
  await other.until('live', async () => !zoomed(other) && !await other.page.locator('#live').isVisible());
  await other.done();

  await tab.page.goBack();
  await tab.until('the range before', async () => !zoomed(tab) && /@30s/.test(tab.page.url()));
  assert.ok(!await tab.page.locator('#live').isVisible());
  await tab.done();
});

test('a card is saved as CSV', async () => {
  const tab = await open(`${page}#app_requests_total`);
  await tab.until('points', async () => (await tab.drawn(tab.lines('app_requests_total'))).n > 30);
  const { file, content } = await tab.saved('app_requests_total', 'csv');
  assert.match(file, /^app_requests_total.*\.csv$/);
  const [header, ...rows] = parseCSV(content.toString());
  assert.equal(header[0], 'time');
  assert.ok(header.includes('path="/search" status="200" [1/s]'), header.join(' | '));
  assert.ok(rows.length >= 5);
  for (const [time, ...values] of rows) {
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    assert.equal(values.length, header.length - 1);
    assert.ok(values.every(v => v === '' || Number.isFinite(Number(v))), values.join());
  }
  await tab.done();
});

test('a card is saved as PNG', async () => {
  const tab = await open(`${page}#app_requests_total`);
  await tab.until('points', async () => (await tab.drawn(tab.lines('app_requests_total'))).n > 30);
  const { file, content } = await tab.saved('app_requests_total', 'png');
  assert.match(file, /^app_requests_total.*\.png$/);
  assert.equal(content.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const width = content.readUInt32BE(16), height = content.readUInt32BE(20);
  assert.ok(width >= 300 && height >= 150, `${width}x${height}`);
  const counts = await tab.page.evaluate(async base64 => { // the policy allows images of data URLs
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    const g = new OffscreenCanvas(image.width, image.height).getContext('2d');
    g.drawImage(image, 0, 0);
    const { data } = g.getImageData(0, 0, image.width, image.height), counts = {};
    for (let i = 0; i < data.length; i += 4) {
      const color = `rgb(${data.subarray(i, i + 3).join(', ')})`;
      counts[color] = (counts[color] ?? 0) + 1;
    }
    return [...document.querySelectorAll('.legend .swatch')].map(s => counts[getComputedStyle(s).backgroundColor] ?? 0);
  }, content.toString('base64'));
  assert.ok(counts.length === 4 && counts.every(n => n > 50), `pixels of each line: ${counts}`);
  await tab.done();
});
