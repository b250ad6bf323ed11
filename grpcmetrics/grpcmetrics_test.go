package grpcmetrics

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
	"github.com/tachikoma/tacho/internal/testkit"
)

// A world is a server and a client with metrics.
type world struct {
	t      testing.TB
	reg    *tacho.Registry
	server *grpc.Server
	sm     *ServerMetrics
	cm     *ClientMetrics
	conn   *grpc.ClientConn
	client pb.TestServiceClient
}

type setup struct {
	server     []Option
	client     []Option
	options    []grpc.ServerOption
	noRecovery bool
}

func newWorld(t testing.TB, s setup) *world {
	return newWorldIn(t, tacho.NewRegistry(), s)
}

func newWorldIn(t testing.TB, reg *tacho.Registry, s setup) *world {
	w := &world{t: t, reg: reg, sm: NewServerMetrics(reg, s.server...), cm: NewClientMetrics(reg, s.client...)}
	options := w.sm.ServerOptions()
	if !s.noRecovery {
		options = append(options, grpctest.Recovery()...)
	}
	w.server, w.conn = grpctest.Serve(t, append(options, s.options...), w.cm.DialOptions())
	w.client = pb.NewTestServiceClient(w.conn)
	return w
}

// samples returns the samples of a scrape.
func (w *world) samples() []testkit.Sample {
	w.t.Helper()
	var text strings.Builder
	if err := w.reg.WriteText(&text); err != nil {
		w.t.Fatal(err)
	}
	return testkit.ParseText(w.t, text.String())
}

// find returns the samples with this name that have these labels.
func (w *world) find(name string, labels ...string) (list []testkit.Sample) {
	w.t.Helper()
	for _, s := range w.samples() {
		match := s.Name == name
		for _, l := range testkit.Pairs(labels...) {
			match = match && slices.Contains(s.Labels, l)
		}
		if match {
			list = append(list, s)
		}
	}
	return list
}

// sum returns the sum of the series that have these labels. The sum of a histogram is its number of
// observations.
func (w *world) sum(name string, labels ...string) (total float64) {
	w.t.Helper()
	if strings.HasSuffix(name, "_seconds") {
		name += "_count"
	}
	for _, s := range w.find(name, labels...) {
		total += s.Value
	}
	return total
}

// settle waits until all calls are handled, on both sides.
func (w *world) settle() {
	w.t.Helper()
	for range 600 {
		if w.sum("grpc_server_started_total") == w.sum("grpc_server_handled_total") && w.sum("grpc_client_started_total") == w.sum("grpc_client_handled_total") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Fatalf("calls are not handled: server %v of %v, client %v of %v", w.sum("grpc_server_handled_total"), w.sum("grpc_server_started_total"),
		w.sum("grpc_client_handled_total"), w.sum("grpc_client_started_total"))
}

func (w *world) want(name string, want float64, labels ...string) {
	w.t.Helper()
	if got := w.sum(name, labels...); got != want {
		w.t.Errorf("%s%v = %v, want %v", name, labels, got, want)
	}
}

func (w *world) serverStream(ctx context.Context, req *pb.StreamingOutputCallRequest) error {
	return grpctest.ServerStream(ctx, w.client, req)
}
