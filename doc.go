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
// metric twice in the same way returns the same metric. [Registry.Unregister]
// removes one.
//
// # Recording
//
// [Counter] counts events, [FloatCounter] sums amounts, [Gauge] and
// [FloatGauge] go up and down, [Histogram] counts observations in buckets:
//
//	requests.Inc()
//	queued.Set(int64(len(queue)))
//	latency.ObserveSince(start)
//
// By convention names end in their unit, which is a base unit (seconds, bytes),
// and those of counters in _total.
//
// # Histograms
//
// A histogram has the upper bounds that its definition lists, and +Inf. Nil
// means [DefBuckets], made for seconds; [LinearBuckets] and
// [ExponentialBuckets] make others. An observation counts in the first bucket
// whose bound is not below it; what is exposed is cumulative, as Prometheus has
// it. [Histogram.Snapshot] reads one in the program.
//
// # Labels
//
// A [Vec] is a family of metrics that differ in label values: [CounterVec],
// [HistogramVec] and so on. [Vec.With] finds one, without a lock or allocation
// once it exists, or makes it; a program that keeps the pointer saves the lookup
// too. [Vec.Delete], [Vec.DeleteFunc] and [Vec.Reset] remove series.
// [WithConstLabels] adds labels that never change.
//
// # Cardinality
//
// Where strangers choose label values, [WithMaxSeries] limits a vector, or every
// vector of a registry. Past the limit every new combination is recorded in one
// series whose values are all "other", so that totals stay right, and
// tacho_series_overflow_total{metric} counts. [WithIdleExpiry] drops series that
// nobody changes any more, and [Vec.Replace] changes all of a vector at once. HTTP paths have a limit of their
// own, see [WithMaxPaths].
//
// # Computing at scrape time
//
// [Registry.CounterFunc] and [Registry.GaugeFunc] call a function for each
// scrape; [Registry.Collect] emits whole families through an [Emitter], with the
// time of each sample if it is known ([Emitter.At]). One that panics loses its own
// samples, and the scrape goes on.
//
// # Exemplars
//
// [Counter.AddExemplar] and [Histogram.ObserveExemplar] record and leave a pointer
// to the event, such as the trace of a request; the latest of a counter or bucket
// is shown in OpenMetrics. [WithExemplar] does it for HTTP requests.
//
// # Names
//
// Names of metrics and labels are made of letters, digits and underscores.
// [WithUTF8Names] allows any text, as Prometheus 3 does, and escapes it for clients
// that do not.
//
// # Errors
//
// Recording never panics and returns no errors. What must not be recorded (a
// wrong number of label values, a negative addition to a counter, an observation
// that is NaN) changes nothing and is counted in
// tacho_errors_total{metric,reason}, which every registry exposes once it has
// counted something. It is worth an alert. Invalid UTF-8 in a label value is no
// error: it becomes U+FFFD.
//
// # Reading
//
// [Registry.WriteText] writes Prometheus' text format 0.0.4,
// [Registry.WriteOpenMetrics] OpenMetrics 1.0, [Registry.WriteJSON] a JSON view.
// Families are sorted by the names of their definitions, series by label values,
// and a family without series is left out. All stream through one bounded buffer
// and hold no lock while they write. [Registry.Handler] serves the first two over
// HTTP, as the client prefers, and [Registry.JSONHandler] the third, compressed
// where the client accepts gzip.
//
// # Measuring HTTP servers
//
// [HTTPMetrics] is middleware for [net/http]: requests by method, path and
// status, durations, response sizes, requests in flight, connections by state:
//
//	m := tacho.NewHTTPMetrics(tacho.Default)
//	http.ListenAndServe(addr, m.Handler(mux))
//
// # Concurrency
//
// All methods of registries, vectors, metrics and the middleware are safe for
// concurrent use; an [Emitter] belongs to the call that got it. Recording is
// lock-free once the series exists. Counters and histograms that several cores
// record in at once spread over more memory, allocated once, when they first
// collide. A scrape reads while others record: the count of a histogram is always
// that of its +Inf bucket, and its sum may differ from them by the observations
// in flight.
//
// # Without HTTP
//
// The build tag tacho_nohttp leaves out all that needs net/http, [NormalizePath]
// included; what remains imports none of net, fmt, reflect and encoding/json.
package tacho
