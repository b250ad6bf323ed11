package prombridge_test

import (
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tachikoma/tacho"
	prombridge "github.com/tachikoma/tacho/bridge/prometheus"
)

// The metrics of libraries that register with the default registry of client_golang are shown in
// the scrapes of a tacho registry.
func ExampleCollect() {
	library := prometheus.NewRegistry() // or prometheus.DefaultGatherer
	conns := prometheus.NewGauge(prometheus.GaugeOpts{Name: "pool_connections", Help: "Open connections."})
	library.MustRegister(conns)
	conns.Set(3)

	reg := tacho.NewRegistry()
	reg.Counter("jobs_total", "Finished jobs.").Inc()
	stop := prombridge.Collect(reg, library)
	defer stop()
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP jobs_total Finished jobs.
	// # TYPE jobs_total counter
	// jobs_total 1
	// # HELP pool_connections Open connections.
	// # TYPE pool_connections gauge
	// pool_connections 3
}

// A library that wants a Registerer registers its metrics for a tacho registry.
func ExampleNewRegisterer() {
	reg := tacho.NewRegistry()
	r := prombridge.NewRegisterer(reg)
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "queue_length", Help: "Jobs that wait."}, func() float64 { return 2 }))
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP queue_length Jobs that wait.
	// # TYPE queue_length gauge
	// queue_length 2
}
