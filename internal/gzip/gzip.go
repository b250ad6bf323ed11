// Package gzip compresses expositions. It is faster than compress/gzip for text in which
// each line repeats most of the line before it (BenchmarkGzip).
package gzip

import (
	"hash/crc32"
	"io"
	"math/bits"
	"sync"

	"github.com/tachikoma/tacho/internal/byteorder"
)

// A writer compresses its input to gzip (RFC 1952). It is made for expositions, in which
// each line repeats most of the line before it. Other input is compressed correctly, but
// more slowly and less. Package compress/gzip searches for repeats everywhere. A writer
// first tries the distance of the last repeat, which is mostly right in an exposition.
//
// Repeats are found within one Write, so that the text is neither copied nor kept. Literals
// and repeats of many Writes are gathered in one deflate block with its own Huffman codes
// (RFC 1951, section 3.2.7). There are no stored blocks: random bytes grow by 0.3 percent
// (TestAnyBytes bounds it).
type writer struct {
	_         [0]func() // no ==; see internal/SIZE.md
	w         io.Writer
	err       error
	crc, size uint32

	head [1 << hashBits]uint16 // last position in the chunk of four bytes with this hash

	// The block that is gathered.
	repeats  [maxRepeats]repeat
	nrepeats int
	lits     [maxLiterals + 8]byte // all literals in order; 8 bytes more for stores of whole words
	nlits    int
	run      int // literals after the last repeat

	freq    [numSymbols]uint32
	lens    [numSymbols]uint8
	codes   [numSymbols]code
	lengths [512]code // for each length of a repeat its code and extra bits; a power of two needs no bounds check

	out   [16 << 10]byte
	n     int    // bytes in out
	acc   uint64 // bits that do not fill a byte yet; the first bit is the lowest
	nbits uint
}

const (
	maxChunk = 1<<16 - 1 // positions are 16 bits wide
	window   = 1 << 15   // the largest distance
	near     = 1 << 11   // the largest distance at which a repeat of four bytes is mostly shorter than their codes
	hashBits = 12

	maxRepeat   = 258 // the largest length
	maxRepeats  = 1 << 12
	maxLiterals = 1<<codeLimit - maxRepeats - 1 // codeLengths takes so many symbols, with the end of the block
	codeLimit   = 14                            // bits in a code: four codes and 7 bits of acc fit into a word

	endOfBlock = 256 // symbols 0 to 255 are literals, 257 to 285 lengths
	numLengths = 286
	numDists   = 30 // symbol numLengths is the first distance
	numSymbols = numLengths + numDists
)

// A repeat is a run of literals and the repeat that follows it.
type repeat struct {
	run, len, dist uint16
	sym            uint16 // of the distance, from 0
}

// A word is the parameter of package byteorder.
type word = *[8]byte

// A code is a Huffman code and its length: bits<<8 | length. The lowest bit is written
// first.
type code uint32

var writers = sync.Pool{New: func() any { return new(writer) }}

// Write compresses what write writes.
func Write(w io.Writer, write func(io.Writer) error) error {
	z := writers.Get().(*writer)
	z.reset(w)
	err := write(z)
	if err == nil {
		err = z.close()
	}
	z.w = nil // the pool must not keep the client
	writers.Put(z)
	return err
}

func (z *writer) reset(w io.Writer) {
	z.w, z.err, z.crc, z.size, z.acc, z.nbits = w, nil, 0, 0, 0, 0
	z.nrepeats, z.nlits, z.run = 0, 0, 0
	clear(z.freq[:])
	z.n = copy(z.out[:], "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff") // deflate; no name, no time; fast; unknown system
}

// Write finds repeats only within p, so p should have tens of kilobytes.
func (z *writer) Write(p []byte) (int, error) {
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

func (z *writer) close() error {
	if z.nlits > 0 || z.nrepeats > 0 {
		z.block()
	}
	z.room()
	z.put(3, 10) // the last block: fixed codes, and the end of the block as seven zeros
	z.put(0, -z.nbits&7)
	for _, v := range [2]uint32{z.crc, z.size} {
		z.put(uint64(v), 32)
	}
	z.flush()
	return z.err
}

// find splits p into literals and repeats.
func (z *writer) find(p []byte) {
	clear(z.head[:])
	i, dist, sym := 0, 0, 0
	for i+16 <= len(p) {
		if z.nlits > maxLiterals-8 || z.nrepeats == maxRepeats {
			z.block()
		}
		here, there := byteorder.Load64(word(p[i:i+8])), byteorder.Load64(word(p[i-dist:i-dist+8]))
		h := hash4(here)
		seen := int(z.head[h])
		z.head[h] = uint16(i)

		// Find the next repeat and the number of literals before it. These are tried in
		// order:
		//   - the last distance, after up to four bytes that differ: a number changed,
		//   - the next end of a line or label: the number before it has more or fewer
		//     digits than in the line above,
		//   - the last position of the same four bytes if it is near, or of eight.
		skip, a, b := 0, 0, 0
		if diff := here ^ there; dist > 0 && diff>>32 == 0 {
			skip = (bits.Len64(diff) + 7) / 8
			a = 8 - skip // known to be equal
		} else if a, b = delimiter(here), delimiter(there); a < 8 && b < 8 && 0 < dist+a-b && dist+a-b <= window &&
			i+a+8 <= len(p) && byteorder.Load64(word(p[i+a:i+a+8])) == byteorder.Load64(word(p[i-dist+b:i-dist+b+8])) {
			skip, dist, a = a, dist+a-b, 8
			sym = distSymbol(dist)
		} else if diff := byteorder.Load64(word(p[seen:seen+8])) ^ here; seen < i && i-seen <= window && uint32(diff) == 0 && (diff == 0 || i-seen <= near) {
			dist, a = i-seen, 4
			sym = distSymbol(dist)
		} else {
			z.lits[z.nlits] = byte(here)
			z.nlits++
			z.run++
			i++
			continue
		}
		byteorder.Store64(word(z.lits[z.nlits:z.nlits+8]), here) // the bytes after the literals are overwritten
		z.nlits += skip
		z.run += skip
		start := i + skip
		// If the same eight bytes occurred nearer than dist, they are mostly in the line before.
		// The repeat is about as long there, and the code of a near distance is shorter.
		here = byteorder.Load64(word(p[start : start+8]))
		h = hash4(here)
		seen = int(z.head[h])
		z.head[h] = uint16(start)
		if seen < start && start-seen < dist && byteorder.Load64(word(p[seen:seen+8])) == here {
			dist, a = start-seen, 8
			sym = distSymbol(dist)
		}
		for i = start + a; i+8 <= len(p); i += 8 {
			if diff := byteorder.Load64(word(p[i:i+8])) ^ byteorder.Load64(word(p[i-dist:i-dist+8])); diff != 0 {
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

// repeat adds a repeat of n bytes to the block. The minimum of n is 4.
func (z *writer) repeat(n, dist, sym int) {
	for n > 0 {
		if z.nrepeats == maxRepeats {
			z.block()
		}
		part := min(n, maxRepeat)
		if n > maxRepeat && n < maxRepeat+3 {
			part -= 3 // the rest must have at least three bytes
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

// delimiter returns the index of the first byte of x that is below '-', or 8. A newline,
// space, quote or comma ends a number or a label value.
func delimiter(x uint64) int {
	const ones = 0x0101010101010101
	return bits.TrailingZeros64((x-ones*'-')&^x&(ones<<7)) / 8
}

// block writes the gathered block.
func (z *writer) block() {
	for _, b := range z.lits[:z.nlits] {
		z.freq[b]++
	}
	z.freq[endOfBlock] = 1
	for i := numLengths; i < numLengths+2; i++ {
		z.freq[i] = max(z.freq[i], 1) // a code needs at least two symbols
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

// symbols writes the literals and repeats of a block. Literals are written four at a time.
// Those past the run are masked to codes of zero bits: run lengths are unpredictable, and a
// mispredicted branch costs more.
func (z *writer) symbols() {
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
			byteorder.Store64(word(z.out[n:n+8]), acc)
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
		byteorder.Store64(word(z.out[n:n+8]), acc)
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

// header writes the head of a block: the run-length encoded and Huffman-coded lengths of
// its codes (RFC 1951, section 3.2.7).
func (z *writer) header() {
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
	for i := 0; i < n; {
		l, run := int(lens[i]), 1
		for i+run < n && lens[i+run] == lens[i] {
			run++
		}
		sym, part, least := l, 1, 1
		switch {
		case run < 3:
		case l > 0 && i > 0 && lens[i-1] == lens[i]: // repeat the last length
			sym, part, least = 16, min(run, 6), 3
		case l > 0:
		case run <= 10:
			sym, part, least = 17, run, 3
		default:
			sym, part, least = 18, min(run, 138), 11
		}
		syms[k] = uint16(sym | (part-least)<<8)
		freq[sym]++
		k++
		i += part
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

// codeLengths chooses the lengths of a prefix code for symbols of these frequencies. At
// least two frequencies must not be 0. No length is over limit, and every bit pattern has a
// meaning, as decoders demand.
//
// First, a symbol of frequency f in total gets the least l with 2^l >= total/f, as in
// Shannon's code. The sum of 2^-l is then at most 1. The rest goes to the symbols that gain
// most from a code that is one bit shorter. The result is close to Huffman's optimum
// (TestCodeLengths), without a tree or a sort.
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
	// A symbol gains most if f<<l is near 2*total, and nothing if f<<l is total. The loop
	// ends: spare is a multiple of 2^-l of the longest code, and the threshold reaches 0.
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

// makeCodes computes the codes from their lengths (RFC 1951, section 3.2.2).
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
	t[maxRepeat] = 285 // the longest repeat has a symbol of its own
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

func (z *writer) putCode(c code) { z.put(uint64(c>>8), uint(c&0xff)) }

// put writes up to 32 bits. The caller has made room.
func (z *writer) put(v uint64, k uint) {
	z.acc |= v << z.nbits
	z.nbits += k
	byteorder.Store64(word(z.out[z.n:z.n+8]), z.acc)
	z.n += int(z.nbits / 8)
	z.acc >>= z.nbits & 0x38
	z.nbits &= 7
}

// room makes room in out for the header of a block.
func (z *writer) room() {
	if z.n > len(z.out)-1024 {
		z.flush()
	}
}

func (z *writer) flush() {
	if z.err == nil {
		_, z.err = z.w.Write(z.out[:z.n])
	}
	z.n = 0
}
