// Tests of reading: the crosshair, axes, units, marks and notices.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { family, open, startServer } from './harness.mjs';

let server, live;
before(async () => {
  server = await startServer('-step', '1s');
  live = `${server.url}/live`;
});

// ticks returns the numbers at the value axis. A time has a colon, and a mark has no digit.
const ticks = async (tab, name) => (await tab.texts(tab.lines(name))).filter(t => /^\d[^:]*$/.test(t));

test('the crosshair has a time and is shared between the cards', async () => {
  const tab = await open(`${live}#@1m,rising,falling`, { speed: 5, serve: n => ({ rising: family('gauge', n), falling: family('gauge', 1000 - n) }) });
  await tab.until('points', async () => (await tab.drawn(tab.lines('falling'))).extent > 0.5);
  await tab.page.keyboard.press('p');
  const latest = Number((await tab.values('falling'))[0]);
  const box = await tab.lines('rising').boundingBox();
  await tab.page.mouse.move(box.x + 0.6 * box.width, box.y + box.height / 2, { steps: 5 });
  const [up, down] = await tab.until('the values at the crosshair', async () => {
    const values = [(await tab.values('rising'))[0], (await tab.values('falling'))[0]].map(Number);
    return values[1] > latest && values;
  });
  assert.equal(up + down, 1000); // the values of one time
  const time = (await tab.texts(tab.lines('falling'))).at(-1);
  assert.match(time, /\d\d:\d\d:\d\d/);
  assert.equal((await tab.texts(tab.lines('rising'))).at(-1), time);
  await tab.page.mouse.move(5, 5);
  await tab.until('the latest value', async () => Number((await tab.values('falling'))[0]) === latest);
  await tab.done();
});

test('the top of an axis is round and stays', async () => {
  // The largest values leave the range. The others are more than half of the top, so the top stays.
  const later = [620, 640, 610, 630];
  let raised = false, polls = 0;
  const tab = await open(`${live}#@15s,level`, { speed: 8, serve: n => { polls = n; return { level: family('gauge', raised ? 1300 : n < 4 ? 970 : later[n % later.length]) }; } });
  const seen = new Set();
  while (polls < 30) {
    const t = await ticks(tab, 'level');
    if (t.length) seen.add(t.join(' '));
    await tab.page.waitForTimeout(50);
  }
  assert.ok(Math.max(...await tab.column('level')) < 700, 'the largest values have left');
  assert.equal(seen.size, 1, [...seen].join(' | '));
  assert.match([...seen][0], /(^| )(1 k|1k|1000|1,000)( |$)/);
  raised = true;
  await tab.until('a higher top', async () => { const t = (await ticks(tab, 'level')).join(' '); return !seen.has(t) && /(1\.5|2|2\.5) ?k/.test(t); });
  await tab.done();
});

test('units are those of the unit or of the name', async () => {
  const tab = await open(`${live}#process_cpu_seconds_total,heap_bytes,delay_seconds,hit_ratio,sent_bytes_total,plain`, {
    serve: n => ({
      process_cpu_seconds_total: family('counter', 2 * Date.now() / 1000), heap_bytes: family('gauge', 3 * 2 ** 20), delay_seconds: family('gauge', 0.012),
      hit_ratio: family('gauge', 0.25), sent_bytes_total: family('counter', 2048 * Date.now() / 1000), plain: family('gauge', 12_000),
    }),
  });
  const is = (name, pattern) => tab.until(`${name} ${pattern}`, async () => pattern.test((await tab.values(name))[0]));
  await is('process_cpu_seconds_total', /^(1\.9\d*|2|2\.0\d*) cores$/);
  await is('heap_bytes', /^3 MiB$/);
  await is('delay_seconds', /^12 ms$/);
  await is('hit_ratio', /^25 ?%$/);
  await is('sent_bytes_total', /^(1\.9\d*|2|2\.0\d*) KiB\/s$/);
  await is('plain', /^12 k$/);
  await tab.done();
});

test('a restart is marked: a new process in the JSON view', async () => {
  const tab = await open(`${live}#@15s,value_total`, { serve: n => ({ value_total: family('counter', n % 5), process_start_time_seconds: family('gauge', n < 3 ? 1000 : 2000) }) });
  await tab.until('the mark', async () => (await tab.texts(tab.lines('value_total'))).includes('restart'));
  await tab.done();
});

test('a restart is marked: a new ring of the server', async () => {
  const first = await startServer('-step', '1s'), tab = await open(`${first.url}/dashboard#@1m,app_queue_bytes`);
  await tab.until('points', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).n > 10);
  await first.stop();
  await tab.until('a failed scrape', async () => /^Scrape failed: /.test(await tab.status()));
  const second = await startServer('-step', '1s', '-addr', first.addr);
  await tab.until('the mark', async () => (await tab.texts(tab.lines('app_queue_bytes'))).includes('restart'));
  assert.ok((await tab.column('app_queue_bytes')).length >= 3, 'the values before the restart stay');
  await tab.done(/Failed to load resource/);
  await second.stop();
});

test('a gap is marked, and no line crosses it', async () => {
  const tab = await open(`${live}#@1m,level,level_total`, {
    // The second poll can be soon after the first, so both have the same value.
    speed: 5, serve: n => n >= 8 && n < 18 ? null : { level: family('gauge', 5), level_total: family('counter', Math.max(1, n)) },
  });
  // The shade of a gap has the whole height, so that a row without lines has two frequent colors.
  const shaded = () => tab.lines('level').evaluate(c => {
    const { data } = c.getContext('2d').getImageData(0, Math.round(c.height * 0.2), c.width, 1);
    const shades = new Map();
    for (let i = 0; i < data.length; i += 4) {
      const shade = data.subarray(i, i + 4).join();
      shades.set(shade, (shades.get(shade) ?? 0) + 1);
    }
    return [...shades.values()].filter(n => n > 0.1 * c.width).length >= 2;
  });
  await tab.until('the gap', shaded, 20);
  const rates = await tab.column('level_total');
  assert.ok(rates.every(r => r >= 0 && r <= 2), rates.join());
  await tab.done(/Failed to load resource/);
});

test('a change of the interval draws no false spike', async () => {
  const tab = await open(`${live}#steady_total`, { serve: () => ({ steady_total: family('counter', Date.now() / 100) }) });
  await tab.page.waitForTimeout(1600); // the first polls are near each other
  const begin = Date.now() / 1000;
  for (const interval of ['5', '1', '2', '1']) {
    await tab.page.locator('#interval').selectOption(interval);
    await tab.page.waitForTimeout(1600);
  }
  const rates = (await tab.table('steady_total')).rows.filter(([time, rate]) => time > begin && !Number.isNaN(rate)).map(row => row[1]);
  assert.ok(rates.length >= 4, rates.join());
  // The counter grows by 10 a second. The time of a response is later on a busy machine. A rate by
  // the wrong interval would be 2 or 50.
  assert.ok(rates.every(r => r > 4 && r < 25), rates.join());
  await tab.done();
});

test('a rate is over the step of the server, also with the steps of an open page', async () => {
  const own = await startServer('-step', '5s'), tab = await open(`${own.url}/dashboard#@1m,app_requests_total;by=`);
  const { rows } = await tab.until('the steps of an open page', async () => { const t = await tab.table('app_requests_total'); return t.rows.length >= 10 && t; });
  const times = rows.map(row => row[0]), isWhole = n => Math.abs(n - Math.round(n)) < 1e-4;
  const known = rows.findIndex(row => !Number.isNaN(row[1])); // the first step with an increase
  let longer = 0;
  for (let i = known; i < rows.length; i++) { // a rate by its seconds is a number of requests
    const [time, rate] = rows[i];
    let first = i;
    while (first > known && time - times[first - 1] < 4.5 && time - times[first - 2] < 10) first--;
    assert.ok(isWhole(rate * (time - times[first - 1])), JSON.stringify(rows.slice(0, i + 1)));
    if (!isWhole(rate * (time - times[i - 1]))) longer++;
  }
  assert.ok(longer > 0, JSON.stringify(rows));
  await tab.done();
  await own.stop();
});

for (const path of ['/dashboard', '/live']) {
  test(`faults are shown at the top of ${path}`, async () => {
    const faulty = await startServer('-step', '1s', '-hung', '-limit', '-errors'), tab = await open(faulty.url + path, { list: false });
    const notices = tab.page.locator('#notices');
    for (const [name, pattern] of [
      ['a hung function', /hung_bytes/], ['a full limit', /limited_total/], ['a wrong number of label values', /miscounted_total/], ['a function that panics', /panicking/],
    ]) await tab.until(name, async () => pattern.test(await notices.textContent()), 40);
    await notices.locator('li', { hasText: 'limited_total' }).getByRole('button').click();
    await tab.until('the card of the fault', async () => await tab.page.locator('article[data-family]').filter({ hasText: /limited_total/ }).count() > 0);
    await tab.done();
    await faulty.stop();
  });
}

test('a program without faults has no notices', async () => {
  const tab = await open(`${server.url}/dashboard#app_queue_bytes`);
  await tab.until('points', async () => (await tab.drawn(tab.lines('app_queue_bytes'))).n > 10);
  assert.ok(!await tab.page.locator('#notices').isVisible() || (await tab.page.locator('#notices').textContent()).trim() === '');
  await tab.done();
});
