// The page polls the JSON view of the metrics and stores the latest values. The script
// has no dependencies. It never builds HTML from text, because clients of the program can
// choose label values.

const metrics = document.querySelector('meta[name=metrics]').content;
const MAX_POLLS = 240;        // number of stored polls
const QUANTILE_POLLS = 15;    // number of polls that a quantile covers
const STORE_ALL = 3000;       // number of series up to which the values of all families are stored
const MAX_SERIES = 500;       // maximum number of stored series of a family
const MAX_LINES = 12;         // maximum number of lines of a chart
const QUANTILES = [[.5, 'p50'], [.9, 'p90'], [.99, 'p99']];
const COLORS = ['#3b82f6', '#f59e0b', '#10b981', '#ef4444', '#8b5cf6', '#06b6d4', '#ec4899', '#84cc16', '#f97316', '#64748b', '#a16207', '#14b8a6'];

const $ = id => document.getElementById(id);
const families = new Map();   // by name: { name, kind, help, count, series, distinct, histogram }
const times = new Float64Array(MAX_POLLS).fill(NaN);
const state = {
  tick: -1, paused: false, search: '', bySize: false, cursor: '',
  selected: new Set(), cards: new Map(), cardinality: false, hover: null,
};

function element(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

// ---- polling ----

async function poll() {
  const response = await fetch(metrics + '/json?metadata=1', { cache: 'no-store' });
  if (!response.ok) throw new Error(`${metrics}/json: status ${response.status}`);
  addPoll(await response.json());
}

function addPoll(data) {
  state.tick++;
  const at = state.tick % MAX_POLLS;
  times[at] = Date.now() / 1000;
  const total = Object.values(data).reduce((n, { series }) => n + series.length, 0);
  for (const f of families.values()) {
    f.count = 0;
    if (f.histogram) clearColumn(f.histogram, at);
  }
  for (const [name, { type, help, series: list }] of Object.entries(data)) {
    let f = families.get(name);
    if (!f) families.set(name, f = { name, series: new Map(), distinct: new Map(), count: 0 });
    Object.assign(f, { kind: type, help, count: list.length });
    f.distinct = distinct(list);
    if (total <= STORE_ALL || state.selected.has(name)) addValues(f, list, at);
    else f.series.clear();
  }
  for (const f of families.values()) if (f.count === 0) addGap(f, at);
}

// distinct returns the number of distinct values of each label.
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

function addValues(f, list, at) {
  for (const s of f.series.values()) s.values[at] = NaN;
  const native = list.some(s => s.histogram), added = [];
  for (const { labels, value, buckets, histogram, quantiles } of list) {
    const key = JSON.stringify(labels);
    let s = f.series.get(key);
    if (!s) {
      if (f.series.size >= MAX_SERIES) continue;
      f.series.set(key, s = { text: labelText(labels), values: new Float64Array(MAX_POLLS).fill(NaN) });
    }
    s.values[at] = value ?? NaN;
    if (buckets) added.push(addBuckets(f, s, native ? nativeBuckets(histogram ?? {}) : classicBuckets(buckets), native));
    s.last = state.tick;
    if (quantiles) s.quantiles = quantiles;
  }
  if (added.length) addColumn(f.histogram, added, at);
  for (const [key, s] of f.series) if (state.tick - s.last >= MAX_POLLS) f.series.delete(key);
}

// addBuckets sets the buckets of a series and returns their increases. The increases are 0 if
// the previous poll did not have the series.
function addBuckets(f, s, buckets, native) {
  if (f.histogram?.native !== native) {
    f.histogram = { native, columns: Array(MAX_POLLS).fill(null), quantiles: QUANTILES.map(() => new Float64Array(MAX_POLLS).fill(NaN)) };
    for (const other of f.series.values()) other.buckets = null;
  }
  const previous = s.last === state.tick - 1 && s.buckets || buckets;
  s.buckets = buckets;
  return increase(buckets, previous, native);
}

// addColumn adds the increases of all series of a histogram, and the quantiles of the latest polls.
function addColumn({ native, columns, quantiles }, increases, at) {
  columns[at] = merge(increases).filter(b => !native || b.count > 0);
  const latest = merge(ticks().slice(-QUANTILE_POLLS).map(t => columns[t] ?? []));
  QUANTILES.forEach(([q], i) => { quantiles[i][at] = (native ? nativeQuantile : classicQuantile)(q, latest); });
}

function clearColumn({ columns, quantiles }, at) {
  columns[at] = null;
  for (const values of quantiles) values[at] = NaN;
}

// addGap adds a poll without series of the family. It deletes the family if no stored poll
// has a series of the family.
function addGap(f, at) {
  for (const s of f.series.values()) s.values[at] = NaN;
  if (![...f.series.values()].some(s => state.tick - s.last < MAX_POLLS)) families.delete(f.name);
}

function labelText(labels) {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length ? pairs.join(' ') : '(no labels)';
}

// ---- numbers ----

// ticks returns the indexes of the stored polls, oldest first.
const ticks = () => {
  const first = Math.max(0, state.tick - MAX_POLLS + 1);
  return Array.from({ length: state.tick - first + 1 }, (_, i) => (first + i) % MAX_POLLS);
};

// elapsed returns the seconds between two polls. It returns NaN if the clock went back, so
// that a rate is a gap.
function elapsed(t, before) {
  const seconds = times[t] - times[before];
  return seconds > 0 ? seconds : NaN;
}

// rates returns the increases per second of a counter. A decrease means that the counter
// was reset to 0.
function rates(values, at) {
  return at.map((t, i) => {
    if (i === 0) return NaN;
    const increase = values[t] - values[at[i - 1]];
    return (increase < 0 ? values[t] : increase) / elapsed(t, at[i - 1]);
  });
}

function format(v, name, perSecond) {
  if (!Number.isFinite(v)) return '–';
  const suffix = perSecond ? '/s' : '';
  if (/_seconds(_total)?$/.test(name) && !perSecond && Math.abs(v) < 1e8) {
    const a = Math.abs(v);
    if (a === 0) return '0 s';
    if (a < 1e-3) return round(v * 1e6) + ' µs';
    if (a < 1) return round(v * 1e3) + ' ms';
    return round(v) + ' s';
  }
  if (/_bytes(_total)?$/.test(name)) return scale(v, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB']) + suffix;
  return scale(v, 1000, ['', ' k', ' M', ' G', ' T', ' P']) + suffix;
}

function scale(v, base, units) {
  let i = 0;
  for (; Math.abs(v) >= base && i < units.length - 1; i++) v /= base;
  return round(v) + units[i];
}

function round(v) {
  const a = Math.abs(v);
  if (a !== 0 && a < 0.001) return v.toExponential(1);
  return String(+v.toFixed(a >= 100 ? 0 : a >= 10 ? 1 : a >= 1 ? 2 : 3));
}

// ---- charts ----

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// prepare resizes a canvas to its element and returns the drawing context and the size.
function prepare(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const pixelRatio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * pixelRatio);
  canvas.height = Math.round(height * pixelRatio);
  const g = canvas.getContext('2d');
  g.scale(pixelRatio, pixelRatio);
  g.font = '11px system-ui, sans-serif';
  return { g, width, height };
}

const LEFT = 62;              // width of the left margin, in pixels

function drawLines(canvas, lines, at, name, perSecond) {
  const { g, width, height } = prepare(canvas);
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
    let connect = false;
    line.values.forEach((v, i) => {
      if (!Number.isFinite(v)) connect = false;
      else if (connect) g.lineTo(x(i), y(v));
      else {
        g.moveTo(x(i), y(v));
        g.lineTo(x(i) + .01, y(v));
        connect = true;
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

// hovered returns the index in at of the poll under the pointer, or null.
function hovered(canvas, at) {
  const h = state.hover;
  if (!h || h.card !== canvas.closest('article') || at.length < 2) return null;
  const { left, width } = canvas.getBoundingClientRect();
  const fraction = (h.x - left - LEFT) / (width - LEFT - 4);
  return fraction < 0 || fraction > 1 ? null : Math.round(fraction * (at.length - 1));
}

function drawHeat(canvas, columns, bounds, name, at) {
  const { g, width, height } = prepare(canvas);
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
    c.about.textContent = state.tick < 0 ? '' : 'no series in the latest poll';
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
  const lines = all.slice(0, MAX_LINES).sort((a, b) => a.text < b.text ? -1 : 1);
  lines.forEach((l, i) => { l.color = COLORS[i % COLORS.length]; });
  drawLines(c.lines, lines.filter(l => !c.hidden.has(l.text)), at, f.name, counter);
  const rest = f.count - lines.length;
  drawLegend(c, lines, at, f.name, counter, rest > 0 ? `${rest} more series, only the ${MAX_LINES} largest are shown` : '');
}

function drawHistogram(c, f, at) {
  const { native, columns, quantiles } = f.histogram ?? { columns: [], quantiles: [] };
  const lines = QUANTILES.map(([, text], i) => ({ text, color: COLORS[i], values: at.map(t => quantiles[i]?.[t] ?? NaN) }));
  drawLines(c.lines, lines.filter(l => !c.hidden.has(l.text)), at, f.name, false);
  const { bounds, counts } = heatMap(at.map(t => columns[t] ?? null), native);
  drawHeat(c.heat, counts, bounds, f.name, at);
  const observed = observations(columns[at.at(-1)] ?? []);
  const step = at.length > 1 ? elapsed(at.at(-1), at.at(-2)) : 1;
  drawLegend(c, lines, at, f.name, false, `${format(observed / step, '', false)} observations per second · quantiles of all series over the last ${QUANTILE_POLLS} polls`);
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
  const head = ['family', 'series', 'share', 'label with the most values', ''].map((text, i) =>
    element('th', { textContent: text, className: i === 1 ? 'number' : '' }));
  return element('article', { className: 'wide', id: 'sizes' },
    element('h2', {}, element('span', { textContent: 'Series per family' })),
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
  else if (!empty) cards.append(element('div', { className: 'empty', textContent: 'Select families in the list.' }));
}

// ---- list ----

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
  saveSelection();
  draw();
}

// saveSelection writes the selected families to the URL, for bookmarks and links.
function saveSelection() {
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

// ---- page ----

function draw() {
  drawList();
  drawCards();
}

function setStatus(text, bad = false) {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
}

let timer = 0, polling = false;

// update polls, draws the page and schedules the next call of update.
async function update() {
  clearTimeout(timer);
  if (state.paused || polling) return;
  if (!document.hidden) {
    polling = true;
    try {
      await poll();
      const total = [...families.values()].reduce((n, f) => n + f.count, 0);
      if (!state.paused) setStatus(`${total} series in ${[...families.values()].filter(f => f.count).length} families`);
      if (state.tick === 0 && !state.selected.size) selectDefaults();
      draw();
    } catch (e) {
      setStatus(`request failed, retrying: ${e.message}`, true);
    }
    polling = false;
  }
  if (!state.paused) timer = setTimeout(update, 1000 * $('interval').value);
}

// selectDefaults selects families for a URL without a selection.
function selectDefaults() {
  const preferred = ['http_requests_total', 'http_request_duration_seconds', 'http_requests_in_flight', 'go_goroutines'];
  const candidates = [...preferred.filter(n => families.has(n)), ...families.keys()];
  for (const name of candidates.slice(0, 3)) state.selected.add(name);
}

function pause() {
  state.paused = !state.paused;
  $('pause').ariaPressed = String(state.paused);
  $('pause').textContent = state.paused ? 'Resume' : 'Pause';
  if (state.paused) setStatus('paused');
  else update();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem('tacho-theme', theme); } catch { /* the browser blocks storage */ }
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
  x: () => { state.selected.clear(); saveSelection(); draw(); },
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
$('sort').onclick = () => { state.bySize = !state.bySize; $('sort').textContent = state.bySize ? 'By series' : 'By name'; drawList(); };
$('pause').onclick = pause;
$('cardinality').onclick = switchCardinality;
$('theme').onclick = () => setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
$('help').onclick = () => $('keys').showModal();
$('interval').onchange = update;
$('drawer').onclick = () => { $('drawer').ariaExpanded = String($('side').classList.toggle('open')); };
document.addEventListener('visibilitychange', () => { if (!document.hidden) update(); });
window.addEventListener('resize', () => drawCards());

let theme = null;
try { theme = localStorage.getItem('tacho-theme'); } catch { /* the browser blocks storage */ }
document.documentElement.dataset.theme = theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
for (const name of location.hash.slice(1).split(',').filter(Boolean)) {
  try { state.selected.add(decodeURIComponent(name)); } catch { /* not a valid encoding */ }
}
draw();
update();
