//go:build !tacho_nohttp

package push

import (
	"encoding/binary"

	"github.com/tachikoma/tacho/internal/wire"
)

// appendSeries appends the field timeseries = 1 of a WriteRequest.
func appendSeries(request, series []byte) []byte {
	request = binary.AppendUvarint(append(request, wire.WriteSeries), uint64(len(series)))
	return append(request, series...)
}

// splitSeries returns the TimeSeries messages of a compressed WriteRequest. The package
// made the request, so it is not malformed.
func splitSeries(body []byte) (all [][]byte) {
	request, _ := unsnappy(body)
	for len(request) > 0 {
		size, n := binary.Uvarint(request[1:])
		end := 1 + n + int(size)
		all = append(all, request[1+n:end:end])
		request = request[end:]
	}
	return all
}

// seriesKey returns the encoded labels at the beginning of a TimeSeries message.
func seriesKey(series []byte) []byte {
	end := 0
	for series[end] == wire.WriteLabel {
		size, n := binary.Uvarint(series[end+1:])
		end += 1 + n + int(size)
	}
	return series[:end]
}
