// Tests of the policy of the page, and of names and label values that are hostile to a page.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { family, open, parseCSV, startServer } from './harness.mjs';

let server;
before(async () => { server = await startServer('-step', '1s', '-hostile', '-errors'); });

test('the policy allows the page only', async () => {
  for (const path of ['/dashboard', '/live']) {
    const policy = (await fetch(server.url + path)).headers.get('content-security-policy');
    assert.match(policy, /(^|; )default-src 'none'(;|$)/);
    for (const directive of ["connect-src 'self'", "worker-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", 'trusted-types tacho']) assert.ok(policy.includes(directive), directive);
    assert.ok(!/unsafe|\*|https?:/.test(policy), policy);
    const tab = await open(server.url + path);
    const source = await tab.page.evaluate(() => document.querySelector('meta[name=worker]').content);
    const worker = await fetch(new URL(source, server.url + path));
    assert.match(worker.headers.get('content-type'), /javascript/);
    assert.match(worker.headers.get('content-security-policy'), /default-src 'none'; connect-src 'self'/);
    await tab.done();
  }
});

test('Trusted Types refuse HTML, scripts and further policies', async () => {
  const tab = await open(`${server.url}/dashboard`);
  const refused = await tab.page.evaluate(() => {
    const attempts = {
      innerHTML: () => { document.body.innerHTML = '<b>x</b>'; },
      outerHTML: () => { document.querySelector('h1').outerHTML = '<b>x</b>'; },
      insertAdjacentHTML: () => document.body.insertAdjacentHTML('beforeend', '<b>x</b>'),
      script: () => { document.createElement('script').text = 'x'; },
      worker: () => new Worker('?worker=x'),
      policy: () => trustedTypes.createPolicy('other', {}),
    };
    return Object.keys(attempts).filter(name => { try { attempts[name](); return false; } catch (e) { return e instanceof TypeError; } });
  });
  assert.deepEqual(refused, ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'script', 'worker', 'policy']);
  assert.ok(tab.problems.length >= refused.length, 'each violation is reported');
  await tab.done(/TrustedHTML|TrustedScript|TrustedTypePolicy|policy violation (require-trusted-types-for|trusted-types)/);
});

test('connections to other servers are refused', async () => {
  const tab = await open(`${server.url}/dashboard`);
  assert.equal(await tab.page.evaluate(() => fetch('http://127.0.0.1:9/').then(() => 'sent', e => e.name)), 'TypeError');
  await tab.done(/connect-src|Refused to connect|Fetch API cannot load|request for http:\/\/127\.0\.0\.1:9\//);
});

const hostile = ['__proto__', 'constructor', 'toString', '<img src=x onerror=alert(1)>', '"><script>alert(1)</script>', 'a,b;by=c:d#e%zz@go', '=1+1', '@SUM(1)', 'quote"quote', 'long'.repeat(5000)];

for (const path of ['/dashboard', '/live']) {
  test(`hostile names and values are text in ${path}`, async () => {
    const tab = await open(`${server.url}${path}#hostile,hostile_total;by=constructor,${hostile.map(encodeURIComponent).join()}`);
    for (const name of hostile) await tab.until(name.slice(0, 40), async () => (await tab.values(name))[0] === '1');
    await tab.until('the values', async () => (await tab.labels('hostile')).some(l => l.startsWith('value="')));
    await tab.until('the groups', async () => (await tab.labels('hostile_total')).includes('<img src=x onerror=alert(1)>'));
    await tab.page.keyboard.press('c');
    await tab.page.locator('#sizes').waitFor();
    for (const text of ['__proto__', '<img', 'constructor', '(', '\\', '=1+1']) {
      await tab.page.locator('#search').fill(text);
      await tab.page.waitForTimeout(300);
    }
    await tab.page.locator('#search').fill('__proto__');
    await tab.until('the family', async () => await tab.item('__proto__').count() === 1);
    assert.equal(await tab.page.locator('img, script:not(head script, body > script)').count(), 0);
    assert.equal(await tab.page.evaluate(() => Object.keys(Object.prototype).length), 0);
    const excess = await tab.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(excess <= 0, `${excess} pixels too wide`);
    await tab.page.reload();
    for (const name of hostile) await tab.until(`${name.slice(0, 40)} after a reload`, async () => await tab.card(name).count() === 1);
    await tab.done();
  });
}

test('a filter by a hostile value survives the address', async () => {
  const tab = await open(`${server.url}/dashboard#hostile`);
  for (const value of ['__proto__', 'a,b;by=c:d#e%zz@go', '<img src=x onerror=alert(1)>', 'quote"quote']) {
    await tab.card('hostile').locator('.tools select.label').selectOption('value');
    await tab.card('hostile').locator('.tools input.value').pressSequentially(value);
    await tab.page.keyboard.press('Enter');
    await tab.until('one series', async () => (await tab.labels('hostile')).join() === `value="${value}"`);
    await tab.page.reload();
    await tab.until('one series after a reload', async () => (await tab.labels('hostile')).join() === `value="${value}"`);
    await tab.card('hostile').locator('.filters button').click();
    await tab.until('all series', async () => (await tab.labels('hostile')).length > 5);
  }
  await tab.done();
});

test('hostile addresses are ignored', async () => {
  const tab = await open(`${server.url}/dashboard`);
  for (const hash of ['#%zz', '#@', '#@x', '#@-', '#@9-1', '#@1e999s', '#;by', '#a;is=;is=:;top=-1;top=1e9;fn=<b>;per=', '#__proto__;by=__proto__;fn=constructor', `#${'a,'.repeat(20_000)}`]) {
    await tab.page.goto('about:blank');
    await tab.page.goto(`${server.url}/dashboard${hash}`);
    await tab.until('the status', async () => /series in/.test(await tab.status()));
    assert.deepEqual(tab.problems, [], hash.slice(0, 80));
  }
  await tab.done();
});

test('a CSV file has no formulas', async () => {
  const values = ['=1+1', '+1', '-1', '@SUM(1)', '\tcell', 'two\r\nlines', 'quote"quote', 'a,b'];
  const tab = await open(`${server.url}/live#cells;by=v`, { serve: () => ({ cells: family('gauge', ...values.map(v => ({ labels: { v }, value: -1 }))) }) });
  const [header, ...rows] = await tab.until('rows', async () => { const t = parseCSV(await tab.csv('cells')); return t.length > 2 && t; });
  assert.equal(header.length, values.length + 1);
  for (const cell of header) assert.doesNotMatch(cell, /^[=+\-@\t\r]/);
  for (const text of ['quote"quote', 'a,b', 'two\r\nlines']) assert.ok(header.includes(text), `${text} in ${header.join(' | ')}`);
  assert.ok(rows.every(row => row.length === header.length && row.slice(1).every(v => v === '-1' || v === '')), JSON.stringify(rows));
  await tab.done();
});

test('label names of prototypes are names', async () => {
  const labels = JSON.parse('{"__proto__": "p", "constructor": "c", "hasOwnProperty": "h"}');
  const tab = await open(`${server.url}/live#odd`, { serve: () => ({ odd: family('gauge', { labels, value: 1 }), ...JSON.parse('{"__proto__": {"type": "gauge", "help": "", "series": []}}') }) });
  await tab.until('the labels', async () => (await tab.labels('odd'))[0]?.split(' ').sort().join(' ') === '__proto__="p" constructor="c" hasOwnProperty="h"');
  await tab.card('odd').locator('.tools select.by').selectOption('__proto__');
  await tab.until('the group', async () => (await tab.labels('odd')).join() === 'p');
  await tab.done();
});
