package grpcmetrics

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tachikoma/tacho"
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

// Two servers share the families. Each has its series, which Close of its registry removes.
func TestServersInSubRegistries(t *testing.T) {
	reg := tacho.NewRegistry()
	w := &world{t: t, reg: reg}
	public, admin := reg.Sub(tacho.WithConstLabels("server", "public")), reg.Sub(tacho.WithConstLabels("server", "admin"))
	call := func(m *ServerMetrics, n int) {
		for range n {
			m.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(context.Context, any) (any, error) { return nil, nil })
			stranger(m, "/strange/name")
		}
	}
	opts := []Option{WithHandlingTimeHistogram(nil), WithMaxMethods(0)}
	call(NewServerMetrics(public, opts...), 2)
	call(NewServerMetrics(admin, opts...), 3)
	call(NewServerMetrics(reg.Sub(tacho.WithPrefix("myapp_")), opts...), 4)
	for _, name := range []string{"grpc_server_started_total", "grpc_server_handled_total", "grpc_server_handling_seconds"} {
		w.want(name, 2, "server", "public", "grpc_service", "s")
		w.want(name, 3, "server", "admin", "grpc_service", "s")
		w.want(name, 10)
		w.want("myapp_"+name, 8)
	}
	// The metrics of the registry itself have no labels and no prefix.
	w.want("tacho_series_overflow_total", 9, "metric", "grpc_server_started_total")
	if n := len(w.find("tacho_series_overflow_total")); n != 1 {
		t.Errorf("%d series of tacho_series_overflow_total, want 1", n)
	}
	admin.Close()
	w.want("grpc_server_handled_total", 4)
}
