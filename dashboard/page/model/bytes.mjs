// Numbers and texts in bytes: LEB128 integers, little-endian floats, and values as
// differences from previous values. The store and the history protocol have the same code
// of a value: an even code is an integer difference, 1 is an absent value, and 3 stands
// before the 8 bytes of a float.

const ABSENT = 1, FLOAT = 3;

// ByteWriter appends to bytes that grow.
export class ByteWriter {
  constructor(size = 1 << 12) {
    this.data = new Uint8Array(size);
    this.at = 0;
    this.floats = new DataView(this.data.buffer);
  }

  // reserve makes room for n more bytes.
  reserve(n) {
    if (this.at + n <= this.data.length) return;
    const data = new Uint8Array(Math.max(2 * this.data.length, this.at + n));
    data.set(this.data);
    this.data = data;
    this.floats = new DataView(data.buffer);
  }

  uvarint(n) {
    this.reserve(8);
    for (; n >= 128; n = Math.floor(n / 128)) this.data[this.at++] = n % 128 + 128;
    this.data[this.at++] = n;
  }

  // value appends the code of a value. The previous value of an absent slot is NaN.
  value(previous, now, absent) {
    this.reserve(10);
    if (absent) {
      this.data[this.at++] = ABSENT;
      return;
    }
    const from = previous === previous ? previous : 0, difference = now - from;
    if (!Number.isSafeInteger(difference) || !Number.isSafeInteger(from) || from + difference !== now) {
      this.data[this.at++] = FLOAT;
      this.floats.setFloat64(this.at, now, true);
      this.at += 8;
      return;
    }
    const negative = difference < 0, size = negative ? -1 - difference : difference;
    const low = size % 32 * 4 + (negative ? 2 : 0);
    if (size < 32) this.data[this.at++] = low;
    else {
      this.data[this.at++] = low + 128;
      this.uvarint(Math.floor(size / 32));
    }
  }

  // take returns a copy of the bytes and empties the writer.
  take() {
    const data = this.data.slice(0, this.at);
    this.at = 0;
    return data;
  }
}

// ByteReader reads from at up to end. Each method throws a RangeError if the bytes end too
// early or a number is not below 2^53.
export class ByteReader {
  constructor(data) {
    this.absent = false; // whether the last value was absent
    this.floats = new DataView(data.buffer, data.byteOffset, data.length);
    this.data = data;
    this.at = 0;
    this.end = data.length;
  }

  byte() {
    if (this.at >= this.end) throw new RangeError('the bytes end too early');
    return this.data[this.at++];
  }

  // skip returns the position before the next n bytes and moves behind them.
  skip(n) {
    if (n > this.end - this.at) throw new RangeError('the bytes end too early');
    const at = this.at;
    this.at += n;
    return at;
  }

  uvarint() {
    const first = this.byte();
    return first < 128 ? first : this.rest(first - 128, 128);
  }

  // rest reads the remaining bytes of an integer. The next byte counts unit.
  rest(low, unit) {
    for (let n = low; ; unit *= 128) {
      const b = this.byte();
      n += (b & 127) * unit;
      if (n > Number.MAX_SAFE_INTEGER || unit > Number.MAX_SAFE_INTEGER) throw new RangeError('an integer is too large');
      if (b < 128) return n;
    }
  }

  zigzag() {
    const n = this.uvarint();
    return n % 2 ? -(n + 1) / 2 : n / 2;
  }

  float() { return this.floats.getFloat64(this.skip(8), true); }

  // count reads the number of elements of a list. Each element has at least size bytes.
  count(size) {
    const n = this.uvarint();
    if (n * size > this.end - this.at) throw new RangeError('a list is longer than the bytes');
    return n;
  }

  text() {
    const n = this.uvarint(), at = this.skip(n);
    return decoder.decode(this.data.subarray(at, at + n));
  }

  // value reads the code of a value and returns the value. It sets absent.
  value(previous) {
    const first = this.byte();
    this.absent = first === ABSENT;
    if (this.absent) return NaN;
    if (first === FLOAT) return this.float();
    if (first & 1) throw new RangeError('a value has an unknown code');
    const low = (first & 127) >> 2, size = first < 128 ? low : this.rest(low, 32);
    return (previous === previous ? previous : 0) + (first & 2 ? -1 - size : size);
  }
}

const decoder = new TextDecoder();
