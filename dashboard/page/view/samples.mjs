// Samples at irregular times. Times are in Unix seconds and ascend.

const LONE_SECONDS = 20;   // seconds around a sample without a neighbor
const GAP_FACTOR = 3.5;    // a gap is this many times longer than the intervals before and after

// isGap reports whether samples are missing between the samples i - 1 and i. A change of the
// interval is no gap.
export function isGap(times, i) {
  return times[i] - times[i - 1] > GAP_FACTOR * neighborInterval(times, i);
}

// neighborInterval returns the longer of the intervals before and after the interval that ends
// with sample i.
function neighborInterval(times, i) {
  const before = i > 1 ? times[i - 1] - times[i - 2] : 0, after = i + 1 < times.length ? times[i + 1] - times[i] : 0;
  return Math.max(before, after) || LONE_SECONDS;
}

// sampleInterval returns the seconds that sample i stands for: the interval that ends with
// sample i, and the neighbor's interval after a gap and for the first sample.
export function sampleInterval(times, i) {
  if (i > 0 && !isGap(times, i)) return times[i] - times[i - 1];
  return i + 1 < times.length && (i + 2 >= times.length || !isGap(times, i + 1)) ? times[i + 1] - times[i] : LONE_SECONDS;
}

// firstSample returns the index of the first sample at or after a time.
export function firstSample(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

// nearestSample returns the index of the nearest sample. It returns -1 in a gap and far outside of
// the samples.
export function nearestSample(times, time) {
  const after = firstSample(times, time), before = after - 1, last = times.length - 1;
  if (last < 0) return -1;
  if (before < 0) return times[0] - time <= sampleInterval(times, 0) ? 0 : -1;
  if (after > last) return time - times[last] <= sampleInterval(times, last) ? last : -1;
  const nearest = time - times[before] < times[after] - time ? before : after;
  const distance = Math.abs(times[nearest] - time);
  return isGap(times, after) && distance > neighborInterval(times, after) ? -1 : nearest;
}

// stepTime returns the time of the sample before (by -1) or after (by 1) a time. For null it returns
// the time of the latest sample. It returns null without samples.
export function stepTime(times, time, by) {
  if (!times.length) return null;
  if (time === null) return times[times.length - 1];
  let i = firstSample(times, time);
  if (by < 0) i--;
  else if (times[i] === time) i++;
  return times[Math.max(0, Math.min(times.length - 1, i))];
}
