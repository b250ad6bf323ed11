package grpcmetrics

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/tachikoma/tacho"
)

// ServerMetrics measures gRPC servers. All methods are safe for concurrent use.
// [NewServerMetrics] makes a ServerMetrics.
type ServerMetrics struct{ methods *methods }

// NewServerMetrics defines the metrics of servers in reg. If reg already has the same
// definitions, the new ServerMetrics shares the series. NewServerMetrics panics with a
// *[tacho.DefinitionError] if a definition conflicts or an option does not apply.
func NewServerMetrics(reg *tacho.Registry, opts ...Option) *ServerMetrics {
	return &ServerMetrics{newMethods(reg, makeConfig(false, opts))}
}

// ServerOptions returns the options of a server that install both interceptors. Put these
// options before other options with interceptors: an interceptor that refuses a call must
// be inside to be measured.
func (m *ServerMetrics) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(m.UnaryServerInterceptor()), grpc.ChainStreamInterceptor(m.StreamServerInterceptor())}
}

// InitializeMetrics creates the series of all methods that are registered on server, with
// the value 0 and each code from 0 to 16. Call InitializeMetrics after the services are
// registered. server is a [grpc.Server].
func (m *ServerMetrics) InitializeMetrics(server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}) {
	for service, info := range server.GetServiceInfo() {
		for _, method := range info.Methods {
			typ := unary
			if method.IsClientStream || method.IsServerStream {
				typ = streamType(method.IsClientStream, method.IsServerStream)
			}
			m.methods.add("/"+service+"/"+method.Name, typ, true).initialize()
		}
	}
}

// UnaryServerInterceptor returns the interceptor of unary calls. A call is handled when
// the handler returns. If the handler panics, the call is handled with the code Unknown and
// the panic continues.
func (m *ServerMetrics) UnaryServerInterceptor() grpc.UnaryServerInterceptor { return m.unary }

// StreamServerInterceptor returns the interceptor of streams. A stream is handled when the
// handler returns; see [ServerMetrics.UnaryServerInterceptor].
func (m *ServerMetrics) StreamServerInterceptor() grpc.StreamServerInterceptor { return m.stream }

func (m *ServerMetrics) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	method := m.methods.find(info.FullMethod, unary)
	if method == nil {
		method = m.methods.add(info.FullMethod, unary, true) // unary methods are registered
	}
	start := method.start(ctx)
	method.countReceived(ctx)
	code := codes.Unknown // of a panic and of runtime.Goexit
	defer func() { method.end(ctx, code, start) }()
	resp, err = handler(ctx, req)
	if code = codeOf(err); err == nil {
		method.countSent(ctx)
	}
	return resp, err
}

func (m *ServerMetrics) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	typ := streamType(info.IsClientStream, info.IsServerStream)
	method := m.methods.find(info.FullMethod, typ)
	if method == nil {
		// The handler of grpc.UnknownServiceHandler has no srv.
		method = m.methods.add(info.FullMethod, typ, srv != nil)
	}
	s := &serverStreamMetrics{ServerStream: stream, ctx: stream.Context(), method: method}
	start := method.start(s.ctx)
	code := codes.Unknown // of a panic and of runtime.Goexit
	defer func() { method.end(s.ctx, code, start) }()
	err := handler(srv, s)
	code = codeOf(err)
	return err
}

// A serverStreamMetrics counts the messages of a stream.
type serverStreamMetrics struct {
	grpc.ServerStream
	ctx    context.Context // of the call
	method *method
}

func (s *serverStreamMetrics) SendMsg(msg any) error {
	err := s.ServerStream.SendMsg(msg)
	if err == nil {
		s.method.countSent(s.ctx)
	}
	return err
}

func (s *serverStreamMetrics) RecvMsg(msg any) error {
	err := s.ServerStream.RecvMsg(msg)
	if err == nil {
		s.method.countReceived(s.ctx)
	}
	return err
}
