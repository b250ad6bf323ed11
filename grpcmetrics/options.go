package grpcmetrics

import "github.com/tachikoma/tacho"

// An Option configures [NewServerMetrics] or [NewClientMetrics]. A nil Option is refused.
type Option func(*config)

// A histogram is the definition of a histogram that an option enables.
type histogram struct {
	enabled bool
	buckets []float64
	opts    []tacho.Option
}

type config struct {
	client     bool
	counters   []tacho.Option
	handling   histogram
	recv, send histogram
	maxMethods int
}

func makeConfig(client bool, opts []Option) *config {
	c := &config{client: client, maxMethods: 100}
	if client {
		c.maxMethods = 1000
	}
	for _, opt := range opts {
		if opt == nil {
			panic(&tacho.DefinitionError{Metric: c.prefix() + "started_total", Reason: "an option is nil"})
		}
		opt(c)
	}
	return c
}

func (c *config) prefix() string {
	if c.client {
		return "grpc_client_"
	}
	return "grpc_server_"
}

// onlyClient refuses an option of clients in the metrics of a server.
func (c *config) onlyClient(option string) {
	if !c.client {
		panic(&tacho.DefinitionError{Metric: c.prefix() + "started_total", Reason: option + " does not apply to NewServerMetrics"})
	}
}

// WithHandlingTimeHistogram enables the histogram grpc_server_handling_seconds or
// grpc_client_handling_seconds: the seconds from the start of a call to its end. See
// [tacho.Registry.Histogram] for the buckets. If buckets is nil, the bounds are
// [tacho.DefBuckets]. opts are options of the histogram, such as [tacho.WithNative] and
// [tacho.WithConstLabels].
func WithHandlingTimeHistogram(buckets []float64, opts ...tacho.Option) Option {
	return func(c *config) { c.handling = histogram{true, buckets, opts} }
}

// WithStreamRecvHistogram enables the histogram grpc_client_msg_recv_handling_seconds: the
// seconds that the client waits for a message, including the wait that ends with an error
// or the end of the stream. The response of a unary call counts too. The arguments are
// those of [WithHandlingTimeHistogram]. The option applies to [NewClientMetrics].
func WithStreamRecvHistogram(buckets []float64, opts ...tacho.Option) Option {
	return func(c *config) {
		c.onlyClient("WithStreamRecvHistogram")
		c.recv = histogram{true, buckets, opts}
	}
}

// WithStreamSendHistogram enables the histogram grpc_client_msg_send_handling_seconds: the
// seconds that the client takes to send a message, also if an error ends it. A unary
// request has about 0 seconds. The arguments are those of [WithHandlingTimeHistogram]. The
// option applies to [NewClientMetrics].
func WithStreamSendHistogram(buckets []float64, opts ...tacho.Option) Option {
	return func(c *config) {
		c.onlyClient("WithStreamSendHistogram")
		c.send = histogram{true, buckets, opts}
	}
}

// WithCounterOptions sets options of all counters, such as [tacho.WithConstLabels] and
// [tacho.WithMaxSeries].
func WithCounterOptions(opts ...tacho.Option) Option {
	return func(c *config) { c.counters = opts }
}

// WithMaxMethods limits the number of methods that the program did not name to n. Calls of
// further methods have the labels grpc_service="other" and grpc_method="other", and
// tacho_series_overflow_total{metric} counts the calls. The same holds for a name of more
// than 256 bytes. The default is 100 for servers and 1000 for clients. If n is 0 or less,
// all such calls are "other".
//
// The program names the registered methods of a server, and the methods that a client calls
// with grpc.StaticMethod, as generated code does. These methods have no limit. The other
// methods are those of the handler of grpc.UnknownServiceHandler, which remote clients
// choose, and calls of a client by names from a variable. A proxy has both.
func WithMaxMethods(n int) Option {
	return func(c *config) { c.maxMethods = n }
}
