package history

// A span is the numbers from from to before to.
type span struct{ from, to uint32 }

// appendSpan appends the numbers from first to before first+n.
func appendSpan(list []span, first, n uint32) []span {
	if last := len(list) - 1; last >= 0 && list[last].to == first {
		list[last].to += n
		return list
	}
	return append(list, span{first, first + n})
}

// ids allots numbers from 0. It allots released runs of numbers again for runs of the same length.
type ids struct {
	next uint32
	free map[uint32][]uint32 // the first numbers of released runs, by length
}

// take returns the first of n consecutive numbers.
func (s *ids) take(n uint32) uint32 {
	if list := s.free[n]; len(list) > 0 {
		first := list[len(list)-1]
		s.free[n] = list[:len(list)-1]
		return first
	}
	first := s.next
	s.next += n
	return first
}

// new returns how many numbers take(n) would allot that were never in use.
func (s *ids) new(n uint32) int {
	if len(s.free[n]) > 0 {
		return 0
	}
	return int(n)
}

// release makes a run available to take.
func (s *ids) release(first, n uint32) {
	if s.free == nil {
		s.free = map[uint32][]uint32{}
	}
	s.free[n] = append(s.free[n], first)
}

// bytes returns the memory of the released runs.
func (s *ids) bytes() int {
	n := 0
	for _, list := range s.free {
		n += 4*cap(list) + 40
	}
	return n
}
