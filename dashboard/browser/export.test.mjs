// Tests of CSV, file names and wrapped texts, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvOf, fileName, wrapText } from '../page/view/export.mjs';
import { random } from './random.mjs';

const result = (lines, more = {}) => ({
  family: 'f_total', times: Float64Array.of(1.8e9, 1.8e9 + 1.5), display: { unit: '', perSecond: false }, heat: null, ...more,
  lines: Object.entries(lines).map(([text, values]) => ({ text, values: Float64Array.from(values) })),
});

// parse reads CSV as RFC 4180 says.
const parse = text => {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== ',') rows.push([]);
  }
  return rows.slice(0, -1);
};

test('a CSV has the time in UTC and a column for each line', () => {
  assert.equal(csvOf(result({ 'a="b"': [1, .5], '(no labels)': [NaN, -Infinity] }, { display: { unit: 'bytes', perSecond: true } })),
    'time,"a=""b"" [B/s]",f_total [B/s]\r\n2027-01-15T08:00:00.000Z,1,\r\n2027-01-15T08:00:01.500Z,0.5,-Inf\r\n');
  assert.equal(csvOf(result({ p50: [-3, 1e300] })), 'time,p50\r\n2027-01-15T08:00:00.000Z,-3,\r\n2027-01-15T08:00:01.500Z,1e+300,\r\n'.replaceAll(',\r\n', '\r\n'));
  assert.match(csvOf(result({ p50: [1, 2] }, { display: { unit: 'cores', perSecond: true } })), /^time,p50 \[cores\]\r\n/);
  assert.match(csvOf(result({ p50: [1, 2] }, { display: { unit: '', perSecond: true } })), /^time,p50 \[1\/s\]\r\n/);
});

test('a CSV has the observations of each bucket', () => {
  const heat = { bounds: Float64Array.of(.5, Infinity), counts: [null, Float32Array.of(2, .25)], native: false };
  assert.deepEqual(parse(csvOf(result({ p50: [1, 2] }, { heat }))), [
    ['time', 'p50', 'bucket 0.5 [1/s]', 'bucket Inf [1/s]'],
    ['2027-01-15T08:00:00.000Z', '1', '', ''],
    ['2027-01-15T08:00:01.500Z', '2', '2', '0.25'],
  ]);
});

test('a CSV of random texts has the texts, and no cell is a formula', () => {
  const next = random(5), letters = '=+-@\t\r\n",a1| ()\'é𝄞';
  for (let i = 0; i < 3000; i++) {
    const text = Array.from({ length: 1 + 8 * next() }, () => [...letters][Math.floor([...letters].length * next())]).join('');
    const rows = parse(csvOf(result({ [text]: [1, 2] })));
    assert.deepEqual(rows.map(r => r.length), [2, 2, 2], JSON.stringify(text));
    const cell = rows[0][1];
    assert.ok(!/^[=+\-@\t\r\n]/.test(cell), JSON.stringify(cell));
    assert.ok(cell === text || cell === `'${text}`);
  }
});

test('names of files are safe', () => {
  const name = family => fileName(family, [1.8e9 - 900, 1.8e9], 'csv');
  assert.equal(name('http_requests_total'), 'http_requests_total_20270115T074500Z-20270115T080000Z.csv');
  for (const family of ['../../etc/passwd', 'C:\\con', '.hidden', '-rf', 'a\0b', 'a\nb', '<img src=x>', 'x'.repeat(5000), '', '...', '\u202egnp.exe', 'ä/ö', '𝄞']) {
    assert.match(name(family), /^[\w][\w.-]{0,99}_20270115T074500Z-20270115T080000Z\.csv$/, family);
  }
});

test('a text wraps at spaces and ends with an ellipsis', () => {
  const measure = t => [...t].length;
  assert.deepEqual(wrapText('one two three four', 9, 3, measure), ['one two', 'three', 'four']);
  assert.deepEqual(wrapText('one two three four five', 9, 2, measure), ['one two', 'three fo…']);
  assert.deepEqual(wrapText('abcdefghijkl', 5, 3, measure), ['abcde', 'fghij', 'kl']);
  assert.deepEqual(wrapText('', 5, 3, measure), []);
  assert.deepEqual(wrapText('wide', 0, 2, measure), ['w', 'i…']);
});

test('random texts wrap within the width', () => {
  const next = random(6);
  for (let i = 0; i < 2000; i++) {
    const text = Array.from({ length: 200 * next() }, () => next() < .15 ? ' ' : 'x').join(''), width = 2 + Math.floor(30 * next()), most = 1 + Math.floor(4 * next());
    const lines = wrapText(text, width, most, t => t.length);
    assert.ok(lines.length <= most && lines.every(l => l.length <= width), JSON.stringify(lines));
    if (!lines.at(-1)?.endsWith('…')) assert.equal(lines.join('').replaceAll(' ', ''), text.replaceAll(' ', ''));
  }
});
