package grpcmetrics

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/tachikoma/tacho"
)

// ClientMetrics measures gRPC clients. All methods are safe for concurrent use.
// [NewClientMetrics] makes a ClientMetrics.
type ClientMetrics struct{ methods *methods }

// NewClientMetrics defines the metrics of clients in reg. If reg already has the same
// definitions, the new ClientMetrics shares the series. NewClientMetrics panics with a
// *[tacho.DefinitionError] if a definition conflicts.
func NewClientMetrics(reg *tacho.Registry, opts ...Option) *ClientMetrics {
	return &ClientMetrics{newMethods(reg, makeConfig(true, opts))}
}

// DialOptions returns the options of a connection that install both interceptors. Put
// these options before other options with interceptors, unless each attempt of an
// interceptor that retries is to count as a call. The retries of grpc itself never count as
// calls.
func (m *ClientMetrics) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(m.UnaryClientInterceptor()), grpc.WithChainStreamInterceptor(m.StreamClientInterceptor())}
}

// UnaryClientInterceptor returns the interceptor of unary calls.
func (m *ClientMetrics) UnaryClientInterceptor() grpc.UnaryClientInterceptor { return m.unary }

// StreamClientInterceptor returns the interceptor of streams. A stream is handled once,
// when RecvMsg returns an error or the end of the stream, when the context of the call is
// done, or when the connection is closed.
func (m *ClientMetrics) StreamClientInterceptor() grpc.StreamClientInterceptor { return m.stream }

// method returns the method of a call.
func (m *ClientMetrics) method(name string, typ callType, opts []grpc.CallOption) *method {
	if method := m.methods.find(name, typ); method != nil {
		return method
	}
	named := false
	for _, opt := range opts {
		if _, ok := opt.(grpc.StaticMethodCallOption); ok {
			named = true
		}
	}
	return m.methods.add(name, typ, named)
}

func (m *ClientMetrics) unary(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	method, set := m.method(name, unary, opts), m.methods
	start := method.start(ctx)
	method.countSent(ctx)
	if set.send != nil {
		method.observe(ctx, &method.sends, set.send, start)
	}
	code := codes.Unknown // of a panic and of runtime.Goexit
	defer func() { method.end(ctx, code, start) }()
	err := invoker(ctx, name, req, reply, cc, opts...)
	if code = codeOf(err); err == nil {
		method.countReceived(ctx)
	}
	if set.recv != nil {
		method.observe(ctx, &method.recvs, set.recv, start)
	}
	return err
}

func (m *ClientMetrics) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s := &clientStreamMetrics{
		ctx:    ctx,
		method: m.method(name, streamType(desc.ClientStreams, desc.ServerStreams), opts),
		single: !desc.ServerStreams,
	}
	s.start = s.method.start(ctx)
	s.busy.Store(true)
	returned := false
	defer func() {
		if !returned { // a panic or runtime.Goexit
			s.end(codes.Unknown)
		}
	}()
	stream, err := streamer(ctx, desc, cc, name, append(opts[:len(opts):len(opts)], grpc.OnFinish(s.onFinish))...)
	returned = true
	if s.done(err); err != nil {
		return nil, err
	}
	s.ClientStream = stream
	return s, nil
}

// A clientStreamMetrics counts the messages and the end of a stream.
//
// grpc reports the end of a stream to RecvMsg and to onFinish. RecvMsg is not enough: the
// caller may cancel the context and never call RecvMsg again. onFinish is not enough: an
// interceptor that retries, inside of this one, makes several streams. So the result of a
// running RecvMsg is the end, and onFinish is the end if no RecvMsg is running. If both happen at
// once and RecvMsg has a message, the stream is either at its end or a retried one; see watch.
type clientStreamMetrics struct {
	grpc.ClientStream
	ctx      context.Context // of the caller
	method   *method
	start    time.Duration
	single   bool          // the server sends one message
	busy     atomic.Bool   // RecvMsg or the streamer runs
	finished atomic.Uint64 // the code of the last call of onFinish, plus 1
	ended    atomic.Bool
	unwatch  atomic.Pointer[func() bool] // see watch
}

// end counts the end of the stream, once.
func (s *clientStreamMetrics) end(code codes.Code) {
	if s.ended.CompareAndSwap(false, true) {
		s.stopWatching()
		s.method.end(s.ctx, code, s.start)
	}
}

// watch ends the stream with code when the context of the inner stream is done. grpc ends that context
// with the stream, and a retried stream has another one.
func (s *clientStreamMetrics) watch(code uint64) {
	stop := context.AfterFunc(s.ClientStream.Context(), func() {
		s.finished.CompareAndSwap(0, code)
		if code := s.finished.Load(); code != 0 && !s.busy.Load() {
			s.end(codes.Code(code - 1))
		}
	})
	if old := s.unwatch.Swap(&stop); old != nil {
		(*old)()
	}
	if s.ended.Load() {
		s.stopWatching()
	}
}

// stopWatching releases s from a context that outlives the stream.
func (s *clientStreamMetrics) stopWatching() {
	if stop := s.unwatch.Swap(nil); stop != nil {
		(*stop)()
	}
}

// onFinish is called by grpc when a stream ends.
func (s *clientStreamMetrics) onFinish(err error) {
	code := codeOfEnd(err)
	s.finished.Store(uint64(code) + 1) // before busy is read: either done or onFinish sees the other
	if !s.busy.Load() {
		s.end(code)
	}
}

// done is called with the result of RecvMsg or of the streamer. A stream that ends within the streamer is
// not watched, because grpc.ClientStream allows no call of Context before RecvMsg. Its end is that of the
// context of the call, or the next RecvMsg.
func (s *clientStreamMetrics) done(err error) {
	s.busy.Store(false)
	if err != nil {
		s.end(codeOfEnd(err))
	} else if code := s.finished.Load(); code != 0 {
		switch {
		case s.single || s.ctx.Err() != nil:
			s.end(codes.Code(code - 1))
		case s.ClientStream != nil && s.finished.CompareAndSwap(code, 0): // after RecvMsg
			s.watch(code)
		}
	}
}

func (s *clientStreamMetrics) SendMsg(msg any) error {
	set, start := s.method.set, time.Duration(0)
	if set.send != nil {
		start = time.Since(epoch)
	}
	err := s.ClientStream.SendMsg(msg)
	if err == nil {
		s.method.countSent(s.ctx)
	}
	if set.send != nil {
		s.method.observe(s.ctx, &s.method.sends, set.send, start)
	}
	return err
}

func (s *clientStreamMetrics) RecvMsg(msg any) error {
	set, start := s.method.set, time.Duration(0)
	if set.recv != nil {
		start = time.Since(epoch)
	}
	s.busy.Store(true)
	err := s.ClientStream.RecvMsg(msg)
	if err == nil {
		s.method.countReceived(s.ctx)
	}
	if set.recv != nil {
		s.method.observe(s.ctx, &s.method.recvs, set.recv, start)
	}
	s.done(err)
	return err
}
