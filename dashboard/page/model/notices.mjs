// Notices for the top of the page: errors that tacho counts, limits that are reached, and
// what the history lacks.

const MAX_NOTICES = 20;
const RECENT = 60;       // seconds
const ERRORS = 'tacho_errors_total', OVERFLOWS = 'tacho_series_overflow_total', GATHERS = 'tacho_gather_errors_total';

// notices returns [{ level, text, family, where }], the present ones first. The level is bad
// if a count grew in the last minute. health is { leftOut, covered }: the number of series that
// the history has no room for, and its seconds if they are fewer than it shall have, or 0.
export function notices(store, health) {
  const all = [
    ...counts(store, ERRORS).map(c => notice(ERRORS, c, errorText(c))),
    ...counts(store, OVERFLOWS).map(c => notice(OVERFLOWS, c, overflowText(c))),
    ...counts(store, GATHERS).map(c => notice(GATHERS, c, `A gatherer of client_golang failed in ${times(c, 'scrape')}. Its metrics can be incomplete: look for the error in the log.`)),
    ...historyNotices(store, health),
  ];
  all.sort((a, b) => (b.level === 'bad') - (a.level === 'bad'));
  if (all.length <= MAX_NOTICES) return all;
  const more = { level: 'warn', text: `${all.length - MAX_NOTICES + 1} more: open ${ERRORS}.`, family: ERRORS, where: [] };
  return [...all.slice(0, MAX_NOTICES - 1), more];
}

const notice = (family, { labels, recent }, text) => ({ level: recent > 0 ? 'bad' : 'warn', text, family, where: labels });

// counts returns the series of a counter above 0, with the increase in the last minute.
function counts(store, name) {
  const family = store.families.get(name);
  if (!family) return [];
  let before = null, now = new Map();
  store.replay(family, store.last - RECENT, store.last, (time, value) => {
    now = new Map();
    for (const series of family.series.values()) now.set(series, value(series.slots[0]));
    before ??= now;
  });
  const found = [];
  for (const [series, total] of now) {
    if (!(total > 0)) continue;
    const { labels } = series, old = before.get(series) || 0, label = name => labels.find(([l]) => l === name)?.[1] ?? '';
    found.push({ labels, total, recent: total < old ? total : total - old, metric: label('metric'), reason: label('reason') });
  }
  return found.sort((a, b) => b.recent - a.recent || b.total - a.total);
}

const plural = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

// times returns a number of nouns, and how many are of the last minute.
function times({ total, recent }, noun) { return `${plural(total, noun)} (${recent > 0 ? recent : 'none'} in the last minute)`; }

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

function historyNotices(store, { leftOut, covered }) {
  const all = [], add = text => all.push({ level: 'warn', text, family: '', where: [] });
  if (leftOut > 0) add(`The history has no room for ${leftOut} series. Raise Options.MaxBytes of the dashboard.`);
  const minutes = seconds => `${Math.round(seconds / 6) / 10}`;
  if (store.short) add(`The page keeps only ${minutes(store.last - store.first)} of ${minutes(store.seconds)} minutes: its memory for samples is full.`);
  else if (covered > 0) add(`The history of the server has only ${minutes(covered)} of ${minutes(store.seconds)} minutes: its memory is full. Raise Options.MaxBytes of the dashboard.`);
  return all;
}
