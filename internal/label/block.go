package label

import (
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/names"
)

// A Label is one constant name and value.
type Label struct {
	_           [0]func() // no ==; see internal/SIZE.md
	Name, Value string
}

// AppendBlock appends a label block in the form that follows a metric name in an
// exposition: `{a="b",c="d"} `, or ` ` without labels. A sample is then name, block and
// value.
func AppendBlock(b []byte, labels []Label) []byte {
	sep := byte('{')
	for _, l := range labels {
		b, sep = Append(b, sep, l.Name, l.Value), ','
	}
	if sep == '{' {
		return append(b, ' ')
	}
	return append(b, "} "...)
}

// Append appends sep, name, an equals sign and the quoted value. A name outside the
// legacy set is quoted too.
func Append(b []byte, sep byte, name, value string) []byte {
	b = append(b, sep)
	if names.ValidLabel(name) {
		b = append(b, name...)
	} else {
		b = append(escape.AppendLabelValue(append(b, '"'), name), '"')
	}
	return append(escape.AppendLabelValue(append(b, `="`...), value), '"')
}
