// Helpers for elements. They set text only as textContent, because clients of the program can
// choose label values.

export const byId = id => document.getElementById(id);

// element returns a new element. Names in aria are attributes without the prefix "aria-".
export function element(tag, { aria = {}, ...properties } = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(aria)) e.setAttribute(name === 'role' ? name : `aria-${name}`, value);
  e.append(...children);
  return e;
}

// setText changes the text of an element only if the text differs, so that a screen reader
// announces only changes.
export function setText(e, text) {
  text = String(text);
  if (e.textContent !== text) e.textContent = text;
}

// setOptions replaces the options of a select element. Each option is [value, text]. The options
// of an open list stay, so that the user chooses the option that the user sees.
export function setOptions(select, options, value) {
  const signature = JSON.stringify(options);
  if (select.dataset.options !== signature && !isListOpen(select)) {
    select.dataset.options = signature;
    select.replaceChildren(...options.map(([v, text]) => element('option', { value: v, textContent: text })));
  }
  if (select.value !== value) select.value = value;
}

// isListOpen reports whether the list of options is open, or can be open in a browser without the
// pseudo-class ":open".
function isListOpen(select) {
  return select === document.activeElement && (!CSS.supports('selector(:open)') || select.matches(':open'));
}

// setChildren adds or removes children at the end until a parent has n of them. make returns a
// new child.
export function setChildren(parent, n, make) {
  while (parent.children.length > n) parent.lastElementChild.remove();
  while (parent.children.length < n) parent.append(make());
}

// placeInOrder makes the elements the only children of a parent. An element in its place is not
// moved, and the element with the focus keeps the focus.
export function placeInOrder(parent, elements) {
  const active = document.activeElement, keep = new Set(elements);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  elements.forEach((e, i) => {
    if (parent.children[i] !== e) parent.insertBefore(e, parent.children[i] ?? null);
  });
  if (active !== document.activeElement && parent.contains(active)) active.focus({ preventScroll: true });
}

export const labelPair = (label, value) => `${label}="${value}"`;
