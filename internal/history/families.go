package history

import (
	"hash/maphash"

	"github.com/tachikoma/tacho/internal/expo"
)

// A familyIndex finds a family by its name and kind. It has a list of families for each hash of a name.
type familyIndex struct {
	seed  maphash.Seed
	first []uint32 // by hash: the first family; none for no family
	n     int      // families
}

func (x *familyIndex) list(name string) *uint32 {
	return &x.first[maphash.String(x.seed, name)&uint64(len(x.first)-1)]
}

// find returns the family with a name and a kind, or none.
func (x *familyIndex) find(families []family, name string, kind expo.Kind) uint32 {
	if x.n == 0 {
		return none
	}
	id := *x.list(name)
	for id != none && (families[id].name != name || families[id].kind != kind) {
		id = families[id].after
	}
	return id
}

// growth returns the bytes that add needs.
func (x *familyIndex) growth() int {
	if x.n < len(x.first) {
		return 0
	}
	return max(4*len(x.first), 4*64)
}

// add adds a family.
func (x *familyIndex) add(families []family, id uint32) {
	if x.n == len(x.first) {
		x.grow(families)
	}
	first := x.list(families[id].name)
	families[id].after, *first = *first, id
	x.n++
}

func (x *familyIndex) grow(families []family) {
	if x.n == 0 {
		x.seed = maphash.MakeSeed()
	}
	old := x.first
	x.first = make([]uint32, max(2*len(old), 64))
	for i := range x.first {
		x.first[i] = none
	}
	for _, id := range old {
		for id != none {
			first, next := x.list(families[id].name), families[id].after
			families[id].after, *first = *first, id
			id = next
		}
	}
}

// remove removes a family.
func (x *familyIndex) remove(families []family, id uint32) {
	at := x.list(families[id].name)
	for *at != id {
		at = &families[*at].after
	}
	*at = families[id].after
	x.n--
}
