// Package tacho is a Prometheus-compatible metrics engine. It has counters, gauges and
// histograms that are cheap to record, with or without labels, and a scrape that is always
// valid.
//
// This program counts jobs by result and serves the metrics on /metrics:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/tachikoma/tacho"
//	)
//
//	var jobs = tacho.Default.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"})
//
//	func main() {
//		http.HandleFunc("POST /jobs", func(w http.ResponseWriter, r *http.Request) {
//			jobs.With("ok").Inc()
//		})
//		http.Handle("GET /metrics", tacho.Default.Handler())
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
//	}
//
// # Definitions
//
// A [Registry] holds metrics. [Default] is a registry for package variables, and
// [NewRegistry] makes others:
//
//	var requests = tacho.Default.Counter("requests_total", "Requests served.")
//
// A bad or conflicting definition panics with a *[DefinitionError], so that a mistake shows
// at the start of the program. An option that does not apply is refused in the same way. For
// names that come from configuration, [Try] returns that error instead. The same definition
// twice returns the same metric. Call [Registry.Unregister] to remove a metric, and
// [Registry.Families] to list the definitions.
//
// # Recording
//
// A [Counter] counts events and a [FloatCounter] sums amounts. A [Gauge] or a [FloatGauge]
// goes up and down. A [Histogram] counts observations in buckets:
//
//	requests.Inc()
//	queued.Set(int64(len(queue)))
//	latency.ObserveSince(start)
//
// By convention a name ends in its unit, which is a base unit such as seconds or bytes. The
// name of a counter ends in _total.
//
// # Histograms
//
// The buckets of a histogram are the upper bounds of its definition, and +Inf. If the
// definition has nil, the bounds are [DefBuckets], made for seconds. The functions
// [LinearBuckets] and [ExponentialBuckets] make other bounds. An observation counts in the first bucket whose
// upper bound is at least the value. Prometheus gets cumulative counts. A program reads a
// histogram by [Histogram.Snapshot].
//
// [WithNative] gives a histogram native buckets, beside the classic buckets or alone. They need no
// bounds, and resolve all values to 9 percent.
//
// # Labels
//
// A [Vec] is a family of metrics that differ in label values: [CounterVec], [HistogramVec]
// and so on. The method [Vec.With] finds a metric, without a lock or an allocation once
// the metric exists. A program that keeps the pointer saves the lookup as well. Series are
// removed by [Vec.Delete], [Vec.DeleteFunc] and [Vec.Reset]. The option [WithConstLabels]
// adds labels that never change.
//
// The functions [Typed2], [Typed3] and [Typed4] give each label of a vector a type, so swapped
// variables do not compile. The method [Vec.Curry] fixes the first label values.
//
// # Cardinality
//
// If clients choose label values, limit the number of series. The option [WithMaxSeries]
// limits a vector, or every vector of a registry. Past the limit, new combinations of values are
// recorded in one series whose values are all "other", and
// tacho_series_overflow_total{metric} counts. So totals stay right. The option
// [WithIdleExpiry] removes series that do not change any more. The method [Vec.Replace]
// replaces all series of a vector at once. The routes of HTTP requests have limits of their
// own; see [HTTPMetrics].
//
// # Functions and collectors
//
// A function given to [Registry.CounterFunc] or [Registry.GaugeFunc] runs at each scrape.
// A collector given to [Registry.Collect] emits whole families through an [Emitter]. If
// a function or collector panics, the scrape goes on without its samples. A [FuncVec] is a
// family whose series have a function each.
//
// # Several registries
//
// The metrics of the registry that [Registry.Sub] returns stand in the scrapes of its parent. They
// have labels or a prefix of their own ([WithPrefix]). So two servers share the families
// of a scrape. The functions [Join] and [Handler] show several registries as one.
//
// # Exemplars
//
// An exemplar is a reference to an event, such as the trace of a request. It is left by
// [Counter.AddExemplar] or [Histogram.ObserveExemplar], and for HTTP requests by
// [WithExemplar]. The option [WithContextExemplars] gives a registry one function from a
// context to an exemplar, for [Counter.AddContext], [Histogram.ObserveContext] and HTTP
// requests. OpenMetrics and protobuf show the latest exemplar of each counter and bucket, and so
// do pushes by OTLP and remote write 2.0.
//
// # Names
//
// Names of metrics and labels have letters, digits and underscores. The option
// [WithUTF8Names] allows any UTF-8 name, as Prometheus 3 does, and escapes names for clients that need it.
//
// # Errors
//
// Recording never panics and returns no error. A mistake changes no series: a wrong number
// of label values, a negative addition to a counter, an observation of NaN. It is counted
// in tacho_errors_total{metric,reason}, which every registry exposes once it is not zero.
// Alert on it. Invalid UTF-8 in a label value is no error and becomes U+FFFD.
//
// # Formats
//
// [Registry.WriteText] writes Prometheus' text format 0.0.4, [Registry.WriteOpenMetrics]
// writes OpenMetrics 1.0, [Registry.WriteProtobuf] writes the protobuf format, and
// [Registry.WriteJSON] writes a JSON view. [Registry.WriteOpenMetrics2] writes OpenMetrics 2.0,
// which is experimental. Families are sorted by name and series by label values. A family
// without series is left out. All of them write through one bounded buffer and hold no lock
// meanwhile. [Registry.Handler] serves the format that the client prefers, and
// [Registry.JSONHandler] serves the JSON view. Both compress with gzip if the client accepts
// it.
//
// # HTTP servers
//
// [HTTPMetrics] is middleware for [net/http]. It measures requests by method, path and
// status, their durations and response sizes, requests in flight, and connections. Options
// add the time to the first byte and the request size, and change names:
//
//	m := tacho.NewHTTPMetrics(tacho.Default)
//	http.ListenAndServe(addr, m.Handler(mux))
//
// # Concurrency
//
// All methods of registries, vectors, metrics and the middleware are safe for concurrent
// use. An [Emitter] is valid only in the call that received it. Recording in a series that
// exists takes no lock. A counter or histogram that several cores record in at the same
// time grows to more memory, a few times at most. A scrape reads while other goroutines
// record. The count of a histogram always equals the count of its +Inf bucket. Its sum may
// differ by the observations that are still running.
//
// # Without HTTP
//
// The build tag tacho_nohttp leaves out everything that needs net/http, and
// [NormalizePath], [WithContextExemplars] and its methods. The rest imports none of net, fmt,
// reflect and encoding/json. Package tinyhttp then serves /metrics over package net.
package tacho
