// Tests of the axis of values, the styles of lines and samples at irregular times, without a
// browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineAxis, valueAxis } from '../page/view/axis.mjs';
import { lineStyle, styleIndexes, swatchOf } from '../page/view/palette.mjs';
import { isGap, nearestSample, sampleInterval, stepTime } from '../page/view/samples.mjs';
import { random } from './random.mjs';

const UNITS = ['', 'seconds', 'bytes', 'ratio', 'cores'];
const display = unit => ({ unit, perSecond: false });
const texts = (low, high, unit) => valueAxis(low, high, display(unit), null).ticks.map(t => t.text).join(' ');

test('ticks are round in the unit', () => {
  assert.equal(texts(0, 2.3, ''), '0 0.5 1 1.5 2 2.5');
  assert.equal(texts(-3, 10, ''), '-5 0 5 10');
  assert.equal(texts(0, .0031, 'seconds'), '0 s 1 ms 2 ms 3 ms 4 ms');
  assert.equal(texts(0, 700, 'seconds'), '0 s 5 min 10 min 15 min');
  assert.equal(texts(0, 3e8, 'bytes'), '0 B 64 MiB 128 MiB 192 MiB 256 MiB 320 MiB');
  assert.equal(texts(0, .42, 'ratio'), '0 % 10 % 20 % 30 % 40 % 50 %');
  assert.equal(texts(0, 1.8e9, 'seconds'), '0 500 M 1 G 1.5 G 2 G');
});

test('an axis without values, of zeros and of extremes has bounds', () => {
  for (const [low, high] of [[Infinity, -Infinity], [NaN, NaN], [0, 0]]) assert.equal(texts(low, high, ''), '0 0.2 0.4 0.6 0.8 1');
  for (const unit of UNITS) {
    for (const extreme of [Number.MAX_VALUE, 1e300, 5e-324, Number.MIN_VALUE * 3]) {
      for (const [low, high] of [[0, extreme], [-extreme, 0], [-extreme, extreme]]) {
        const axis = valueAxis(low, high, display(unit), null);
        assert.ok(axis.low < axis.high && Number.isFinite(axis.high - axis.low), `${low} ${high} ${unit}`);
        assert.ok(axis.ticks.length >= 2 && axis.ticks.length <= 7);
      }
    }
  }
});

const isRound = (step, unit) => {
  if (unit === 'bytes' && step >= 1) return Math.abs(Math.log2(step) - Math.round(Math.log2(step))) < 1e-6;
  if (unit === 'seconds' && step > 5) return [10, 15, 30, 60, 120, 300, 600, 900, 1800].includes(step) || step % 3600 === 0;
  return ['1', '2', '2.5', '5'].includes(step.toExponential(6).replace(/\.?0*e.*/, ''));
};

test('random axes contain the values, and have few round ticks with different texts', () => {
  const next = random(3);
  for (let i = 0; i < 20000; i++) {
    const unit = UNITS[i % UNITS.length], size = 10 ** (22 * next() - 10);
    const a = (next() < .3 ? -1 : 1) * size * next(), b = size * next() * 10 ** (-2 * next());
    const low = Math.min(a, b), high = Math.max(a, b), axis = valueAxis(low, high, display(unit), null);
    const { ticks } = axis, step = ticks[1].value - ticks[0].value, about = `${low} ${high} ${unit}: ${ticks.map(t => t.text).join(' ')}`;
    assert.ok(axis.low <= Math.min(0, low) * (1 - 1e-8) && axis.high >= Math.max(0, high) * (1 - 1e-8), about);
    assert.ok(ticks.length >= 2 && ticks.length <= 6, about);
    assert.equal(new Set(ticks.map(t => t.text)).size, ticks.length, about);
    assert.ok(!/NaN|Infinity|undefined/.test(about), about);
    assert.ok(ticks.some(t => t.value === 0), about);
    if (!(unit === 'seconds' && high >= 1e9)) assert.ok(isRound(Number(step.toPrecision(9)), unit), `step ${step} of ${about}`);
    assert.ok(axis.high - axis.low <= 3 * (Math.max(0, high) - Math.min(0, low)), about);
  }
});

test('an axis stays until a value exceeds it or all values are under half of it', () => {
  const next = random(4);
  for (let i = 0; i < 3000; i++) {
    let axis = null;
    for (let n = 0; n < 20; n++) {
      const high = 100 * next(), low = next() < .5 ? 0 : -100 * next(), before = axis;
      axis = valueAxis(low, high, display(''), before);
      if (!before) continue;
      const isExceeded = low < before.low || high > before.high;
      const isSmall = Math.max(high, -low) < Math.max(before.high, -before.low) / 2;
      assert.equal(axis === before, !isExceeded && !isSmall);
    }
  }
});

test('an axis stays without values and changes with the unit', () => {
  const axis = valueAxis(0, 9, display('bytes'), null);
  assert.equal(valueAxis(Infinity, -Infinity, display('bytes'), axis), axis);
  assert.notEqual(valueAxis(0, 9, display('seconds'), axis), axis);
  assert.notEqual(valueAxis(0, 9, { unit: 'bytes', perSecond: true }, axis), axis);
});

test('the axis of lines ignores gaps and infinities, of a million values too', () => {
  const lines = [[NaN, 3, Infinity], [-Infinity, -1]].map(values => ({ values: Float64Array.from(values) }));
  const axis = lineAxis(lines, display(''), null);
  assert.deepEqual([axis.low, axis.high], [-1, 3]);
  assert.equal(lineAxis([{ values: new Float64Array(1 << 20).fill(7) }], display(''), null).high, 8);
  assert.equal(lineAxis([], display(''), null).high, 1);
});

// ---- styles ----

const luminance = rgb => .2126 * rgb[0] + .7152 * rgb[1] + .0722 * rgb[2];
const linear = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
const contrast = (a, b) => {
  const [low, high] = [luminance(linear(a)), luminance(linear(b))].sort((x, y) => x - y);
  return (high + .05) / (low + .05);
};
// oklab returns coordinates in which distances are about as large as they look.
const oklab = rgb => {
  const rows = [[.4122214708, .5363325363, .0514459929], [.2119034982, .6806995451, .1073969566], [.0883024619, .2817188376, .6299787005]];
  const [l, m, s] = rows.map(row => Math.cbrt(Math.max(0, dot(row, rgb))));
  return [.2104542553 * l + .793617785 * m - .0040720468 * s, 1.9779984951 * l - 2.428592205 * m + .4505937099 * s, .0259040371 * l + .7827717662 * m - .808675766 * s];
};
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
// The matrices are those of Machado, Oliveira and Fernandes (2009) for linear RGB and severity 1.
const SIGHTS = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[.152286, 1.052583, -.204868], [.114503, .786281, .099216], [-.003882, -.048116, 1.051998]],
  deuteranopia: [[.367322, .860646, -.227968], [.280085, .672501, .047413], [-.01182, .04294, .968881]],
  tritanopia: [[1.255528, -.076749, -.178779], [-.078411, .930809, .147602], [.004733, .691367, .3039]],
};

test('colors of lines have a contrast of 3 to the cards of both themes', () => {
  for (let i = 0; i < 25; i++) for (const card of ['#ffffff', '#171b22']) assert.ok(contrast(lineStyle(i).color, card) >= 3, `${lineStyle(i).color} on ${card}`);
});

test('colors of lines differ for people with color blindness', () => {
  const colors = [...new Set(Array.from({ length: 25 }, (_, i) => lineStyle(i).color))];
  for (const [sight, matrix] of Object.entries(SIGHTS)) {
    const seen = colors.map(c => oklab(matrix.map(row => dot(row, linear(c)))));
    for (let i = 0; i < seen.length; i++) {
      for (let j = 0; j < i; j++) assert.ok(Math.hypot(...seen[i].map((v, n) => v - seen[j][n])) > .08, `${sight}: ${colors[i]} and ${colors[j]}`);
    }
  }
});

test('25 lines have 25 styles and swatches', () => {
  const styles = Array.from({ length: 25 }, (_, i) => lineStyle(i));
  assert.equal(new Set(styles.map(s => JSON.stringify(s))).size, 25);
  assert.equal(new Set(styles.map(swatchOf)).size, 25);
  assert.equal(swatchOf({ color: '#123456', dash: [6, 3] }), 'repeating-linear-gradient(90deg, #123456 0px 6px, transparent 6px 9px)');
});

test('a line keeps the style while others come and go', () => {
  const first = styleIndexes(['a', 'b', 'c'], undefined);
  assert.deepEqual([...first], [['a', 0], ['b', 1], ['c', 2]]);
  const second = styleIndexes(['x', 'c', 'a', 'y'], first);
  assert.deepEqual(['a', 'c', 'x', 'y'].map(k => second.get(k)), [0, 2, 1, 3]);
});

// ---- samples ----

test('missing samples are a gap, and a change of the interval is none', () => {
  const gaps = times => times.map((_, i) => i).filter(i => i > 0 && isGap(times, i));
  assert.deepEqual(gaps([0, 1, 2, 60, 61, 62]), [3]);
  assert.deepEqual(gaps([0, 1, 2, 17, 32, 47, 48, 49]), []);
  assert.deepEqual(gaps([0, 5, 10, 25, 30]), []);   // two missing samples
});

test('a sample stands for the interval before, except after a gap', () => {
  const times = [0, 2, 4, 100, 102];
  assert.deepEqual(times.map((_, i) => sampleInterval(times, i)), [2, 2, 2, 2, 2]);
});

test('the nearest sample is near', () => {
  const times = Float64Array.of(0, 2, 4, 100, 102);
  for (const [time, want] of [[0, 0], [.9, 0], [1.1, 1], [-1, 0], [-3, -1], [5.9, 2], [50, -1], [98.5, 3], [102, 4], [103, 4], [110, -1]]) assert.equal(nearestSample(times, time), want, `at ${time}`);
  assert.equal(nearestSample([], 5), -1);
  assert.equal(nearestSample([100], 105), 0);
  assert.equal(nearestSample([100], 500), -1);
});

test('arrow keys go from sample to sample', () => {
  const times = [10, 12, 20];
  assert.equal(stepTime(times, null, -1), 20);
  assert.deepEqual([[10, 1], [11, 1], [12, 1], [20, 1]].map(([t, by]) => stepTime(times, t, by)), [12, 12, 20, 20]);
  assert.deepEqual([[20, -1], [13, -1], [12, -1], [10, -1]].map(([t, by]) => stepTime(times, t, by)), [12, 12, 10, 10]);
  assert.equal(stepTime([], 5, 1), null);
});
