//go:build !tacho_nohttp

package tacho

import (
	"context"
	"io"
	"time"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
)

// Package context makes a program without HTTP larger, also if the program does not use
// it; see internal/SIZE.md.

// WriteTextContext is like [Registry.WriteText], with a context for the functions of a
// CounterFunc, a GaugeFunc and a collector. They have nine tenths of the time until the
// deadline of ctx, or 5 seconds if there is no deadline. Functions that take longer are
// left out. If ctx ends before the first write, WriteTextContext returns its cause and
// writes nothing.
func (r *Registry) WriteTextContext(ctx context.Context, w io.Writer) error {
	return r.writeContext(ctx, w, &expo.Text, names.Underscores)
}

// WriteOpenMetricsContext is like [Registry.WriteOpenMetrics], with a context as
// [Registry.WriteTextContext] has it.
func (r *Registry) WriteOpenMetricsContext(ctx context.Context, w io.Writer) error {
	return r.writeContext(ctx, w, &expo.OpenMetrics, names.Underscores)
}

// WriteOpenMetrics2Context is like [Registry.WriteOpenMetrics2], with a context as
// [Registry.WriteTextContext] has it. WriteOpenMetrics2Context is experimental too.
func (r *Registry) WriteOpenMetrics2Context(ctx context.Context, w io.Writer) error {
	return r.writeContext(ctx, w, &expo.OpenMetrics2, names.AllowUTF8)
}

// WriteProtobufContext is like [Registry.WriteProtobuf], with a context as
// [Registry.WriteTextContext] has it.
func (r *Registry) WriteProtobufContext(ctx context.Context, w io.Writer) error {
	format, scheme := &expo.Protobuf, names.AllowUTF8
	if c, ok := w.(expo.Chooser); ok { // w is a writer of package push
		format, scheme = c.Choose(offered(r) != nil)
	}
	return r.writeContext(ctx, w, format, scheme)
}

func (r *Registry) writeContext(ctx context.Context, w io.Writer, format *expo.Format, s names.Scheme) error {
	q := &query{done: ctx.Done(), timeout: func() time.Duration {
		if end, ok := ctx.Deadline(); ok {
			return shareOf(time.Until(end))
		}
		return defaultTimeout
	}}
	families := r.scrapedFor(q)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return expo.Write(w, format, s, families, &spaceOf(r).names)
}

// shareOf returns the part of a limit that functions may take. The rest is for writing.
func shareOf(limit time.Duration) time.Duration { return limit - limit/10 }
