// Package grpcmetrics measures servers and clients of google.golang.org/grpc. The names, the
// labels and the help texts are those of
// github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus, so its dashboards and
// alerts stay valid.
//
//	m := grpcmetrics.NewServerMetrics(reg)
//	server := grpc.NewServer(m.ServerOptions()...)
//
//	m := grpcmetrics.NewClientMetrics(reg)
//	conn, err := grpc.NewClient(target, append(m.DialOptions(), grpc.WithTransportCredentials(creds))...)
//
// The metrics of a server are
//
//	grpc_server_started_total{grpc_type,grpc_service,grpc_method}            counter
//	grpc_server_handled_total{grpc_type,grpc_service,grpc_method,grpc_code}  counter
//	grpc_server_msg_received_total{grpc_type,grpc_service,grpc_method}       counter
//	grpc_server_msg_sent_total{grpc_type,grpc_service,grpc_method}           counter
//	grpc_server_handling_seconds{grpc_type,grpc_service,grpc_method}         histogram, see [WithHandlingTimeHistogram]
//
// The metrics of a client have the prefix grpc_client_. A client has two more histograms,
// grpc_client_msg_recv_handling_seconds and grpc_client_msg_send_handling_seconds; see
// [WithStreamRecvHistogram] and [WithStreamSendHistogram].
//
// The label grpc_type is "unary", "client_stream", "server_stream" or "bidi_stream". The
// label grpc_code is the text of [google.golang.org/grpc/codes.Code], such as "OK" or
// "NotFound". A code above 16 is "Code(17)". Further codes after the first 16 such codes
// are "other".
//
// The exemplars of a call are those of its context, if the registry has
// [tacho.WithContextExemplars]. Two servers of a program share the families and have labels of
// their own in sub-registries:
//
//	m := grpcmetrics.NewServerMetrics(reg.Sub(tacho.WithConstLabels("server", "public")))
//
// # Interceptors
//
// The package uses interceptors, not a stats.Handler, for three reasons:
//   - Cost: grpc allocates the events of a stats.Handler. A stats.Handler that does nothing
//     adds 20 allocations to a unary call on the server and 17 on the client, and 2 to 5
//     microseconds on each side. An interceptor that does nothing adds 2 allocations on the
//     server and none on the client, and less than 0.2 microseconds (BenchmarkHook of module
//     grpcmetrics/conformance).
//   - Panics: the event stats.End has no error if a handler panics, so the call would be OK.
//   - Calls: the client's events are those of attempts. A retried call would be several calls.
//
// An interceptor does not see a call that grpc refuses before the interceptors. This applies
// to an unknown service or method without grpc.UnknownServiceHandler, an unknown compression,
// and a unary request that is too large or cannot be decoded. Such a call has no series.
// Use the metrics of the client, or a stats.Handler of OpenTelemetry, to count such calls.
//
// # Differences from the provider
//
//   - A stream of a client is handled exactly once. The provider counts a stream again if the
//     caller calls RecvMsg after the end. It never counts the end if the caller cancels the
//     context, or closes the connection, without a further RecvMsg.
//   - A panic of a handler is counted once as "Unknown" and continues to the caller. The
//     provider does not count the call, unless a recovery interceptor is inside of the provider.
//   - Method names that strangers choose are limited; see [WithMaxMethods].
//   - There are no labels from the context. A namespace or a subsystem is the prefix of a
//     registry; see [tacho.WithPrefix].
package grpcmetrics
