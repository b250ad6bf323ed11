// Tests of numbers and times as texts, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';

process.env.TZ = 'Europe/Berlin';
const { formatDate, formatRange, formatTime } = await import('../page/view/clock.mjs');
const { formatValue } = await import('../page/view/format.mjs');
const { timeTicks } = await import('../page/view/timeaxis.mjs');
const { random } = await import('./random.mjs');

const UNITS = ['', 'seconds', 'bytes', 'ratio', 'cores'];
const rate = unit => ({ unit, perSecond: true }), level = unit => ({ unit, perSecond: false });

test('values have the prefix of the unit', () => {
  const cases = [
    [0, '', '0'], [-0, '', '0'], [7, '', '7'], [1234, '', '1.23 k'], [-12345678, '', '-12.3 M'], [.5, '', '0.5'], [.00125, '', '0.00125'], [2e-7, '', '2e-7'], [1e300, '', '1e300'],
    [0, 'seconds', '0 s'], [3e-9, 'seconds', '3 ns'], [.0000425, 'seconds', '42.5 µs'], [.0123, 'seconds', '12.3 ms'], [90, 'seconds', '90 s'], [150, 'seconds', '2.5 min'], [9000, 'seconds', '2.5 h'], [1e6, 'seconds', '11.6 d'],
    [1023, 'bytes', '1023 B'], [1024, 'bytes', '1 KiB'], [1536 * 1024, 'bytes', '1.5 MiB'], [5 * 2 ** 40, 'bytes', '5 TiB'],
    [.123, 'ratio', '12.3 %'], [1, 'ratio', '100 %'], [1e-5, 'ratio', '0.001 %'], [1e308, 'ratio', '1e308 × 100 %'],
    [.25, 'cores', '0.25 cores'], [55, 'percent', '55 %'], [21.5, 'celsius', '21.5'],
  ];
  for (const [value, unit, text] of cases) assert.equal(formatValue(value, level(unit)), text);
});

test('a value that rounds to 1 of the next prefix has the next prefix', () => {
  assert.equal(formatValue(999.7, level('')), '1 k');
  assert.equal(formatValue(1023.7, level('bytes')), '1 KiB');
  assert.equal(formatValue(.9999, level('seconds')), '1 s');
});

test('rates are per second, and cores are rates already', () => {
  assert.deepEqual(UNITS.map(u => formatValue(2, rate(u))), ['2/s', '2 s/s', '2 B/s', '200 %/s', '2 cores']);
  assert.equal(formatValue(1200, rate('')), '1.2 k/s');
});

test('missing values and infinities have texts', () => {
  assert.deepEqual([NaN, Infinity, -Infinity].map(v => formatValue(v, level('bytes'))), ['–', '+Inf', '-Inf']);
});

test('seconds since 1970 are a date', () => {
  assert.equal(formatValue(1.8e9, level('seconds')), '2027-01-15 09:00');
  assert.equal(formatValue(1.8e9, rate('seconds')), '1.8e9 s/s');
});

// The value of a text is within half a unit of the third digit.
test('random values have at most 4 digits and keep the value', () => {
  const factors = { '': 1, ' k': 1e3, ' M': 1e6, ' G': 1e9, ' T': 1e12, ' P': 1e15, ' E': 1e18, ' cores': 1, ' %': .01, ' × 100 %': 1, ' ns': 1e-9, ' µs': 1e-6, ' ms': 1e-3, ' s': 1, ' min': 60, ' h': 3600, ' d': 86400, ' B': 1, ' KiB': 2 ** 10, ' MiB': 2 ** 20, ' GiB': 2 ** 30, ' TiB': 2 ** 40, ' PiB': 2 ** 50, ' EiB': 2 ** 60 };
  const next = random(1);
  for (let i = 0; i < 50000; i++) {
    const unit = UNITS[i % UNITS.length], exponent = i % 3 ? 24 * next() - 12 : 630 * next() - 323;
    const value = (next() < .5 ? -1 : 1) * (1 + 8.9 * next()) * 10 ** exponent;
    if (unit === 'seconds' && value >= 1e9) continue;
    const text = formatValue(value, level(unit));
    const [, digits, tail, suffix] = /^-?([\d.]+)(e-?\d+)?( .*)?$/.exec(text) ?? assert.fail(`${value} is ${text}`);
    assert.ok(digits.replace('.', '').replace(/^0+/, '').length <= 4, text);
    const factor = factors[suffix ?? ''] ?? factors[suffix.replace(' cores', '')];
    const got = Math.sign(value) * Number(digits + (tail ?? '')) * factor;
    if (value !== 0 && Math.abs(value) > 1e-290) assert.ok(Math.abs(got - value) <= .0051 * Math.abs(value), `${value} is ${text}`);
  }
});

test('times are local', () => {
  assert.equal(formatTime(1.8e9, false), '09:00:00');
  assert.equal(formatTime(1.8e9, true, 60), '01-15 09:00');
  assert.equal(formatTime(1.8e9 + .5, false, .1), '09:00:00.500');
  assert.equal(formatDate(1.8e9), '2027-01-15 09:00:00');
  assert.equal(formatRange(1.8e9 - 900, 1.8e9), '2027-01-15 08:45:00 – 09:00:00 +01:00');
  assert.equal(formatRange(1.8e9 - 86400, 1.8e9), '2027-01-14 09:00:00 – 2027-01-15 09:00:00 +01:00');
});

test('time ticks are at round local times', () => {
  const texts = (span, to = 1.8e9) => timeTicks(to - span, to, 4).map(t => t.text).join(' ');
  assert.equal(texts(60), '08:59:00 08:59:15 08:59:30 08:59:45 09:00:00');
  assert.equal(texts(900), '08:45 08:50 08:55 09:00');
  assert.equal(texts(86400), '01-14 12:00 18:00 01-15 00:00 06:00');
  assert.equal(texts(86400 * 8), '01-08 01-10 01-12 01-14');
  assert.equal(texts(.1), '08:59:59.900 08:59:59.950 09:00:00.000');
});

test('time ticks are at round local times on both sides of a change to summer time', () => {
  const change = Date.UTC(2027, 2, 28, 1) / 1000;   // 02:00 becomes 03:00
  const ticks = timeTicks(change - 12 * 3600, change + 12 * 3600, 8);
  assert.deepEqual(ticks.map(t => t.text.slice(-5)), ['15:00', '18:00', '21:00', '00:00', '03:00', '06:00', '09:00', '12:00', '15:00']);
});

test('random time ticks are few, in the range, and at a constant distance', () => {
  const next = random(2);
  for (let i = 0; i < 5000; i++) {
    const from = 1.8e9 + 1e6 * next(), to = from + 10 ** (5 * next() - 1), maximum = 1 + Math.floor(12 * next());
    const ticks = timeTicks(from, to, maximum);
    assert.ok(ticks.length <= maximum + 1, `${ticks.length} ticks`);
    ticks.forEach(({ time, text }, n) => {
      assert.ok(time >= from && time <= to && /^[\d:. -]+$/.test(text), text);
      if (n > 1) assert.ok(Math.abs(time - 2 * ticks[n - 1].time + ticks[n - 2].time) < 1e-4);
    });
  }
  for (const [from, to] of [[5, 5], [6, 5], [NaN, 1], [0, Infinity]]) assert.deepEqual(timeTicks(from, to, 0), []);
});
