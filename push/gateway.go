//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"io"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/wire"
)

// A gatewayWriter writes the body of a push to a Pushgateway. The body is in protobuf if the
// registry has a native histogram. Otherwise the body is in the text format, which all servers
// with the API of a Pushgateway accept.
//
// A Pushgateway keeps only the last message with a name, so a gatewayWriter joins the messages of
// a family. The length of a message precedes the message, so a gatewayWriter holds the largest
// family in memory.
type gatewayWriter struct {
	w        io.Writer
	protobuf bool
	messages messages
	family   []byte // the message of the current family; empty before the first one
	name     []byte // the name of the current family
}

// Choose implements [expo.Chooser].
func (g *gatewayWriter) Choose(native bool) (*expo.Format, names.Scheme) {
	if g.protobuf = native; native {
		return &expo.Protobuf, names.Underscores
	}
	return &expo.Text, names.Underscores
}

// Write writes p in the text format, and the complete families in protobuf.
func (g *gatewayWriter) Write(p []byte) (int, error) {
	if !g.protobuf {
		return g.w.Write(p)
	}
	return g.messages.write(p, g.add)
}

// add adds a message to the current family, or begins a family with it.
func (g *gatewayWriter) add(message []byte) error {
	if len(message) == 0 {
		return errMalformed
	}
	first, rest, ok := cutField(message)
	if !ok || first.tag != wire.FamilyName {
		return errMalformed
	}
	if len(g.family) == 0 || string(first.bytes) != string(g.name) {
		err := g.flush()
		g.family, g.name = append(g.family[:0], message...), append(g.name[:0], first.bytes...)
		return err
	}
	for len(rest) > 0 {
		f, after, ok := cutField(rest)
		if !ok {
			return errMalformed
		}
		if f.tag == wire.FamilyMetric {
			g.family = append(g.family, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
	return nil
}

// flush writes the current family.
func (g *gatewayWriter) flush() error {
	if len(g.family) == 0 {
		return nil
	}
	_, err := g.w.Write(binary.AppendUvarint(nil, uint64(len(g.family))))
	if err == nil {
		_, err = g.w.Write(g.family)
	}
	return err
}

// finish writes the last family. If the exposition ends in an incomplete message, finish returns
// an error.
func (g *gatewayWriter) finish() error {
	if err := g.messages.end(); err != nil {
		return err
	}
	return g.flush()
}
