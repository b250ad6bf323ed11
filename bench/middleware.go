package bench

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tachikoma/tacho"
)

// MiddlewarePaths returns the path of one server request. The middleware records
// the count, the duration, the response size and the requests in flight.
// OpenTelemetry records the request size instead of the requests in flight.
// VictoriaMetrics has no middleware.
func MiddlewarePaths() []Path {
	return []Path{{Name: "middleware, one request", Bare: "the handler alone", Unit: "request", Sides: middlewareSides}}
}

func middlewareSides() []Side {
	answer := []byte("done\n")
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })

	r := tacho.NewRegistry()
	ours := tacho.NewHTTPMetrics(r).Handler(next)

	reg := prometheus.NewRegistry()
	client := promhttpStack(reg, next)

	o := newOTel()
	otel := otelhttp.NewHandler(next, "/missions/:id",
		otelhttp.WithMeterProvider(o.provider), otelhttp.WithTracerProvider(noop.NewTracerProvider()))

	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: requests(ours)},
		{Peer: Bare, Run: requests(next)},
		{Peer: Client, Scrape: gather(reg, textFormat), Run: requests(client)},
		{Peer: OTel, Scrape: gather(o.reg, textFormat), Run: requests(otel)},
	}
}

// requests serves requests one after another, like a connection.
func requests(h http.Handler) func(from, to int) {
	return func(from, to int) {
		w := &response{Writer: io.Discard, header: http.Header{}}
		req := must(http.NewRequest(http.MethodGet, "/missions/1234", nil))
		for range to - from {
			h.ServeHTTP(w, req)
		}
	}
}

// promhttpStack records the same metrics as the middleware of tacho. The stack has
// the four wrappers of the promhttp documentation. The path is fixed at
// registration, so promhttpStack derives no path from the request.
func promhttpStack(reg *prometheus.Registry, next http.Handler) http.Handler {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"path", "method", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"path", "method"})
	size := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_response_size_bytes",
		Buckets: []float64{1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}}, []string{"path", "method"})
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight"})
	reg.MustRegister(total, duration, size, inFlight)
	path := prometheus.Labels{"path": "/missions/:id"}
	return promhttp.InstrumentHandlerInFlight(inFlight,
		promhttp.InstrumentHandlerDuration(duration.MustCurryWith(path),
			promhttp.InstrumentHandlerCounter(total.MustCurryWith(path),
				promhttp.InstrumentHandlerResponseSize(size.MustCurryWith(path), next))))
}
