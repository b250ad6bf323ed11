// Helpers of the tests in Chromium. The environment variables are:
//
// TESTSERVER: path of the program dashboard/browser/chromium/testserver
// TACHO_URL: URL of a running examples/server -incident, for incident.test.mjs
// TACHO_SHOTS: folder for screenshots, optional
// CHROMIUM: path of the browser, /usr/bin/chromium by default
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const launched = [];
after(async () => { for (const stop of launched.reverse()) await stop(); });

// startServer starts the test server with flags. stop ends the server. A server that gets the
// flag -addr with the address of an ended server takes its place.
export async function startServer(...flags) {
  assert.ok(process.env.TESTSERVER, 'TESTSERVER is not set');
  const child = spawn(process.env.TESTSERVER, flags, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const stop = async () => { child.kill(); await ended; };
  launched.push(stop);
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended.then(() => assert.fail('the test server ended'))]);
  const { origin, host } = new URL(/http:\S+/.exec(line)[0]);
  return { url: origin, addr: host, started: Date.now(), stop };
}

let browser;

async function newContext(options) {
  if (!browser) {
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    launched.push(() => browser.close());
  }
  return browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: 'light', ...options });
}

// open opens a URL in a new tab and waits for the list of families. The options are those of
// a browser context, and:
//
// serve: function of Tab.serve
// speed: factor of Tab.hurry
// init: path of a script that runs before the page
// interval: seconds between two polls, 1 by default
// list: whether the list of families is expected, true by default
export async function open(url, { serve, speed = 1, init, interval = 1, list = true, ...options } = {}) {
  const context = await newContext(options);
  const tab = new Tab(await context.newPage(), new URL(url).origin);
  if (serve) await tab.serve(serve);
  if (speed !== 1) await tab.hurry(speed);
  if (init) await tab.page.addInitScript({ path: init });
  await tab.page.addInitScript(recordTexts);
  await tab.page.goto(url);
  if (list) await tab.until('the list of families', async () => await tab.page.locator('#list li').count() > 0);
  if (list && interval) await tab.page.locator('#interval').selectOption(String(interval), { force: true });
  return tab;
}

// A Tab is a page with the problems that occurred in it: errors, warnings, violations of the
// policy, and requests for other servers.
export class Tab {
  constructor(page, origin) {
    this.page = page;
    this.problems = [];
    const ignored = /getImageData|GPU stall/; // warnings about the canvas reads of these tests
    page.on('console', m => { if (['error', 'warning'].includes(m.type()) && !ignored.test(m.text())) this.problems.push(`${m.text()} ${m.location().url}`); });
    page.on('pageerror', e => this.problems.push(String(e)));
    page.on('dialog', d => { this.problems.push(`dialog ${d.message()}`); d.dismiss(); });
    page.on('request', r => { if (!r.url().startsWith(`${origin}/`) && !/^(data|blob):/.test(r.url())) this.problems.push(`request for ${r.url()}`); });
  }

  async close() { await this.page.context().close(); }

  // done fails if there were problems, and closes the tab. An expected problem is a pattern.
  async done(expected = /^$/) {
    assert.deepEqual(this.problems.filter(p => !expected.test(p)), []);
    await this.close();
  }

  item(name) { return this.page.locator('#list li', { has: this.page.locator(`.name:text-is(${JSON.stringify(name)})`) }); }
  card(name) { return this.page.locator(`article[data-family=${JSON.stringify(name)}]`); }
  lines(name) { return this.card(name).locator('canvas:not(.heat)').first(); }
  heat(name) { return this.card(name).locator('canvas.heat'); }
  labels(name) { return this.card(name).locator('.legend button .labels').allTextContents(); }
  values(name) { return this.card(name).locator('.legend button .value').allTextContents(); }
  status() { return this.page.locator('#status').textContent(); }

  // until waits until check returns a value that is true, and returns the value.
  async until(name, check, seconds = 30) {
    for (const end = Date.now() + 1000 * seconds; Date.now() < end;) {
      const value = await check();
      if (value) return value;
      await sleep(50);
    }
    assert.fail(`timeout after ${seconds} s: ${name}; status ${JSON.stringify(await this.status())}, problems ${JSON.stringify(this.problems)}`);
  }

  // hideAll hides all cards. A page without cards in its address first shows some by itself.
  async hideAll() {
    const cards = this.page.locator('article[data-family]');
    await this.until('cards', async () => await cards.count() > 0);
    await this.page.keyboard.press('x');
    await this.until('no cards', async () => await cards.count() === 0);
  }

  // serve answers the requests for the JSON view. answer gets the number of the request and
  // returns the families, the text of a response, a status or null. A status and null are failed
  // requests.
  async serve(answer) {
    let n = 0;
    await this.page.route('**/metrics/json?*', async route => {
      const families = answer(n++);
      if (families === null) return route.abort();
      if (typeof families === 'number') return route.fulfill({ status: families });
      if (typeof families === 'string') return route.fulfill({ body: families });
      const names = new URL(route.request().url()).searchParams.getAll('name[]');
      await route.fulfill({ json: names.length ? Object.fromEntries(names.filter(f => Object.hasOwn(families, f)).map(f => [f, families[f]])) : families });
    });
  }

  // hurry makes the clock of the worker run faster by a factor, so that many polls need little time.
  async hurry(factor) {
    const prelude = `{
      const start = ${Date.now()}, now = Date.now, timer = setTimeout;
      Date.now = () => start + (now() - start) * ${factor};
      performance.now = () => Math.abs(Date.now() - start);
      self.setTimeout = (f, ms) => timer(f, ms / ${Math.abs(factor)});
    }\n`;
    await this.page.route(/[?&]worker=/, async route => {
      const response = await route.fetch();
      await route.fulfill({ response, body: prelude + await response.text() });
    });
  }

  // drawn returns the number of colored pixels of a canvas, the number of their colors, and the
  // part of the width between the first and the last.
  drawn(canvas) {
    return canvas.evaluate(c => {
      if (!c.width || !c.height) return { n: 0, colors: 0, extent: 0 };
      const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
      const colors = new Set();
      let n = 0, first = c.width, last = -1;
      for (let i = 0; i < data.length; i += 4) {
        const [r, g, b, a] = data.subarray(i, i + 4);
        if (a <= 128 || Math.max(r, g, b) - Math.min(r, g, b) <= 60) continue;
        n++;
        colors.add(`${r >> 5},${g >> 5},${b >> 5}`);
        const x = i / 4 % c.width;
        if (x < first) first = x;
        if (x > last) last = x;
      }
      return { n, colors: colors.size, extent: Math.max(0, last - first) / c.width };
    });
  }

  // texts returns the texts of the latest drawing of a canvas.
  texts(canvas) { return canvas.evaluate(c => c.texts ?? []); }

  // frames returns the times of the frames while action runs: the 99th percentile and the
  // maximum, and the longest task of the main thread, in milliseconds.
  async frames(action) {
    await this.page.evaluate(() => {
      const record = window.record = { frames: [], tasks: [0], on: true };
      let last = performance.now();
      const next = now => {
        record.frames.push(now - last);
        last = now;
        if (record.on) requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
      new PerformanceObserver(list => record.tasks.push(...list.getEntries().map(e => e.duration))).observe({ type: 'longtask' });
    });
    await action();
    const { frames, tasks } = await this.page.evaluate(() => { window.record.on = false; return window.record; });
    frames.sort((a, b) => a - b);
    return { count: frames.length, p99: frames[Math.floor(0.99 * frames.length)], max: frames.at(-1), task: Math.max(...tasks) };
  }

  // saved returns the file that a click on a button of a card saves.
  async saved(name, button) {
    const [download] = await Promise.all([this.page.waitForEvent('download'), this.card(name).locator(`button.${button}`).click()]);
    return { file: download.suggestedFilename(), content: await readFile(await download.path()) };
  }

  // csv returns the CSV file of a card without a download. Chromium can lose one of many downloads.
  csv(name) {
    return this.card(name).locator('button.csv').evaluate(async button => {
      const { createObjectURL } = URL, { click } = HTMLAnchorElement.prototype;
      let file;
      URL.createObjectURL = blob => { file = blob; return createObjectURL.call(URL, blob); };
      HTMLAnchorElement.prototype.click = () => {};
      button.click();
      URL.createObjectURL = createObjectURL;
      HTMLAnchorElement.prototype.click = click;
      return file ? file.text() : '';
    });
  }

  // table returns the lines of a card by its CSV file: the labels of the lines without units, and
  // rows of a time in seconds and the values. The value of an empty cell is NaN.
  async table(name) {
    const [header, ...rows] = parseCSV(await this.csv(name));
    const lines = (header ?? []).slice(1).filter(text => !text.startsWith('bucket '));
    return {
      labels: lines.map(text => text.replace(/ \[[^ ]+\]$/, '')),
      rows: rows.map(([time, ...values]) => [Date.parse(time) / 1000, ...lines.map((_, i) => values[i] === '' ? NaN : Number(values[i]))]),
    };
  }

  // column returns the values of the first line of a card, without gaps.
  async column(name) { return (await this.table(name)).rows.map(row => row[1]).filter(v => !Number.isNaN(v)); }

  async screenshot(name, options) {
    if (process.env.TACHO_SHOTS) await this.page.screenshot({ path: `${process.env.TACHO_SHOTS}/${name}.png`, ...options });
  }
}

// recordTexts runs in the page. It stores the texts of the latest drawing at each canvas, and
// reports violations of the policy.
function recordTexts() {
  document.addEventListener('securitypolicyviolation', e => console.error('policy violation', e.violatedDirective));
  const context = CanvasRenderingContext2D.prototype;
  const { fillText, clearRect } = context;
  context.fillText = function (text, ...rest) {
    (this.canvas.texts ??= []).push(text);
    return fillText.call(this, text, ...rest);
  };
  context.clearRect = function (...rectangle) {
    this.canvas.texts = [];
    return clearRect.apply(this, rectangle);
  };
  const width = Object.getOwnPropertyDescriptor(HTMLCanvasElement.prototype, 'width');
  Object.defineProperty(HTMLCanvasElement.prototype, 'width', { ...width, set(pixels) { this.texts = []; width.set.call(this, pixels); } });
}

// parseCSV returns the cells of a CSV file by RFC 4180.
export function parseCSV(text) {
  const rows = [];
  let row = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/gy)) {
    row.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end !== ',') {
      rows.push(row);
      row = [];
    }
  }
  return rows.filter(r => r.length > 1 || r[0] !== '');
}

// family returns a family of the JSON view. A series is a value, or an object with labels.
export const family = (type, ...series) => ({
  type, help: `A ${type}.`,
  series: series.map(s => typeof s === 'object' ? { labels: {}, ...s } : { labels: {}, value: s }),
});
