package expo

import (
	"io"
	"time"

	"github.com/tachikoma/tacho/internal/names"
)

// A Request is a scrape by a client of package tinyhttp. Registry.WriteOpenMetrics recognizes a
// Request and serves the format that Choose returns. Programs without WriteOpenMetrics therefore
// contain no code for a Request; see internal/SIZE.md.
//
// Programs outside this module cannot make a Request, because the type is internal.
type Request struct {
	Done    <-chan struct{} // closed if the client is gone
	Timeout time.Duration   // for functions
	Names   map[string]bool // of the families to write; nil for all

	// Choose returns the format and the scheme of names. The parameter protobuf is the format if the
	// registry offers it, and otherwise nil. With utf8, names can be outside the legacy set. If Choose
	// returns a nil format, no function of the registry is called and Respond is not called.
	Choose func(protobuf *Format, utf8 bool) (*Format, names.Scheme)

	// Respond calls write with the writer of the body. Respond is not called if the client is gone
	// before all functions returned.
	Respond func(write func(io.Writer) error) error
}

// Write implements [io.Writer], for the parameter of Registry.WriteOpenMetrics. Write is never called.
func (*Request) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
