package tacho

import (
	"io"
	"time"

	"github.com/tachikoma/tacho/internal/expo"
)

// respond serves a request of package tinyhttp. Only WriteOpenMetrics calls respond, because a program
// with tinyhttp contains OpenMetrics in any case. Each program contains the names of the methods of a
// Registry, so respond is a function; see internal/SIZE.md.
func respond(r *Registry, req *expo.Request) error {
	var protobuf *expo.Format
	if n := (*nativeDef)(offered(r)); n != nil {
		protobuf = (*expo.Format)(n.code.ProtobufFormat()) // as Handler has it; see internal/SIZE.md
	}
	format, scheme := req.Choose(protobuf, spaceOf(r).names.UTF8 != nil)
	if format == nil {
		return nil
	}
	families := r.scrapedFor(&query{done: req.Done, timeout: func() time.Duration { return req.Timeout }, names: req.Names})
	if families == nil { // the client is gone
		return nil
	}
	return req.Respond(func(w io.Writer) error { return expo.Write(w, format, scheme, families, &spaceOf(r).names) })
}
