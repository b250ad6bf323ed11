// Ticks of a time axis at round local times. A time is in Unix seconds.
import { formatDay, formatTime, sameDay, utcOffset } from './clock.mjs';

const TIME_STEPS = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
const DAY_SECONDS = 86400;

// timeTicks returns at most maximum ticks { time, text } between from and to. The first tick of a
// day has a date if the range has midnights.
export function timeTicks(from, to, maximum) {
  if (!(to > from) || !(maximum >= 1)) return [];
  const step = timeStep((to - from) / maximum), dated = !sameDay(from, to), ticks = [];
  let local = Math.ceil((from + utcOffset(from)) / step);
  for (let last = -Infinity; ; local++) {
    const time = utcTime(local * step);
    if (time > to) return ticks;
    if (time < from || time <= last) continue;
    ticks.push({ time, text: tickText(time, dated && !(ticks.length && sameDay(last, time)), step) });
    last = time;
  }
}

// utcTime returns the time of a local time. A change of the offset from UTC (summer time) is near
// if both guesses differ.
function utcTime(local) {
  const guess = local - utcOffset(local);
  return local - utcOffset(guess);
}

const tickText = (time, dated, step) => step >= DAY_SECONDS ? formatDay(time) : formatTime(time, dated, step);

function timeStep(minimum) {
  return TIME_STEPS.find(s => s >= minimum) ?? DAY_SECONDS * Math.ceil(minimum / DAY_SECONDS);
}
