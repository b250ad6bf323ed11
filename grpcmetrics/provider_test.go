package grpcmetrics

import (
	"testing"
	"time"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
)

// The same calls, measured by the provider at once.
func TestSameSeriesAsProvider(t *testing.T) {
	for name, s := range map[string]setup{
		"counters": {},
		"histograms": {
			server: []Option{WithHandlingTimeHistogram(nil)},
			client: []Option{WithHandlingTimeHistogram([]float64{.1, 1}), WithStreamRecvHistogram(nil), WithStreamSendHistogram(nil)},
			theirs: []provider.ServerMetricsOption{provider.WithServerHandlingTimeHistogram()},
			theirs2: []provider.ClientMetricsOption{
				provider.WithClientHandlingTimeHistogram(provider.WithHistogramBuckets([]float64{.1, 1})),
				provider.WithClientStreamRecvHistogram(), provider.WithClientStreamSendHistogram(),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, s)
			w.calls()
			w.settle()
			var lines []string
			for range 100 { // the server may start a call after its client gave up
				ours, theirs := flatten(w.ours()), flatten(w.provider())
				if len(ours) < 60 {
					t.Fatalf("only %d series", len(ours))
				}
				if lines = diff(ours, theirs); len(lines) == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			for _, line := range lines {
				t.Error(line)
			}
		})
	}
}

func TestInitializeMetricsAsProvider(t *testing.T) {
	w := newWorld(t, setup{
		server: []Option{WithHandlingTimeHistogram(nil)},
		theirs: []provider.ServerMetricsOption{provider.WithServerHandlingTimeHistogram()},
	})
	w.sm.InitializeMetrics(w.server)
	sm := provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram())
	sm.InitializeMetrics(w.server)
	w.theirs = newPrometheusRegistry(sm)
	ours, theirs := flatten(w.ours()), flatten(w.provider())
	delete(ours, "grpc_client_started_total")
	for _, line := range diff(ours, theirs) {
		t.Error(line)
	}
	if want := 20 * len(w.server.GetServiceInfo()["grpc.testing.TestService"].Methods); len(ours) < want {
		t.Errorf("%d series, want at least %d", len(ours), want)
	}
	w.calls() // the calls use the same series
	w.settle()
	w.want("grpc_server_started_total", 3, "grpc_method", "EmptyCall")
}
