//go:build !tacho_nohttp

package push

import (
	"fmt"
	"net/http"
	"testing"
)

// The counts of the header fields, as indexes.
const (
	sampleCount = iota
	histogramCount
	exemplarCount
)

var writtenFields = [3]string{
	"X-Prometheus-Remote-Write-Samples-Written",
	"X-Prometheus-Remote-Write-Histograms-Written",
	"X-Prometheus-Remote-Write-Exemplars-Written",
}

// A writtenReporter adds the Written fields of a receiver that writes a request completely or not at
// all.
type writtenReporter struct {
	http.ResponseWriter
	counts   [3]int
	reported bool
}

func newWrittenReporter(t *testing.T, w http.ResponseWriter, request string) *writtenReporter {
	r := &writtenReporter{ResponseWriter: w}
	fields(t, []byte(request), func(number int, _ uint64, series []byte) {
		if number == 5 {
			fields(t, series, func(number int, _ uint64, _ []byte) {
				if number >= 2 && number <= 4 {
					r.counts[number-2]++
				}
			})
		}
	})
	return r
}

// report sets the fields for a response with this status, unless they are set.
func (w *writtenReporter) report(status int) {
	if w.reported {
		return
	}
	w.reported = true
	for i, name := range writtenFields {
		if status/100 != 2 {
			w.counts[i] = 0
		}
		w.Header().Set(name, fmt.Sprint(w.counts[i]))
	}
}

func (w *writtenReporter) WriteHeader(status int) {
	w.report(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *writtenReporter) Write(p []byte) (int, error) {
	w.report(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// bare returns w without the Written fields that it would add.
func bare(w http.ResponseWriter) http.ResponseWriter {
	if r, ok := w.(*writtenReporter); ok {
		r.reported = true
		return r.ResponseWriter
	}
	return w
}
