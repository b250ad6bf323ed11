package migrating

import (
	"context"
	"net/http"

	"github.com/IBM/pgxpoolprometheus"
	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	metricsprom "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

// newBefore returns the service with client_golang.
func newBefore(p *parts) (*service, error) {
	s := &service{stop: func() {}}
	prometheus.MustRegister(collectors.NewBuildInfoCollector())
	prometheus.MustRegister(collectors.NewDBStatsCollector(p.db, "orders"))

	prometheus.MustRegister(pgxpoolprometheus.NewCollector(p.pool, map[string]string{"db_name": "orders"}))
	sink, err := metricsprom.NewPrometheusSinkFrom(metricsprom.PrometheusOpts{Registerer: prometheus.DefaultRegisterer})
	if err != nil {
		return nil, err
	}
	s.raft = newRaft(sink)
	audit := newAuditLibrary()

	serverMetrics := provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram())
	clientMetrics := provider.NewClientMetrics()
	prometheus.MustRegister(serverMetrics, clientMetrics)
	s.server = grpc.NewServer(
		grpc.ChainUnaryInterceptor(serverMetrics.UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(serverMetrics.StreamServerInterceptor()))
	s.dial = []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(clientMetrics.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(clientMetrics.StreamClientInterceptor()),
	}
	pb.RegisterTestServiceServer(s.server, testService{})
	serverMetrics.InitializeMetrics(s.server)

	public := prometheus.WrapRegistererWith(prometheus.Labels{"server": "public"}, prometheus.DefaultRegisterer)
	admin := prometheus.WrapRegistererWith(prometheus.Labels{"server": "admin"}, prometheus.DefaultRegisterer)
	s.public, s.admin = serveBefore(public, p.routes), serveBefore(admin, p.routes)

	jobs := prometheus.NewRegistry()
	work := jobsBefore(jobs)
	s.work = func() { audit(); ordersBefore(); cachesBefore(); work() }

	gatherers := prometheus.Gatherers{prometheus.DefaultGatherer, jobs}
	s.metrics = promhttp.InstrumentMetricHandler(prometheus.DefaultRegisterer,
		promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: prometheus.DefaultRegisterer}))
	return s, nil
}

// serveBefore returns a server whose routes are measured.
func serveBefore(reg prometheus.Registerer, routes map[string]http.HandlerFunc) http.Handler {
	factory := promauto.With(reg)
	requests := factory.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests by status.",
	}, []string{"handler", "method", "code"})
	duration := factory.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Latencies.", Buckets: []float64{.01, .1, 1},
	}, []string{"handler", "method", "code"})
	firstByte := factory.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_time_to_write_header_seconds", Help: "Latencies until the header.", Buckets: []float64{.01, .1, 1},
	}, []string{"handler", "method"})
	requestSize := factory.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_size_bytes", Help: "Sizes of requests.", Buckets: []float64{10, 1000},
	}, []string{"handler", "method"})
	responseSize := factory.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_response_size_bytes", Help: "Sizes of responses.", Buckets: []float64{10, 1000},
	}, []string{"handler", "method"})
	inFlight := factory.NewGauge(prometheus.GaugeOpts{
		Name: "http_requests_in_flight", Help: "Requests being served.",
	})

	trace := promhttp.WithExemplarFromContext(func(ctx context.Context) prometheus.Labels {
		return prometheus.Labels{"trace_id": traceID(ctx)}
	})
	measure := func(route string, next http.Handler) http.Handler {
		name := prometheus.Labels{"handler": route}
		next = promhttp.InstrumentHandlerResponseSize(responseSize.MustCurryWith(name), next)
		next = promhttp.InstrumentHandlerRequestSize(requestSize.MustCurryWith(name), next)
		next = promhttp.InstrumentHandlerTimeToWriteHeader(firstByte.MustCurryWith(name), next)
		next = promhttp.InstrumentHandlerDuration(duration.MustCurryWith(name), next, trace)
		next = promhttp.InstrumentHandlerCounter(requests.MustCurryWith(name), next, trace)
		return promhttp.InstrumentHandlerInFlight(inFlight, next)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", measure("/orders/{id}", routes["GET /orders/{id}"]))
	mux.Handle("POST /orders", measure("/orders", routes["POST /orders"]))
	return mux
}

// ordersBefore defines and changes metrics of each type.
func ordersBefore() {
	orders := promauto.NewCounterVec(prometheus.CounterOpts{
		Namespace: "shop", Name: "orders_total", Help: "Orders, by country and result.",
	}, []string{"country", "result"})
	french := orders.MustCurryWith(prometheus.Labels{"country": "fr"})
	french.WithLabelValues("paid").Inc()
	orders.With(prometheus.Labels{"result": "refused", "country": "de"}).Add(2)

	revenue := promauto.NewCounter(prometheus.CounterOpts{Name: "shop_revenue_euros_total", Help: "Revenue."})
	revenue.Add(17.5)
	revenue.(prometheus.ExemplarAdder).AddWithExemplar(2, prometheus.Labels{"trace_id": "4bf92f35"})

	open := promauto.NewGauge(prometheus.GaugeOpts{Name: "shop_orders_open", Help: "Orders that are not paid."})
	open.Set(3)
	open.Dec()

	value := promauto.NewHistogram(prometheus.HistogramOpts{
		Name: "shop_order_value_euros", Help: "Values of orders.", Buckets: prometheus.LinearBuckets(.1, .1, 3),
	})
	value.Observe(0.25)
	value.(prometheus.ExemplarObserver).ObserveWithExemplar(0.15, prometheus.Labels{"trace_id": "a3ce929d"})

	weight := promauto.NewHistogram(prometheus.HistogramOpts{
		Name: "shop_order_weight_grams", Help: "Weights of orders.", Buckets: []float64{100, 1000},
		NativeHistogramBucketFactor: 1.1,
	})
	for i := range 100 {
		weight.Observe(float64(i * i))
	}

	delivery := promauto.NewSummary(prometheus.SummaryOpts{
		Name: "shop_delivery_days", Help: "Days until delivery.", Objectives: map[float64]float64{.5: .05, .9: .01},
	})
	delivery.Observe(2)

	for _, warehouse := range []string{"lyon", "turin"} {
		promauto.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shop_stock_items", Help: "Items in stock.", ConstLabels: prometheus.Labels{"warehouse": warehouse},
		}, func() float64 { return float64(len(warehouse)) })
	}
	prometheus.MustRegister(meterCollector{})

	pack := promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "shop_pack_seconds", Help: "Time to pack an order.", Buckets: []float64{1, 10},
	}, []string{"warehouse", "packer"})
	timer := prometheus.NewTimer(pack.WithLabelValues("lyon", "1"))
	timer.ObserveDuration()
	pack.WithLabelValues("turin", "1").Observe(5)
	pack.WithLabelValues("turin", "2").Observe(5)
	pack.DeletePartialMatch(prometheus.Labels{"warehouse": "turin"})

	test := prometheus.NewGauge(prometheus.GaugeOpts{Name: "shop_test", Help: "A gauge that ends."})
	prometheus.MustRegister(test)
	prometheus.Unregister(test)
}

// A meterCollector reads a meter at each scrape.
type meterCollector struct{}

var (
	power = prometheus.NewDesc("meter_power_watts", "Power.", []string{"phase"}, nil)
	rate  = prometheus.NewDesc("meter_exchange_rate", "Rate of the day.", nil, nil)
	load  = prometheus.NewDesc("meter_load_watts", "Load of the day.", nil, nil)
	noise = prometheus.NewDesc("meter_noise_volts", "Noise of the day.", nil, nil)
)

func (meterCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- power
	ch <- rate
	ch <- load
	ch <- noise
}

func (meterCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(power, prometheus.GaugeValue, 230, "1")
	ch <- prometheus.NewMetricWithTimestamp(measured, prometheus.MustNewConstMetric(rate, prometheus.GaugeValue, 1.25))
	ch <- prometheus.MustNewConstHistogram(load, 10, 900, map[float64]uint64{100: 6, 200: 9})
	ch <- prometheus.MustNewConstSummary(noise, 10, 5, map[float64]float64{.5: .4, .9: .6})
}

// cachesBefore has two instances of the same metrics.
func cachesBefore() {
	newCache := func(reg prometheus.Registerer) (hits prometheus.Counter) {
		return promauto.With(reg).NewCounter(prometheus.CounterOpts{Name: "cache_hits_total", Help: "Hits of a cache."})
	}
	reg := prometheus.DefaultRegisterer
	users := newCache(prometheus.WrapRegistererWith(prometheus.Labels{"cache": "users"}, reg))
	items := newCache(prometheus.WrapRegistererWith(prometheus.Labels{"cache": "items"}, reg))
	pages := newCache(prometheus.WrapRegistererWithPrefix("shop_", reg))
	users.Add(5)
	items.Add(7)
	pages.Inc()
}

// jobsBefore has its metrics in a registry of its own.
func jobsBefore(reg *prometheus.Registry) (work func()) {
	runs := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{Name: "job_runs_total", Help: "Runs of jobs."}, []string{"job"})
	return func() {
		runs.WithLabelValues("invoice").Inc()
		runs.WithLabelValues("old").Inc()
		runs.DeleteLabelValues("old")
	}
}
