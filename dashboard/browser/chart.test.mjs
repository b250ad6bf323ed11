// Tests of the drawing of charts in Chromium, on a page with nothing else. CHROMIUM is the
// path of the browser, /usr/bin/chromium by default.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';

const read = name => readFileSync(new URL(name, import.meta.url), 'utf8');
// The modules are one script, as the server joins them.
const MODULES = ['clock', 'format', 'axis', 'timeaxis', 'palette', 'samples', 'plot', 'chart', 'heat', 'export'];
const script = MODULES.map(name => read(`../page/view/${name}.mjs`).replace(/^import .*$/gm, '').replace(/^export /gm, '')).join('\n');
const style = read('testdata/charts.css');
let browser, page, problems;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});
after(() => browser?.close());

async function open(options = {}) {
  await page?.close();
  page = await browser.newPage({ viewport: { width: 800, height: 600 }, timezoneId: 'UTC', ...options });
  problems = [];
  page.on('console', m => { if (m.type() === 'error') problems.push(m.text()); });
  page.on('pageerror', e => problems.push(String(e)));
  await page.setContent(`<!DOCTYPE html><html data-theme="light"><style>${style}</style><canvas id="a"></canvas><canvas id="b"></canvas></html>`);
  await page.addScriptTag({ content: script });
  await page.evaluate(() => {
    const display = { unit: '', perSecond: false };
    // lines draws lines of texts of values by color, over the range [0, 100] by default. The area
    // is 400 x 124 pixels at (62, 8).
    window.lines = (times, valuesOfLines, more = {}, id = 'a') => {
      const list = valuesOfLines.map((values, i) => ({ values: Float64Array.from(values), style: { color: ['#ff0000', '#00ff00', '#0000ff'][i % 3], dash: [] } }));
      drawLines(document.getElementById(id), { times: Float64Array.from(times), lines: list, range: [0, 100], axis: lineAxis(list, more.display ?? display, null), ...more });
    };
    // box returns the bounds of the pixels whose color is near, in pixels of CSS, or null.
    window.box = (id, color, near = 60) => {
      const c = document.getElementById(id), ratio = c.width / c.clientWidth, { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
      let left = Infinity, right = -1, top = Infinity, bottom = -1, n = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] < 100 || color.some((v, k) => Math.abs(data[i + k] - v) > near)) continue;
        const x = (i / 4) % c.width, y = Math.floor(i / 4 / c.width);
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
        n++;
      }
      return n ? { left: left / ratio, right: right / ratio, top: top / ratio, bottom: bottom / ratio, n } : null;
    };
    window.pixels = id => { const c = document.getElementById(id); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join(); };
  });
}
beforeEach(() => open());

const RED = [255, 0, 0], GREEN = [0, 255, 0];
const near = (got, want, what) => assert.ok(Math.abs(got - want) <= 2, `${what}: ${got} is not near ${want}`);

test('samples are at their times and values', async () => {
  const b = await page.evaluate(red => { lines([25, 30, 35, 75], [[0, 10, 5, 5]]); return box('a', red); }, RED);
  near(b.left, 62 + 25 * 4, 'first time');
  near(b.right, 62 + 75 * 4, 'last time');
  near(b.top, 8, 'highest value');
  near(b.bottom, 132, 'lowest value');
  assert.deepEqual(problems, []);
});

test('a missing value and missing samples are gaps, and a lone value is visible', async () => {
  const find = (times, values) => page.evaluate(([times, values, red]) => {
    lines(times, [values]);
    const c = document.getElementById('a'), { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height), columns = new Set();
    for (let i = 0; i < data.length; i += 4) if (data[i] > 180 && data[i + 1] < 100 && data[i + 3] > 100) columns.add((i / 4) % c.width);
    return [...columns].map(x => (x - 62) / 4);
  }, [times, values, RED]);
  const has = (columns, from, to) => columns.some(t => t >= from && t <= to);
  const missing = await find([0, 10, 20, 30, 40, 50], [1, 1, NaN, 1, Infinity, 1]);
  assert.ok(has(missing, 1, 9) && !has(missing, 11, 29) && has(missing, 29, 31) && !has(missing, 31.5, 48) && has(missing, 49, 51), missing.join());
  const silent = await find([0, 5, 10, 60, 65, 70], [1, 1, 1, 1, 1, 1]);
  assert.ok(has(silent, 1, 9) && !has(silent, 12, 58) && has(silent, 61, 69));
  const slower = await find([0, 2, 4, 20, 36, 52], [1, 1, 1, 1, 1, 1]);
  assert.ok(has(slower, 6, 18) && has(slower, 40, 50));
});

test('lines do not leave the area', async () => {
  const b = await page.evaluate(red => { lines([-50, 50, 150], [[1, 2, 1]]); return box('a', red); }, RED);
  assert.ok(b.left >= 62 && b.right <= 462, JSON.stringify(b));
  assert.ok(b.left < 64 && b.right > 459);
});

test('the crosshair is at one time on all canvases and leaves no trace', async () => {
  const { same, changed, xs } = await page.evaluate(() => {
    lines([0, 50, 100], [[1, 2, 3], [3, 1, 2]]);
    drawHeat(document.getElementById('b'), { times: [0, 50, 100], heat: { bounds: [1, 2], counts: [null, [1, 2], [3, 4]] }, range: [0, 200], display: { unit: '' } });
    const before = ['a', 'b'].map(pixels), xs = [];
    const line = document.createElement('canvas').getContext('2d').constructor.prototype, moveTo = line.moveTo;
    line.moveTo = function (x, y) { xs.push(x); moveTo.call(this, x, y); };
    for (const id of ['a', 'b']) drawPointer(document.getElementById(id), 50, null);
    line.moveTo = moveTo;
    const during = ['a', 'b'].map(pixels);
    for (const id of ['a', 'b']) drawPointer(document.getElementById(id), 50, [10, 60]);
    for (const id of ['a', 'b']) drawPointer(document.getElementById(id), null, null);
    return { same: ['a', 'b'].map(pixels).join() === before.join(), changed: during.map((d, i) => d !== before[i]), xs };
  });
  assert.ok(same);
  assert.deepEqual(changed, [true, true]);
  assert.deepEqual(xs, [62 + 200 + .5, 62 + 100 + .5]);
});

test('the crosshair has the time written at it and dots at the nearest samples', async () => {
  const { texts, dots, none } = await page.evaluate(red => {
    lines([0, 50, 100], [[1, 2, 3]]);
    const texts = [], proto = CanvasRenderingContext2D.prototype, fillText = proto.fillText;
    proto.fillText = function (text, ...rest) { texts.push(text); fillText.call(this, text, ...rest); };
    const plain = box('a', red).n;
    drawPointer(document.getElementById('a'), 50, null);
    const dots = box('a', red).n - plain;
    lines([0, 2, 4, 96, 98, 100], [[1, 1, 1, 1, 1, 1]]);
    const gap = box('a', red).n;
    drawPointer(document.getElementById('a'), 50, null);
    return { texts, dots, none: box('a', red).n - gap };
  }, RED);
  assert.ok(texts.includes('00:00:50'), texts.join());
  assert.ok(dots > 8, `${dots}`);
  assert.equal(none, 0);
});

test('a position is a time, and a drag of at least 8 pixels is a range', async () => {
  const got = await page.evaluate(() => {
    const a = document.getElementById('a'), left = a.getBoundingClientRect().left;
    const nothing = [timeAt(a, left + 100), clampedTimeAt(a, left + 100), dragRange(a, left, left + 100), heatAt(a, left + 100, 50)];
    lines([0, 100], [[1, 2]], { range: [1000, 1100] });
    return {
      nothing,
      times: [61, 62, 262, 462, 463].map(x => timeAt(a, left + x)),
      clamped: [-500, 262, 9000].map(x => clampedTimeAt(a, left + x)),
      drags: [[100, 107], [262, 302], [302, 262], [-50, 100 + 62], [470, 500]].map(([x, y]) => dragRange(a, left + x, left + y)),
      heat: heatAt(a, left + 100, 50),
    };
  });
  assert.deepEqual(got, {
    nothing: [null, null, null, null],
    times: [null, 1000, 1050, 1100, null],
    clamped: [1000, 1050, 1100],
    drags: [null, [1050, 1060], [1050, 1060], [1000, 1025], null],
    heat: null,
  });
});

test('restarts are dashed lines and gaps are shaded, within the range only', async () => {
  const { bad, calls } = await page.evaluate(() => {
    const calls = [], proto = CanvasRenderingContext2D.prototype;
    for (const name of ['fillText', 'fillRect', 'moveTo']) {
      const original = proto[name];
      proto[name] = function (...args) { calls.push([name, ...args, this.getLineDash().length]); original.apply(this, args); };
    }
    lines([], [], { marks: [{ kind: 'restart', from: 50, to: 50 }, { kind: 'restart', from: 51, to: 51 }, { kind: 'restart', from: 500, to: 500 }, { kind: 'gap', from: -20, to: 25 }, { kind: 'gap', from: 200, to: 300 }] });
    return { bad: box('a', [194, 38, 29]), calls };
  });
  const dashed = calls.filter(c => c[0] === 'moveTo' && c.at(-1) > 0).map(c => c[1]);
  assert.deepEqual(dashed, [62 + 200 + .5, 62 + 204 + .5]);
  near(bad.left, 262, 'first restart');
  near(bad.right, 266, 'second restart');
  assert.deepEqual(calls.filter(c => c[0] === 'fillText' && /restart|no data/.test(c[1])).map(c => c[1]), ['no data', 'restart']);
  assert.deepEqual(calls.filter(c => c[0] === 'fillRect').map(c => c.slice(1, 5)), [[62, 8, 100, 124]]);
});

test('ticks are at their values and times', async () => {
  const texts = await page.evaluate(() => {
    const texts = {}, proto = CanvasRenderingContext2D.prototype, fillText = proto.fillText;
    proto.fillText = function (text, x, y, ...rest) { texts[text] = [x, y]; fillText.call(this, text, x, y, ...rest); };
    lines([0, 100], [[0, 4]]);
    return texts;
  });
  assert.deepEqual(Object.fromEntries(Object.entries(texts).map(([k, [x, y]]) => [k, Math.round(/:/.test(k) ? x : y)])), {
    0: 132, 1: 101, 2: 70, 3: 39, 4: 8, '00:00:00': 62, '00:00:30': 182, '00:01:00': 302, '00:01:30': 422,
  });
});

test('a heat map has the counts at their times and bounds', async () => {
  const got = await page.evaluate(() => {
    const b = document.getElementById('b'), { left, top } = b.getBoundingClientRect();
    const bounds = Float64Array.of(.1, .2, .4, Infinity), counts = [null, Float32Array.of(0, 0, 0, 16), null, Float32Array.of(4, 0, 0, 0)];
    drawHeat(b, { times: Float64Array.of(10, 20, 30, 60), heat: { bounds, counts, native: false }, range: [0, 100], display: { unit: 'seconds' } });
    const c = b.getContext('2d'), alpha = (x, y) => c.getImageData(x, y, 1, 1).data[3], row = (b.clientHeight - 18 - 18) / 4;
    const at = (time, y) => heatAt(b, left + 62 + 4 * time, top + 18 + y * row);
    return {
      most: [11, 15, 19].map(t => alpha(62 + 4 * t, 20)), around: [9, 21].map(t => alpha(62 + 4 * t, 20)), below: alpha(62 + 4 * 15, 18 + row + 3),
      quarter: [31, 59].map(t => alpha(62 + 4 * t, 18 + 3.5 * row)), past: alpha(62 + 4 * 61, 18 + 3.5 * row),
      hits: [at(15, .5), at(15, 3.5), at(55, 2.5), at(25, .5), at(15, -1), at(15, 5), at(-5, 1)],
    };
  });
  assert.deepEqual(got.most, [255, 255, 255]);
  assert.deepEqual([...got.around, got.below, got.past], [0, 0, 0, 0]);
  for (const alpha of got.quarter) near(alpha, 255 * (.12 + .88 * .5), 'the root of 1/4');
  assert.deepEqual(got.hits, [{ time: 20, text: '> 400 ms', count: 16 }, { time: 20, text: '≤ 100 ms', count: 0 }, { time: 60, text: '100 ms – 200 ms', count: 0 }, null, null, null, null]);
});

test('a heat map has no counts beside the range, and a narrow column has a pixel', async () => {
  const got = await page.evaluate(() => {
    const b = document.getElementById('b'), { left, top } = b.getBoundingClientRect();
    drawHeat(b, { times: [-20, -10, 0, 10], heat: { bounds: [1], counts: [[1], [2], [3], [4]] }, range: [0, 100], display: { unit: '' } });
    const at = time => heatAt(b, left + 62 + 4 * time, top + 60)?.count ?? null;
    return { counts: [-5, 5].map(at), left: b.getContext('2d').getImageData(40, 60, 1, 1).data[3], pixels: [...heatPixels([{ sums: [1] }], [[1, 1]], 3, 1, 1, '1, 2, 3')] };
  });
  assert.deepEqual(got, { counts: [null, 4], left: 0, pixels: [0, 0, 0, 0, 1, 2, 3, 255, 0, 0, 0, 0] });
});

test('at most 32 rows of a heat map are drawn, and no count is lost', async () => {
  const got = await page.evaluate(() => {
    const bounds = Float64Array.from({ length: 1000 }, (_, i) => i + 1), counts = [Float32Array.from(bounds, (_, i) => i >= 100 && i < 420 ? 1 : 0), null];
    const rows = heatRows({ bounds, counts }, 32), columns = heatColumns([1, 2], counts, rows);
    return { n: rows.length, first: rows[0], last: rows.at(-1), sum: columns[0].sums.reduce((a, b) => a + b), few: heatRows({ bounds: [1, 2, 3], counts: [[0, 0, 1]] }, 32), empty: heatRows({ bounds, counts: [] }, 32).length, none: heatRows({ bounds: [], counts: [] }, 32) };
  });
  assert.deepEqual(got, { n: 32, first: [100, 110], last: [410, 420], sum: 320, few: [[0, 1], [1, 2], [2, 3]], empty: 1, none: [] });
});

test('buckets of a native histogram have texts', async () => {
  const texts = await page.evaluate(() => {
    const heat = { bounds: [-4, -2, 0, 2, 4, Infinity], native: true };
    return heat.bounds.map((_, i) => bucketText(heat, [i, i + 1], { unit: '' })).concat(bucketText({ bounds: [Infinity] }, [0, 1], { unit: '' }));
  });
  assert.deepEqual(texts, ['-4 – -2', '-2 – 0', 'about 0', '0 – 2', '2 – 4', '> 4', 'all values']);
});

test('a device with 2 pixels per CSS pixel has a sharp chart', async () => {
  await open({ deviceScaleFactor: 2 });
  const got = await page.evaluate(red => {
    lines([25, 50, 75], [[0, 4, 0]]);
    const a = document.getElementById('a');
    return { size: [a.width, a.height], b: box('a', red), time: timeAt(a, a.getBoundingClientRect().left + 262) };
  }, RED);
  assert.deepEqual(got.size, [940, 300]);
  near(got.b.left, 162, 'left');
  near(got.b.right, 362, 'right');
  assert.equal(got.time, 50);
});

test('another size and another theme apply at the next draw', async () => {
  const got = await page.evaluate(() => {
    const a = document.getElementById('a');
    lines([0, 100], [[1, 2]]);
    a.style.width = '270px';
    lines([0, 100], [[1, 2]]);
    const half = { width: a.width, time: timeAt(a, a.getBoundingClientRect().left + 162) };
    const light = themeColors().card;
    document.documentElement.dataset.theme = 'dark';
    return { half, light, dark: themeColors().card };
  });
  assert.deepEqual(got, { half: { width: 270, time: 50 }, light: '#fff', dark: '#171b22' });
});

test('canvases without room, missing values and extremes draw finite coordinates', async () => {
  const odd = await page.evaluate(() => {
    const odd = [], proto = CanvasRenderingContext2D.prototype;
    for (const name of ['moveTo', 'lineTo', 'fillRect', 'fillText', 'rect', 'drawImage']) {
      const original = proto[name];
      proto[name] = function (...args) { if (args.some(v => typeof v === 'number' && !Number.isFinite(v))) odd.push(`${name} ${args}`); original.apply(this, args); };
    }
    const a = document.getElementById('a'), b = document.getElementById('b');
    const values = [[], [NaN, NaN], [Infinity, -Infinity], [1.7e308, -1.7e308], [5e-324, 0], [1e300, 1e-300], [-1, -2], [0, 0]];
    for (const v of values) for (const unit of ['', 'seconds', 'bytes', 'ratio', 'cores']) lines([10, 20], [v], { display: { unit }, crosshair: 10, drag: [0, 5] });
    for (const range of [[5, 5], [6, 5], [NaN, NaN]]) lines([10, 20], [[1, 2]], { range });
    for (const v of values) drawHeat(b, { times: [10, 20], heat: { bounds: [-Infinity, 0, 5e-324, 1e308, Infinity], counts: [v, null], native: true }, range: [0, 100], display: { unit: 'seconds' }, crosshair: 10 });
    for (const size of ['0px', '1px', '60px', '90px']) for (const side of ['width', 'height']) for (const c of [a, b]) {
      c.style[side] = size;
      lines([10, 20], [[1, 2]], { crosshair: 10 }, c.id);
      drawHeat(c, { times: [10, 20], heat: { bounds: [1], counts: [[1], [2]] }, range: [0, 100], display: { unit: '' }, crosshair: 10 });
      drawPointer(c, 10, [0, 50]);
      c.style[side] = '';
    }
    a.hidden = true;
    lines([10, 20], [[1, 2]]);
    drawPointer(a, 10, null);
    return odd;
  });
  assert.deepEqual(odd, []);
  assert.deepEqual(problems, []);
});

test('the work of a draw is bounded by the points, and the style is read once', async () => {
  const got = await page.evaluate(() => {
    let styles = 0, points = 0;
    const original = window.getComputedStyle, proto = CanvasRenderingContext2D.prototype, lineTo = proto.lineTo;
    window.getComputedStyle = (...args) => { styles++; return original(...args); };
    proto.lineTo = function (x, y) { points++; lineTo.call(this, x, y); };
    document.documentElement.dataset.theme = 'other';
    const times = Array.from({ length: 450 }, (_, i) => i / 4.5);
    for (let n = 0; n < 20; n++) lines(times, Array.from({ length: 25 }, () => times.map(t => Math.sin(t) + 1)));
    const drawn = points / 20;
    points = 0;
    for (let n = 0; n < 20; n++) drawPointer(document.getElementById('a'), n, null);
    return { styles, drawn, pointer: points };
  });
  assert.equal(got.styles, 1);
  assert.ok(got.drawn >= 25 * 449 && got.drawn <= 25 * 449 + 30, `${got.drawn}`);
  assert.equal(got.pointer, 20);   // the crosshair only
});

test('a picture has the title, the charts without crosshair, and 25 lines', async () => {
  await page.evaluate(() => { document.documentElement.dataset.theme = 'dark'; });
  const got = await page.evaluate(async () => {
    const a = document.getElementById('a');
    lines([0, 50, 100], [[1, 2, 3]]);
    const texts = [], proto = CanvasRenderingContext2D.prototype, fillText = proto.fillText;
    const picture = () => pngOf({
      title: 'http_requests_total', about: 'counter · 25 series', filters: ['path="/a"'], range: [0, 100], canvases: [a], note: '3 more series',
      legend: Array.from({ length: 25 }, (_, i) => ({ style: lineStyle(i), text: i === 3 ? 'x'.repeat(5000) : `path="/${i}"`, value: `${i}/s` })),
    });
    const bytes = async blob => [...new Uint8Array(await blob.arrayBuffer())].join();
    proto.fillText = function (text, ...rest) { texts.push(text); fillText.call(this, text, ...rest); };
    const plain = await picture();
    proto.fillText = fillText;
    drawPointer(a, 50, [20, 70]);
    const same = await bytes(plain) === await bytes(await picture());
    const image = await createImageBitmap(plain), c = new OffscreenCanvas(image.width, image.height).getContext('2d');
    c.drawImage(image, 0, 0);
    return { type: plain.type, same, texts, width: image.width, height: image.height, corner: [...c.getImageData(1, 1, 1, 1).data] };
  });
  assert.equal(got.type, 'image/png');
  assert.ok(got.same, 'the crosshair is in the picture');
  assert.deepEqual(got.corner, [0x17, 0x1b, 0x22, 255]);
  assert.equal(got.width, 470 + 28);
  assert.equal(got.height, 28 + 160 + 17 * (1 + 1 + 1 + 1 + 27 + 1));
  for (const text of ['http_requests_total', 'counter · 25 series', 'path="/a"', '1970-01-01 00:00:00 – 00:01:40 UTC', 'path="/24"', '24/s', '3 more series']) assert.ok(got.texts.includes(text), text);
});

test('a file is saved under its name', async () => {
  const download = page.waitForEvent('download');
  await page.evaluate(() => saveFile(fileName('../a', [0, 1], 'csv'), new Blob(['time\r\n'], { type: 'text/csv' })));
  assert.equal((await download).suggestedFilename(), '_a_19700101T000000Z-19700101T000001Z.csv');
});
