package expo

import "github.com/tachikoma/tacho/internal/names"

// A Chooser is a writer that chooses the format and the scheme of an exposition. native reports
// whether the registry has a native histogram. Package push needs the names of a scrape, and
// the protobuf format for native histograms alone.
//
// Programs outside this module cannot implement Chooser, because its types are internal.
type Chooser interface {
	Choose(native bool) (*Format, names.Scheme)
}
