package tacho

import (
	"runtime"
	"slices"
	"strconv"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// A DefinitionError is a definition that was refused. Definitions panic with a
// *DefinitionError, and [Try] returns it.
type DefinitionError struct {
	Metric string // the name in the definition, with the prefix of the registry
	Reason string // the reason for the refusal
	First  string // file:line of the first definition, or "" if there is no conflict
}

// Error returns a message with the metric, the reason, and the first definition if there
// is a conflict.
func (e *DefinitionError) Error() string {
	s := "tacho: " + e.Reason
	if e.Metric != "" {
		s = "tacho: metric " + escape.Quote(e.Metric) + ": " + e.Reason
	}
	if e.First != "" {
		s += " (first defined at " + e.First + ")"
	}
	return s
}

// refuse panics with a *DefinitionError.
//
//go:noinline
func refuse(metric, reason, first string) {
	panic(&DefinitionError{metric, reason, first})
}

// Try returns the result of define. If define panics with a *[DefinitionError], Try returns
// that error. Any other panic continues. Try is meant for names that come from
// configuration:
//
//	c, err := tacho.Try(func() *tacho.Counter { return reg.Counter(name, help) })
func Try[M any](define func() M) (m M, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *DefinitionError:
			err = p
		default:
			panic(p)
		}
	}()
	return define(), nil
}

// A family is the definition of one metric name.
type family struct {
	expo.Family
	utf8   *expo.UTF8Rules    // nil if all names must be in the legacy set
	labels []string           // names of the variable labels
	hist   *histogramDef      // of histograms
	where  string             // file:line of the definition
	metric *metricType        // nil for a CounterFunc or GaugeFunc
	vec    *vec               // nil for functions
	none   *exemplar.Exemplar // see exemplar.None
	index  int                // in space.defined
	member unsafe.Pointer     // *member, with sub-registries; see internal/SIZE.md

	functions unsafe.Pointer // *functionList, of functions; see internal/SIZE.md

	reg   *Registry
	fault func(reason string) // counts in tacho_errors_total
	hook  unsafe.Pointer      // *contextHook, or nil; fault and hook are an exemplar.Origin
}

// check returns an error text for a bad name or label, or "".
func (f *family) check() string {
	reason := ""
	if f.utf8 != nil {
		reason = f.utf8.CheckMetric(&f.Family)
	} else if !names.ValidMetric(f.Name) {
		reason = "the name must match [a-zA-Z_:][a-zA-Z0-9_:]*"
	}
	if reason == "" {
		reason = f.checkLabels()
	}
	return reason
}

// checkUnit returns an error text if the name does not end in the unit (OpenMetrics 1.0,
// "Unit"), or "".
func (f *family) checkUnit() string {
	name, end := f.Name, "_"+f.Unit
	if f.Kind == expo.Counter {
		name, end = stringslite.TrimSuffix(name, "_total"), end+"_total"
	}
	if f.Unit == "" || names.ValidMetric("_"+f.Unit) && stringslite.HasSuffix(name, "_"+f.Unit) {
		return ""
	}
	return "the name must end in the unit, " + escape.Quote(end)
}

// checkLabels is check for the labels. It copies the names of the variable labels.
func (f *family) checkLabels() string {
	all := make([]string, len(f.Consts)+len(f.labels))
	for i := range f.Consts {
		all[i] = f.Consts[i].Name
	}
	copy(all[len(f.Consts):], f.labels)
	f.labels = all[len(f.Consts):] // the caller may change its slice
	for i, name := range all {
		reason := ""
		switch {
		case f.utf8 != nil:
			reason = f.utf8.CheckLabel(&f.Family, name)
		case !names.ValidLabel(name):
			reason = "must match [a-zA-Z_][a-zA-Z0-9_]* and not begin with __"
		}
		if reason == "" && f.Kind == expo.Histogram && name == "le" {
			reason = "is reserved for the buckets of a histogram"
		}
		for _, other := range all[:i] {
			if reason == "" && other == name {
				reason = "is used twice"
			}
		}
		if reason != "" {
			return "label name " + escape.Quote(name) + " " + reason
		}
	}
	if f.QuotedLabels {
		return f.utf8.CheckLabels(all)
	}
	return ""
}

// differs returns how the definition of old, which exists, differs from the definition of
// f, or "".
func (f *family) differs(old *family) string {
	text, shown := "", "" // one concatenation is smaller; see internal/SIZE.md
	switch {
	case f.Kind != old.Kind:
		text, shown = " as a ", old.Kind.TextName()
	case f.Help != old.Help:
		text, shown = " with help ", escape.Quote(old.Help)
	case f.Unit != old.Unit:
		text, shown = " with unit ", escape.Quote(old.Unit)
	case !slices.Equal(f.labels, old.labels):
		text, shown = " with the labels", quoteAll(old.labels)
	case f.constBlock() != old.constBlock():
		text = " with other const labels"
	case f.metric == nil || old.metric == nil:
		text = ", and functions cannot be compared"
	case f.hist != nil && !slices.Equal(f.hist.Upper, old.hist.Upper):
		text = " with other buckets"
	case f.hist != nil && (f.hist.schema != old.hist.schema || f.hist.buckets != old.hist.buckets || f.hist.threshold != old.hist.threshold):
		text = " with other native buckets"
	case f.metric != old.metric:
		text = " with another type of value"
	}
	return text + shown
}

// constBlock returns the rendered labels that all series of f share.
//
//go:noinline
func (f *family) constBlock() string { return string(label.AppendBlock(nil, f.Consts)) }

// quoteAll quotes about 1000 bytes of a list.
func quoteAll(list []string) (s string) {
	if len(list) == 0 {
		return " (none)"
	}
	for _, l := range list {
		if len(s) > 1000 {
			return s + " ..."
		}
		s += " " + escape.Quote(l)
	}
	return s
}

// callerOutside returns file:line of the innermost caller outside the module: the line of
// the program that a definition comes from.
func callerOutside() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		fr, more := frames.Next()
		const here = "github.com/tachikoma/tacho"
		inside := stringslite.HasPrefix(fr.Function, here) && (fr.Function[len(here)] == '.' || fr.Function[len(here)] == '/')
		if !inside || stringslite.HasSuffix(fr.File, "_test.go") || !more {
			return fr.File + ":" + strconv.Itoa(fr.Line)
		}
	}
}
