// Arithmetic of histogram buckets. A bucket is { left, right, count }. Counts are not
// cumulative. A list of buckets is sorted by the bounds.

// observations returns the sum of the counts.
export function observations(buckets) {
  let sum = 0;
  for (const b of buckets) sum += b.count;
  return sum;
}

// increase returns the increase of each bucket since the previous poll. The buckets of a
// native histogram can be wider than in the previous poll. A count that decreases, and a
// bucket that is narrower or missing, mean that the program was restarted.
export function increase(now, previous, native) {
  if (observations(now) < observations(previous)) return now;
  const result = now.map(b => ({ ...b }));
  let i = 0;
  for (const p of previous) {
    while (i < result.length && result[i].right < p.right) i++;
    const b = result[i];
    if (!b || b.left > p.left) return now;
    b.count -= p.count;
    if (native && b.count < 0) return now;
  }
  return result;
}

// byBounds is the order of mergeSorted: a wider bucket precedes the buckets within it.
export const byBounds = (a, b) => a.left - b.left || b.right - a.right;

// mergeSorted returns the sums of buckets in the order of byBounds. A bucket that is within a wider
// bucket becomes a part of the wider bucket. All bounds of a native histogram are bounds of the
// histograms with more buckets.
export function mergeSorted(list) {
  const merged = [];
  for (const b of list) {
    const last = merged.at(-1);
    if (last && b.right <= last.right) last.count += b.count;
    else merged.push({ ...b, left: last ? Math.max(b.left, last.right) : b.left });
  }
  return merged;
}
