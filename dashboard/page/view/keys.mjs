// The keyboard shortcuts of the page. The dialog in page.html lists them.

import { byId } from './dom.mjs';

const LIST_KEYS = ['ArrowDown', 'ArrowUp', 'PageDown', 'PageUp', 'Enter', 'Home', 'End', ' '];
const SEARCH_KEYS = LIST_KEYS.slice(0, 5);  // keys of the list that are of no use in a text

// listenToKeys adds the shortcuts. Keys in other inputs than the search stay with the input.
export function listenToKeys(session, list, shell) {
  const search = byId('search');
  const shortcuts = {
    '/': () => { session.set({ tab: 'metrics' }); shell.open('drawer', true); search.focus(); search.select(); },
    p: () => shell.pause(),
    t: () => shell.switchTheme(),
    c: () => byId('cardinality').click(),
    x: () => session.set({ cards: [] }),
    g: () => shell.showTab(session.state.tab === 'go' ? 'metrics' : 'go'),
    l: () => session.live(),
    '+': () => session.changeSpan(-1),
    '-': () => session.changeSpan(1),
    '?': () => byId('keys').showModal(),
    ArrowDown: () => list.moveCursor(1),
    ArrowUp: () => list.moveCursor(-1),
    PageDown: () => list.page(1),
    PageUp: () => list.page(-1),
    Home: () => list.moveCursor(-Infinity),
    End: () => list.moveCursor(Infinity),
    Enter: () => list.chooseCursor(),
    ' ': () => list.chooseCursor(),
  };
  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return;
    if (e.target === search) {
      if (e.key === 'Escape') {
        list.find('');
        search.blur();
      } else if (SEARCH_KEYS.includes(e.key)) act(e);
    } else if (e.key === 'Escape') closeOpen(shell);
    else if (!e.target.matches('input, select, textarea') && (!LIST_KEYS.includes(e.key) || movesList(e))) act(e);
  });
  const act = e => {
    if (!Object.hasOwn(shortcuts, e.key)) return;
    e.preventDefault();
    shortcuts[e.key]();
  };
}

// movesList reports whether a key belongs to the list: the list has the focus, or nothing has.
function movesList(e) {
  return e.target === byId('list') || (e.target === document.body && ['ArrowDown', 'ArrowUp', 'Enter'].includes(e.key));
}

// closeOpen closes the menu and the list of families on a small screen.
function closeOpen(shell) {
  for (const name of ['menu', 'drawer']) {
    if (byId(name).getAttribute('aria-expanded') !== 'true') continue;
    shell.open(name, false);
    byId(name).focus();
  }
}
