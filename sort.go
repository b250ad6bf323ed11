package tacho

// sortList sorts a list in place and keeps the order of equal elements. It is
// a merge sort that skips what is in order already, as series made in a loop
// mostly are. slices.SortFunc would add 10 KB to a program that does not have it
// from elsewhere.
func sortList[E any](list []E, compare func(a, b E) int) {
	mergeSort(list, make([]E, len(list)/2), compare)
}

// mergeSort needs a spare list of half the length.
func mergeSort[E any](list, spare []E, compare func(a, b E) int) {
	if len(list) < 2 {
		return
	}
	half := len(list) / 2
	mergeSort(list[:half], spare, compare)
	mergeSort(list[half:], spare, compare)
	if compare(list[half-1], list[half]) <= 0 {
		return
	}
	left := spare[:copy(spare, list[:half])]
	for i, j, k := 0, 0, half; i < len(left); j++ { // what is left on the right is in its place
		if k < len(list) && compare(list[k], left[i]) < 0 {
			list[j] = list[k]
			k++
		} else {
			list[j] = left[i]
			i++
		}
	}
}
