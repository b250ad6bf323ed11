// Reading of the stored steps of a family, and the points of a chart. A step is a sample of a
// family at a time. A point merges neighbouring steps if there are more steps than points.

const WINDOW = 60;         // seconds of the increases of a quantile
const WINDOW_STEPS = 4;    // minimum number of steps of the increases of a quantile
const LOOKBACK = 300;      // seconds before the range in which steps of the first window are looked for

// stepsOf returns the steps of a family that are needed for the range: the times, and whether
// any series of the family had a value at the time.
export function stepsOf(store, family, { from, to }) {
  const times = [], present = [], sampled = sampledSlots(family);
  store.replay(family, from - LOOKBACK, to, (time, value) => {
    times.push(time);
    present.push(sampled(value));
  });
  return { times, present };
}

// extentOf returns a text that names the steps that a scan of a family reads for the range. A stored step keeps its
// values. If the times of steps move, the times of all steps move.
export function extentOf(store, family, { from, to }) {
  const steps = store.visited(family, from - LOOKBACK, to), times = steps.map(step => step.time), first = times.findIndex(t => t >= from);
  if (first < 0) return 'none';
  const begin = steps[startOf(times, first) - 1] ?? steps[0];
  return `${begin.number} ${begin.time} ${steps.at(-1).number}`;
}

// startOf returns the first step whose increases a scan needs, for the first step in the range. A scan also reads
// the values of the step before.
const startOf = (times, first) => Math.min(Math.max(1, windowStart(times, first, first)), times.length - 1);

// sampledSlots returns a function that reports whether any slot of a family has a value. The
// function begins with the slot that had a value in its previous call.
function sampledSlots(family) {
  let hint = -1;
  return value => {
    if (hint >= 0 && value(hint) === value(hint)) return true;
    for (const s of family.series.values()) {
      for (const slot of s.slots) if (value(slot) === value(slot)) { hint = slot; return true; }
    }
    return false;
  };
}

// planOf returns the points of a chart for the times of the steps. Merged points are parts of
// time of equal length, which do not depend on the range: so points stay when a range moves.
export function planOf(times, { from, to, points }) {
  const inRange = [...new Set(times)].filter(t => t >= from && t <= to).sort((a, b) => a - b);
  const most = Math.max(1, points | 0), width = inRange.length > most ? (to - from) / (most - 1) : 0;
  const part = t => width ? Math.floor(t / width) : t;
  const index = new Map(), last = [];
  for (const t of inRange) {
    if (!index.has(part(t))) index.set(part(t), last.length);
    last[index.get(part(t))] = t;
  }
  return { times: Float64Array.from(last), width, pointOf: t => t >= from && t <= to ? index.get(part(t)) ?? -1 : -1 };
}

// scanOf returns a scan of a family. scan.run(slots, visit) calls visit(step, changes) for each step,
// oldest first. A step is { index, seconds, known, point, begin, last }. seconds is the time since
// the previous step, or NaN if the increases of the step are unknown. known reports whether the
// previous step had a value of the family. point is -1 before the range, and begin and last mark
// the first and the last step of a point. final marks the steps of the last point. changes(f)
// calls f(i, value, last) for each slots[i] whose value can differ from the previous step. last is NaN, except in
// the first step: there it is the latest value that is not NaN, also of earlier steps.
export function scanOf(store, family, { times, present }, plan) {
  const point = times.map(plan.pointOf), first = point.findIndex(p => p >= 0);
  const start = startOf(times, first);
  const run = (slots, visit) => {
    if (first < 0) return;
    const places = placesOf(slots), begin = Math.max(0, start - 1);
    let i = begin;
    store.replay(family, times[start], times.at(-1), (time, value, changed, last) => {
      const elapsed = i > begin ? time - times[i - 1] : NaN, inRange = point[i] >= 0;
      visit({
        index: i,
        seconds: elapsed > 0 ? elapsed : NaN, // the clock can go back
        known: i > begin && present[i - 1],
        point: point[i],
        begin: inRange && point[i] !== point[i - 1],
        last: inRange && point[i] !== point[i + 1],
        final: point[i] === plan.times.length - 1,
      }, f => {
        if (!changed || i === begin) for (let s = 0; s < slots.length; s++) f(s, value(slots[s]), i === begin ? last(slots[s]) : NaN);
        else for (const slot of changed) if (places[slot] > 0) f(places[slot] - 1, value(slot), NaN);
      });
      i++;
    });
  };
  return {
    sampled: first >= 0, run,
    oldest: (i, begin) => windowStart(times, i, begin),
    rateStart: (i, begin) => rateStart(times, i, begin, rateSeconds(store)),
  };
}

// placesOf returns 1 plus the index of each slot.
function placesOf(slots) {
  const places = new Int32Array(slots.reduce((a, b) => Math.max(a, b), 0) + 1);
  slots.forEach((slot, s) => { places[slot] = s + 1; });
  return places;
}

// rateSeconds returns the seconds of a rate. A server samples more often while a page is open. Rates are over the
// steps of a server without an open page, so that a line is as smooth before the page opened as after it.
export const rateSeconds = store => Math.min(store.step, WINDOW);

// rateStart returns the first step of the rate of the point that has the steps from begin to i. Earlier steps are
// added until the rate is over the given seconds, less a tenth, because steps are not punctual. A step that makes
// the rate twice as long, as after a gap, is not added.
function rateStart(times, i, begin, seconds) {
  let start = begin;
  while (start > 1 && times[i] - times[start - 1] < .9 * seconds && times[i] - times[start - 2] < 2 * seconds) start--;
  return start;
}

// windowStart returns the first step of the window that ends at step i. The window has all steps
// from step begin on.
function windowStart(times, i, begin) {
  let start = Math.min(begin, i - WINDOW_STEPS + 1);
  start = Math.max(0, start);
  while (start > 0 && times[start - 1] > times[i] - WINDOW) start--;
  return start;
}
