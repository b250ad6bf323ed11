package expo

import (
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
)

// remoteFast copies the labels of most series of a family. All series of the family have the same label
// names in the same order. Moves of 16 bytes copy the text between values, and moves of 8 bytes copy the
// values. The moves may write past the end of a text but stay within the capacity.
type remoteFast struct {
	parts []remotePart // before each value, and after the last one
	text  []byte       // of all parts, and fastPadding bytes
}

// A remotePart is the text of encoded labels before a value.
type remotePart struct {
	start, size int // in remoteFast.text
	label       int // the size of the label before its value
	pair        int // the size of the message LabelPair without the value
	skipped     int // the size of the text before the value in a label block
}

// fastPadding is the number of bytes that are read behind a text.
const fastPadding = 16

// fastRoom is the number of bytes that remoteFast.append may write besides the text and the label block.
const fastRoom = 64

func (f *remoteFast) reset() { f.parts = f.parts[:0] }

// set makes f copy the series of the current family with these labels, if that is possible. name is the
// label __name__.
func (f *remoteFast) set(w *RemoteWriter, l *remoteLayout, name []byte) {
	f.reset()
	if !w.learned || w.empty != 0 {
		return
	}
	b, n := f.text[:0], 0
	part := remotePart{}
	at := 0
	for i := range l.gaps {
		g := &l.gaps[i]
		b = append(b, l.text[at:g.at]...)
		at = g.at
		switch {
		case g.src == srcName:
			b = append(b, name...)
			continue
		case g.src != n || g.size >= long: // another order than in the block
			f.reset()
			return
		}
		part.size, part.label, part.pair, part.skipped = len(b)-part.start, g.at-g.start, g.size, len(w.pre[n])
		f.parts = append(f.parts, part)
		part = remotePart{start: len(b)}
		n++
	}
	b = append(b, l.text[at:]...)
	part.size = len(b) - part.start
	f.parts = append(f.parts, part)
	f.text = append(b, make([]byte, fastPadding)...)
}

// append appends the encoded labels of a series, and sets the elements of values. It returns false if the
// labels must be appended in another way. The capacity of b must suffice; see fits.
func (f *remoteFast) append(b []byte, block string, values []string) ([]byte, bool) {
	from, last := unsafe.Pointer(unsafe.StringData(block)), len(block)-8 // the last word
	text := unsafe.Pointer(unsafe.SliceData(f.text))
	start := unsafe.Pointer(unsafe.SliceData(b))
	to, i := unsafe.Add(start, len(b)), 0
	for n := range f.parts {
		p := &f.parts[n]
		part := unsafe.Add(text, p.start)
		for at := 0; at < p.size; at += 16 {
			*(*[16]byte)(unsafe.Add(to, at)) = *(*[16]byte)(unsafe.Add(part, at))
		}
		to = unsafe.Add(to, p.size)
		if n == len(f.parts)-1 {
			break
		}
		head := to
		i += p.skipped
		first := i
		for {
			var word uint64
			if i <= last {
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, i)))
			} else { // the block ends in the quote of the value, which is in the word
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, last))) >> (8 * (i - last) & 63)
			}
			byteorder.Store64((*[8]byte)(to), word)
			if special := protoSpecial(word); special != 0 {
				size := bits.TrailingZeros64(special) / 8
				i += size
				to = unsafe.Add(to, size)
				break
			}
			i += 8
			to = unsafe.Add(to, 8)
		}
		size := i - first
		if size == 0 || p.pair+size >= long || *(*byte)(unsafe.Add(from, i)) != '"' {
			return b, false // no label, a long label, or an escape
		}
		*(*byte)(unsafe.Add(head, -1)) = byte(size)
		*(*byte)(unsafe.Add(head, 1-p.label)) = byte(p.pair + size)
		if values != nil {
			values[n] = block[first:i]
		}
	}
	return b[:int(uintptr(to)-uintptr(start))], true
}

// fits reports whether append can append the labels of a block to b. Afterwards there is room for a sample.
func (f *remoteFast) fits(b []byte, block string) bool {
	return len(f.parts) > 0 && len(block) >= 8 && cap(b)-len(b) >= len(f.text)+len(block)+fastRoom
}
