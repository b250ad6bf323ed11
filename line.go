package tacho

import "unsafe"

// whole hands a sample that is a whole number to the format; see encoding. Most of a
// scrape are such, and most of those are short and have labels. Their lines are put
// together here, by moves of fixed size that may go past the end, since there is room: a
// call for each part, around which the processor's registers are saved and loaded, takes
// half as long again.
func (e *encoder) whole(block string, v uint64, negative bool, d *details) bool {
	n := len(e.buf)
	if e.size == 0 || len(block) < 16 || v >= maxShort || negative || d != nil || cap(e.buf)-n < len(e.name)+len(block)+16 {
		return e.format.whole(e, block, v, negative, d)
	}
	to := unsafe.Add(unsafe.Pointer(unsafe.SliceData(e.buf)), n)
	*(*[16]byte)(to) = *(*[16]byte)(e.name[:])
	*(*[16]byte)(unsafe.Add(to, 16)) = *(*[16]byte)(e.name[16:])
	if e.size > 32 {
		*(*[16]byte)(unsafe.Add(to, 32)) = *(*[16]byte)(e.name[32:])
		*(*[16]byte)(unsafe.Add(to, 48)) = *(*[16]byte)(e.name[48:])
	}
	to = unsafe.Add(to, e.size)
	from, last := unsafe.Pointer(unsafe.StringData(block)), len(block)-16
	for i := 0; i < last; i += 16 {
		*(*[16]byte)(unsafe.Add(to, i)) = *(*[16]byte)(unsafe.Add(from, i))
	}
	*(*[16]byte)(unsafe.Add(to, last)) = *(*[16]byte)(unsafe.Add(from, last))
	to = unsafe.Add(to, len(block))
	digits := eightDigits(v)
	leading := leadingZeros(digits)
	store64((*[8]byte)(to), (digits|eightZeros)>>(8*leading))
	store64((*[8]byte)(unsafe.Add(to, 8-leading)), e.end)
	e.buf = e.buf[:n+e.size+len(block)+8-leading+e.ends]
	return e.full()
}
