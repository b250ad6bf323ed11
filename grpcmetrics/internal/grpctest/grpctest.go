// Package grpctest has the server and the calls of the tests of package grpcmetrics and its
// conformance tests.
package grpctest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

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
)

// Service is a server whose behavior the request chooses: by the field ResponseStatus, and
// by the message of that status.
type Service struct {
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

func (Service) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) { return &pb.Empty{}, nil }

func (Service) UnaryCall(ctx context.Context, req *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: req.GetPayload()}, outcome(ctx, req.GetResponseStatus())
}

func (Service) StreamingOutputCall(req *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
	for range req.GetResponseParameters() {
		if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return outcome(s.Context(), req.GetResponseStatus())
}

func (Service) StreamingInputCall(s pb.TestService_StreamingInputCallServer) error {
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

func (Service) FullDuplexCall(s pb.TestService_FullDuplexCallServer) error {
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

// Listen returns a listener in memory, and the options of a connection to it.
func Listen() (*bufconn.Listener, []grpc.DialOption) {
	lis := bufconn.Listen(1 << 20)
	return lis, []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	}
}

// Serve starts a server with [Service], health and reflection, and a connection to it. Both end with
// the test.
func Serve(t testing.TB, options []grpc.ServerOption, dial []grpc.DialOption) (*grpc.Server, *grpc.ClientConn) {
	t.Helper()
	lis, memory := Listen()
	server := grpc.NewServer(options...)
	pb.RegisterTestServiceServer(server, Service{})
	healthpb.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///server", append(memory, dial...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return server, conn
}

// Recovery returns interceptors that make the panic of a handler an error with the code Unknown.
func Recovery() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
			defer recovered(&err)
			return handler(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			defer recovered(&err)
			return handler(srv, s)
		}),
	}
}

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = status.Errorf(codes.Unknown, "panic: %v", p)
	}
}

// Echo returns a status that the request of a call carries; see [Service].
func Echo(code codes.Code, message string) *pb.EchoStatus {
	return &pb.EchoStatus{Code: int32(code), Message: message}
}

// Drain reads a stream to its end.
func Drain(recv func() error) error {
	for {
		if err := recv(); err != nil {
			return err
		}
	}
}

// Outputs returns a request for n messages that ends as st asks.
func Outputs(n int, st *pb.EchoStatus) *pb.StreamingOutputCallRequest {
	return &pb.StreamingOutputCallRequest{ResponseParameters: make([]*pb.ResponseParameters, n), ResponseStatus: st}
}

// Calls makes calls of all types and outcomes, in order.
func Calls(conn *grpc.ClientConn) {
	client := pb.NewTestServiceClient(conn)
	ctx := context.Background()
	unaryCall := func(ctx context.Context, st *pb.EchoStatus, opts ...grpc.CallOption) {
		client.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: st, Payload: &pb.Payload{Body: make([]byte, 100)}}, opts...)
	}
	for range 3 {
		client.EmptyCall(ctx, &pb.Empty{})
	}
	for code := range codes.Code(20) {
		unaryCall(ctx, Echo(code, ""))
	}
	for _, message := range []string{"panic", "plain", "wrapped", "context"} {
		unaryCall(ctx, Echo(0, message))
		ServerStream(ctx, client, Outputs(2, Echo(0, message)))
	}
	unaryCall(ctx, nil, grpc.UseCompressor(gzip.Name))
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	unaryCall(short, Echo(0, "wait"))
	ServerStream(short, client, Outputs(1, nil)) // the context is done before the call
	cancel()
	short, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
	ServerStream(short, client, Outputs(1, Echo(0, "wait")))
	cancel()
	canceled, cancel := context.WithCancel(ctx)
	time.AfterFunc(20*time.Millisecond, cancel)
	unaryCall(canceled, Echo(0, "wait"))

	ServerStream(ctx, client, Outputs(5, nil))
	ServerStream(ctx, client, Outputs(0, Echo(codes.PermissionDenied, "")))
	ServerStream(ctx, client, Outputs(2, Echo(17, "")))
	for n := range 3 {
		Bidi(ctx, client, n, nil)
	}
	Bidi(ctx, client, 1, Echo(codes.DataLoss, ""))
	Bidi(ctx, client, 1, Echo(0, "panic"))
	ClientStream(ctx, client, 4, "")
	ClientStream(ctx, client, 0, "")
	ClientStream(ctx, client, 1, "refuse")
	h := healthpb.NewHealthClient(conn)
	h.Check(ctx, &healthpb.HealthCheckRequest{})
	h.Check(ctx, &healthpb.HealthCheckRequest{Service: "unknown"})
	if r, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx); err == nil {
		r.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		r.Recv()
		r.CloseSend()
		Drain(func() error { _, err := r.Recv(); return err })
	}
}

// ServerStream makes a call of server_stream and reads it to its end.
func ServerStream(ctx context.Context, client pb.TestServiceClient, req *pb.StreamingOutputCallRequest) error {
	s, err := client.StreamingOutputCall(ctx, req)
	if err != nil {
		return err
	}
	return Drain(func() error { _, err := s.Recv(); return err })
}

// ClientStream makes a call of client_stream with n messages.
func ClientStream(ctx context.Context, client pb.TestServiceClient, n int, body string) error {
	s, err := client.StreamingInputCall(ctx)
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

// Bidi exchanges n messages in a call of bidi_stream and reads it to its end.
func Bidi(ctx context.Context, client pb.TestServiceClient, n int, st *pb.EchoStatus) error {
	s, err := client.FullDuplexCall(ctx)
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
	return Drain(func() error { _, err := s.Recv(); return err })
}
