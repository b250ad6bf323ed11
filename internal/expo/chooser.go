package expo

import "github.com/tachikoma/tacho/internal/names"

// A Chooser is a writer that selects the format and the names of an exposition by
// Registry.WriteProtobufContext. Package push needs the names of a scrape. It needs the protobuf
// format only if the registry has native histograms.
//
// Programs outside this module cannot implement Chooser, because its types are internal.
type Chooser interface {
	// Choose returns the format and the scheme of names. native is true if the registry has a native
	// histogram.
	Choose(native bool) (*Format, names.Scheme)
}
