// Tests of labels: groups, filters, ratios, the search, and the largest of all series.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { family, open, startServer } from './harness.mjs';

let page, live;
before(async () => {
  const { url } = await startServer();
  page = `${url}/dashboard`;
  live = `${url}/live`;
});

const tool = (tab, name, selector) => tab.card(name).locator(`.tools ${selector}`);
const sorted = list => [...list].sort();
// shows waits until the lines of a card have these labels, in any order.
const shows = (tab, name, ...labels) => tab.until(`${name}: ${labels}`, async () => sorted(await tab.labels(name)).join() === sorted(labels).join());
// filter adds a filter to a card by its controls.
async function filter(tab, name, label, value) {
  await tool(tab, name, 'select.label').selectOption(label);
  await tool(tab, name, 'input.value').pressSequentially(value);
  await tab.page.keyboard.press('Enter');
}

test('a histogram has a quantile of each path', async () => {
  const name = 'app_request_seconds', tab = await open(`${page}#${name}`);
  await shows(tab, name, 'p50', 'p90', 'p99');
  await tool(tab, name, 'select.by').selectOption('path');
  await shows(tab, name, '/cart', '/pay', '/search');
  assert.match(tab.page.url(), /;by=path/);
  const latest = await tab.until('quantiles', async () => {
    const { labels, rows } = await tab.table(name);
    const values = Object.fromEntries(labels.map((path, i) => [path, rows.at(-1)?.[i + 1]]));
    return Number.isFinite(values['/pay'] + values['/search']) && values;
  });
  // The test server has times from half to one and a half of 0.6 s and of 0.02 s.
  assert.ok(latest['/pay'] > 0.3 && latest['/pay'] <= 1.024 && latest['/search'] > 0.01 && latest['/search'] < 0.05, JSON.stringify(latest));
  await tool(tab, name, 'select.fn').selectOption('p50');
  await tab.until('the address', () => /;fn=p50/.test(tab.page.url()));
  await tab.page.reload();
  await shows(tab, name, '/cart', '/pay', '/search');
  assert.equal(await tool(tab, name, 'select.by').inputValue(), 'path');
  assert.equal(await tool(tab, name, 'select.fn').inputValue(), 'p50');
  await tab.done();
});

test('a counter has a rate of each status', async () => {
  const name = 'app_requests_total', tab = await open(`${page}#${name}`);
  await tool(tab, name, 'select.by').selectOption('status');
  await shows(tab, name, '200', '500');
  await tab.until('rates', async () => (await tab.values(name)).every(v => /\d\/s$/.test(v)));
  await tab.done();
});

test('a filter leaves the series of a label value, and its chip removes it', async () => {
  const name = 'app_requests_total', tab = await open(`${page}#${name}`);
  await tab.until('all series', async () => (await tab.labels(name)).length === 4);
  await filter(tab, name, 'status', '500');
  await tab.until('one series', async () => (await tab.labels(name)).join() === 'path="/pay" status="500"');
  assert.match(tab.page.url(), /;is=status:500/);
  const chips = tab.card(name).locator('.filters button');
  assert.equal(await chips.count(), 1);
  await filter(tab, name, 'path', '/nowhere');
  await tab.until('an error that names the cause', async () => /no series match/i.test(await tab.card(name).textContent()));
  await chips.last().click();
  await chips.last().click();
  await tab.until('all series', async () => (await tab.labels(name)).length === 4);
  assert.ok(!tab.page.url().includes(';is='));
  await tab.done();
});

test('each kind has groups and filters', async () => {
  const series = make => ['a', 'b'].flatMap(zone => ['x', 'y'].map(host => ({ labels: { zone, host }, ...make }))), classic = n => ({ value: n, count: n, buckets: [{ le: 1, count: n }, { le: null, count: n }] });
  const tab = await open(`${live}#c_total,g,h_seconds,s_seconds,u`, {
    serve: n => ({
      c_total: family('counter', ...series({ value: n })), g: family('gauge', ...series({ value: 3 })), u: family('unknown', ...series({ value: 5 })),
      h_seconds: family('histogram', ...series(classic(n))), s_seconds: family('summary', ...series({ value: n, count: n, quantiles: [{ quantile: 0.5, value: 0.25 }] })),
    }),
  });
  for (const [name, groups] of [['c_total', ['a', 'b']], ['g', ['a', 'b']], ['u', ['a', 'b']], ['h_seconds', ['a', 'b']]]) {
    await tool(tab, name, 'select.by').selectOption('zone');
    await shows(tab, name, ...groups);
  }
  for (const [fn, value] of [['sum', '6'], ['avg', '3'], ['max', '3'], ['min', '3']]) {
    await tool(tab, 'g', 'select.fn').selectOption(fn);
    await tab.until(fn, async () => (await tab.values('g')).join() === `${value},${value}`);
  }
  for (const name of ['c_total', 'g', 'u', 'h_seconds', 's_seconds']) {
    await filter(tab, name, 'host', 'y');
    await tab.until(`filtered ${name}`, async () => /\b2 of 4 series\b/.test(await tab.card(name).locator('p').first().textContent()));
  }
  await tab.until('the sum of one host', async () => { await tool(tab, 'g', 'select.fn').selectOption('sum'); return (await tab.values('g')).join() === '3,3'; });
  await tab.done();
});

test('the completion of a filter has the values of the label', async () => {
  const name = 'app_requests_total', tab = await open(`${page}#${name}`);
  await tool(tab, name, 'select.label').selectOption('path');
  await tool(tab, name, 'input.value').pressSequentially('/');
  const offered = () => tool(tab, name, 'input.value').evaluate(e => [...(e.list?.options ?? [])].map(o => o.value));
  await tab.until('the values', async () => sorted(await offered()).join() === '/cart,/pay,/search');
  await tab.done();
});

test('the search finds label values', async () => {
  const tab = await open(`${page}`);
  await tab.page.locator('#search').fill('/search');
  await tab.until('the families with the value', async () => (await tab.page.locator('#list .name').allTextContents()).join() === 'app_request_seconds,app_requests_total');
  assert.match(await tab.item('app_requests_total').textContent(), /path.*\/search/);
  await tab.done();
});

test('the largest lines are those of all series', async () => {
  // The series that moves is the 1,500th by the order of its labels.
  const serve = n => ({
    many_total: family('counter', ...Array.from({ length: 2000 }, (_, i) => ({ labels: { id: String(i).padStart(4, '0') }, value: i === 1500 ? 1000 + 100 * n : 1000 }))),
  });
  const tab = await open(`${live}#many_total;top=5`, { serve });
  await tab.until('the series that moves', async () => (await tab.labels('many_total')).includes('id="1500"'));
  assert.equal((await tab.labels('many_total')).length, 5);
  const { labels, rows } = await tab.until('rates', async () => { const t = await tab.table('many_total'); return t.rows.length > 3 && t; });
  const column = 1 + labels.indexOf('id="1500"');
  assert.ok(rows.some(row => row[column] > 50), JSON.stringify(rows.at(-1)));
  assert.match(await tab.card('many_total').locator('.legend .note').textContent(), /1,?995 more/);
  await tab.done();
});

test('a ratio of two counters is a share', async () => {
  const name = 'app_requests_total', tab = await open(`${page}#${name};by=path;is=status:500;per=${name}`);
  await shows(tab, name, '/pay');
  // The test server fails one of four requests for /pay.
  await tab.until('a share', async () => { const v = (await tab.values(name))[0]; return /%$/.test(v) && parseFloat(v) >= 0 && parseFloat(v) <= 100; });
  await tool(tab, name, 'select.by').selectOption('');
  await tab.until('a share of all paths', async () => { const v = await tab.values(name); return v.length === 1 && /%$/.test(v[0]) && parseFloat(v[0]) < 60; });
  await tab.done();
});

test('a ratio of two families divides by group', async () => {
  const serve = n => ({
    hits_total: family('counter', ...['a', 'b'].map((cache, i) => ({ labels: { cache }, value: (1 + i) * n }))),
    lookups_total: family('counter', ...['a', 'b'].map(cache => ({ labels: { cache }, value: 4 * n }))),
  });
  const tab = await open(`${live}#hits_total;by=cache;per=lookups_total`, { serve });
  await shows(tab, 'hits_total', 'a', 'b');
  await tab.until('shares', async () => (await tab.values('hits_total')).map(v => v.replace(' ', '')).sort().join() === '25%,50%');
  await tab.done();
});

test('the controls make a ratio', async () => {
  const name = 'app_requests_total', tab = await open(`${page}#${name};by=path`);
  await tool(tab, name, 'select.ratio').selectOption(name);
  await tab.until('shares of the total', async () => {
    const shares = (await tab.values(name)).map(text => /%$/.test(text) ? parseFloat(text) : NaN);
    return shares.length === 3 && shares.every(s => s < 100) && Math.abs(shares.reduce((a, b) => a + b) - 100) < 2;
  });
  assert.match(tab.page.url(), new RegExp(`;per=${name}`));
  await tab.done();
});
