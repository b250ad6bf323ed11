package grpcmetrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tachikoma/tacho"
)

// service is a server whose behavior the request chooses: by the field ResponseStatus, and
// by the message of that status.
type service struct {
	pb.UnimplementedTestServiceServer
}

// outcome ends a call as st asks.
func outcome(ctx context.Context, st *pb.EchoStatus) error {
	switch st.GetMessage() {
	case "panic":
		panic("a handler panics")
	case "plain":
		return errors.New("no status")
	case "wrapped":
		return fmt.Errorf("wrapped: %w", status.Error(codes.NotFound, "inner"))
	case "context":
		return fmt.Errorf("wrapped: %w", context.DeadlineExceeded)
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	}
	return status.Error(codes.Code(st.GetCode()), st.GetMessage())
}

func (service) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) { return &pb.Empty{}, nil }

func (service) UnaryCall(ctx context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: req.GetPayload()}, outcome(ctx, req.GetResponseStatus())
}

func (service) StreamingOutputCall(req *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
	for range req.GetResponseParameters() {
		if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return outcome(s.Context(), req.GetResponseStatus())
}

func (service) StreamingInputCall(s pb.TestService_StreamingInputCallServer) error {
	n := 0
	for ; ; n++ {
		req, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(n)})
		}
		if err != nil {
			return err
		}
		if string(req.GetPayload().GetBody()) == "refuse" {
			return status.Error(codes.InvalidArgument, "refused")
		}
	}
}

func (service) FullDuplexCall(s pb.TestService_FullDuplexCallServer) error {
	for {
		req, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
		if st := req.GetResponseStatus(); st != nil {
			return outcome(s.Context(), st)
		}
	}
}

// A world is a server and a client, measured by tacho and by the provider at once.
type world struct {
	t      testing.TB
	reg    *tacho.Registry
	theirs *prometheus.Registry
	server *grpc.Server
	sm     *ServerMetrics
	cm     *ClientMetrics
	conn   *grpc.ClientConn
	client pb.TestServiceClient
}

type setup struct {
	server     []Option
	client     []Option
	theirs     []provider.ServerMetricsOption
	theirs2    []provider.ClientMetricsOption
	options    []grpc.ServerOption
	noRecovery bool
}

// listen returns a listener in memory, and the options of a connection to it.
func listen() (*bufconn.Listener, []grpc.DialOption) {
	lis := bufconn.Listen(1 << 20)
	return lis, []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	}
}

func newWorld(t testing.TB, s setup) *world {
	w := &world{t: t, reg: tacho.NewRegistry(), theirs: prometheus.NewRegistry()}
	w.sm = NewServerMetrics(w.reg, s.server...)
	w.cm = NewClientMetrics(w.reg, s.client...)
	sm, cm := provider.NewServerMetrics(s.theirs...), provider.NewClientMetrics(s.theirs2...)
	w.theirs.MustRegister(sm, cm)
	options := append(w.sm.ServerOptions(), grpc.ChainUnaryInterceptor(sm.UnaryServerInterceptor()), grpc.ChainStreamInterceptor(sm.StreamServerInterceptor()))
	if !s.noRecovery {
		options = append(options, grpc.ChainUnaryInterceptor(recovery.UnaryServerInterceptor()), grpc.ChainStreamInterceptor(recovery.StreamServerInterceptor()))
	}
	w.server = grpc.NewServer(append(options, s.options...)...)
	pb.RegisterTestServiceServer(w.server, service{})
	healthpb.RegisterHealthServer(w.server, health.NewServer())
	reflection.Register(w.server)
	lis, dial := listen()
	go w.server.Serve(lis)
	t.Cleanup(w.server.Stop)
	dial = append(w.cm.DialOptions(), append(dial, grpc.WithChainUnaryInterceptor(cm.UnaryClientInterceptor()), grpc.WithChainStreamInterceptor(cm.StreamClientInterceptor()))...)
	conn, err := grpc.NewClient("passthrough:///server", dial...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w.conn, w.client = conn, pb.NewTestServiceClient(conn)
	return w
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

func (w *world) provider() map[string]*dto.MetricFamily {
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
func (w *world) sum(name string, labels ...string) float64 { return sum(w.ours(), name, labels...) }

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

func echo(code codes.Code, message string) *pb.EchoStatus {
	return &pb.EchoStatus{Code: int32(code), Message: message}
}

// drain reads a stream to its end.
func drain(recv func() error) error {
	for {
		if err := recv(); err != nil {
			return err
		}
	}
}

func outputs(n int, st *pb.EchoStatus) *pb.StreamingOutputCallRequest {
	return &pb.StreamingOutputCallRequest{ResponseParameters: make([]*pb.ResponseParameters, n), ResponseStatus: st}
}

// calls makes calls of all types and outcomes, in order.
func (w *world) calls() {
	ctx := context.Background()
	unaryCall := func(ctx context.Context, st *pb.EchoStatus, opts ...grpc.CallOption) {
		w.client.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: st, Payload: &pb.Payload{Body: make([]byte, 100)}}, opts...)
	}
	for range 3 {
		w.client.EmptyCall(ctx, &pb.Empty{})
	}
	for code := range codes.Code(20) {
		unaryCall(ctx, echo(code, ""))
	}
	for _, message := range []string{"panic", "plain", "wrapped", "context"} {
		unaryCall(ctx, echo(0, message))
		w.serverStream(ctx, outputs(2, echo(0, message)))
	}
	unaryCall(ctx, nil, grpc.UseCompressor(gzip.Name))
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	unaryCall(short, echo(0, "wait"))
	w.serverStream(short, outputs(1, nil)) // the context is done before the call
	cancel()
	short, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
	w.serverStream(short, outputs(1, echo(0, "wait")))
	cancel()
	canceled, cancel := context.WithCancel(ctx)
	time.AfterFunc(20*time.Millisecond, cancel)
	unaryCall(canceled, echo(0, "wait"))

	w.serverStream(ctx, outputs(5, nil))
	w.serverStream(ctx, outputs(0, echo(codes.PermissionDenied, "")))
	w.serverStream(ctx, outputs(2, echo(17, "")))
	for n := range 3 {
		w.bidi(ctx, n, nil)
	}
	w.bidi(ctx, 1, echo(codes.DataLoss, ""))
	w.bidi(ctx, 1, echo(0, "panic"))
	w.clientStream(ctx, 4, "")
	w.clientStream(ctx, 0, "")
	w.clientStream(ctx, 1, "refuse")
	h := healthpb.NewHealthClient(w.conn)
	h.Check(ctx, &healthpb.HealthCheckRequest{})
	h.Check(ctx, &healthpb.HealthCheckRequest{Service: "unknown"})
	if r, err := reflectionpb.NewServerReflectionClient(w.conn).ServerReflectionInfo(ctx); err == nil {
		r.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		r.Recv()
		r.CloseSend()
		drain(func() error { _, err := r.Recv(); return err })
	}
}

func (w *world) serverStream(ctx context.Context, req *pb.StreamingOutputCallRequest) error {
	s, err := w.client.StreamingOutputCall(ctx, req)
	if err != nil {
		return err
	}
	return drain(func() error { _, err := s.Recv(); return err })
}

func (w *world) clientStream(ctx context.Context, n int, body string) error {
	s, err := w.client.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for range n {
		if err := s.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: []byte(body)}}); err != nil {
			break
		}
	}
	_, err = s.CloseAndRecv()
	return err
}

func (w *world) bidi(ctx context.Context, n int, st *pb.EchoStatus) error {
	s, err := w.client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for range n {
		if err := s.Send(&pb.StreamingOutputCallRequest{ResponseStatus: st}); err != nil {
			return err
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
	s.CloseSend()
	return drain(func() error { _, err := s.Recv(); return err })
}

func newPrometheusRegistry(cs ...prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(cs...)
	return r
}
