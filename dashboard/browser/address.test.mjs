// Tests of the address of the page: round trips, old addresses and hostile addresses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, parseAddress } from '../page/view/address.mjs';

const card = (family, options = {}) => ({ family, where: [], by: undefined, fn: undefined, top: undefined, ratio: null, ...options });
const state = (options = {}) => ({ tab: 'metrics', span: null, zoom: null, cards: [], ...options });

test('an address has the families of an old address', () => {
  assert.deepEqual(parseAddress('#a,b_total'), state({ cards: [card('a'), card('b_total')] }));
  assert.equal(formatAddress(parseAddress('#a,b_total')), '#a,b_total');
  assert.deepEqual(parseAddress('#http.server%2Fduration'), state({ cards: [card('http.server/duration')] }));
  for (const empty of ['', '#', '#,', '#,,']) assert.deepEqual(parseAddress(empty), state());
  assert.equal(formatAddress(state()), '');
});

test('a state survives a round trip', () => {
  const states = [
    state({ tab: 'go', span: 0 }),
    state({ span: 900 }),
    state({ span: 45 }),
    state({ zoom: [1700000000, 1700000300] }),
    state({ zoom: [1700000000.25, 1700000300.125], tab: 'go', cards: [card('a')] }),
    state({ cards: [card('a', { by: '' }), card('a', { by: '*' }), card('a', { by: 'path' })] }),
    state({ cards: [card('a', { by: 'path', where: [['path', '/x'], ['path', '/y'], ['code', '']], fn: 'p90', top: 25 })] }),
    state({ cards: [card('errors', { ratio: { family: 'requests', where: [['a', 'b'], ['c', 'd']] } }), card('x', { ratio: { family: 'x', where: [] } })] }),
  ];
  for (const s of states) assert.deepEqual(parseAddress(formatAddress(s)), s, formatAddress(s));
  assert.equal(formatAddress(states[1]), '#@15m');
});

test('separators and any other character are allowed in names and values', () => {
  const texts = ['a,b', 'a;b', 'a=b', 'a:b', '@go', '#', '%', '%2C', ' ', '\n', '"', '<img src=x onerror=alert(1)>', '日本語', '😀', '__proto__', 'constructor', '*', '\0'];
  for (const text of texts) {
    const s = state({ cards: [card(text, { by: text, where: [[text, text], ['l', `${text}:${text}`]], ratio: { family: text, where: [[text, text]] } })] });
    const hash = formatAddress(s);
    assert.deepEqual(parseAddress(hash), s, hash);
    assert.doesNotMatch(hash, /[\s"<>]/);
  }
});

test('an unpaired surrogate becomes a replacement character', () => {
  assert.equal(formatAddress(state({ cards: [card('a\uD800b\uDC00', { where: [['l', '\uD83D']] })] })), '#a%EF%BF%BDb%EF%BF%BD;is=l:%EF%BF%BD');
});

test('bad parts are ignored', () => {
  const a = state({ cards: [card('a')] });
  for (const bad of [
    '%', '%E0%A4%A', ';by=x', '@', '@x', '@-1m', '@0m', '@1e9m', '@99h', '@5-1', '@1-1', '@0-9999999999', '@NaN-NaN', '@go ', '@GO',
  ]) assert.deepEqual(parseAddress(`#${bad},a`), a, bad);
  for (const bad of [
    ';', ';by', ';by=%', ';fn=', ';fn=P99', ';fn=<b>', ';top=', ';top=0', ';top=-1', ';top=1e3', ';is=', ';is=x', ';is=:x', ';is=%:x', ';is=x:%', ';per=', ';per=%', ';peris=a:b', ';x=y', ';__proto__=x',
  ]) assert.deepEqual(parseAddress(`#a${bad}`), a, bad);
});

test('an address has bounds', () => {
  const many = n => Array.from({ length: n }, (_, i) => `f${i}`);
  assert.equal(parseAddress(`#${many(5000)}`).cards.length, 64);
  assert.equal(parseAddress(`#a${many(5000).map(v => `;is=l:${v}`).join('')}`).cards[0].where.length, 32);
  assert.equal(parseAddress('#a;top=999').cards[0].top, 50);
});
