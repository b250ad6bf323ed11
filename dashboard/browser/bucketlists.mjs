// Lists of buckets for tests.
import { byBounds, mergeSorted } from '../page/model/buckets.mjs';

// nativeBuckets returns the buckets of the member "histogram" of a series of the JSON view.
export function nativeBuckets({ buckets = [] }) {
  const number = text => Number(text.replace('Inf', 'Infinity'));
  return buckets.map(([, left, right, count]) => ({ left: number(left), right: number(right), count: Number(count) }));
}

// merge returns the sums of lists of buckets.
export const merge = lists => mergeSorted(lists.flat().sort(byBounds));
