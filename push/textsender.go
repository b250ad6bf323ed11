//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"io"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/gzip"
)

// A textSender sends the pushes to a Pushgateway and to VictoriaMetrics.
type textSender struct{ dest *destination }

// send sends one request. The text format has no time, so the receiver uses the time
// of receipt. Each attempt therefore contains the values of its own time.
//
// An exposition in protobuf may restart native histograms. The next exposition then does not have
// their earlier observations. So each attempt in protobuf has the same body.
func (s textSender) send(ctx context.Context, p *Pusher, stop <-chan struct{}, _ bool) error {
	type result struct {
		body   []byte
		repeat bool
	}
	var last result
	return p.sendWithRetries(ctx, stop, func() ([]byte, error) {
		if last.repeat {
			return last.body, nil
		}
		var err error
		last, err = collect(ctx, p, func(ctx context.Context) (r result, err error) {
			r.body, r.repeat, err = s.dest.encode(ctx, p.reg, p.maxBytes)
			return r, err
		})
		if err == nil {
			p.bodyBytes.Set(int64(len(last.body)))
		}
		return last.body, err
	}).err
}

func (textSender) retryable(status int) bool { return retryable(status) }

// encode returns the body of a push to a Pushgateway or to VictoriaMetrics. If the body is in protobuf,
// encode changes d.header, and repeat is true: a retry must have the same body. If the exposition is
// larger than limit bytes, encode returns errTooLarge. If ctx ends, encode returns an error.
func (d *destination) encode(ctx context.Context, reg *tacho.Registry, limit int64) (body []byte, repeat bool, err error) {
	b := bytes.NewBuffer([]byte{}) // a nil body would mean a request without a body
	write := func(w io.Writer) error {
		if !d.deletes {
			return reg.WriteTextContext(ctx, &limitedWriter{ctx, w, limit})
		}
		g := &gatewayWriter{w: w}
		err := reg.WriteProtobufContext(ctx, &limitedWriter{ctx, g, limit})
		if repeat = g.protobuf; repeat {
			d.header.Set("Content-Type", protobufType) // also right for all later pushes, see Registry.offer
		}
		if err != nil {
			return err
		}
		return g.finish()
	}
	if d.gzip {
		err = gzip.Write(b, write)
	} else {
		err = write(b)
	}
	return b.Bytes(), repeat, err
}
