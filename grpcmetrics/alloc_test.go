package grpcmetrics

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
)

// Once the series exist, a unary call and a message allocate nothing. A stream allocates what
// its hook needs: the wrapper, and on the client the options and the function for grpc.OnFinish.
func TestAllocations(t *testing.T) {
	server := NewServerMetrics(tacho.NewRegistry(), WithHandlingTimeHistogram(nil), WithMaxMethods(0))
	client := NewClientMetrics(tacho.NewRegistry(), WithHandlingTimeHistogram(nil), WithStreamRecvHistogram(nil), WithStreamSendHistogram(nil))
	ctx, req := context.Background(), any(&pb.Empty{})
	unaryInfo := &grpc.UnaryServerInfo{FullMethod: "/s/m"}
	streamInfo := &grpc.StreamServerInfo{FullMethod: "/s/stream", IsServerStream: true}
	strangeInfo := &grpc.StreamServerInfo{FullMethod: "/strange/name", IsClientStream: true, IsServerStream: true}
	errs := []error{nil, status.Error(codes.NotFound, ""), status.Error(77, ""), context.Canceled, errors.New("plain")}
	var result error
	var srv any = grpctest.Service{}
	var clientStream grpc.ClientStream
	var serverStream grpc.ServerStream
	streamer := func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nopClientStream{}, nil
	}
	desc, opts := &grpc.StreamDesc{ServerStreams: true}, []grpc.CallOption{grpc.StaticMethod()}
	handler := func(_ context.Context, req any) (any, error) { return req, result }
	streamHandler := func(_ any, s grpc.ServerStream) error { serverStream = s; return nil }
	invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return result }
	for _, tt := range []struct {
		name string
		want float64
		f    func()
	}{
		{"a unary call of a server", 0, func() { server.unary(ctx, req, unaryInfo, handler) }},
		{"a unary call of a client", 0, func() { client.unary(ctx, "/s/m", req, req, nil, invoker, opts...) }},
		{"a stream of a server", 1, func() { server.stream(srv, nopServerStream{}, streamInfo, streamHandler) }},
		{"a stream beyond the limit", 1, func() { server.stream(nil, nopServerStream{}, strangeInfo, streamHandler) }},
		{"a stream of a client", 3, func() { clientStream, _ = client.stream(ctx, desc, nil, "/s/stream", streamer, opts...) }},
		{"messages of a server", 0, func() { serverStream.SendMsg(req); serverStream.RecvMsg(req) }},
		{"messages of a client", 0, func() { clientStream.SendMsg(req); clientStream.RecvMsg(req) }},
	} {
		for _, result = range errs {
			if got := testing.AllocsPerRun(100, tt.f); got != tt.want {
				t.Errorf("%s, error %v: %v allocations, want %v", tt.name, result, got, tt.want)
			}
		}
	}
}

type nopServerStream struct{ grpc.ServerStream }

func (nopServerStream) Context() context.Context { return context.Background() }
func (nopServerStream) SendMsg(any) error        { return nil }
func (nopServerStream) RecvMsg(any) error        { return nil }

type nopClientStream struct{ grpc.ClientStream }

func (nopClientStream) SendMsg(any) error { return nil }
func (nopClientStream) RecvMsg(any) error { return nil }
