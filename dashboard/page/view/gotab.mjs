// The Go tab: a fixed set of cards about the runtime of the program.

import { GO_PANELS } from '../model/panels.mjs';

const GO_CARDS = GO_PANELS.map(panel => ({ where: [], ratio: null, ...panel }));

export const goCards = () => GO_CARDS;

// goCardsWithData returns the cards whose metrics exist, and all cards before the first frame.
export function goCardsWithData(results) {
  const missing = new Set(results.filter(isMissing).map(r => r.id));
  return GO_CARDS.filter(card => !missing.has(card.id));
}

// missingText returns the titles of the other cards by the cause.
export function missingText(results) {
  const titles = new Map();
  for (const { id, error } of results.filter(isMissing)) titles.set(error, [...titles.get(error) ?? [], GO_CARDS.find(c => c.id === id)?.title]);
  return [...titles].map(([error, names]) => `${names.join(', ')}: ${error}`).join('\n');
}

const isMissing = result => !result.count && !result.lines.length;
