package tacho

// sortSeries sorts a list by the keys, in place, and keeps the order of equal ones. It
// is a merge sort that skips what is in order already, as series made in a loop mostly
// are. slices.SortFunc would add 10 KB to a program that does not have it from
// elsewhere, and to the linker a type that a generic function is made for is one in an
// interface: with the types in its reach it would stay whole. Nor is it inlined.
//
//go:noinline
func sortSeries(list []*series) { mergeSort(list, make([]*series, len(list)/2)) }

// mergeSort needs a spare list of half the length.
func mergeSort(list, spare []*series) {
	if len(list) < 2 {
		return
	}
	half := len(list) / 2
	mergeSort(list[:half], spare)
	mergeSort(list[half:], spare)
	if compareSeries(list[half-1], list[half]) <= 0 {
		return
	}
	left := spare[:copy(spare, list[:half])]
	for i, j, k := 0, 0, half; i < len(left); j++ { // what is left on the right is in its place
		if k < len(list) && compareSeries(list[k], left[i]) < 0 {
			list[j] = list[k]
			k++
		} else {
			list[j] = left[i]
			i++
		}
	}
}

func compareSeries(a, b *series) int { return compareKeys(a.key(), b.key()) }
