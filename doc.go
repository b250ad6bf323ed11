// Package tacho is a Prometheus-compatible metrics engine: counters, gauges
// and histograms that cost little to record, with or without labels, and a
// scrape that is always valid.
//
// # Defining
//
// Metrics are defined in a [Registry], [Default] or one from [NewRegistry]:
//
//	var requests = tacho.Default.Counter("requests_total", "Requests served.")
//
// A definition that is wrong, or conflicts with another, panics with a
// *[DefinitionError]: a mistake in the program shows at its start. [Try] turns
// that into an error for names that come from configuration. Defining the same
// metric twice in the same way returns the same metric.
//
// # Recording
//
// [Counter] counts events, [FloatCounter] sums amounts, [Gauge] and
// [FloatGauge] go up and down, [Histogram] counts observations in buckets. None
// of their methods blocks, panics or, after the first contention, allocates.
// What must not be recorded, such as a negative addition to a counter, changes
// nothing and is counted in tacho_errors_total{metric,reason}.
//
// # Labels
//
// A [Vec] is a family of metrics that differ in label values: [CounterVec],
// [HistogramVec] and so on. [Vec.With] finds one without a lock or allocation;
// a program that keeps the pointer saves the lookup too. [WithMaxSeries] limits
// how many there can be, [WithConstLabels] adds labels that never change.
//
// # Computing at scrape time
//
// [Registry.CounterFunc] and [Registry.GaugeFunc] call a function for each
// scrape; [Registry.Collect] emits whole families.
//
// # Reading
//
// [Registry.WriteText] writes Prometheus' text format 0.0.4,
// [Registry.WriteJSON] a JSON view. Both stream through one bounded buffer and
// hold no lock while they write. [Registry.Handler] and [Registry.JSONHandler]
// serve them over HTTP.
//
// # Measuring HTTP servers
//
// [HTTPMetrics] is middleware for net/http: requests by method, path and status,
// durations, response sizes, requests in flight, connections by state.
//
// # Without HTTP
//
// The build tag tacho_nohttp leaves out all that needs net/http; what remains
// imports none of net, fmt, reflect and encoding/json.
package tacho
