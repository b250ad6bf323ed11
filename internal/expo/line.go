package expo

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/exemplar"
)

// Whole passes a sample with an integer value: v, or -v if negative is true.
//
// Most lines of an exposition have labels and a short number. Whole copies these lines in
// moves of 16 bytes, which may write past the end of the line but stay within cap(e.buf).
// Appending each part takes 1.6 times as long (BenchmarkWrite).
func (e *Encoder) Whole(block string, v uint64, negative bool, d *Details) bool {
	n := len(e.buf)
	if e.nameLen == 0 || len(block) < 16 || v >= decimal.MaxShort || negative || d != nil || cap(e.buf)-n < len(e.name)+len(block)+16 {
		return e.format.whole(e, block, v, negative, d)
	}
	to := unsafe.Add(unsafe.Pointer(unsafe.SliceData(e.buf)), n)
	*(*[16]byte)(to) = *(*[16]byte)(e.name[:])
	*(*[16]byte)(unsafe.Add(to, 16)) = *(*[16]byte)(e.name[16:])
	if e.nameLen > 32 {
		*(*[16]byte)(unsafe.Add(to, 32)) = *(*[16]byte)(e.name[32:])
		*(*[16]byte)(unsafe.Add(to, 48)) = *(*[16]byte)(e.name[48:])
	}
	to = unsafe.Add(to, e.nameLen)
	from, last := unsafe.Pointer(unsafe.StringData(block)), len(block)-16
	for i := 0; i < last; i += 16 {
		*(*[16]byte)(unsafe.Add(to, i)) = *(*[16]byte)(unsafe.Add(from, i))
	}
	*(*[16]byte)(unsafe.Add(to, last)) = *(*[16]byte)(unsafe.Add(from, last))
	to = unsafe.Add(to, len(block))
	digits := decimal.EightDigits(v)
	leading := decimal.LeadingZeros(digits)
	byteorder.Store64((*[8]byte)(to), (digits|decimal.EightZeros)>>(8*leading))
	byteorder.Store64((*[8]byte)(unsafe.Add(to, 8-leading)), e.end)
	e.buf = e.buf[:n+e.nameLen+len(block)+8-leading+e.endLen]
	return e.full()
}

// appendBuckets appends the lines of the buckets of a histogram to e.buf. It returns the buffer
// and the number of observations. Of the two elements of labels for each bucket it uses the
// first. The function end appends the end of a line.
func (e *Encoder) appendBuckets(block string, labels []string, counts []uint64, d *Details, end lineEnd) ([]byte, uint64) {
	start := len(e.buf)
	b := e.appendOpen(e.buf, "_bucket", block)
	head := b[start:] // all lines start alike
	b = b[:start]
	i, total := 0, uint64(0)
	if d == nil {
		var n int
		n, i, total = copyBuckets(head, labels, counts)
		b = b[:start+n]
	}
	for ; i < len(counts); i++ {
		total += counts[i]
		b = decimal.AppendUint(put(put(b, *(*string)(unsafe.Pointer(&head))), labels[2*i]), total)
		var x *exemplar.Exemplar
		if d != nil && d.Buckets != nil {
			x = d.Buckets[i].Load()
		}
		b = end(b, d, x)
	}
	return b, total
}

// A lineEnd appends the time of a sample, its exemplar, and the end of the line. d and x can
// be nil.
type lineEnd = func(b []byte, d *Details, x *exemplar.Exemplar) []byte

// copyBuckets writes the lines of buckets to the memory of head, until a line has a long number
// or could exceed the capacity. It returns the length of the lines, their number, and the number
// of their observations. head is the start of all lines, and becomes the start of the first.
//
// Moves of up to 64 bytes and a store of eight digits may write past the end of a line, but stay
// within the capacity. They do not change the bytes of head, because each line is longer than
// head. The longest move is of an element of an array: the compiler calls a function for *p = *q
// of that size.
func copyBuckets(head []byte, labels []string, counts []uint64) (n, i int, total uint64) {
	room := cap(head) - len(head) - bucketRoom
	if room < 0 {
		return 0, 0, 0
	}
	start := unsafe.Pointer(unsafe.SliceData(head))
	last := unsafe.Add(start, room) // the last start of a line
	digits, size := uint64('0'), 1  // of total
	to := start
	for ; i < len(counts) && uintptr(to) <= uintptr(last); i++ {
		if c := counts[i]; c > 0 { // many buckets are empty
			if total+c >= decimal.MaxShort {
				break
			}
			total += c
			digits, size = shortDigits(total)
		}
		(*[1][64]byte)(to)[0] = (*[1][64]byte)(start)[0]
		for j := 64; j < len(head); j += 16 {
			*(*[16]byte)(unsafe.Add(to, j)) = *(*[16]byte)(unsafe.Add(start, j))
		}
		to = unsafe.Add(to, len(head))
		label := labels[2*i]
		*(*[leSize]byte)(to) = *(*[leSize]byte)(unsafe.Pointer(unsafe.StringData(label)))
		to = unsafe.Add(to, len(label))
		byteorder.Store64((*[8]byte)(to), digits)
		to = unsafe.Add(to, size)
		*(*byte)(to) = '\n'
		to = unsafe.Add(to, 1)
	}
	return int(uintptr(to) - uintptr(start)), i, total
}

// shortDigits returns the text of v, which is below MaxShort, and its length. The first byte of
// the text is the lowest.
//
// It is not inlined, because its variables and those of copyBuckets exceed the registers.
//
//go:noinline
func shortDigits(v uint64) (digits uint64, size int) {
	digits = decimal.EightDigits(v)
	leading := decimal.LeadingZeros(digits)
	return (digits | decimal.EightZeros) >> (8 * leading), 8 - leading
}

// bucketRoom is the number of bytes that copyBuckets may write behind the start of a line:
// at most 64 bytes past the start, a label, and eight digits.
const bucketRoom = 64 + leSize + 16
