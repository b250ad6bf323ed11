//go:build !tacho_nohttp

package push

import (
	"encoding/binary"

	"github.com/tachikoma/tacho/internal/wire"
)

// upgrade converts a compressed request of version 1.0 to version 2.0.
func upgrade(body []byte) []byte {
	refs := map[string]uint64{"": 0}
	symbols := []byte{requestSymbol, 0}
	ref := func(s []byte) uint64 {
		n, ok := refs[string(s)]
		if !ok {
			n = uint64(len(refs))
			refs[string(s)] = n
			symbols = appendBytes(append(symbols, requestSymbol), s)
		}
		return n
	}
	var all []byte
	for _, series := range splitSeries(body) {
		var labels, values []byte
		for len(series) > 0 {
			f, rest, _ := cutField(series)
			switch f.tag {
			case 1<<3 | wire.Bytes:
				name, value, _ := cutLabel(f.bytes)
				labels = binary.AppendUvarint(binary.AppendUvarint(labels, ref(name)), ref(value))
			case 2<<3 | wire.Bytes:
				values = appendBytes(append(values, seriesSample), f.bytes)
			case 4<<3 | wire.Bytes:
				values = appendBytes(append(values, seriesHistogram), f.bytes)
			}
			series = rest
		}
		message := append(appendBytes([]byte{seriesLabels}, labels), values...)
		all = appendBytes(append(all, requestSeries), message)
	}
	return snappy(append(symbols, all...))
}

func (p *remotePush) upgrade() {
	for i, body := range p.bodies {
		if p.version == 2 {
			p.bodies[i] = upgrade(body)
		}
	}
}
