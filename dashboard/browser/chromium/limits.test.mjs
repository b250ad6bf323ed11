// Tests of the limits: many buckets, many families and many series.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { open, startServer } from './harness.mjs';

const rounded = n => Math.round(n * 10) / 10;

// A tab is slow if a task of its main thread takes a second. The figures of a frame are printed:
// they depend on the machine.
function report(name, { count, p99, max, task }) {
  console.log(`${name}: ${count} frames, p99 ${rounded(p99)} ms, maximum ${rounded(max)} ms, longest task ${rounded(task)} ms`);
  assert.ok(count > 20, `${count} frames`);
  assert.ok(task < 1000, `a task of ${rounded(task)} ms`);
}

test('a histogram with 1,000 buckets has a chart after 150 polls', async () => {
  const server = await startServer('-buckets', '1000'), tab = await open(`${server.url}/live#wide_seconds`, { speed: 20 });
  let polls = 0;
  tab.page.on('request', r => { if (r.url().includes('/metrics/json')) polls++; });
  await tab.until('150 polls', async () => {
    assert.doesNotMatch(await tab.status(), /failed|error/i);
    return polls >= 150;
  }, 90);
  await tab.until('quantiles', async () => (await tab.values('wide_seconds')).every(v => /\d (ms|s)$/.test(v)));
  await tab.until('heat', async () => (await tab.drawn(tab.heat('wide_seconds'))).n > 1000);
  assert.doesNotMatch(await tab.status(), /failed|error/i);
  await tab.done();
  await server.stop();
});

for (const path of ['/dashboard', '/live']) {
  test(`150,000 families are listed in ${path}`, async () => {
    const server = await startServer('-families', '150000'), began = Date.now();
    const tab = await open(server.url + path, { interval: 0, list: false });
    // The page before had no family within 60 s.
    await tab.until('families', async () => await tab.page.locator('#list li').count() > 10, 60);
    console.log(`${path}: 150,000 families are listed after ${rounded((Date.now() - began) / 1000)} s`);
    assert.ok(await tab.page.locator('#list li').count() < 1000, 'the list has only the rows that are visible');
    // The history has a limit of bytes. A notice has the number of series that the history leaves out.
    await tab.until('all families', async () => /^150\d{3} series in 150\d{3} families$/.test(await tab.status())
      || path === '/dashboard' && /no room/i.test(await tab.page.locator('#notices').textContent()));
    const frames = await tab.frames(async () => {
      await tab.page.locator('#search').pressSequentially('family_0123', { delay: 150 });
      await tab.until('the families that are searched', async () => (await tab.page.locator('#list .name').allTextContents())[0] === 'family_012300', 30);
      await tab.page.locator('#search').fill('');
      for (let i = 0; i < 20; i++) {
        await tab.page.locator('#list').evaluate((list, part) => { list.scrollTop = part * list.scrollHeight; }, i / 20);
        await tab.page.waitForTimeout(50);
      }
    });
    await tab.until('the end of the list', async () => {
      await tab.page.locator('#list').evaluate(list => { list.scrollTop = list.scrollHeight; });
      const [last, size] = await tab.page.locator('#list li').last().evaluate(li => [li.ariaPosInSet, li.ariaSetSize]);
      return Number(last) > 10_000 && last === size;
    });
    report(`${path}, 150,000 families`, frames);
    await tab.done();
    await server.stop();
  });

  test(`frames stay short with 200,000 series in ${path}`, async () => {
    const server = await startServer('-series', '200000', '-step', '5s');
    const tab = await open(`${server.url}${path}#load_000_total,load_001_total;by=shard,app_request_seconds`, { list: false });
    await tab.until('a poll', async () => /20\d[,.]?\d{3} series in \d+ families/.test(await tab.status()), 60);
    await tab.until('lines', async () => (await tab.drawn(tab.lines('load_000_total'))).n > 5, 60);
    const frames = await tab.frames(async () => {
      const box = await tab.lines('load_001_total').boundingBox();
      for (let i = 0; i < 60; i++) {
        await tab.page.mouse.move(box.x + (0.2 + 0.01 * i) * box.width, box.y + box.height / 2);
        if (i % 10 === 0) await tab.page.locator('#list').evaluate((list, part) => { list.scrollTop = part * list.scrollHeight; }, i / 60);
        await tab.page.waitForTimeout(100);
      }
    });
    report(`${path}, 200,000 series`, frames);
    assert.doesNotMatch(await tab.status(), /failed|error/i);
    await tab.done();
    await server.stop();
  });
}

test('series that come and go do not stay', async () => {
  const server = await startServer('-churn', '-step', '1s'), tab = await open(`${server.url}/dashboard#pod_memory_bytes`);
  await tab.until('the latest series', async () => (await tab.labels('pod_memory_bytes')).length === 12);
  const first = await tab.labels('pod_memory_bytes');
  await tab.until('other series', async () => !(await tab.labels('pod_memory_bytes')).some(l => first.includes(l)), 30);
  await tab.done();
  await server.stop();
});

test('the page with its styles and scripts is small', async () => {
  const server = await startServer(), source = async path => (await fetch(server.url + path)).text();
  const page = await source('/dashboard'), worker = await source(`/dashboard${/\?worker=\w+/.exec(page)[0]}`);
  const [first, second] = [page, worker].map(text => gzipSync(text).length);
  console.log(`the page has ${first} bytes gzipped, the script of its worker ${second}: ${first + second}`);
  assert.ok(first + second < 60 << 10);
  await server.stop();
});
