// The address of the page has the tab, the time range and the cards. Elements are joined by
// commas: "@go", "@5m" or "@1700000000-1700000300", and a family with options:
// "http_requests_total;by=status;is=path:%2Flogin".

const MAX_CARDS = 64;         // maximum number of cards of an address
const MAX_FILTERS = 32;       // maximum number of filters of a card
const MAX_LINES = 50;         // maximum number of lines of a card
const DAY = 86400;
const SPAN_UNITS = { s: 1, m: 60, h: 3600 };

// parseAddress returns the state in the hash of a URL: { tab, span, zoom, cards }. The span is in
// seconds, and 0 means all stored time. span is null if the hash has none. parseAddress ignores
// bad parts.
export function parseAddress(hash) {
  const state = { tab: 'metrics', span: null, zoom: null, cards: [] };
  for (const part of hash.replace(/^#/, '').split(',')) {
    if (part.startsWith('@')) parseSetting(part.slice(1), state);
    else if (part && state.cards.length < MAX_CARDS) {
      const card = parseCard(part);
      if (card) state.cards.push(card);
    }
  }
  return state;
}

function parseSetting(text, state) {
  let match;
  if (text === 'go') state.tab = 'go';
  else if (text === 'all') state.span = 0;
  else if ((match = /^(\d{1,6})([smh])$/.exec(text))) {
    const seconds = match[1] * SPAN_UNITS[match[2]];
    if (seconds >= 1 && seconds <= DAY) state.span = seconds;
  } else if ((match = /^(\d{1,11}(?:\.\d{1,3})?)-(\d{1,11}(?:\.\d{1,3})?)$/.exec(text))) {
    const [from, to] = [+match[1], +match[2]];
    if (from < to && to - from <= 31 * DAY) state.zoom = [from, to];
  }
}

function parseCard(text) {
  const [first, ...options] = text.split(';');
  const family = decode(first);
  if (!family) return null;
  const card = { family, where: [], top: undefined, by: undefined, fn: undefined, ratio: null };
  const ratioFilters = [];
  for (const option of options) {
    const at = option.indexOf('=');
    if (at < 0) continue;
    const name = option.slice(0, at), value = option.slice(at + 1);
    if (name === 'by') card.by = decode(value) ?? undefined;
    else if (name === 'fn' && /^[a-z0-9]{1,12}$/.test(value)) card.fn = value;
    else if (name === 'top' && /^\d{1,3}$/.test(value) && value >= 1) card.top = Math.min(MAX_LINES, value);
    else if (name === 'is') addFilter(card.where, value);
    else if (name === 'per' && decode(value)) card.ratio = { family: decode(value), where: ratioFilters };
    else if (name === 'peris') addFilter(ratioFilters, value);
  }
  return card;
}

function addFilter(filters, text) {
  const at = text.indexOf(':');
  const label = at > 0 ? decode(text.slice(0, at)) : null, value = decode(text.slice(at + 1));
  if (label && value !== null && filters.length < MAX_FILTERS) filters.push([label, value]);
}

// decode returns null for text with an invalid encoding.
function decode(text) {
  try { return decodeURIComponent(text); } catch { return null; }
}

// encode replaces an unpaired surrogate, which has no encoding.
const encode = text => encodeURIComponent(text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, '\uFFFD'));

// formatAddress returns the hash of a state, or an empty string.
export function formatAddress({ tab, span, zoom, cards }) {
  const parts = cards.map(formatCard);
  if (tab === 'go') parts.unshift('@go');
  if (zoom) parts.unshift(`@${zoom.map(t => +t.toFixed(3)).join('-')}`);
  else if (span !== null) parts.unshift(formatSpan(span));
  return parts.length ? '#' + parts.join(',') : '';
}

function formatSpan(span) {
  if (span === 0) return '@all';
  return span % 60 ? `@${Math.round(span)}s` : `@${span / 60}m`;
}

function formatCard({ family, where, by, fn, top, ratio }) {
  const filters = (name, list) => list.map(([label, value]) => `;${name}=${encode(label)}:${encode(value)}`).join('');
  return encode(family) +
    (by === undefined ? '' : `;by=${encode(by)}`) + filters('is', where) +
    (fn ? `;fn=${fn}` : '') + (top ? `;top=${top}` : '') +
    (ratio ? `;per=${encode(ratio.family)}${filters('peris', ratio.where)}` : '');
}
