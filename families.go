package tacho

import (
	"iter"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
)

// A FamilyInfo describes the metrics of one name.
type FamilyInfo struct {
	Name string // as defined
	Type string // "counter", "gauge" or "histogram"
	Help string
	Unit string // of WithUnit, or ""

	// Labels has the names of the variable labels, in the order of With. Const labels are left
	// out, because the definitions of one name can differ in them. The caller may change the
	// slice.
	Labels []string

	// Series is the number of series. Series is 0 for a vector without series, which no scrape
	// shows. Series is the number of functions for a CounterFunc, a GaugeFunc and a [FuncVec]. A
	// histogram counts as one series for each combination of label values. In a registry of
	// [Join], a series counts once for each registry that has the series.
	Series int
}

// Families returns an iterator over the families that r defines, sorted by name. Among them
// are the registry's own families, and families without series. Families that a collector
// emits are left out, because only a scrape knows them. The iterator calls no function of a
// CounterFunc, a GaugeFunc or a collector.
//
// Each range over the iterator has the families that are defined when the range begins. The
// body of the loop runs without a lock, and may define and remove metrics. Families and the
// iterator are safe for concurrent use.
func (r *Registry) Families() iter.Seq[FamilyInfo] {
	return func(yield func(FamilyInfo) bool) {
		if r.space == nil { // a zero Registry
			return
		}
		r.mu.Lock()
		families := shownLocked(r) // never changed
		r.mu.Unlock()
		yieldFamilies(families, yield)
	}
}

// yieldFamilies passes the families of a list, which is sorted by name, to yield. It joins
// families with the same name.
func yieldFamilies(families []*expo.Family, yield func(FamilyInfo) bool) {
	for i := 0; i < len(families); {
		f := (*family)(unsafe.Pointer(families[i]))
		info := FamilyInfo{f.Name, f.Kind.TextName(), f.Help, f.Unit, append([]string(nil), f.labels...), 0}
		for ; i < len(families) && families[i].Name == info.Name; i++ {
			if other := (*family)(unsafe.Pointer(families[i])); other.Kind == f.Kind { // Join has both kinds
				info.Series += other.numSeries()
			}
		}
		if !yield(info) {
			return
		}
	}
}

// numSeries returns the number of series of f.
func (f *family) numSeries() int {
	if f.vec == nil {
		return functionsOf(&f.Family).num()
	}
	return f.vec.Len()
}
