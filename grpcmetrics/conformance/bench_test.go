package grpcconformance

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics"
	"github.com/tachikoma/tacho/grpcmetrics/internal/grpctest"
)

// A side is a contestant of a benchmark. call makes n calls.
type side struct {
	name string
	call func(n int)
}

// rounds measures the sides in alternating rounds, so that a slow moment of the machine is
// a slow moment of each side. The metrics are the time of a call, as the median of the
// rounds, the allocations of a call, and the ratio of the last side to the side before. With
// three sides, the ratio is that of the times that the sides add to the first side.
func rounds(b *testing.B, calls int, sides ...side) {
	n := max(1, min(calls, b.N))
	times := make([][]float64, len(sides))
	allocs := make([]float64, len(sides))
	for i, s := range sides {
		s.call(1) // creates the series
		allocs[i] = mallocs(func() { s.call(n) }) / float64(n)
	}
	b.ResetTimer()
	for done := 0; done < b.N; done += n {
		for i := range sides {
			i = (i + done/n) % len(sides)
			start := time.Now()
			sides[i].call(n)
			times[i] = append(times[i], float64(time.Since(start).Nanoseconds())/float64(n))
		}
	}
	b.ReportMetric(0, "ns/op") // of all sides together
	ours, theirs := median(times[len(sides)-2]), median(times[len(sides)-1])
	if len(sides) == 3 { // the first side has no metrics
		ours, theirs = median(differences(times[1], times[0])), median(differences(times[2], times[0]))
		b.ReportMetric(ours, sides[1].name+"-added-ns")
		b.ReportMetric(theirs, sides[2].name+"-added-ns")
	}
	for i, s := range sides {
		b.ReportMetric(median(times[i]), s.name+"-ns")
		b.ReportMetric(allocs[i], s.name+"-allocs")
	}
	b.ReportMetric(theirs/ours, "ratio")
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// differences returns the differences of the rounds of two sides.
func differences(a, b []float64) []float64 {
	d := make([]float64, len(a))
	for i := range d {
		d[i] = a[i] - b[i]
	}
	return d
}

// mallocs returns the number of allocations of all goroutines while f runs.
func mallocs(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// callsPerRound is the number of direct calls of a round. A round is so short that the
// operating system interrupts few rounds, so that the median has none of them.
const callsPerRound = 100

var histogramCases = []struct {
	name           string
	server, client []grpcmetrics.Option
	theirs         []provider.ServerMetricsOption
	theirs2        []provider.ClientMetricsOption
}{
	{"counters", nil, nil, nil, nil},
	{
		"histograms",
		[]grpcmetrics.Option{grpcmetrics.WithHandlingTimeHistogram(nil)},
		[]grpcmetrics.Option{grpcmetrics.WithHandlingTimeHistogram(nil), grpcmetrics.WithStreamRecvHistogram(nil), grpcmetrics.WithStreamSendHistogram(nil)},
		[]provider.ServerMetricsOption{provider.WithServerHandlingTimeHistogram()},
		[]provider.ClientMetricsOption{provider.WithClientHandlingTimeHistogram(), provider.WithClientStreamRecvHistogram(), provider.WithClientStreamSendHistogram()},
	},
}

// unaryCalls returns a function that calls an interceptor without a connection.
func unaryCalls(f grpc.UnaryServerInterceptor) func(int) {
	ctx, req := context.Background(), any(&pb.Empty{})
	info := &grpc.UnaryServerInfo{FullMethod: "/grpc.testing.TestService/UnaryCall"}
	handler := func(_ context.Context, req any) (any, error) { return req, nil }
	return func(n int) {
		for range n {
			f(ctx, req, info, handler)
		}
	}
}

// BenchmarkServerUnary calls the interceptors without a connection.
func BenchmarkServerUnary(b *testing.B) {
	for _, c := range histogramCases {
		b.Run(c.name, func(b *testing.B) {
			ours, theirs := grpcmetrics.NewServerMetrics(tacho.NewRegistry(), c.server...), provider.NewServerMetrics(c.theirs...)
			rounds(b, callsPerRound, side{"tacho", unaryCalls(ours.UnaryServerInterceptor())}, side{"provider", unaryCalls(theirs.UnaryServerInterceptor())})
		})
	}
	// Each call has a trace of its own. tacho asks for the labels once for each metric, and the provider
	// once for each call.
	b.Run("exemplars", func(b *testing.B) {
		c, id := histogramCases[1], 0
		next := func() string { id++; return fmt.Sprintf("%032x", id) }
		reg := tacho.NewRegistry(tacho.WithContextExemplars(func(context.Context) []string { return []string{"trace_id", next()} }))
		ours, theirs := grpcmetrics.NewServerMetrics(reg, c.server...), provider.NewServerMetrics(c.theirs...)
		exemplar := provider.WithExemplarFromContext(func(context.Context) prometheus.Labels { return prometheus.Labels{"trace_id": next()} })
		rounds(b, callsPerRound, side{"tacho", unaryCalls(ours.UnaryServerInterceptor())}, side{"provider", unaryCalls(theirs.UnaryServerInterceptor(exemplar))})
	})
}

type nopServerStream struct{ grpc.ServerStream }

func (nopServerStream) Context() context.Context { return context.Background() }
func (nopServerStream) SendMsg(any) error        { return nil }
func (nopServerStream) RecvMsg(any) error        { return nil }

// BenchmarkServerStream opens and ends a stream without messages.
func BenchmarkServerStream(b *testing.B) {
	call := func(f grpc.StreamServerInterceptor) func(int) {
		info := &grpc.StreamServerInfo{FullMethod: "/grpc.testing.TestService/FullDuplexCall", IsClientStream: true, IsServerStream: true}
		handler := func(any, grpc.ServerStream) error { return nil }
		srv := any(grpctest.Service{})
		return func(n int) {
			for range n {
				f(srv, nopServerStream{}, info, handler)
			}
		}
	}
	ours, theirs := grpcmetrics.NewServerMetrics(tacho.NewRegistry()), provider.NewServerMetrics()
	rounds(b, callsPerRound, side{"tacho", call(ours.StreamServerInterceptor())}, side{"provider", call(theirs.StreamServerInterceptor())})
}

// BenchmarkServerMessage sends a message in a stream.
func BenchmarkServerMessage(b *testing.B) {
	call := func(f grpc.StreamServerInterceptor) func(int) {
		info := &grpc.StreamServerInfo{FullMethod: "/grpc.testing.TestService/FullDuplexCall", IsClientStream: true, IsServerStream: true}
		msg := any(&pb.Empty{})
		return func(n int) {
			f(grpctest.Service{}, nopServerStream{}, info, func(_ any, s grpc.ServerStream) error {
				for range n {
					s.SendMsg(msg)
				}
				return nil
			})
		}
	}
	ours, theirs := grpcmetrics.NewServerMetrics(tacho.NewRegistry()), provider.NewServerMetrics()
	rounds(b, callsPerRound, side{"tacho", call(ours.StreamServerInterceptor())}, side{"provider", call(theirs.StreamServerInterceptor())})
}

// BenchmarkClientUnary calls the interceptors without a connection.
func BenchmarkClientUnary(b *testing.B) {
	for _, c := range histogramCases {
		b.Run(c.name, func(b *testing.B) {
			call := func(f grpc.UnaryClientInterceptor) func(int) {
				ctx, req := context.Background(), any(&pb.Empty{})
				opts := []grpc.CallOption{grpc.StaticMethod()}
				invoker := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
				return func(n int) {
					for range n {
						f(ctx, "/grpc.testing.TestService/UnaryCall", req, req, nil, invoker, opts...)
					}
				}
			}
			ours, theirs := grpcmetrics.NewClientMetrics(tacho.NewRegistry(), c.client...), provider.NewClientMetrics(c.theirs2...)
			rounds(b, callsPerRound, side{"tacho", call(ours.UnaryClientInterceptor())}, side{"provider", call(theirs.UnaryClientInterceptor())})
		})
	}
}

type nopClientStream struct{ grpc.ClientStream }

func (nopClientStream) SendMsg(any) error { return nil }
func (nopClientStream) RecvMsg(any) error { return nil }

// BenchmarkClientMessage receives a message in a stream.
func BenchmarkClientMessage(b *testing.B) {
	for _, c := range histogramCases {
		b.Run(c.name, func(b *testing.B) {
			call := func(f grpc.StreamClientInterceptor) func(int) {
				desc, msg := &grpc.StreamDesc{ServerStreams: true}, any(&pb.Empty{})
				s, _ := f(context.Background(), desc, nil, "/grpc.testing.TestService/StreamingOutputCall",
					func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
						return nopClientStream{}, nil
					}, grpc.StaticMethod())
				return func(n int) {
					for range n {
						s.RecvMsg(msg)
					}
				}
			}
			ours, theirs := grpcmetrics.NewClientMetrics(tacho.NewRegistry(), c.client...), provider.NewClientMetrics(c.theirs2...)
			rounds(b, callsPerRound, side{"tacho", call(ours.StreamClientInterceptor())}, side{"provider", call(theirs.StreamClientInterceptor())})
		})
	}
}

// connect returns a client of a server with these options.
func connect(b *testing.B, options []grpc.ServerOption, dial []grpc.DialOption) pb.TestServiceClient {
	_, conn := grpctest.Serve(b, options, dial)
	return pb.NewTestServiceClient(conn)
}

func emptyCalls(b *testing.B, client pb.TestServiceClient) func(int) {
	return func(n int) {
		for range n {
			if _, err := client.EmptyCall(context.Background(), &pb.Empty{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkCall makes a unary call over a connection in memory. Client and server are
// measured, with the histogram of the handling time.
func BenchmarkCall(b *testing.B) {
	sm, cm := grpcmetrics.NewServerMetrics(tacho.NewRegistry(), grpcmetrics.WithHandlingTimeHistogram(nil)), grpcmetrics.NewClientMetrics(tacho.NewRegistry(), grpcmetrics.WithHandlingTimeHistogram(nil))
	psm, pcm := provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram()), provider.NewClientMetrics(provider.WithClientHandlingTimeHistogram())
	rounds(b, 10,
		side{"none", emptyCalls(b, connect(b, nil, nil))},
		side{"tacho", emptyCalls(b, connect(b, sm.ServerOptions(), cm.DialOptions()))},
		side{"provider", emptyCalls(b, connect(b,
			serverOptions(psm), dialOptions(pcm)))})
}

// An idleStats is a stats.Handler that does nothing except that it keeps a value in the context, as
// each stats.Handler that counts must.
type idleStats struct{}

func (idleStats) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, idleStats{}, new(int))
}
func (idleStats) HandleRPC(context.Context, stats.RPCStats)                         {}
func (idleStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (idleStats) HandleConn(context.Context, stats.ConnStats)                       {}

// BenchmarkHook compares a stats.Handler and interceptors that do nothing.
func BenchmarkHook(b *testing.B) {
	unary := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(ctx, req)
	}
	client := func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoker(ctx, name, req, reply, cc, opts...)
	}
	b.Run("server", func(b *testing.B) {
		rounds(b, 10,
			side{"none", emptyCalls(b, connect(b, nil, nil))},
			side{"interceptor", emptyCalls(b, connect(b, []grpc.ServerOption{grpc.UnaryInterceptor(unary)}, nil))},
			side{"stats", emptyCalls(b, connect(b, []grpc.ServerOption{grpc.StatsHandler(idleStats{})}, nil))})
	})
	b.Run("client", func(b *testing.B) {
		rounds(b, 10,
			side{"none", emptyCalls(b, connect(b, nil, nil))},
			side{"interceptor", emptyCalls(b, connect(b, nil, []grpc.DialOption{grpc.WithUnaryInterceptor(client)}))},
			side{"stats", emptyCalls(b, connect(b, nil, []grpc.DialOption{grpc.WithStatsHandler(idleStats{})}))})
	})
}
