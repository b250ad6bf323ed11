// The page polls the JSON view and keeps the last minutes of what it shows. It has
// no dependencies, and never builds HTML from text: label values are strangers'.

const metrics = document.querySelector('meta[name=metrics]').content;
const TICKS = 240;            // polls that are kept
const WINDOW = 15;            // polls that quantiles look back over
const KEEP_ALL = 3000;        // series in all, up to which every family is kept
const MAX_SERIES = 500;       // series of one family that are kept
const LINES = 12;             // lines of one chart
const COLORS = ['#3b82f6', '#f59e0b', '#10b981', '#ef4444', '#8b5cf6', '#06b6d4', '#ec4899', '#84cc16', '#f97316', '#64748b', '#a16207', '#14b8a6'];

const $ = id => document.getElementById(id);
const families = new Map();   // by name: { name, kind, help, count, series, labels }
const types = new Map();      // by name: { kind, help }, of the text format
const times = new Float64Array(TICKS).fill(NaN);
const state = {
  tick: -1, paused: false, search: '', bySize: false, cursor: '',
  selected: new Set(), cards: new Map(), cardinality: false, hover: null,
};

function element(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

// ---- what comes in ----

async function poll() {
  const answer = await fetch(metrics + '/json', { cache: 'no-store' });
  if (!answer.ok) throw new Error(`${metrics}/json answers ${answer.status}`);
  const data = await answer.json();
  if (Object.keys(data).some(name => !types.has(name))) await readTypes(data);
  ingest(data);
}

// readTypes reads HELP and TYPE of the text format, the only place that has them.
async function readTypes(data) {
  const answer = await fetch(metrics, { cache: 'no-store', headers: { Accept: 'text/plain;version=1.0.0;escaping=allow-utf-8' } });
  const text = answer.ok ? await answer.text() : '';
  const help = new Map();
  for (const line of text.split('\n')) {
    if (!line.startsWith('# ')) continue;
    const m = /^# (HELP|TYPE) (?:"((?:[^"\\]|\\.)*)"|(\S+)) ?(.*)$/.exec(line);
    if (!m) continue;
    const name = m[2] === undefined ? m[3] : m[2].replace(/\\(.)/g, (_, c) => c === 'n' ? '\n' : c);
    if (m[1] === 'HELP') help.set(name, m[4].replace(/\\(.)/g, (_, c) => c === 'n' ? '\n' : c));
    else types.set(name, { kind: m[4], help: help.get(name) ?? '' });
  }
  for (const name of Object.keys(data)) if (!types.has(name)) types.set(name, { kind: guess(name), help: '' });
}

function guess(name) { return name.endsWith('_total') ? 'counter' : 'gauge'; }

function ingest(data) {
  state.tick++;
  const at = state.tick % TICKS;
  times[at] = Date.now() / 1000;
  const total = Object.values(data).reduce((n, list) => n + list.length, 0);
  for (const f of families.values()) f.count = 0;
  for (const [name, list] of Object.entries(data)) {
    let f = families.get(name);
    if (!f) families.set(name, f = { name, series: new Map(), distinct: new Map(), count: 0 });
    const { kind, help } = types.get(name);
    Object.assign(f, { kind: list[0]?.buckets ? 'histogram' : kind, help, count: list.length });
    f.distinct = distinct(list);
    if (total <= KEEP_ALL || state.selected.has(name)) keep(f, list, at);
    else f.series.clear();
  }
  for (const f of families.values()) if (f.count === 0) forget(f, at);
}

// distinct counts the values of each label.
function distinct(list) {
  const values = new Map();
  for (const { labels } of list) {
    for (const [name, value] of Object.entries(labels)) {
      if (!values.has(name)) values.set(name, new Set());
      values.get(name).add(value);
    }
  }
  return new Map([...values].map(([name, set]) => [name, set.size]));
}

function keep(f, list, at) {
  for (const s of f.series.values()) s.values[at] = NaN;
  for (const { labels, value, buckets, quantiles } of list) {
    const key = JSON.stringify(labels);
    let s = f.series.get(key);
    if (!s) {
      if (f.series.size >= MAX_SERIES) continue;
      f.series.set(key, s = { text: labelText(labels), values: new Float64Array(TICKS).fill(NaN) });
    }
    s.values[at] = value ?? NaN;
    s.last = state.tick;
    if (buckets) keepBuckets(s, buckets, at);
    if (quantiles) s.quantiles = quantiles;
  }
  for (const [key, s] of f.series) if (state.tick - s.last >= TICKS) f.series.delete(key);
}

function keepBuckets(s, buckets, at) {
  if (s.bounds?.length !== buckets.length) {
    s.bounds = buckets.map(b => b.le ?? Infinity);
    s.buckets = Array.from({ length: TICKS }, () => null);
  }
  s.buckets[at] = buckets.map(b => b.count);
}

function forget(f, at) {
  for (const s of f.series.values()) s.values[at] = NaN;
  if (![...f.series.values()].some(s => state.tick - s.last < TICKS)) families.delete(f.name);
}

function labelText(labels) {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length ? pairs.join(' ') : '(no labels)';
}

// ---- numbers ----

const ticks = () => {
  const first = Math.max(0, state.tick - TICKS + 1);
  return Array.from({ length: state.tick - first + 1 }, (_, i) => (first + i) % TICKS);
};

// rates turns what a counter showed into what it grew by in a second. One that fell
// began anew.
function rates(values, at) {
  return at.map((t, i) => {
    if (i === 0) return NaN;
    const before = values[at[i - 1]], grown = values[t] - before;
    return (grown < 0 ? values[t] : grown) / (times[t] - times[at[i - 1]]);
  });
}

// increases sums what the buckets of all series grew by between two polls.
function increases(series, t, before) {
  let sum = null;
  for (const s of series) {
    const now = s.buckets?.[t], then = s.buckets?.[before];
    if (!now) continue;
    sum ??= new Float64Array(now.length);
    if (sum.length !== now.length) continue;
    const last = now.length - 1, reset = then && now[last] < then[last];
    let below = 0;
    for (let i = 0; i < now.length; i++) {
      const grown = !then ? 0 : reset ? now[i] : now[i] - then[i];
      sum[i] += grown - below;
      below = grown;
    }
  }
  return sum;
}

// quantile interpolates in the bucket that the quantile falls into, as Prometheus'
// histogram_quantile does.
function quantile(q, bounds, counts) {
  const total = counts.reduce((a, b) => a + b, 0);
  if (!(total > 0)) return NaN;
  let rank = q * total;
  for (let i = 0; i < counts.length; i++) {
    if (rank <= counts[i]) {
      if (bounds[i] === Infinity) return bounds[i - 1] ?? NaN;
      const low = i > 0 ? bounds[i - 1] : Math.min(0, bounds[0]);
      return low + (bounds[i] - low) * (counts[i] > 0 ? rank / counts[i] : 1);
    }
    rank -= counts[i];
  }
  return NaN;
}

function format(v, name, perSecond) {
  if (!Number.isFinite(v)) return '–';
  const tail = perSecond ? '/s' : '';
  if (/_seconds(_total)?$/.test(name) && !perSecond && Math.abs(v) < 1e8) {
    const a = Math.abs(v);
    if (a === 0) return '0 s';
    if (a < 1e-3) return trim(v * 1e6) + ' µs';
    if (a < 1) return trim(v * 1e3) + ' ms';
    return trim(v) + ' s';
  }
  if (/_bytes(_total)?$/.test(name)) return scale(v, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB']) + tail;
  return scale(v, 1000, ['', ' k', ' M', ' G', ' T', ' P']) + tail;
}

function scale(v, base, units) {
  let i = 0;
  for (; Math.abs(v) >= base && i < units.length - 1; i++) v /= base;
  return trim(v) + units[i];
}

function trim(v) {
  const a = Math.abs(v);
  if (a !== 0 && a < 0.001) return v.toExponential(1);
  return String(+v.toFixed(a >= 100 ? 0 : a >= 10 ? 1 : a >= 1 ? 2 : 3));
}

// ---- charts ----

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// begin sizes a canvas to its place and returns what to draw with.
function begin(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const dots = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  const g = canvas.getContext('2d');
  g.scale(dots, dots);
  g.font = '11px system-ui, sans-serif';
  return { g, width, height };
}

const LEFT = 62;

function drawLines(canvas, lines, at, name, perSecond) {
  const { g, width, height } = begin(canvas);
  const bottom = height - 16, top = 6;
  const shown = lines.flatMap(l => l.values).filter(Number.isFinite);
  let low = Math.min(0, ...shown), high = Math.max(...shown, low + 1e-9);
  if (!shown.length) [low, high] = [0, 1];
  const x = i => LEFT + (width - LEFT - 4) * (at.length > 1 ? i / (at.length - 1) : 1);
  const y = v => bottom - (bottom - top) * (v - low) / (high - low);
  g.strokeStyle = css('--line');
  g.fillStyle = css('--dim');
  g.lineWidth = 1;
  g.textAlign = 'right';
  g.textBaseline = 'middle';
  for (const v of [low, low + (high - low) / 2, high]) {
    g.beginPath();
    g.moveTo(LEFT, Math.round(y(v)) + .5);
    g.lineTo(width, Math.round(y(v)) + .5);
    g.stroke();
    g.fillText(format(v, name, perSecond), LEFT - 6, Math.max(7, y(v)));
  }
  timeAxis(g, at, width, height);
  for (const line of lines) {
    g.strokeStyle = line.color;
    g.lineWidth = 1.6;
    g.beginPath();
    let pen = false;
    line.values.forEach((v, i) => {
      if (!Number.isFinite(v)) pen = false;
      else if (pen) g.lineTo(x(i), y(v));
      else {
        g.moveTo(x(i), y(v));
        g.lineTo(x(i) + .01, y(v));
        pen = true;
      }
    });
    g.stroke();
  }
  crosshair(g, canvas, at, x, bottom);
}

function timeAxis(g, at, width, height) {
  if (!at.length) return;
  const clock = t => new Date(times[t] * 1000).toLocaleTimeString([], { hour12: false });
  g.fillStyle = css('--dim');
  g.textBaseline = 'alphabetic';
  g.textAlign = 'left';
  g.fillText(clock(at[0]), LEFT, height - 3);
  g.textAlign = 'right';
  g.fillText(clock(at[at.length - 1]), width - 2, height - 3);
}

function crosshair(g, canvas, at, x, bottom) {
  const i = hovered(canvas, at);
  if (i === null) return;
  g.strokeStyle = css('--dim');
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(Math.round(x(i)) + .5, 0);
  g.lineTo(Math.round(x(i)) + .5, bottom);
  g.stroke();
}

// hovered returns the place among the polls that the pointer is over, or null.
function hovered(canvas, at) {
  const h = state.hover;
  if (!h || h.card !== canvas.closest('article') || at.length < 2) return null;
  const { left, width } = canvas.getBoundingClientRect();
  const part = (h.x - left - LEFT) / (width - LEFT - 4);
  return part < 0 || part > 1 ? null : Math.round(part * (at.length - 1));
}

function drawHeat(canvas, columns, bounds, name, at) {
  const { g, width, height } = begin(canvas);
  const bottom = height - 16, rows = bounds.length;
  const most = Math.max(1e-9, ...columns.flatMap(c => c ? [...c] : []));
  const w = (width - LEFT) / Math.max(1, columns.length), h = bottom / rows;
  const heat = css('--heat');
  columns.forEach((column, i) => column?.forEach((n, row) => {
    if (n <= 0) return;
    g.fillStyle = `rgba(${heat}, ${(0.12 + 0.88 * Math.sqrt(n / most)).toFixed(3)})`;
    g.fillRect(LEFT + i * w, bottom - (row + 1) * h, Math.max(1, w - .5), Math.max(1, h - .5));
  }));
  g.fillStyle = css('--dim');
  g.textAlign = 'right';
  g.textBaseline = 'middle';
  const step = Math.ceil(rows / (bottom / 14));
  for (let row = 0; row < rows; row += step) {
    const label = bounds[row] === Infinity ? '+Inf' : format(bounds[row], name, false);
    g.fillText(label, LEFT - 6, Math.max(7, bottom - (row + .5) * h));
  }
  timeAxis(g, at, width, height);
}

// ---- cards ----

function card(name) {
  const title = element('span', { textContent: name });
  const close = element('button', { textContent: '×', title: 'Hide', ariaLabel: `Hide ${name}` });
  close.onclick = () => toggle(name);
  const c = {
    name, hidden: new Set(),
    about: element('p'), lines: element('canvas'), heat: element('canvas', { className: 'heat' }), legend: element('ul', { className: 'legend' }),
  };
  c.lines.setAttribute('role', 'img');
  c.lines.ariaLabel = `${name} over time`;
  c.heat.setAttribute('role', 'img');
  c.heat.ariaLabel = `${name}, observations by bucket over time`;
  c.article = element('article', {}, element('h2', {}, title, close), c.about, c.lines, c.heat, c.legend);
  c.article.dataset.family = name;
  const move = e => {
    state.hover = { card: c.article, x: e.clientX };
    drawCard(c);
  };
  c.lines.addEventListener('pointermove', move);
  c.lines.addEventListener('pointerleave', () => { state.hover = null; drawCard(c); });
  return c;
}

function drawCard(c) {
  const f = families.get(c.name);
  const at = ticks();
  if (!f) {
    c.about.textContent = state.tick < 0 ? '' : 'has no series now';
    return;
  }
  const counter = f.kind === 'counter';
  c.about.textContent = `${f.kind}${counter ? ', per second' : ''} · ${f.count} series${f.help ? ' · ' + f.help : ''}`;
  const histogram = f.kind === 'histogram';
  c.heat.hidden = !histogram;
  if (histogram) drawHistogram(c, f, at);
  else drawSeries(c, f, at, counter);
}

function drawSeries(c, f, at, counter) {
  const all = [...f.series.values()].map(s => {
    const values = counter ? rates(s.values, at) : at.map(t => s.values[t]);
    return { text: s.text, values, size: Math.max(...values.slice(-30).map(v => Number.isFinite(v) ? Math.abs(v) : -1)) };
  });
  all.sort((a, b) => b.size - a.size || (a.text < b.text ? -1 : 1));
  const lines = all.slice(0, LINES).sort((a, b) => a.text < b.text ? -1 : 1);
  lines.forEach((l, i) => { l.color = COLORS[i % COLORS.length]; });
  drawLines(c.lines, lines.filter(l => !c.hidden.has(l.text)), at, f.name, counter);
  const rest = f.count - lines.length;
  drawLegend(c, lines, at, f.name, counter, rest > 0 ? `${rest} more series: the ${LINES} largest are shown` : '');
}

function drawHistogram(c, f, at) {
  const series = [...f.series.values()];
  const bounds = series.find(s => s.bounds)?.bounds ?? [];
  const columns = at.map((t, i) => i === 0 ? null : increases(series, t, at[i - 1]));
  const over = at.map((_, i) => {
    const sum = new Float64Array(bounds.length);
    for (let j = Math.max(1, i - WINDOW + 1); j <= i; j++) columns[j]?.forEach((n, b) => { sum[b] += n; });
    return sum;
  });
  const lines = [[.5, 'p50'], [.9, 'p90'], [.99, 'p99']].map(([q, text], i) => ({
    text, color: COLORS[i], values: over.map(counts => quantile(q, bounds, counts)),
  }));
  drawLines(c.lines, lines.filter(l => !c.hidden.has(l.text)), at, f.name, false);
  drawHeat(c.heat, columns, bounds, f.name, at);
  const seen = columns.at(-1)?.reduce((a, b) => a + b, 0) ?? 0;
  const step = at.length > 1 ? times[at.at(-1)] - times[at.at(-2)] : 1;
  drawLegend(c, lines, at, f.name, false, `${trim(seen / step)} observations a second; quantiles over the last ${WINDOW} polls, all series together`);
}

function drawLegend(c, lines, at, name, perSecond, note) {
  const i = hovered(c.lines, at) ?? at.length - 1;
  const want = lines.length + (note ? 1 : 0);
  while (c.legend.children.length > want) c.legend.lastChild.remove();
  while (c.legend.children.length < want) c.legend.append(element('li'));
  lines.forEach((l, n) => {
    const li = c.legend.children[n];
    let button = li.firstElementChild;
    if (button?.tagName !== 'BUTTON') {
      button = element('button', { title: 'Show or hide this line' },
        element('span', { className: 'swatch' }), element('span', { className: 'labels' }), element('span', { className: 'value' }));
      li.replaceChildren(button);
    }
    const off = c.hidden.has(l.text);
    button.className = off ? 'off' : '';
    button.ariaPressed = String(!off);
    button.onclick = () => {
      if (!c.hidden.delete(l.text)) c.hidden.add(l.text);
      drawCard(c);
    };
    const [swatch, labels, value] = button.children;
    swatch.style.background = l.color;
    labels.textContent = l.text;
    value.textContent = format(l.values[i], name, perSecond);
  });
  if (note) c.legend.lastChild.replaceChildren(element('span', { className: 'note', textContent: note }));
}

function cardinalityCard() {
  const all = [...families.values()].filter(f => f.count > 0).sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
  const total = all.reduce((n, f) => n + f.count, 0);
  const rows = all.slice(0, 20).map(f => {
    const widest = [...f.distinct].sort((a, b) => b[1] - a[1])[0];
    const show = element('button', { textContent: state.selected.has(f.name) ? 'hide' : 'show' });
    show.onclick = () => toggle(f.name);
    return element('tr', {},
      element('td', { textContent: f.name }),
      element('td', { className: 'number', textContent: f.count }),
      element('td', {}, element('meter', { max: total, value: f.count, ariaLabel: `share of ${f.name}` })),
      element('td', { textContent: widest ? `${widest[0]}: ${widest[1]}` : '' }),
      element('td', {}, show));
  });
  const head = ['family', 'series', 'share', 'label with most values', ''].map((text, i) =>
    element('th', { textContent: text, className: i === 1 ? 'number' : '' }));
  return element('article', { className: 'wide', id: 'sizes' },
    element('h2', {}, element('span', { textContent: 'Series by family' })),
    element('p', { textContent: `${total} series in ${all.length} families` }),
    element('table', {}, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...rows)));
}

function drawCards() {
  const cards = $('cards');
  const sizes = $('sizes');
  if (state.cardinality) {
    const fresh = cardinalityCard();
    if (!sizes) cards.prepend(fresh);
    else if (!sizes.contains(document.activeElement)) sizes.replaceWith(fresh);
  } else sizes?.remove();
  for (const [name, c] of state.cards) {
    if (!state.selected.has(name)) {
      c.article.remove();
      state.cards.delete(name);
    }
  }
  for (const name of state.selected) {
    if (!state.cards.has(name)) {
      const c = card(name);
      state.cards.set(name, c);
      cards.append(c.article);
    }
    drawCard(state.cards.get(name));
  }
  const empty = cards.querySelector('.empty');
  if (state.selected.size || state.cardinality) empty?.remove();
  else if (!empty) cards.append(element('div', { className: 'empty', textContent: 'Choose families from the list.' }));
}

// ---- the list ----

const KINDS = { counter: '↗', gauge: '∿', histogram: '▤', summary: '▥' };

function visible() {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [...families.values()].filter(f => {
    const text = [f.name, f.help, f.kind, ...f.distinct.keys()].join(' ').toLowerCase();
    return words.every(w => text.includes(w));
  });
  return all.sort((a, b) => (state.bySize ? b.count - a.count : 0) || (a.name < b.name ? -1 : 1));
}

function drawList() {
  const list = $('list'), shown = visible();
  const most = Math.max(1, ...shown.map(f => f.count));
  while (list.children.length > shown.length) list.lastChild.remove();
  while (list.children.length < shown.length) {
    const li = element('li', {}, ...['kind', 'name', 'count', 'share'].map(className => element('span', { className })));
    li.setAttribute('role', 'option');
    li.onclick = () => toggle(li.dataset.family);
    list.append(li);
  }
  list.removeAttribute('aria-activedescendant');
  shown.forEach((f, i) => {
    const li = list.children[i];
    const [kind, name, count, share] = li.children;
    li.id = `family-${i}`;
    li.dataset.family = f.name;
    li.title = f.help ?? '';
    li.ariaSelected = String(state.selected.has(f.name));
    li.classList.toggle('cursor', f.name === state.cursor);
    if (f.name === state.cursor) list.setAttribute('aria-activedescendant', li.id);
    kind.textContent = KINDS[f.kind] ?? '·';
    kind.title = f.kind;
    name.textContent = f.name;
    count.textContent = f.count;
    share.style.width = state.bySize ? `${100 * f.count / most}%` : '0';
  });
}

function toggle(name) {
  if (!state.selected.delete(name)) state.selected.add(name);
  remember();
  draw();
}

// The choice is in the address, so that it can be kept and sent.
function remember() {
  history.replaceState(null, '', state.selected.size ? '#' + [...state.selected].map(encodeURIComponent).join(',') : location.pathname + location.search);
}

function moveCursor(by) {
  const shown = visible();
  if (!shown.length) return;
  const i = shown.findIndex(f => f.name === state.cursor);
  const next = i < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(shown.length - 1, Math.max(0, i + by));
  state.cursor = shown[next].name;
  drawList();
  $('list').children[next].scrollIntoView({ block: 'nearest' });
}

// ---- the whole ----

function draw() {
  drawList();
  drawCards();
}

function say(text, bad = false) {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
}

let timer = 0, polling = false;

async function turn() {
  clearTimeout(timer);
  if (state.paused || polling) return;
  if (!document.hidden) {
    polling = true;
    try {
      await poll();
      const total = [...families.values()].reduce((n, f) => n + f.count, 0);
      if (!state.paused) say(`${total} series in ${[...families.values()].filter(f => f.count).length} families`);
      if (state.tick === 0 && !state.selected.size) choose();
      draw();
    } catch (e) {
      say(`no answer: ${e.message}; trying on`, true);
    }
    polling = false;
  }
  if (!state.paused) timer = setTimeout(turn, 1000 * $('interval').value);
}

// choose picks something to look at for who comes without a choice.
function choose() {
  const liked = ['http_requests_total', 'http_request_duration_seconds', 'http_requests_in_flight', 'go_goroutines'];
  const some = [...liked.filter(n => families.has(n)), ...families.keys()];
  for (const name of some.slice(0, 3)) state.selected.add(name);
}

function pause() {
  state.paused = !state.paused;
  $('pause').ariaPressed = String(state.paused);
  $('pause').textContent = state.paused ? 'Go on' : 'Pause';
  if (state.paused) say('paused');
  else turn();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem('tacho-theme', theme); } catch { /* a browser that keeps nothing */ }
  draw();
}

function switchCardinality() {
  state.cardinality = !state.cardinality;
  $('cardinality').ariaPressed = String(state.cardinality);
  drawCards();
}

const keys = {
  '/': e => { e.preventDefault(); $('side').classList.add('open'); $('search').focus(); },
  p: pause,
  t: () => $('theme').click(),
  c: switchCardinality,
  x: () => { state.selected.clear(); remember(); draw(); },
  '?': () => $('keys').showModal(),
  ArrowDown: e => { e.preventDefault(); moveCursor(1); },
  ArrowUp: e => { e.preventDefault(); moveCursor(-1); },
  Enter: () => { if (state.cursor) toggle(state.cursor); },
};

document.addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || $('keys').open) return;
  const typing = e.target === $('search');
  if (typing && e.key === 'Escape') {
    $('search').value = state.search = '';
    $('search').blur();
    return drawList();
  }
  const moves = ['ArrowDown', 'ArrowUp', 'Enter'].includes(e.key);
  if (typing ? !moves : moves && e.target !== document.body && e.target !== $('list')) return;
  keys[e.key]?.(e);
});
$('search').addEventListener('input', e => { state.search = e.target.value; state.cursor = visible()[0]?.name ?? ''; drawList(); });
$('sort').onclick = () => { state.bySize = !state.bySize; $('sort').textContent = state.bySize ? '1-9' : 'A-Z'; drawList(); };
$('pause').onclick = pause;
$('cardinality').onclick = switchCardinality;
$('theme').onclick = () => setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
$('help').onclick = () => $('keys').showModal();
$('interval').onchange = turn;
$('drawer').onclick = () => { $('drawer').ariaExpanded = String($('side').classList.toggle('open')); };
document.addEventListener('visibilitychange', () => { if (!document.hidden) turn(); });
window.addEventListener('resize', () => drawCards());

let theme = null;
try { theme = localStorage.getItem('tacho-theme'); } catch { /* as above */ }
document.documentElement.dataset.theme = theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
for (const name of location.hash.slice(1).split(',').filter(Boolean)) {
  try { state.selected.add(decodeURIComponent(name)); } catch { /* not one of ours */ }
}
draw();
turn();
