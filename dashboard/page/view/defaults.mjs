// The cards of a page without cards in its address: the families that show an incident best.

import { programFirst } from './options.mjs';

const DEFAULT_CARDS = 3;
const STATUS_LABELS = ['status', 'code', 'status_code'];
const PATH_LABELS = ['path', 'route', 'handler', 'endpoint', 'method'];
const PREFERRED = [
  { family: 'http_requests_total', groups: STATUS_LABELS },
  { family: 'http_request_duration_seconds', groups: PATH_LABELS, fn: 'p99' },
  { family: 'http_requests_in_flight' },
  { family: 'go_goroutines' },
];

// preferredCards returns cards that ask whether the preferred families exist.
export const preferredCards = () => PREFERRED.map(({ family }, i) => ({ id: `default-${i}`, family, where: [], by: '' }));

// chooseDefaults returns the cards to show, from the results of preferredCards and the first rows
// of the list. Families of the program come before families of the runtime.
export function chooseDefaults(results, rows) {
  const cards = [];
  for (const { family, groups, fn } of PREFERRED) {
    const result = results.find(r => r.family === family);
    if (!result?.count) continue;
    const by = groups?.find(label => result.labels.some(l => l.name === label));
    cards.push(by ? { family, by, fn } : { family });
  }
  const names = rows.map(r => r.name).filter(name => !cards.some(c => c.family === name));
  for (const family of programFirst(names)) cards.push({ family });
  return cards.slice(0, DEFAULT_CARDS);
}
