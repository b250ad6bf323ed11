package tacho

import (
	"io"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
)

// WriteJSON writes all metrics to w as one JSON object, which has a list of series for
// each family name. A series is {"labels":{...},"value":n}.
//
// The value of a histogram is its sum, beside "count" and the cumulative "buckets". The
// last bucket has "le":null for +Inf. A native histogram also has "histogram", in the form
// of Prometheus' query API. The value of a summary is its sum, beside "count" and
// "quantiles". NaN and the infinities are null. A sample with a time (see [Emitter.At])
// has "timestamp" in Unix seconds. Names are as defined. Otherwise WriteJSON is like
// [Registry.WriteText].
func (r *Registry) WriteJSON(w io.Writer) error { return r.write(w, &expo.JSON, names.AllowUTF8) }
