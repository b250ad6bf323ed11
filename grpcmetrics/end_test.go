package grpcmetrics

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
)

// once checks that each call of a type was handled once, with this code.
func (w *world) once(side, typ, code string) {
	w.t.Helper()
	w.settle()
	started := w.sum("grpc_"+side+"_started_total", "grpc_type", typ)
	if started == 0 {
		w.t.Errorf("no call of a %s of type %s", side, typ)
	}
	w.want("grpc_"+side+"_handled_total", started, "grpc_type", typ)
	w.want("grpc_"+side+"_handled_total", started, "grpc_type", typ, "grpc_code", code)
}

// openBidi opens a stream and exchanges a message, so that the server has started the call.
func (w *world) openBidi(ctx context.Context) pb.TestService_FullDuplexCallClient {
	w.t.Helper()
	s, err := w.tryBidi(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) tryBidi(ctx context.Context) (pb.TestService_FullDuplexCallClient, error) {
	s, err := w.client.FullDuplexCall(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Send(&pb.StreamingOutputCallRequest{}); err != nil {
		return nil, err
	}
	_, err = s.Recv()
	return s, err
}

func TestRecvAfterTheEnd(t *testing.T) {
	w := newWorld(t, setup{})
	s := w.openBidi(t.Context())
	s.CloseSend()
	for range 5 {
		if _, err := s.Recv(); err == nil {
			t.Fatal("no end")
		}
	}
	w.once("client", "bidi_stream", "OK")
	w.once("server", "bidi_stream", "OK")
}

func TestStreamCanceledWithoutRecv(t *testing.T) {
	w := newWorld(t, setup{})
	ctx, cancel := context.WithCancel(t.Context())
	w.openBidi(ctx)
	cancel()
	w.once("client", "bidi_stream", "Canceled")
	w.once("server", "bidi_stream", "Canceled")
}

func TestStreamPastDeadlineWithoutRecv(t *testing.T) {
	w := newWorld(t, setup{})
	for timeout := 50 * time.Millisecond; ; timeout *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		if _, err := w.tryBidi(ctx); err == nil {
			break
		}
	}
	w.once("client", "bidi_stream", "DeadlineExceeded")
}

func TestStreamOfClosedConnection(t *testing.T) {
	w := newWorld(t, setup{})
	w.openBidi(t.Context())
	w.conn.Close()
	w.once("client", "bidi_stream", "Canceled")
	w.once("server", "bidi_stream", "Canceled")
	if _, err := w.client.FullDuplexCall(t.Context()); err == nil {
		t.Error("a call on a closed connection succeeds")
	}
	w.settle()
	w.want("grpc_client_handled_total", 2)
}

func TestStreamCanceledDuringRecv(t *testing.T) {
	w := newWorld(t, setup{})
	ctx, cancel := context.WithCancel(t.Context())
	s := w.openBidi(ctx)
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := s.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("Recv: %v", err)
	}
	w.once("client", "bidi_stream", "Canceled")
	w.once("server", "bidi_stream", "Canceled")
}

func TestServerStops(t *testing.T) {
	w := newWorld(t, setup{})
	s := w.openBidi(t.Context())
	stopped := make(chan struct{})
	go func() { w.server.Stop(); close(stopped) }()
	if _, err := s.Recv(); err == nil {
		t.Error("Recv succeeds")
	}
	<-stopped
	w.once("client", "bidi_stream", "Unavailable")
	w.once("server", "bidi_stream", "Canceled")
}

func TestServerStopsGracefully(t *testing.T) {
	w := newWorld(t, setup{})
	s := w.openBidi(t.Context())
	stopped := make(chan struct{})
	go func() { w.server.GracefulStop(); close(stopped) }()
	time.Sleep(20 * time.Millisecond)
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("Recv: %v", err)
	}
	<-stopped
	w.once("client", "bidi_stream", "OK")
	w.once("server", "bidi_stream", "OK")
}

// A panic that reaches the interceptor is counted and continues. Here the recovery interceptor
// is outside.
func TestPanicReachesTheInterceptor(t *testing.T) {
	reg := tacho.NewRegistry()
	m := NewServerMetrics(reg, WithHandlingTimeHistogram(nil))
	_, conn := grpctest.Serve(t, append(grpctest.Recovery(), m.ServerOptions()...), nil)
	w := &world{t: t, reg: reg, client: pb.NewTestServiceClient(conn)}
	if _, err := w.client.UnaryCall(t.Context(), &pb.SimpleRequest{ResponseStatus: grpctest.Echo(0, "panic")}); status.Code(err) != codes.Unknown {
		t.Error(err)
	}
	if err := w.serverStream(t.Context(), grpctest.Outputs(1, grpctest.Echo(0, "panic"))); status.Code(err) != codes.Unknown {
		t.Error(err)
	}
	w.once("server", "unary", "Unknown")
	w.once("server", "server_stream", "Unknown")
	w.want("grpc_server_handling_seconds", 2)
	w.want("grpc_server_msg_sent_total", 0, "grpc_type", "unary")
}

// A retry of grpc itself is a part of its call.
func TestRetryPolicy(t *testing.T) {
	w := newWorld(t, setup{})
	var mu sync.Mutex
	attempts := 0
	_, conn := grpctest.Serve(t, []grpc.ServerOption{grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		if attempts++; attempts < 3 {
			return nil, status.Error(codes.Unavailable, "again")
		}
		return handler(ctx, req)
	})}, append(w.cm.DialOptions(), grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}],
		"retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.001s", "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)))
	if _, err := pb.NewTestServiceClient(conn).EmptyCall(t.Context(), &pb.Empty{}); err != nil {
		t.Error(err)
	}
	if attempts != 3 {
		t.Errorf("%d attempts, want 3", attempts)
	}
	w.once("client", "unary", "OK")
	w.want("grpc_client_started_total", 1)
}

// A streamer that fails or panics ends the call.
func TestStreamerFails(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewClientMetrics(w.reg)
	desc := &grpc.StreamDesc{ServerStreams: true}
	_, err := m.stream(t.Context(), desc, nil, "/s/m", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, errors.New("no stream")
	})
	if err == nil {
		t.Error("no error")
	}
	func() {
		defer func() { recover() }()
		m.stream(t.Context(), desc, nil, "/s/m", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			panic("streamer")
		})
	}()
	func() {
		defer func() { recover() }()
		m.unary(t.Context(), "/s/u", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { panic("invoker") })
	}()
	w.once("client", "server_stream", "Unknown")
	w.once("client", "unary", "Unknown")
	w.want("grpc_client_started_total", 3)
}

// A retry inside of the streamer: the first attempt ends before the stream exists.
func TestRetryInsideTheStreamer(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewClientMetrics(w.reg)
	s, err := m.stream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, nil, "/s/m",
		func(_ context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			opts[0].(grpc.OnFinishCallOption).OnFinish(status.Error(codes.Unavailable, "again"))
			return nopClientStream{}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	w.want("grpc_client_handled_total", 0)
	s.(*clientStreamMetrics).onFinish(nil)
	w.want("grpc_client_handled_total", 1, "grpc_code", "OK")
	w.want("grpc_client_handled_total", 1)
}

// A stream may end while RecvMsg returns a message, and the caller may never call RecvMsg again. A
// retried stream goes on.
func TestEndDuringSuccessfulRecv(t *testing.T) {
	for name, tt := range map[string]struct {
		desc     grpc.StreamDesc
		canceled bool // the context of the call
		closed   bool // the context of the inner stream
		later    bool // the context of the inner stream is done after RecvMsg
		want     float64
	}{
		"the context is done":           {grpc.StreamDesc{ServerStreams: true}, true, false, false, 1},
		"the connection is closed":      {grpc.StreamDesc{ServerStreams: true}, false, true, false, 1},
		"grpc ends the context later":   {grpc.StreamDesc{ServerStreams: true}, false, false, true, 1},
		"a retried stream":              {grpc.StreamDesc{ServerStreams: true}, false, false, false, 0},
		"the response of client_stream": {grpc.StreamDesc{ClientStreams: true}, false, false, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, reg: tacho.NewRegistry()}
			m := NewClientMetrics(w.reg)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			inner := &fakeStream{}
			var end context.CancelFunc
			inner.ctx, end = context.WithCancel(t.Context())
			defer end()
			s, err := m.stream(ctx, &tt.desc, nil, "/s/m", func(_ context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				inner.recv = func() {
					if tt.canceled {
						cancel()
					}
					opts[0].(grpc.OnFinishCallOption).OnFinish(status.Error(codes.Canceled, "closed"))
					if tt.closed {
						end()
					}
				}
				return inner, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			s.RecvMsg(nil)
			if tt.later {
				w.want("grpc_client_handled_total", 0)
				end()
			}
			if tt.want > 0 {
				w.settle()
			}
			w.want("grpc_client_handled_total", tt.want)
			w.want("grpc_client_handled_total", tt.want, "grpc_code", "Canceled")
			if stop := s.(*clientStreamMetrics).unwatch.Load(); (stop != nil) != (tt.want == 0) {
				t.Errorf("the context of the stream keeps the metrics: %t", stop != nil)
			}
		})
	}
}

// A context that an interceptor chose may outlive its stream, and must keep nothing of it.
func TestRetriedStreamLetsGo(t *testing.T) {
	for name, endsAtOnce := range map[string]bool{"ends later": false, "ends at once": true} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, reg: tacho.NewRegistry()}
			m := NewClientMetrics(w.reg)
			watched := &watchedContext{Context: t.Context(), done: make(chan struct{}), kept: map[int]bool{}}
			inner := &fakeStream{ctx: watched}
			var finish func(error)
			s, err := m.stream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, nil, "/s/m", func(_ context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				finish = opts[0].(grpc.OnFinishCallOption).OnFinish
				return inner, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // retries
				inner.recv = func() { finish(status.Error(codes.Unavailable, "again")) }
				s.RecvMsg(nil)
				inner.recv = func() {}
				for range 10 {
					s.RecvMsg(nil)
				}
			}
			if watched.calls != 3 || len(watched.kept) != 1 {
				t.Errorf("3 retries: %d functions of the context, %d are kept, want 3 and 1", watched.calls, len(watched.kept))
			}
			if endsAtOnce {
				watched.then = func() { finish(nil) }
				inner.recv = func() { finish(status.Error(codes.Unavailable, "again")) }
				s.RecvMsg(nil)
			} else {
				finish(nil)
			}
			w.want("grpc_client_handled_total", 1, "grpc_code", "OK")
			w.want("grpc_client_handled_total", 1)
			if len(watched.kept) != 0 {
				t.Errorf("the context keeps %d functions", len(watched.kept))
			}
		})
	}
}

// A watchedContext counts the functions of context.AfterFunc. It calls none.
type watchedContext struct {
	context.Context
	done  chan struct{}
	calls int
	kept  map[int]bool
	then  func() // if not nil, called by AfterFunc
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }

func (c *watchedContext) AfterFunc(func()) (stop func() bool) {
	c.calls++
	id := c.calls
	c.kept[id] = true
	if c.then != nil {
		c.then()
	}
	return func() bool {
		kept := c.kept[id]
		delete(c.kept, id)
		return kept
	}
}

type fakeStream struct {
	grpc.ClientStream
	ctx  context.Context
	recv func()
}

func (s *fakeStream) Context() context.Context { return s.ctx }

func (s *fakeStream) RecvMsg(any) error {
	s.recv()
	return nil
}

// Clients of all kinds at once. The race detector checks the accesses.
func TestConcurrentCalls(t *testing.T) {
	w := newWorld(t, setup{server: []Option{WithHandlingTimeHistogram(nil)}, client: []Option{WithStreamRecvHistogram(nil)}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				switch (i + j) % 4 {
				case 0:
					w.client.EmptyCall(ctx, &pb.Empty{})
				case 1:
					w.serverStream(ctx, grpctest.Outputs(3, nil))
				case 2:
					grpctest.ClientStream(ctx, w.client, 3, "")
				case 3:
					if s, err := w.client.FullDuplexCall(ctx); err == nil {
						go s.Send(&pb.StreamingOutputCallRequest{})
						time.AfterFunc(time.Duration(j)*100*time.Microsecond, cancel)
						if j%2 == 0 {
							s.Recv()
						}
						<-ctx.Done()
					}
				}
				cancel()
				if j%10 == 0 {
					w.samples()
				}
			}
		}()
	}
	wg.Wait()
	w.settle()
	w.want("grpc_client_started_total", 160)
	w.want("grpc_client_handled_total", 160)
	w.want("grpc_server_handled_total", 40, "grpc_type", "unary", "grpc_code", "OK")
	w.want("grpc_server_msg_sent_total", 120, "grpc_type", "server_stream")
	w.want("grpc_server_msg_received_total", 120, "grpc_type", "client_stream")
}
