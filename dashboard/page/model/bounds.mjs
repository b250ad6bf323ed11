import { byBounds } from './buckets.mjs';

export const CLASSIC = 0, NATIVE = 1;

// Bounds numbers the different buckets of series, in the order of byBounds, the classic buckets
// first. It has the arrays left, right and kind by number.
export class Bounds {
  constructor(series, types) {
    this.numbers = new Map();      // by column
    const byText = new Map();
    for (const s of series) for (const column of s.columns) {
      if (this.numbers.has(column) || !types.includes(column.type)) continue;
      const kind = column.type === 'native' ? NATIVE : CLASSIC;
      const [left, right] = column.type === 'count' ? [-Infinity, Infinity] : [column.left, column.right];
      const text = `${kind} ${left} ${right}`;
      if (!byText.has(text)) byText.set(text, { left, right, kind, number: 0 });
      this.numbers.set(column, byText.get(text));
    }
    const list = [...byText.values()].sort((a, b) => a.kind - b.kind || byBounds(a, b));
    list.forEach((b, number) => { b.number = number; });
    for (const [column, b] of this.numbers) this.numbers.set(column, b.number);
    this.left = Float64Array.from(list, b => b.left);
    this.right = Float64Array.from(list, b => b.right);
    this.kind = Uint8Array.from(list, b => b.kind);
  }

  // numberOf returns the number of the bucket of a column, or undefined if there is none.
  numberOf(column) { return this.numbers.get(column); }
}

// overlap reports whether buckets from one index to another overlap.
export function overlap(left, right, from, to) {
  for (let i = from + 1, top = right[from]; i < to; i++) {
    if (left[i] < top) return true;
    top = Math.max(top, right[i]);
  }
  return false;
}
