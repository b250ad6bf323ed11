package migrating

import (
	"net/http"
	"time"

	"github.com/IBM/pgxpoolprometheus"
	metricsprom "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tachikoma/tacho"
	prombridge "github.com/tachikoma/tacho/bridge/prometheus"
	"github.com/tachikoma/tacho/collectors"
	"github.com/tachikoma/tacho/grpcmetrics"
	"github.com/tachikoma/tacho/sqlstats"
)

// newAfter returns the service with tacho.
func newAfter(p *parts) (*service, error) {
	reg, jobs := tacho.NewRegistry(), tacho.NewRegistry()
	return startAfter(p, reg, jobs)
}

// newAfterCreated is newAfter with the times of creation.
func newAfterCreated(p *parts) (*service, error) {
	reg, jobs := tacho.NewRegistry(tacho.WithCreated()), tacho.NewRegistry(tacho.WithCreated())
	return startAfter(p, reg, jobs, prombridge.WithCreated())
}

func startAfter(p *parts, reg, jobs *tacho.Registry, opts ...prombridge.Option) (*service, error) {
	s := &service{}
	collectors.Register(reg)
	s.stop = sqlstats.RegisterGoSQL(reg, p.db, "orders")

	libraries := prombridge.NewRegisterer(reg, opts...)
	libraries.MustRegister(pgxpoolprometheus.NewCollector(p.pool, map[string]string{"db_name": "orders"}))
	sink, err := metricsprom.NewPrometheusSinkFrom(metricsprom.PrometheusOpts{Registerer: libraries})
	if err != nil {
		return nil, err
	}
	s.raft = newRaft(sink)
	prombridge.Collect(reg, prometheus.DefaultGatherer, opts...)
	audit := newAuditLibrary()

	serverMetrics := grpcmetrics.NewServerMetrics(reg, grpcmetrics.WithHandlingTimeHistogram(nil))
	clientMetrics := grpcmetrics.NewClientMetrics(reg)
	s.server = grpc.NewServer(serverMetrics.ServerOptions()...)
	s.dial = clientMetrics.DialOptions()
	pb.RegisterTestServiceServer(s.server, testService{})
	serverMetrics.InitializeMetrics(s.server)

	public := reg.Sub(tacho.WithConstLabels("server", "public"))
	admin := reg.Sub(tacho.WithConstLabels("server", "admin"))
	s.public, s.admin = serveAfter(public, p.routes), serveAfter(admin, p.routes)

	work := jobsAfter(jobs)
	s.work = func() { audit(); ordersAfter(reg, libraries); cachesAfter(reg); work() }

	s.metrics = tacho.Handler(reg, jobs)
	return s, nil
}

// serveAfter returns a server whose routes are measured.
func serveAfter(reg *tacho.Registry, routes map[string]http.HandlerFunc) http.Handler {
	m := tacho.NewHTTPMetrics(reg,
		tacho.WithLabelName("status", "code"), tacho.WithLabelName("path", "handler"),
		tacho.WithDurationBuckets([]float64{.01, .1, 1}), tacho.WithSizeBuckets([]float64{10, 1000}),
		tacho.WithTimeToFirstByte(), tacho.WithRequestSize(),
		tacho.WithExemplar(func(r *http.Request) []string { return []string{"trace_id", traceID(r.Context())} }))

	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", routes["GET /orders/{id}"])
	mux.Handle("POST /orders", routes["POST /orders"])
	return m.Handler(mux)
}

// ordersAfter defines and changes metrics of each type.
func ordersAfter(reg *tacho.Registry, libraries prometheus.Registerer) {
	orders := reg.CounterVec("shop_orders_total", "Orders, by country and result.", []string{"country", "result"})
	french := orders.Curry("fr")
	french.With("paid").Inc()
	orders.With("de", "refused").Add(2)

	revenue := reg.FloatCounter("shop_revenue_euros_total", "Revenue.")
	revenue.Add(17.5)
	revenue.AddExemplar(2, "trace_id", "4bf92f35")

	open := reg.Gauge("shop_orders_open", "Orders that are not paid.")
	open.Set(3)
	open.Dec()

	value := reg.Histogram("shop_order_value_euros", "Values of orders.", tacho.LinearBuckets(.1, .1, 3))
	value.Observe(0.25)
	value.ObserveExemplar(0.15, "trace_id", "a3ce929d")

	weight := reg.Histogram("shop_order_weight_grams", "Weights of orders.", []float64{100, 1000}, tacho.WithNative())
	for i := range 100 {
		weight.Observe(float64(i * i))
	}

	delivery := promauto.With(libraries).NewSummary(prometheus.SummaryOpts{
		Name: "shop_delivery_days", Help: "Days until delivery.", Objectives: map[float64]float64{.5: .05, .9: .01},
	})
	delivery.Observe(2)

	stock := reg.GaugeFuncVec("shop_stock_items", "Items in stock.", []string{"warehouse"})
	for _, warehouse := range []string{"lyon", "turin"} {
		stock.Func(func() float64 { return float64(len(warehouse)) }, warehouse)
	}
	reg.Collect(collectMeter)

	pack := reg.HistogramVec("shop_pack_seconds", "Time to pack an order.", []float64{1, 10}, []string{"warehouse", "packer"})
	start := time.Now()
	pack.With("lyon", "1").ObserveSince(start)
	pack.With("turin", "1").Observe(5)
	pack.With("turin", "2").Observe(5)
	pack.DeleteFunc(func(values []string) bool { return values[0] == "turin" })

	reg.Gauge("shop_test", "A gauge that ends.")
	reg.Unregister("shop_test")
}

// collectMeter reads a meter at each scrape.
func collectMeter(e *tacho.Emitter) {
	e.Gauge("meter_power_watts", "Power.", 230, "phase", "1")
	e.At(measured).Gauge("meter_exchange_rate", "Rate of the day.", 1.25)
	e.Histogram("meter_load_watts", "Load of the day.", tacho.HistogramSnapshot{
		Buckets: []tacho.Bucket{{UpperBound: 100, Count: 6}, {UpperBound: 200, Count: 9}}, Count: 10, Sum: 900,
	})
	e.Summary("meter_noise_volts", "Noise of the day.", tacho.SummarySnapshot{
		Quantiles: []tacho.Quantile{{Quantile: .5, Value: .4}, {Quantile: .9, Value: .6}}, Count: 10, Sum: 5,
	})
}

// cachesAfter has two instances of the same metrics.
func cachesAfter(reg *tacho.Registry) {
	newCache := func(reg *tacho.Registry) (hits *tacho.Counter) {
		return reg.Counter("cache_hits_total", "Hits of a cache.")
	}
	users := newCache(reg.Sub(tacho.WithConstLabels("cache", "users")))
	items := newCache(reg.Sub(tacho.WithConstLabels("cache", "items")))
	pages := newCache(reg.Sub(tacho.WithPrefix("shop_")))
	users.Add(5)
	items.Add(7)
	pages.Inc()
}

// jobsAfter has its metrics in a registry of its own.
func jobsAfter(reg *tacho.Registry) (work func()) {
	runs := reg.CounterVec("job_runs_total", "Runs of jobs.", []string{"job"})
	return func() {
		runs.With("invoice").Inc()
		runs.With("old").Inc()
		runs.Delete("old")
	}
}
