package grpcmetrics

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
)

// stranger calls the stream interceptor of m as the handler of grpc.UnknownServiceHandler
// does.
func stranger(m *ServerMetrics, name string) {
	info := &grpc.StreamServerInfo{FullMethod: name, IsClientStream: true, IsServerStream: true}
	m.stream(nil, nopServerStream{}, info, func(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, "unknown") })
}

func series(w *world) int { return len(w.samples()) }

// Remote clients choose the methods of the handler of grpc.UnknownServiceHandler.
func TestMillionsOfMethodNames(t *testing.T) {
	names := 2_000_000
	if testing.Short() {
		names = 20_000
	}
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewServerMetrics(w.reg)
	stranger(m, "/"+strings.Repeat("x", maxName))
	for i := range 1000 {
		stranger(m, fmt.Sprintf("/made.up/M%d", i))
	}
	before, allocated := series(w), memory()
	buf := make([]byte, 0, 64)
	for i := range names {
		buf = fmt.Appendf(buf[:0], "/made.up/N%d", i)
		stranger(m, string(buf))
	}
	if grown := memory() - allocated; grown > 1<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	runtime.KeepAlive(m)
	if after := series(w); after != before {
		t.Errorf("%d series, then %d", before, after)
	}
	total := float64(names + 1001)
	w.want("grpc_server_started_total", total)
	w.want("grpc_server_handled_total", total, "grpc_code", "Unimplemented")
	w.want("grpc_server_started_total", total-100, "grpc_service", "other", "grpc_method", "other")
	w.want("tacho_series_overflow_total", total-100, "metric", "grpc_server_started_total")
	w.want("grpc_server_started_total", 1, "grpc_service", "made.up", "grpc_method", "M7")
	// The methods of the program still get series.
	m.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/own/Method"}, func(context.Context, any) (any, error) { return nil, nil })
	m.stream(grpctest.Service{}, nopServerStream{}, &grpc.StreamServerInfo{FullMethod: "/own/Stream"}, func(any, grpc.ServerStream) error { return nil })
	w.want("grpc_server_handled_total", 2, "grpc_service", "own", "grpc_code", "OK")
}

func memory() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func TestMaxMethods(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 3} {
		w := &world{t: t, reg: tacho.NewRegistry()}
		m := NewServerMetrics(w.reg, WithMaxMethods(n))
		for i := range 5 {
			for range 2 {
				stranger(m, fmt.Sprintf("/s/M%d", i))
			}
		}
		w.want("grpc_server_started_total", float64(10-2*max(n, 0)), "grpc_service", "other")
		w.want("grpc_server_started_total", 10)
	}
}

// A long name of a stranger is no label, also below the limit. A long name of the program is.
func TestLongMethodNames(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewServerMetrics(w.reg)
	long := strings.Repeat("x", maxName-len("/s/"))
	stranger(m, "/s/"+long)
	w.want("grpc_server_started_total", 1, "grpc_method", long)
	stranger(m, "/s/x"+long)
	w.want("grpc_server_started_total", 1, "grpc_method", "other")
	m.stream(grpctest.Service{}, nopServerStream{}, &grpc.StreamServerInfo{FullMethod: "/s/x" + long}, func(any, grpc.ServerStream) error { return nil })
	w.want("grpc_server_started_total", 1, "grpc_method", "x"+long)
}

// Calls of known methods and of names beyond the limit take no lock: here it is held.
func TestCallsTakeNoLock(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewServerMetrics(w.reg, WithMaxMethods(1))
	call := func() {
		stranger(m, "/first/one")
		stranger(m, "/second/one")
		stranger(m, strings.Repeat("x", 1000))
		m.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(context.Context, any) (any, error) { return nil, nil })
	}
	call()
	m.methods.mu.Lock()
	defer m.methods.mu.Unlock()
	done := make(chan struct{})
	go func() { call(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("a call waits for the lock")
	}
}

// A name may be a part of a long string, which must not be kept.
func TestNamesKeepNoLongString(t *testing.T) {
	m := NewServerMetrics(tacho.NewRegistry())
	before := memory()
	for i := range 20 {
		long := fmt.Sprintf("/s/M%02d", i) + strings.Repeat("x", 1<<20)
		stranger(m, long[:6])
	}
	if grown := memory() - before; grown > 5<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	runtime.KeepAlive(m)
}

// The methods of the program have no limit. Goroutines find them while the table grows.
func TestManyMethodsAtOnce(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewServerMetrics(w.reg, WithMaxMethods(0))
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 1000 {
				info := &grpc.UnaryServerInfo{FullMethod: fmt.Sprintf("/s/M%d", i)}
				m.unary(t.Context(), nil, info, func(context.Context, any) (any, error) { return nil, nil })
			}
		}()
	}
	wg.Wait()
	handled := w.find("grpc_server_handled_total")
	if len(handled) != 1000 {
		t.Errorf("%d methods, want 1000", len(handled))
	}
	for _, s := range handled {
		if s.Value != 4 {
			t.Errorf("%v, want 4", s)
		}
	}
}

// Over a connection: without a handler of unknown services there are no series. With one there
// are as many as the limit allows. A client has the code of each call.
func TestUnknownServices(t *testing.T) {
	for _, handler := range []bool{false, true} {
		t.Run(fmt.Sprint("handler ", handler), func(t *testing.T) {
			s := setup{server: []Option{WithMaxMethods(5)}, client: []Option{WithMaxMethods(7)}}
			if handler {
				s.options = []grpc.ServerOption{grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.NotFound, "no such service") })}
			}
			w := newWorld(t, s)
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := range 500 {
						err := w.conn.Invoke(t.Context(), fmt.Sprintf("/made.up%d/M%d", g, i), &pb.Empty{}, &pb.Empty{})
						if err == nil {
							t.Error("an unknown method succeeds")
						}
					}
				}()
			}
			wg.Wait()
			w.settle()
			code, methods, started := "Unimplemented", 0, 0.0
			if handler {
				code, methods, started = "NotFound", 6, 2000
			}
			w.want("grpc_server_started_total", started)
			w.want("grpc_server_handled_total", started, "grpc_code", code, "grpc_type", "bidi_stream")
			if n := len(w.find("grpc_server_started_total")); n != methods {
				t.Errorf("%d methods of the server, want %d", n, methods)
			}
			w.want("grpc_client_handled_total", 2000, "grpc_code", code, "grpc_type", "unary")
			if n := len(w.find("grpc_client_started_total")); n != 8 {
				t.Errorf("%d methods of the client, want 8", n)
			}
			// Generated code has grpc.StaticMethod and needs no room.
			w.client.EmptyCall(t.Context(), &pb.Empty{})
			w.want("grpc_client_started_total", 1, "grpc_method", "EmptyCall")
		})
	}
}

// Handlers and remote servers can send any code.
func TestUnspecifiedCodes(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewServerMetrics(w.reg)
	var wg sync.WaitGroup
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for code := range codes.Code(1000) {
				m.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(context.Context, any) (any, error) {
					return nil, status.Error(code, "")
				})
			}
		}()
	}
	wg.Wait()
	if n := len(w.find("grpc_server_handled_total")); n != 17+16+1 {
		t.Errorf("%d codes, want 34", n)
	}
	w.want("grpc_server_handled_total", 2000)
	for code := range codes.Code(30) {
		w.want("grpc_server_handled_total", 2, "grpc_code", code.String())
	}
	w.want("grpc_server_handled_total", 2*(1000-33), "grpc_code", "other")
}

// Two methods with the same name and different types have series of their own.
func TestTypesOfOneName(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewServerMetrics(w.reg)
	for _, client := range []bool{false, true} {
		for _, server := range []bool{false, true} {
			m.stream(grpctest.Service{}, nopServerStream{}, &grpc.StreamServerInfo{FullMethod: "/s/m", IsClientStream: client, IsServerStream: server}, func(any, grpc.ServerStream) error { return nil })
		}
	}
	w.want("grpc_server_handled_total", 1, "grpc_type", "client_stream")
	w.want("grpc_server_handled_total", 1, "grpc_type", "server_stream")
	w.want("grpc_server_handled_total", 2, "grpc_type", "bidi_stream")
}

// FuzzMethodName: any name leads to a valid exposition, and only to series of that name.
func FuzzMethodName(f *testing.F) {
	for _, name := range []string{"/s/m", "s/m", "/", "//", "", "/a/b/c", "/\xff/\"\n", "x", "/other/other", strings.Repeat("/é", 200)} {
		f.Add(name, uint32(16))
	}
	f.Fuzz(func(t *testing.T, name string, code uint32) {
		w := &world{t: t, reg: tacho.NewRegistry()}
		m := NewServerMetrics(w.reg, WithHandlingTimeHistogram(nil))
		for range 2 {
			stranger(m, name)
			m.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: name}, func(context.Context, any) (any, error) {
				return nil, status.Error(codes.Code(code), "")
			})
		}
		w.want("grpc_server_handled_total", 4)
		service, method := "unknown", "unknown"
		if before, after, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/"); ok {
			service, method = before, after
		}
		if utf8.ValidString(name) {
			w.want("grpc_server_started_total", 2, "grpc_type", "unary", "grpc_service", service, "grpc_method", method)
		}
	})
}

// TestMalformedMethodName: grpc refuses such a name before the interceptors.
func TestMalformedMethodName(t *testing.T) {
	w := newWorld(t, setup{})
	for _, name := range []string{"x", "x/y", "/x", "//"} {
		if err := w.conn.Invoke(t.Context(), name, &pb.Empty{}, &pb.Empty{}); err == nil {
			t.Errorf("%q succeeds", name)
		}
	}
	w.settle()
	w.want("grpc_server_started_total", 0)
	w.want("grpc_client_started_total", 4)
}

// A closed port: the call ends with Unavailable.
func TestNoServer(t *testing.T) {
	w := &world{t: t, reg: tacho.NewRegistry()}
	m := NewClientMetrics(w.reg)
	conn, err := grpc.NewClient("127.0.0.1:1", append(m.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.client = pb.NewTestServiceClient(conn)
	w.client.EmptyCall(t.Context(), &pb.Empty{})
	w.serverStream(t.Context(), grpctest.Outputs(1, nil))
	w.once("client", "unary", "Unavailable")
	w.once("client", "server_stream", "Unavailable")
	if err := w.reg.WriteText(new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
}
