// Colors and dashes of lines, and the colors of the theme.

// Each color has a contrast of at least 3 to the cards of both themes. The colors differ for
// people with color blindness too. More than 6 lines differ by the dash.
const LINE_COLORS = ['#1890e8', '#f86000', '#50a078', '#a010f8', '#c83008', '#a04888'];
const LINE_DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3], [1, 5]];
const THEME_COLORS = ['line', 'dim', 'text', 'card', 'accent', 'bad', 'heat'];
const themeCache = new Map();   // colors by theme

// lineStyle returns the color and the dash of line i.
export function lineStyle(i) {
  const dash = Math.floor(i / LINE_COLORS.length) % LINE_DASHES.length;
  return { color: LINE_COLORS[i % LINE_COLORS.length], dash: LINE_DASHES[dash] };
}

// swatchOf returns the CSS background of a swatch with the color and the dash of a line.
export function swatchOf({ color, dash }) {
  let at = 0;
  const stops = dash.map((length, i) => `${i % 2 ? 'transparent' : color} ${at}px ${at += length}px`);
  return stops.length ? `repeating-linear-gradient(90deg, ${stops.join(', ')})` : color;
}

// styleIndexes returns the number of a line style for each key. A key of previous keeps the number
// of the key. A new key gets the lowest free number. The argument previous can be undefined.
export function styleIndexes(keys, previous) {
  const indexes = new Map(), used = new Set();
  for (const key of keys) {
    const i = previous?.get(key);
    if (i === undefined) continue;
    indexes.set(key, i);
    used.add(i);
  }
  let free = 0;
  for (const key of keys) {
    if (indexes.has(key)) continue;
    while (used.has(free)) free++;
    indexes.set(key, free++);
  }
  return indexes;
}

// themeColors returns the custom properties of the style sheet by name. Each theme is read once.
export function themeColors() {
  const root = document.documentElement, theme = root.dataset.theme ?? '';
  if (!themeCache.has(theme)) {
    const style = getComputedStyle(root);
    themeCache.set(theme, Object.fromEntries(THEME_COLORS.map(name => [name, style.getPropertyValue(`--${name}`).trim()])));
  }
  return themeCache.get(theme);
}
