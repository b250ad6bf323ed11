//go:build !tacho_nohttp

package tacho

import (
	"hash/crc32"
	"io"
	"math/bits"
	"sync"
)

// A gzipWriter writes gzip (RFC 1952) for expositions: text in which each line
// repeats the one before it but for a few bytes. It takes any bytes, but only
// such text makes it small and fast: where compress/gzip looks for repeats
// everywhere, this tries the distance of the last repeat first, and that is
// nearly always right.
//
// Repeats are looked for within one Write, so that the text is neither copied
// nor kept; what was found gathers over many Writes into one deflate block with
// its own Huffman codes (RFC 1951, section 3.2.7), so that making them costs
// little. There are no stored blocks: codes made for the bytes at hand never
// grow them by much, random ones by three in a thousand.
type gzipWriter struct {
	w         io.Writer
	err       error
	crc, size uint32

	head [1 << hashBits]uint16 // where in the chunk four bytes with this hash were seen last

	// The block that is being gathered.
	repeats  [maxRepeats]repeat
	nrepeats int
	lits     [maxLiterals + 8]byte // all literals in order; 8 more, so that words can be stored at the end
	nlits    int
	run      int // literals after the last repeat

	freq    [numSymbols]uint32
	lens    [numSymbols]uint8
	codes   [numSymbols]code
	lengths [512]code // for each length of a repeat its code and extra bits; more than maxRepeat for cheap indexing

	out   [16 << 10]byte
	n     int    // bytes in out
	acc   uint64 // bits that do not fill a byte yet, the first the lowest
	nbits uint
}

const (
	maxChunk = 1<<16 - 1 // positions are 16 bits wide
	window   = 1 << 15   // the largest distance
	hashBits = 12

	maxRepeat   = 258 // the largest length
	maxRepeats  = 1 << 12
	maxLiterals = 1<<codeLimit - maxRepeats - 1 // with the end of the block no more symbols than codeLengths takes
	codeLimit   = 14                            // bits in a code: with it four literals and 7 bits left over fit a word

	endOfBlock = 256 // symbols 0 to 255 are literals, 257 to 285 lengths
	numLengths = 286
	numDists   = 30 // kept after the others: symbol numLengths is the first distance
	numSymbols = numLengths + numDists
)

// A repeat is a run of literals and the repeat that ends it.
type repeat struct {
	run, len, dist uint16
	sym            uint16 // of the distance, from 0
}

// A code is a Huffman code and its length: bits<<8 | length. The bits are in the
// order in which they are written, the lowest first.
type code uint32

var gzips = sync.Pool{New: func() any { return new(gzipWriter) }}

// writeGzip compresses what write writes.
func writeGzip(w io.Writer, write func(io.Writer) error) error {
	z := gzips.Get().(*gzipWriter)
	z.reset(w)
	err := write(z)
	if err == nil {
		err = z.close()
	}
	z.w = nil // let go of the client
	gzips.Put(z)
	return err
}

func (z *gzipWriter) reset(w io.Writer) {
	z.w, z.err, z.crc, z.size, z.acc, z.nbits = w, nil, 0, 0, 0, 0
	z.nrepeats, z.nlits, z.run = 0, 0, 0
	clear(z.freq[:])
	z.n = copy(z.out[:], "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff") // deflate; no name, no time; fast; unknown system
}

// Write is best given tens of kilobytes at a time: it looks for repeats only in
// what it is given.
func (z *gzipWriter) Write(p []byte) (int, error) {
	z.crc = crc32.Update(z.crc, crc32.IEEETable, p)
	z.size += uint32(len(p))
	for rest := p; len(rest) > 0 && z.err == nil; {
		n := min(len(rest), maxChunk)
		z.find(rest[:n])
		rest = rest[n:]
	}
	if z.err != nil {
		return 0, z.err
	}
	return len(p), nil
}

func (z *gzipWriter) close() error {
	if z.nlits > 0 || z.nrepeats > 0 {
		z.block()
	}
	z.room()
	z.put(3, 10) // a last block with the fixed codes, empty, whose end is seven zeros
	z.put(0, -z.nbits&7)
	for _, v := range [2]uint32{z.crc, z.size} {
		z.put(uint64(v), 32)
	}
	z.flush()
	return z.err
}

// find splits p into literals and repeats.
func (z *gzipWriter) find(p []byte) {
	clear(z.head[:])
	i, dist, sym := 0, 0, 0
	for i+16 <= len(p) {
		if z.nlits > maxLiterals-8 || z.nrepeats == maxRepeats {
			z.block()
		}
		here, there := word(p, i), word(p, i-dist)
		h := hash4(here)
		seen := int(z.head[h])
		z.head[h] = uint16(i)

		// How many literals come before the next repeat, which is one of:
		// the last distance again, after up to four other bytes, when a number
		// changed; the end of the line or label, when the number before it has
		// more or fewer digits than above; where these bytes were seen last.
		skip, a, b := 0, 0, 0
		if diff := here ^ there; dist > 0 && diff>>32 == 0 {
			skip = (bits.Len64(diff) + 7) / 8
			a = 8 - skip // known to be equal
		} else if a, b = delimiter(here), delimiter(there); a < 8 && b < 8 && 0 < dist+a-b && dist+a-b <= window &&
			i+a+8 <= len(p) && word(p, i+a) == word(p, i-dist+b) {
			skip, dist, a = a, dist+a-b, 8
			sym = distSymbol(dist)
		} else if seen < i && i-seen <= window && word(p, seen) == here {
			dist, a = i-seen, 8
			sym = distSymbol(dist)
		} else {
			z.lits[z.nlits] = byte(here)
			z.nlits++
			z.run++
			i++
			continue
		}
		putWord(z.lits[:], z.nlits, here) // the bytes after the literals are overwritten
		z.nlits += skip
		z.run += skip
		start := i + skip
		z.head[hash4(word(p, start))] = uint16(start)
		for i = start + a; i+8 <= len(p); i += 8 {
			if diff := word(p, i) ^ word(p, i-dist); diff != 0 {
				i += bits.TrailingZeros64(diff) / 8
				break
			}
		}
		z.repeat(i-start, dist, sym)
	}
	if z.nlits > maxLiterals-16 {
		z.block()
	}
	z.run += len(p) - i
	z.nlits += copy(z.lits[z.nlits:], p[i:])
}

// repeat notes a repeat of n bytes, 4 or more.
func (z *gzipWriter) repeat(n, dist, sym int) {
	for n > 0 {
		if z.nrepeats == maxRepeats {
			z.block()
		}
		part := min(n, maxRepeat)
		if n > maxRepeat && n < maxRepeat+3 {
			part -= 3 // a repeat has at least three bytes
		}
		z.freq[lengthSymbols[part&511]]++
		z.freq[numLengths+sym]++
		z.repeats[z.nrepeats] = repeat{uint16(z.run), uint16(part), uint16(dist), uint16(sym)}
		z.nrepeats++
		z.run = 0
		n -= part
	}
}

func hash4(x uint64) uint32 { return uint32(x) * 0x9e3779b1 >> (32 - hashBits) }

// delimiter returns the index of the first byte of x that ends a number or a
// label value: a newline, space, quote, comma or another below '-'. Without one
// it is 8.
func delimiter(x uint64) int {
	const ones = 0x0101010101010101
	return bits.TrailingZeros64((x-ones*'-')&^x&(ones<<7)) / 8
}

// block writes what was gathered as a block.
func (z *gzipWriter) block() {
	for _, b := range z.lits[:z.nlits] {
		z.freq[b]++
	}
	z.freq[endOfBlock] = 1
	for i := numLengths; i < numLengths+2; i++ {
		z.freq[i] = max(z.freq[i], 1) // a code needs two symbols, used or not
	}
	codeLengths(z.freq[:numLengths], z.lens[:numLengths], codeLimit)
	codeLengths(z.freq[numLengths:], z.lens[numLengths:], codeLimit)
	z.room()
	z.header()
	makeCodes(z.codes[:numLengths], z.lens[:numLengths])
	makeCodes(z.codes[numLengths:], z.lens[numLengths:])
	for n := 3; n <= maxRepeat; n++ {
		c := z.codes[lengthSymbols[n]]
		extra, k := lengthExtra(n)
		z.lengths[n] = (c>>8|code(extra)<<(c&31))<<8 | (c&31 + code(k))
	}
	z.symbols()
	z.nrepeats, z.nlits, z.run = 0, 0, 0
	clear(z.freq[:])
}

// symbols writes the literals and repeats of a block. Literals are written four
// at a time, those that there are fewer of as codes of no bits: their number can
// seldom be foretold, and a branch that a processor guesses wrongly costs more.
func (z *gzipWriter) symbols() {
	acc, nbits, n, pos := z.acc, z.nbits, z.n, 0
	for i := range z.repeats[:z.nrepeats] {
		r := &z.repeats[i]
		for run := int(r.run); ; run -= 4 {
			if n > len(z.out)-32 {
				z.n = n
				z.flush()
				n = 0
			}
			w := z.lits[pos : pos+4]
			c0 := z.codes[w[0]] & code((0-run)>>31) // all ones if run > 0, else 0
			c1 := z.codes[w[1]] & code((1-run)>>31)
			c2 := z.codes[w[2]] & code((2-run)>>31)
			c3 := z.codes[w[3]] & code((3-run)>>31)
			n1 := uint(c0 & 0xff)
			n2 := n1 + uint(c1&0xff)
			n3 := n2 + uint(c2&0xff)
			v := uint64(c0>>8) | uint64(c1>>8)<<(n1&63) | uint64(c2>>8)<<(n2&63) | uint64(c3>>8)<<(n3&63)
			acc |= v << (nbits & 63)
			nbits += n3 + uint(c3&0xff)
			putWord(z.out[:], n, acc)
			n += int(nbits / 8)
			acc >>= nbits & 0x38
			nbits &= 7
			if run <= 4 {
				pos += run
				break
			}
			pos += 4
		}
		s := r.sym & 31
		length, dist := z.lengths[r.len&511], z.codes[numLengths+int(s)]
		n1 := uint(length & 0xff)
		n2 := n1 + uint(dist&0xff)
		v := uint64(length>>8) | uint64(dist>>8)<<(n1&63) | uint64(r.dist-distBase[s])<<(n2&63)
		acc |= v << (nbits & 63)
		nbits += n2 + uint(distBits[s])
		putWord(z.out[:], n, acc)
		n += int(nbits / 8)
		acc >>= nbits & 0x38
		nbits &= 7
	}
	z.acc, z.nbits, z.n = acc, nbits, n
	for _, b := range z.lits[pos:z.nlits] {
		z.room()
		z.putCode(z.codes[b])
	}
	z.putCode(z.codes[endOfBlock])
}

// header writes the head of a block: the lengths of its codes, themselves
// coded, runs of them shortened (RFC 1951, section 3.2.7).
func (z *gzipWriter) header() {
	nl, nd := numLengths, numDists
	for z.lens[nl-1] == 0 {
		nl--
	}
	for z.lens[numLengths+nd-1] == 0 {
		nd--
	}
	var lens [numSymbols]uint8
	n := copy(lens[:], z.lens[:nl])
	n += copy(lens[n:], z.lens[numLengths:numLengths+nd])

	var syms [numSymbols]uint16 // symbol | extra bits<<8
	var freq [19]uint32
	k := 0
	add := func(sym, extra int) {
		syms[k] = uint16(sym | extra<<8)
		freq[sym]++
		k++
	}
	for i := 0; i < n; {
		l, run := int(lens[i]), 1
		for i+run < n && lens[i+run] == lens[i] {
			run++
		}
		i += run
		if l > 0 {
			add(l, 0)
			run--
		}
		for run >= 3 {
			part := min(run, 6)
			switch {
			case l > 0:
				add(16, part-3)
			case run <= 10:
				part = run
				add(17, part-3)
			default:
				part = min(run, 138)
				add(18, part-11)
			}
			run -= part
		}
		for ; run > 0; run-- {
			add(l, 0)
		}
	}

	var codeLens [19]uint8
	var codes [19]code
	codeLengths(freq[:], codeLens[:], 7)
	makeCodes(codes[:], codeLens[:])
	nc := len(codeLens)
	for codeLens[codeLensOrder[nc-1]] == 0 {
		nc--
	}
	z.put(uint64(2<<1|(nl-257)<<3|(nd-1)<<8|(nc-4)<<13), 17) // not the last, dynamic codes
	for _, s := range codeLensOrder[:nc] {
		z.put(uint64(codeLens[s]), 3)
	}
	extraBits := [19]uint{16: 2, 17: 3, 18: 7}
	for _, s := range syms[:k] {
		z.putCode(codes[s&0xff])
		z.put(uint64(s>>8), extraBits[s&0xff])
	}
}

var codeLensOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codeLengths chooses the lengths of a prefix code for symbols of these
// frequencies, at least two of which are not 0: none longer than limit, and no
// bit pattern without a meaning, as decoders demand. A symbol of frequency f in
// total gets the least l with 2^l >= total/f, as Shannon chose. Their sum of
// 2^-l is at most 1; what is spare goes to the symbols that gain most from being
// one bit shorter, until nothing is left. On expositions that came within 0.5%
// of Huffman's optimum, and it needs no tree and no sorting.
func codeLengths(freq []uint32, lens []uint8, limit int) {
	total := uint32(0)
	for _, f := range freq {
		total += f
	}
	for total > 1<<limit { // only then could l be too large
		total = 0
		for s, f := range freq {
			freq[s] = (f + 1) / 2
			total += freq[s]
		}
	}
	var used [numLengths]uint16
	n, spare := 0, 1<<limit // in units of 2^-limit
	for s, f := range freq {
		lens[s] = 0
		if f > 0 {
			l := bits.Len32((total - 1) / f)
			lens[s] = uint8(l)
			spare -= 1 << (limit - l)
			used[n] = uint16(s)
			n++
		}
	}
	// A symbol with f<<l near 2*total pays for almost a bit too much, one with
	// total for just what it needs. This ends: spare is a multiple of what the
	// longest code takes, and the threshold reaches 0.
	for threshold := total / 8 * 15; spare > 0; threshold -= (threshold + 7) / 8 {
		for _, s := range used[:n] {
			l := int(lens[s])
			if freq[s]<<l >= threshold && 1<<(limit-l) <= spare {
				spare -= 1 << (limit - l)
				lens[s]--
			}
		}
	}
}

// makeCodes makes the codes from their lengths (RFC 1951, section 3.2.2).
func makeCodes(codes []code, lens []uint8) {
	var next [16]uint16
	for _, l := range lens {
		next[l]++
	}
	c, count := uint16(0), uint16(0)
	for l := 1; l < len(next); l++ {
		c = (c + count) << 1
		count, next[l] = next[l], c
	}
	for s, l := range lens {
		codes[s] = code(bits.Reverse16(next[l])>>(16-l))<<8 | code(l)
		next[l]++
	}
}

var lengthSymbols = func() (t [512]uint16) {
	for n := 3; n <= maxRepeat; n++ {
		_, k := lengthExtra(n)
		t[n] = uint16(257 + 4*k + (n-3)>>k)
	}
	t[maxRepeat] = 285 // the last has a symbol of its own
	return
}()

// lengthExtra returns the extra bits of a length and their number.
func lengthExtra(n int) (extra, k int) {
	if n -= 3; n < 8 || n == maxRepeat-3 {
		return 0, 0
	}
	k = bits.Len(uint(n)) - 3
	return n & (1<<k - 1), k
}

func distSymbol(dist int) int {
	if dist <= 4 {
		return dist - 1
	}
	k := bits.Len(uint(dist-1)) - 2 // extra bits
	return 2*k + (dist-1)>>k
}

// distBase and distBits are the least distance of a symbol and its extra bits.
var distBase, distBits = func() (base [32]uint16, k [32]uint8) {
	next := 1
	for s := range numDists {
		base[s], k[s] = uint16(next), uint8(max(s/2-1, 0))
		next += 1 << k[s]
	}
	return
}()

func (z *gzipWriter) putCode(c code) { z.put(uint64(c>>8), uint(c&0xff)) }

// put writes up to 32 bits, for which there must be room.
func (z *gzipWriter) put(v uint64, k uint) {
	z.acc |= v << z.nbits
	z.nbits += k
	putWord(z.out[:], z.n, z.acc)
	z.n += int(z.nbits / 8)
	z.acc >>= z.nbits & 0x38
	z.nbits &= 7
}

// room makes room for a block's header or less.
func (z *gzipWriter) room() {
	if z.n > len(z.out)-1024 {
		z.flush()
	}
}

func (z *gzipWriter) flush() {
	if z.err == nil {
		_, z.err = z.w.Write(z.out[:z.n])
	}
	z.n = 0
}

// word and putWord read and write little-endian words; the compiler makes each
// one load or store where the machine allows it.
func word(b []byte, i int) uint64 {
	b = b[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func putWord(b []byte, i int, v uint64) {
	b = b[i : i+8]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	b[4], b[5], b[6], b[7] = byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56)
}
