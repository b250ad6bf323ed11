// Shell has the header: the status, the tabs, the time range, the interval and the theme.

import { byId, setText } from './dom.mjs';

const THEME_KEY = 'tacho-theme';
const MESSAGE_MS = 4000;      // time that a message stays in the status

export class Shell {
  constructor(session) {
    this.session = session;
    this.message = '';          // in the place of the status
    this.timer = 0;             // of the end of the message
    this.setTheme(storedTheme() ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
    byId('pause').onclick = () => this.pause();
    byId('copy').onclick = () => this.copyLink();
    byId('cardinality').onclick = () => session.set({ sizes: !session.state.sizes, tab: 'metrics' });
    byId('theme').onclick = () => this.switchTheme();
    byId('help').onclick = () => byId('keys').showModal();
    byId('live').onclick = () => session.live();
    byId('range').onchange = e => session.set({ span: Number(e.target.value), zoom: null });
    byId('interval').onchange = e => this.setInterval(Number(e.target.value));
    byId('drawer').onclick = () => this.open('drawer', !isOpen('drawer'));
    byId('menu').onclick = () => this.open('menu', !isOpen('menu'));
    for (const tab of ['metrics', 'go']) byId(`tab-${tab}`).onclick = () => this.showTab(tab);
    byId('tab-go').parentElement.onkeydown = e => this.tabKey(e);
    document.addEventListener('pointerdown', e => { if (isOpen('menu') && !e.target.closest('#controls, #menu')) this.open('menu', false); });
  }

  // ---- actions ----

  pause() {
    const paused = !this.session.state.paused;
    this.session.set({ paused });
    if (!paused) this.session.post({ type: 'poll' });
  }

  setInterval(interval) {
    this.session.set({ interval });
    if (!this.session.state.paused) this.session.post({ type: 'poll' });
  }

  // copyLink copies the address of the shown range. A browser has no clipboard for a page over plain HTTP, and it can
  // refuse to copy. A dialog then has the address.
  async copyLink() {
    const address = this.session.link();
    try {
      await navigator.clipboard.writeText(address);
      this.show('Link copied');
    } catch {
      byId('address').value = address;
      byId('link').showModal();
      byId('address').select();
    }
  }

  // show puts a message in the place of the status for some seconds.
  show(message) {
    clearTimeout(this.timer);
    if (message) this.timer = setTimeout(() => this.show(''), MESSAGE_MS);
    this.message = message;
    this.draw();
  }

  showTab(tab) {
    this.session.set({ tab });
    this.open('menu', false);
  }

  tabKey(e) {
    if (e.key !== 'ArrowLeft' && e.key !== 'ArrowRight') return;
    e.preventDefault();
    this.showTab(this.session.state.tab === 'go' ? 'metrics' : 'go');
    byId(`tab-${this.session.state.tab}`).focus();
  }

  // open shows or hides the list of families or the menu on a small screen.
  open(name, open) {
    const button = byId(name), panel = byId(button.getAttribute('aria-controls'));
    button.setAttribute('aria-expanded', String(open));
    panel.classList.toggle('open', open);
  }

  setTheme(theme) { document.documentElement.dataset.theme = theme; }

  switchTheme() {
    const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    this.setTheme(theme);
    try { localStorage.setItem(THEME_KEY, theme); } catch { /* the browser blocks storage */ }
    this.session.render();
  }

  // ---- drawing ----

  draw() {
    const { state, frame } = this.session, zoomed = Boolean(state.zoom);
    const { text, bad } = frame?.status ?? { text: 'connecting', bad: false };
    if (this.message) this.drawStatus(this.message, false);
    else this.drawStatus(state.paused ? 'paused' : text === 'paused' ? 'resuming' : text, bad && !state.paused);
    setText(byId('pause'), state.paused ? 'Resume' : 'Pause');
    byId('pause').setAttribute('aria-pressed', String(state.paused));
    byId('cardinality').setAttribute('aria-pressed', String(state.sizes));
    byId('live').hidden = !zoomed;
    this.drawRange(zoomed ? 'zoom' : String(this.session.span()));
    document.body.dataset.tab = state.tab;
    for (const tab of ['metrics', 'go']) {
      byId(`tab-${tab}`).setAttribute('aria-selected', String(state.tab === tab));
      byId(`tab-${tab}`).tabIndex = state.tab === tab ? 0 : -1;
    }
    byId('cards').setAttribute('aria-labelledby', `tab-${state.tab}`);
  }

  // drawStatus puts the number of families in an element of its own, which a small screen hides. A
  // screen reader announces each change, except a change of the number of series.
  drawStatus(text, bad) {
    const status = byId('status'), at = text.includes(' series in ') ? text.indexOf(' in ') : text.length;
    const counts = at < text.length && status.lastChild.textContent !== '';
    status.setAttribute('aria-live', counts ? 'off' : 'polite');
    setText(status.firstChild, text.slice(0, at));
    setText(status.lastChild, text.slice(at));
    status.title = text;
    status.classList.toggle('bad', bad);
  }

  // drawRange adds an option for a range of the address that is not in the list.
  drawRange(value) {
    const range = byId('range');
    if (![...range.options].some(o => o.value === value)) range.add(new Option(value % 60 ? `${value} s` : `${value / 60} min`, value), range.options.length - 2);
    if (range.value !== value) range.value = value;
  }
}

const isOpen = name => byId(name).getAttribute('aria-expanded') === 'true';

function storedTheme() {
  try { return localStorage.getItem(THEME_KEY); } catch { return null; }
}
