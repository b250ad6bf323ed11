//go:build !tacho_nohttp

package grpcmetrics

import (
	"context"
	"io"
	"strings"
	"testing"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
)

func TestExemplars(t *testing.T) {
	f := func(ctx context.Context) []string {
		if id, ok := ctx.Value(traceKey{}).(string); ok {
			return []string{"trace_id", id}
		}
		return nil
	}
	w := newWorld(t, setup{
		client:    []Option{WithHandlingTimeHistogram(nil), WithStreamRecvHistogram(nil), WithStreamSendHistogram(nil)},
		server:    []Option{WithHandlingTimeHistogram(nil)},
		clientSub: []tacho.Option{tacho.WithContextExemplars(f)},
		serverSub: []tacho.Option{tacho.WithContextExemplars(func(context.Context) []string { return []string{"trace_id", "server"} })},
	})
	w.client.EmptyCall(t.Context(), &pb.Empty{})
	if text := w.openMetrics(); strings.Contains(text, "client") && strings.Contains(text, `trace_id="c`) {
		t.Errorf("an exemplar without a trace:\n%s", text)
	}
	ctx := context.WithValue(t.Context(), traceKey{}, "c1")
	w.client.EmptyCall(ctx, &pb.Empty{})
	if err := w.serverStream(context.WithValue(t.Context(), traceKey{}, "c2"), grpctest.Outputs(1, nil)); err != io.EOF {
		t.Error(err)
	}
	w.settle()
	text := w.openMetrics()
	for _, name := range []string{"started_total", "handled_total", "msg_received_total", "msg_sent_total", "handling_seconds_bucket"} {
		for _, side := range []string{"server", "client"} {
			want := []string{`# {trace_id="c1"}`, `# {trace_id="c2"}`}
			if side == "server" {
				want = []string{`# {trace_id="server"}`, `# {trace_id="server"}`}
			}
			for i, typ := range []string{"unary", "server_stream"} {
				found := false
				for line := range strings.Lines(text) {
					found = found || strings.HasPrefix(line, "grpc_"+side+"_"+name) && strings.Contains(line, `grpc_type="`+typ+`"`) && strings.Contains(line, want[i])
				}
				if !found {
					t.Errorf("grpc_%s_%s of type %s has no exemplar %s", side, name, typ, want[i])
				}
			}
		}
	}
	for _, name := range []string{"grpc_client_msg_recv_handling_seconds_bucket", "grpc_client_msg_send_handling_seconds_bucket"} {
		if !strings.Contains(text, name) {
			t.Errorf("no %s", name)
		}
	}
}

type traceKey struct{}

// A panic of the function must not change the result of the call. The metric of the registry itself
// counts it, also in a sub-registry.
func TestExemplarPanics(t *testing.T) {
	sub := []tacho.Option{tacho.WithContextExemplars(func(context.Context) []string { panic("no trace") }), tacho.WithConstLabels("cell", "a")}
	w := newWorld(t, setup{clientSub: sub, serverSub: sub, noRecovery: true})
	if _, err := w.client.EmptyCall(t.Context(), &pb.Empty{}); err != nil {
		t.Error(err)
	}
	if err := w.serverStream(t.Context(), grpctest.Outputs(1, nil)); err != io.EOF {
		t.Error(err)
	}
	w.settle()
	for _, side := range []string{"client", "server"} {
		for _, name := range []string{"started_total", "handled_total", "msg_received_total", "msg_sent_total"} {
			w.want("tacho_errors_total", 2, "metric", "grpc_"+side+"_"+name, "reason", "panic")
		}
		w.want("grpc_"+side+"_handled_total", 2, "grpc_code", "OK", "cell", "a")
	}
	if n := len(w.find("tacho_errors_total", "cell", "a")); n != 0 {
		t.Errorf("%d series of tacho_errors_total have the label of the sub-registry", n)
	}
}
