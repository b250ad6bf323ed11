package grpcconformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
)

// A world is a server and a client, measured by tacho and by the provider at once.
type world struct {
	t      testing.TB
	reg    *tacho.Registry
	theirs *prometheus.Registry
	server *grpc.Server
	sm     *grpcmetrics.ServerMetrics
	conn   *grpc.ClientConn
	client pb.TestServiceClient
}

type setup struct {
	server  []grpcmetrics.Option
	client  []grpcmetrics.Option
	theirs  []provider.ServerMetricsOption
	theirs2 []provider.ClientMetricsOption
}

func newWorld(t testing.TB, s setup) *world {
	w := &world{t: t, reg: tacho.NewRegistry(), theirs: prometheus.NewRegistry()}
	w.sm = grpcmetrics.NewServerMetrics(w.reg, s.server...)
	cm := grpcmetrics.NewClientMetrics(w.reg, s.client...)
	psm, pcm := provider.NewServerMetrics(s.theirs...), provider.NewClientMetrics(s.theirs2...)
	w.theirs.MustRegister(psm, pcm)
	options := append(w.sm.ServerOptions(), serverOptions(psm)...)
	w.server, w.conn = grpctest.Serve(t, append(options, grpctest.Recovery()...), append(cm.DialOptions(), dialOptions(pcm)...))
	w.client = pb.NewTestServiceClient(w.conn)
	return w
}

func serverOptions(m *provider.ServerMetrics) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(m.UnaryServerInterceptor()), grpc.ChainStreamInterceptor(m.StreamServerInterceptor())}
}

func dialOptions(m *provider.ClientMetrics) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(m.UnaryClientInterceptor()), grpc.WithChainStreamInterceptor(m.StreamClientInterceptor())}
}

// parse returns the families of an exposition by name.
func parse(t testing.TB, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func (w *world) ours() map[string]*dto.MetricFamily {
	var text bytes.Buffer
	if err := w.reg.WriteText(&text); err != nil {
		w.t.Fatal(err)
	}
	return parse(w.t, text.Bytes())
}

func (w *world) their() map[string]*dto.MetricFamily {
	var text bytes.Buffer
	families, err := w.theirs.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			w.t.Fatal(err)
		}
	}
	return parse(w.t, text.Bytes())
}

// flatten returns the values of the series by name and labels. A family has an entry for
// its type and its help. Of a histogram, the number of observations and the bounds are
// entries; the times differ.
func flatten(families map[string]*dto.MetricFamily) map[string]string {
	flat := map[string]string{}
	for name, f := range families {
		if !strings.HasPrefix(name, "grpc_") {
			continue
		}
		flat[name] = f.GetType().String() + " " + f.GetHelp()
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			value := fmt.Sprint(m.GetCounter().GetValue())
			if h := m.GetHistogram(); h != nil {
				value = fmt.Sprint(h.GetSampleCount())
				for _, b := range h.GetBucket() {
					value += fmt.Sprint(" ", b.GetUpperBound())
				}
			}
			flat[fmt.Sprint(name, labels)] = value
		}
	}
	return flat
}

// diff returns the lines of a and b that differ.
func diff(ours, theirs map[string]string) (lines []string) {
	for k, v := range ours {
		if theirs[k] != v {
			lines = append(lines, fmt.Sprintf("%s: tacho %q, provider %q", k, v, theirs[k]))
		}
	}
	for k, v := range theirs {
		if _, ok := ours[k]; !ok {
			lines = append(lines, fmt.Sprintf("%s: tacho none, provider %q", k, v))
		}
	}
	return lines
}

// sum returns the sum of the series that have these labels.
func sum(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	total := 0.0
	for _, m := range families[name].GetMetric() {
		got := map[string]string{}
		for _, l := range m.GetLabel() {
			got[l.GetName()] = l.GetValue()
		}
		match := true
		for i := 0; i < len(labels); i += 2 {
			match = match && got[labels[i]] == labels[i+1]
		}
		if match {
			total += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return total
}

// settle waits until all calls are handled, on both sides.
func (w *world) settle() {
	w.t.Helper()
	var f map[string]*dto.MetricFamily
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		f = w.ours()
		if sum(f, "grpc_server_started_total") == sum(f, "grpc_server_handled_total") && sum(f, "grpc_client_started_total") == sum(f, "grpc_client_handled_total") {
			return
		}
	}
	w.t.Fatalf("calls are not handled: %v", flatten(f))
}

// The same calls, measured by the provider at once.
func TestSameSeriesAsProvider(t *testing.T) {
	for name, s := range map[string]setup{
		"counters": {},
		"histograms": {
			server: []grpcmetrics.Option{grpcmetrics.WithHandlingTimeHistogram(nil)},
			client: []grpcmetrics.Option{grpcmetrics.WithHandlingTimeHistogram([]float64{.1, 1}), grpcmetrics.WithStreamRecvHistogram(nil), grpcmetrics.WithStreamSendHistogram(nil)},
			theirs: []provider.ServerMetricsOption{provider.WithServerHandlingTimeHistogram()},
			theirs2: []provider.ClientMetricsOption{
				provider.WithClientHandlingTimeHistogram(provider.WithHistogramBuckets([]float64{.1, 1})),
				provider.WithClientStreamRecvHistogram(), provider.WithClientStreamSendHistogram(),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, s)
			grpctest.Calls(w.conn)
			w.settle()
			var lines []string
			// The server may start a call after its client gave up.
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				ours, theirs := flatten(w.ours()), flatten(w.their())
				if len(ours) < 60 {
					t.Fatalf("only %d series", len(ours))
				}
				if lines = diff(ours, theirs); len(lines) == 0 {
					break
				}
			}
			for _, line := range lines {
				t.Error(line)
			}
		})
	}
}

func TestInitializeMetricsAsProvider(t *testing.T) {
	w := newWorld(t, setup{
		server: []grpcmetrics.Option{grpcmetrics.WithHandlingTimeHistogram(nil)},
		theirs: []provider.ServerMetricsOption{provider.WithServerHandlingTimeHistogram()},
	})
	w.sm.InitializeMetrics(w.server)
	sm := provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram())
	sm.InitializeMetrics(w.server)
	w.theirs = prometheus.NewRegistry()
	w.theirs.MustRegister(sm)
	ours, theirs := flatten(w.ours()), flatten(w.their())
	delete(ours, "grpc_client_started_total")
	for _, line := range diff(ours, theirs) {
		t.Error(line)
	}
	if want := 20 * len(w.server.GetServiceInfo()["grpc.testing.TestService"].Methods); len(ours) < want {
		t.Errorf("%d series, want at least %d", len(ours), want)
	}
	grpctest.Calls(w.conn) // the calls use the same series
	w.settle()
	if got := sum(w.ours(), "grpc_server_started_total", "grpc_method", "EmptyCall"); got != 3 {
		t.Errorf("%v calls, want 3", got)
	}
}

// bidi opens a stream and exchanges a message, so that the server has started the call.
func (w *world) bidi(ctx context.Context) pb.TestService_FullDuplexCallClient {
	w.t.Helper()
	s, err := w.client.FullDuplexCall(ctx)
	if err == nil {
		err = s.Send(&pb.StreamingOutputCallRequest{})
	}
	if err == nil {
		_, err = s.Recv()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// The documentation of package grpcmetrics says how the provider counts the end of a stream.
func TestEndsOfProvider(t *testing.T) {
	w := newWorld(t, setup{})
	s := w.bidi(t.Context())
	s.CloseSend()
	for range 5 {
		if _, err := s.Recv(); err == nil {
			t.Fatal("no end")
		}
	}
	w.settle()
	if ours, theirs := sum(w.ours(), "grpc_client_handled_total"), sum(w.their(), "grpc_client_handled_total"); ours != 1 || theirs != 5 {
		t.Errorf("RecvMsg after the end: tacho counts %v ends and the provider %v, want 1 and 5", ours, theirs)
	}

	w = newWorld(t, setup{})
	ctx, cancel := context.WithCancel(t.Context())
	w.bidi(ctx)
	cancel()
	w.settle()
	if ours, theirs := sum(w.ours(), "grpc_client_handled_total"), sum(w.their(), "grpc_client_handled_total"); ours != 1 || theirs != 0 {
		t.Errorf("canceled without RecvMsg: tacho counts %v ends and the provider %v, want 1 and 0", ours, theirs)
	}
}

type nilStatus struct{ error }

func (nilStatus) GRPCStatus() *status.Status { return nil }
func (e nilStatus) Unwrap() error            { return e.error }

// The code of an error is the code of the provider.
func TestCodesAsProvider(t *testing.T) {
	found := status.Error(codes.NotFound, "inner")
	for _, err := range []error{
		nil, found, io.EOF, errors.New("plain"), context.Canceled, context.DeadlineExceeded,
		fmt.Errorf("wrapped: %w", found), fmt.Errorf("wrapped: %w", context.Canceled),
		errors.Join(context.Canceled, found), errors.Join(errors.New("plain"), context.DeadlineExceeded),
		nilStatus{errors.New("plain")}, nilStatus{context.Canceled}, nilStatus{found}, fmt.Errorf("wrapped: %w", nilStatus{context.Canceled}),
		status.Error(99, ""),
	} {
		w := &world{t: t, reg: tacho.NewRegistry()}
		intercept := grpcmetrics.NewServerMetrics(w.reg).UnaryServerInterceptor()
		intercept(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(context.Context, any) (any, error) { return nil, err })
		if want := provider.FromError(err).Code().String(); sum(w.ours(), "grpc_server_handled_total", "grpc_code", want) != 1 {
			t.Errorf("%v: no call with the code %s: %v", err, want, flatten(w.ours()))
		}
	}
}

// An interceptor that retries, inside, makes several streams of one call.
func TestRetryingInterceptor(t *testing.T) {
	reg := tacho.NewRegistry()
	m := grpcmetrics.NewClientMetrics(reg)
	var mu sync.Mutex
	attempts := 0
	fail := func() error {
		mu.Lock()
		defer mu.Unlock()
		if attempts++; attempts%3 != 0 {
			return status.Error(codes.Unavailable, "again")
		}
		return nil
	}
	options := []grpc.ServerOption{grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := fail(); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}), grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if err := fail(); err != nil {
			return err
		}
		return handler(srv, s)
	})}
	again := []retry.CallOption{retry.WithMax(5), retry.WithBackoff(retry.BackoffLinear(time.Millisecond)), retry.WithCodes(codes.Unavailable)}
	_, conn := grpctest.Serve(t, options, append(m.DialOptions(),
		grpc.WithChainUnaryInterceptor(retry.UnaryClientInterceptor(again...)), grpc.WithChainStreamInterceptor(retry.StreamClientInterceptor(again...))))
	w := &world{t: t, reg: reg, client: pb.NewTestServiceClient(conn)}
	if _, err := w.client.EmptyCall(t.Context(), &pb.Empty{}); err != nil {
		t.Error(err)
	}
	if err := grpctest.ServerStream(t.Context(), w.client, grpctest.Outputs(2, nil)); err != io.EOF {
		t.Error(err)
	}
	if attempts != 6 {
		t.Errorf("%d attempts, want 6", attempts)
	}
	w.settle()
	families := w.ours()
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"grpc_client_started_total", nil, 2},
		{"grpc_client_handled_total", nil, 2},
		{"grpc_client_handled_total", []string{"grpc_type", "unary", "grpc_code", "OK"}, 1},
		{"grpc_client_handled_total", []string{"grpc_type", "server_stream", "grpc_code", "OK"}, 1},
		{"grpc_client_msg_received_total", []string{"grpc_type", "server_stream"}, 2},
	} {
		if got := sum(families, want.name, want.labels...); got != want.value {
			t.Errorf("%s%v = %v, want %v", want.name, want.labels, got, want.value)
		}
	}
}
