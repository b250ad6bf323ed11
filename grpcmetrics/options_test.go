package grpcmetrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
)

func TestRefusedOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		define func(*tacho.Registry)
		reason string
	}{
		"nil of a server":  {func(r *tacho.Registry) { NewServerMetrics(r, nil) }, "an option is nil"},
		"nil of a client":  {func(r *tacho.Registry) { NewClientMetrics(r, nil) }, "an option is nil"},
		"recv of a server": {func(r *tacho.Registry) { NewServerMetrics(r, WithStreamRecvHistogram(nil)) }, "WithStreamRecvHistogram does not apply to NewServerMetrics"},
		"send of a server": {func(r *tacho.Registry) { NewServerMetrics(r, WithStreamSendHistogram(nil)) }, "WithStreamSendHistogram does not apply to NewServerMetrics"},
		"bad buckets":      {func(r *tacho.Registry) { NewServerMetrics(r, WithHandlingTimeHistogram([]float64{2, 1})) }, "bucket bounds must increase"},
		"bad const labels": {func(r *tacho.Registry) {
			NewClientMetrics(r, WithCounterOptions(tacho.WithConstLabels("grpc_type", "x")))
		}, "grpc_type"},
		"a conflicting one": {func(r *tacho.Registry) { r.Gauge("grpc_server_msg_sent_total", ""); NewServerMetrics(r) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tacho.Try(func() *int { tt.define(tacho.NewRegistry()); return nil })
			var refused *tacho.DefinitionError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("error %v, want %q", err, tt.reason)
			}
		})
	}
}

func (w *world) openMetrics() string {
	var text bytes.Buffer
	if err := w.reg.WriteOpenMetrics(&text); err != nil {
		w.t.Fatal(err)
	}
	return text.String()
}

func TestConstLabelsAndNativeBuckets(t *testing.T) {
	w := newWorld(t, setup{server: []Option{
		WithCounterOptions(tacho.WithConstLabels("cell", "a")),
		WithHandlingTimeHistogram(nil, tacho.WithConstLabels("cell", "b"), tacho.WithNative()),
	}})
	w.client.EmptyCall(t.Context(), &pb.Empty{})
	w.settle()
	w.want("grpc_server_handled_total", 1, "cell", "a")
	w.want("grpc_server_handling_seconds", 1, "cell", "b")
	if n := len(w.find("grpc_server_handling_seconds_bucket")); n != 1 {
		t.Errorf("%d classic buckets, want +Inf alone", n)
	}
}

// The same definitions share the series.
func TestTwoServers(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	for range 2 {
		m := NewServerMetrics(w.reg)
		m.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(context.Context, any) (any, error) { return nil, nil })
	}
	w.want("grpc_server_handled_total", 2, "grpc_service", "s")
}

func TestExemplars(t *testing.T) {
	f := func(ctx context.Context) []string {
		if id, ok := ctx.Value(traceKey{}).(string); ok {
			return []string{"trace_id", id}
		}
		return nil
	}
	w := newWorld(t, setup{
		client: []Option{WithExemplarFromContext(f), WithHandlingTimeHistogram(nil), WithStreamRecvHistogram(nil), WithStreamSendHistogram(nil)},
		server: []Option{WithExemplarFromContext(func(context.Context) []string { return []string{"trace_id", "server"} }), WithHandlingTimeHistogram(nil)},
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

// A panic of the function must not change the result of the call.
func TestExemplarPanics(t *testing.T) {
	f := WithExemplarFromContext(func(context.Context) []string { panic("no trace") })
	w := newWorld(t, setup{client: []Option{f}, server: []Option{f}, noRecovery: true})
	if _, err := w.client.EmptyCall(t.Context(), &pb.Empty{}); err != nil {
		t.Error(err)
	}
	if err := w.serverStream(t.Context(), grpctest.Outputs(1, nil)); err != io.EOF {
		t.Error(err)
	}
	w.settle()
	w.want("tacho_errors_total", 2, "metric", "grpc_client_started_total", "reason", "panic")
	w.want("tacho_errors_total", 2, "metric", "grpc_server_started_total", "reason", "panic")
	w.want("grpc_server_handled_total", 2, "grpc_code", "OK")
}
