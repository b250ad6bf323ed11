// The order of the lines in a legend: the largest latest value first. Lines without a latest value are the last.
// Equal values are in the order of the lines.

const KEPT = 10;   // seconds that an order is kept

// An Order is the order of the lines of one legend. It is kept for KEPT seconds, because a reader cannot follow lines
// that change their places at each poll.
export class Order {
  #keys = [];        // of the lines, in the order
  #valued = '';      // the lines with a latest value
  #time = NaN;       // of the values that the order is of

  // sort returns the lines in the order. time is the time of the latest values. The places are kept if held is
  // true. Otherwise a line that comes, goes, or has its first value gives a new order at once. A range that is not
  // live has no later values that would renew a kept order, so its order is always that of its values.
  sort(lines, time, { held, live }) {
    const places = new Map(this.#keys.map((key, i) => [key, i]));
    const valued = JSON.stringify(lines.filter(l => !Number.isNaN(latest(l))).map(l => l.key)), age = time - this.#time;
    const keep = held || live && valued === this.#valued && age >= 0 && age < KEPT;
    const place = line => keep ? places.get(line.key) ?? places.size : 0;
    const order = [...lines].sort((a, b) => place(a) - place(b) || byLatest(a, b));
    this.#keys = order.map(l => l.key);
    if (!keep) [this.#valued, this.#time] = [valued, time];
    return order;
  }
}

const latest = ({ values }) => values.at(-1) ?? NaN;

function byLatest(a, b) {
  const [x, y] = [latest(a), latest(b)];
  if (x !== x || y !== y) return (x !== x) - (y !== y);
  return (y > x) - (y < x);
}
