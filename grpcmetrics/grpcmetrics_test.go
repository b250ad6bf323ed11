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

	serverSub, clientSub []tacho.Option // of the sub-registries of the metrics
}

func newWorld(t testing.TB, s setup) *world {
	reg := tacho.NewRegistry()
	w := &world{t: t, reg: reg, sm: NewServerMetrics(reg.Sub(s.serverSub...), s.server...), cm: NewClientMetrics(reg.Sub(s.clientSub...), s.client...)}
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
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if w.sum("grpc_server_started_total") == w.sum("grpc_server_handled_total") && w.sum("grpc_client_started_total") == w.sum("grpc_client_handled_total") {
			return
		}
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

// InitializeMetrics creates the series of the registered methods. Calls use the same series.
func TestInitializeMetrics(t *testing.T) {
	w := newWorld(t, setup{server: []Option{WithHandlingTimeHistogram(nil)}})
	w.sm.InitializeMetrics(w.server)
	methods := 0
	for _, info := range w.server.GetServiceInfo() {
		methods += len(info.Methods)
	}
	for name, n := range map[string]int{
		"grpc_server_started_total": 1, "grpc_server_msg_received_total": 1, "grpc_server_msg_sent_total": 1,
		"grpc_server_handled_total": 17, "grpc_server_handling_seconds_count": 1,
	} {
		if got := len(w.find(name)); got != n*methods {
			t.Errorf("%d series of %s, want %d", got, name, n*methods)
		}
		w.want(name, 0)
	}
	w.client.EmptyCall(t.Context(), &pb.Empty{})
	w.settle()
	w.want("grpc_server_handled_total", 1, "grpc_type", "unary", "grpc_method", "EmptyCall", "grpc_code", "OK")
	if got := len(w.find("grpc_server_handled_total")); got != 17*methods {
		t.Errorf("%d series after a call, want %d", got, 17*methods)
	}
}
