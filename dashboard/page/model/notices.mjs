// Notices for the top of the page: errors that tacho counts, limits that are reached, and
// what the history lacks.

const MAX_NOTICES = 20;
const MAX_OLD = 3;       // counts in the notice of the earlier counts
const ERRORS = 'tacho_errors_total', OVERFLOWS = 'tacho_series_overflow_total', GATHERS = 'tacho_gather_errors_total';

// notices returns [{ level, text, family, where }] for the range [from, to]. The level of a count
// that grew in the range is bad. The level of a lack of the history is warn. The counts of a family
// that did not grow share one notice of the level old. The order is that of the levels.
// health is { leftOut, covered }: the number of series that the history has no room for, and its
// seconds if they are fewer than it shall have, or 0.
export function notices(store, health, range) {
  const bad = [], old = [];
  for (const [family, textOf] of [[ERRORS, errorText], [OVERFLOWS, overflowText], [GATHERS, gatherText]]) {
    const all = counts(store, family, range), quiet = all.filter(c => !c.grown);
    for (const c of all) if (c.grown) bad.push({ level: 'bad', text: textOf(c), family, where: c.labels });
    if (quiet.length) old.push({ level: 'old', text: oldText(family, quiet), family, where: [] });
  }
  const more = bad.length - MAX_NOTICES;
  if (more > 0) bad.splice(MAX_NOTICES, more, { level: 'bad', text: `${more} more: open ${ERRORS}.`, family: ERRORS, where: [] });
  return [...bad, ...historyNotices(store, health), ...old];
}

// counts returns the series of a counter above 0 at the end of the range, with the increase in the
// range, the largest first.
function counts(store, name, [from, to]) {
  const family = store.families.get(name), found = new Map();
  if (!family) return [];
  for (const series of family.series.values()) {
    const label = wanted => series.labels.find(([l]) => l === wanted)?.[1] ?? '';
    found.set(series.slots[0], { labels: series.labels, total: NaN, grown: 0, metric: label('metric'), reason: label('reason') });
  }
  store.replay(family, from, to, (time, value, changed) => {
    for (const slot of changed ?? found.keys()) {
      const c = found.get(slot), v = value(slot);
      if (!c || v !== v) continue;
      if (changed) c.grown += v >= c.total ? v - c.total : v;
      c.total = v;
    }
  });
  return [...found.values()].filter(c => c.total > 0).sort((a, b) => b.grown - a.grown || b.total - a.total);
}

function oldText(family, counts) {
  const texts = counts.slice(0, MAX_OLD).map(({ labels, total }) => [...labels.map(([, value]) => value), total].join(' '));
  const more = counts.length - texts.length;
  return `${family} did not grow in this range. Earlier counts: ${texts.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`;
}

const plural = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

// times returns a number of nouns, and how many are of the range.
const times = ({ total, grown }, noun) => `${plural(total, noun)} (${grown} in this range)`;

const REASONS = {
  timeout: (m, c) => `A function of ${m} hangs: scrapes leave the metric out, ${times(c, 'time')}. Find the function in a goroutine profile.`,
  panic: (m, c) => `A function of ${m} panicked ${times(c, 'time')}: scrapes leave its series out. Fix the function.`,
  label_count: (m, c) => `${m} got a wrong number of label values ${times(c, 'time')}: no scrape shows these recordings. Fix the call of With or Delete.`,
  negative: (m, c) => `${m} refused ${times(c, 'negative value')}. Fix the recording.`,
  nan: (m, c) => `${m} refused ${times(c, 'NaN value')}. Fix the recording.`,
  invalid: (m, c) => `A collector emitted ${times(c, 'invalid sample')} of ${m}. Fix the collector.`,
  conflict: (m, c) => `A collector emitted ${m} with a name or a type that is taken: ${times(c, 'sample')} left out. Rename the metric.`,
  duplicate: (m, c) => `${m} was emitted twice with the same labels: ${times(c, 'sample')} left out. Make the labels differ.`,
  exemplar: (m, c) => `${times(c, 'exemplar')} of ${m} dropped for bad labels. The values were recorded. Fix the labels of the exemplars.`,
};

function errorText(c) {
  const metric = c.metric || 'a collector', text = Object.hasOwn(REASONS, c.reason) ? REASONS[c.reason] : (m, e) => `${m} refused ${times(e, 'recording')}, reason ${c.reason}.`;
  return text(metric, c);
}

function overflowText(c) {
  return `${c.metric} reached its limit of series: ${times(c, 'lookup')} were counted under other. Remove a label with many values or raise the limit.`;
}

const gatherText = c => `A gatherer of client_golang failed in ${times(c, 'scrape')}. Its metrics can be incomplete: look for the error in the log.`;

function historyNotices(store, { leftOut, covered }) {
  const all = [], add = text => all.push({ level: 'warn', text, family: '', where: [] });
  if (leftOut > 0) add(`The history has no room for ${leftOut} series. Raise Options.MaxBytes of the dashboard.`);
  const minutes = seconds => `${Math.round(seconds / 6) / 10}`;
  if (store.short) add(`The page keeps only ${minutes(store.last - store.first)} of ${minutes(store.seconds)} minutes: its memory for samples is full.`);
  else if (covered > 0) add(`The history of the server has only ${minutes(covered)} of ${minutes(store.seconds)} minutes: its memory is full. Raise Options.MaxBytes of the dashboard.`);
  return all;
}
