package tacho

import (
	"runtime"
	"slices"
	"strconv"
	"unicode/utf8"
)

// A DefinitionError says why a metric could not be defined. Definitions panic
// with it; [Try] returns it.
type DefinitionError struct {
	Metric string // the name that was to be defined
	Reason string // what is wrong with it
	First  string // file:line of the definition it conflicts with, if it does
}

// Error names the metric, the reason, and where the conflicting definition is.
func (e *DefinitionError) Error() string {
	s := "tacho: " + e.Reason
	if e.Metric != "" {
		s = "tacho: metric " + quote(e.Metric) + ": " + e.Reason
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

// Try calls define and returns what it returns; a *[DefinitionError] that it
// panics with becomes the error. It is for names that come from configuration:
//
//	c, err := tacho.Try(func() *tacho.Counter { return reg.Counter(name, help) })
//
// Any other panic goes on.
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

// A kind is a metric type as the formats name it.
type kind uint8

const (
	kindCounter kind = iota
	kindGauge
	kindHistogram
	kindUntyped
	kindInfo
	kindSummary
)

// name is that of the text format 0.0.4, which has no info. It is not called String, or
// the linker would keep it for every type that something may print.
func (k kind) name() string {
	return [...]string{"counter", "gauge", "histogram", "untyped", "gauge", "summary"}[k]
}

// openName is that of OpenMetrics 1.0.
func (k kind) openName() string {
	return [...]string{"counter", "gauge", "histogram", "unknown", "info", "summary"}[k]
}

// A family is one metric name with its help, type and series.
type family struct {
	reg    *Registry
	name   string
	help   string
	unit   string
	kind   kind
	labels []string       // names of the variable labels
	consts []label        // the registry's and the definition's
	hist   *histogramDef  // for histograms
	where  string         // file:line of the definition
	metric *metricType    // nil for functions and what collectors emit
	vec    *vec           // what a definition returns, and its repetition
	none   *exemplar      // says no more than whose it is; see exemplarSlot
	encode func(*encoder) // hands the samples of functions and collectors to an encoder

	quoted, quotedLabels bool // names outside the legacy set, to be quoted or escaped
}

// check says what is wrong with a definition on its own.
func (f *family) check() string {
	reason := ""
	if f.reg.utf8 != nil {
		reason = f.reg.utf8.checkMetric(f)
	} else if !validMetricName(f.name) {
		reason = "the name must match [a-zA-Z_:][a-zA-Z0-9_:]*"
	}
	if reason == "" {
		reason = f.checkLabels()
	}
	return reason
}

// checkUnit refuses a name that does not end in the unit (OpenMetrics 1.0, "Unit").
func (f *family) checkUnit() string {
	name := f.name
	if f.kind == kindCounter {
		name = trimSuffix(name, "_total")
	}
	if f.unit == "" || validMetricName("_"+f.unit) && hasSuffix(name, "_"+f.unit) {
		return ""
	}
	return "the name must end in the unit, _" + f.unit
}

func (f *family) checkLabels() string {
	var seen []string
	for _, l := range f.consts {
		seen = append(seen, l.name)
	}
	seen = append(seen, f.labels...)
	for i, name := range seen {
		reason := ""
		switch {
		case f.reg.utf8 != nil:
			reason = f.reg.utf8.checkLabel(f, name)
		case !validLabelName(name):
			reason = "must match [a-zA-Z_][a-zA-Z0-9_]* and not begin with __"
		}
		switch {
		case reason != "":
		case f.kind == kindHistogram && name == "le":
			reason = "belongs to the buckets of a histogram"
		case f.kind == kindSummary && name == "quantile":
			reason = "belongs to the quantiles of a summary"
		case slices.Contains(seen[:i], name):
			reason = "is used twice"
		}
		if reason != "" {
			return "label name " + quote(name) + " " + reason
		}
	}
	if f.quotedLabels {
		return f.reg.utf8.checkLabels(seen)
	}
	return ""
}

// differs says in what the definition of f is not that of old, which is already defined.
func (f *family) differs(old *family) string {
	switch {
	case f.kind != old.kind:
		return " as a " + old.kind.name()
	case f.help != old.help:
		return " with help " + quote(old.help)
	case f.unit != old.unit:
		return " with unit " + quote(old.unit)
	case !slices.Equal(f.labels, old.labels):
		return " with the labels" + quoteAll(old.labels)
	case f.constBlock() != old.constBlock():
		return " with other const labels"
	case f.metric == nil || old.metric == nil:
		return ", and functions cannot be compared"
	case f.metric != old.metric:
		return " with another type of value"
	case f.hist != nil && !slices.Equal(f.hist.bounds, old.hist.bounds):
		return " with other buckets"
	}
	return ""
}

// constBlock renders the labels that all series of f share.
//
//go:noinline
func (f *family) constBlock() string { return string(appendBlock(nil, f.consts, nil, "")) }

// quote puts s between quotes for an error, with what is no text in hexadecimal.
// strconv.Quote would add 10 KB to a program without HTTP.
func quote(s string) string {
	text := string(appendValid(nil, s)) == s
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f || c >= utf8.RuneSelf && !text:
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

const hexDigits = "0123456789abcdef"

func quoteAll(list []string) (s string) {
	for _, l := range list {
		s += " " + quote(l)
	}
	return s
}

// sampleNames lists the names beside its own that the samples of f take in an
// exposition; no other family may have them.
func (f *family) sampleNames() []string {
	return sampleNames(f.name, f.kind)
}

func sampleNames(name string, k kind) []string {
	var suffixes []string
	switch k {
	case kindCounter:
		name, suffixes = trimSuffix(name, "_total"), histogramSuffixes[3:]
	case kindHistogram:
		suffixes = histogramSuffixes
	case kindSummary:
		suffixes = histogramSuffixes[1:]
	}
	names := make([]string, len(suffixes))
	for i, suffix := range suffixes {
		names[i] = name + suffix
	}
	return names
}

// Summaries have no buckets, and counters only the time of their creation.
var histogramSuffixes = []string{"_bucket", "_sum", "_count", "_created"}

// callerOutside returns file:line of the innermost caller outside this package and
// its subpackages: the line of the program that a definition is due to.
func callerOutside() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		fr, more := frames.Next()
		const here = "github.com/tachikoma/tacho"
		inside := hasPrefix(fr.Function, here) && (fr.Function[len(here)] == '.' || fr.Function[len(here)] == '/')
		if !inside || hasSuffix(fr.File, "_test.go") || !more {
			return fr.File + ":" + strconv.Itoa(fr.Line)
		}
	}
}
