package grpcmetrics

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/tachikoma/tacho"
)

// A callType is an index of typeNames.
type callType uint8

const (
	unary callType = iota
	clientStream
	serverStream
	bidiStream
)

// typeNames are the values of the label grpc_type.
var typeNames = [...]string{"unary", "client_stream", "server_stream", "bidi_stream"}

// streamType returns the type of a stream. As in the provider, a stream in no direction is
// bidi_stream.
func streamType(client, server bool) callType {
	switch {
	case client && !server:
		return clientStream
	case server && !client:
		return serverStream
	default:
		return bidiStream
	}
}

const (
	other    = "other"                   // the label of names beyond the limit
	maxName  = 256                       // bytes of a name that the program did not choose
	numCodes = codes.Unauthenticated + 1 // the codes of the specification
)

// methods are the metrics of all methods of a server or a client.
type methods struct {
	prefix                           string
	started, handled, received, sent *tacho.CounterVec
	handling, recv, send             *tacho.HistogramVec // nil unless enabled
	overflow                         *tacho.CounterVec   // of tacho
	codes                            codeSet

	seed  maphash.Seed
	table atomic.Pointer[[]atomic.Pointer[method]] // open addressing, at most half full

	mu     sync.Mutex // held to add methods, never to find them
	n      int        // methods in table
	left   int        // methods that the program did not name and that can be added
	full   atomic.Bool
	others [len(typeNames)]*method
}

// A method is the metrics of a method. As in the provider, a series exists from its first
// recording on.
type method struct {
	set          *methods
	name         string // as grpc passes it, "/package.Service/Method"
	typ          callType
	labels       [3]string
	started      atomic.Pointer[tacho.Counter]
	received     atomic.Pointer[tacho.Counter]
	sent         atomic.Pointer[tacho.Counter]
	handled      [numCodes]atomic.Pointer[tacho.Counter]
	handling     atomic.Pointer[tacho.Histogram]
	recvs, sends atomic.Pointer[tacho.Histogram]
	beyond       bool // the labels are other
}

func newMethods(reg *tacho.Registry, c *config) *methods {
	labels := []string{"grpc_type", "grpc_service", "grpc_method"}
	withCode := append(labels[:3:3], "grpc_code")
	help := &serverHelp
	if c.client {
		help = &clientHelp
	}
	s := &methods{
		prefix: c.prefix(),
		seed:   maphash.MakeSeed(),
		left:   c.maxMethods,
	}
	// The number of methods is limited already. An option of the program comes later and
	// replaces the first.
	counter := func(name, help string, labels []string) *tacho.CounterVec {
		return reg.CounterVec(s.prefix+name, help, labels, append([]tacho.Option{tacho.WithMaxSeries(0)}, c.counters...)...)
	}
	hist := func(h histogram, name, help string) *tacho.HistogramVec {
		if !h.enabled {
			return nil
		}
		return reg.HistogramVec(s.prefix+name, help, h.buckets, labels, append([]tacho.Option{tacho.WithMaxSeries(0)}, h.opts...)...)
	}
	s.started = counter("started_total", help.started, labels)
	s.handled = counter("handled_total", help.handled, withCode)
	s.received = counter("msg_received_total", help.received, labels)
	s.sent = counter("msg_sent_total", help.sent, labels)
	s.handling = hist(c.handling, "handling_seconds", help.handling)
	s.recv = hist(c.recv, "msg_recv_handling_seconds", help.recv)
	s.send = hist(c.send, "msg_send_handling_seconds", help.send)
	s.overflow = reg.CounterVec("tacho_series_overflow_total", "Lookups beyond a limit of series.", []string{"metric"})
	s.full.Store(s.left <= 0)
	for typ := range s.others {
		s.others[typ] = &method{set: s, typ: callType(typ), labels: [3]string{typeNames[typ], other, other}, beyond: true}
	}
	table := make([]atomic.Pointer[method], 16)
	s.table.Store(&table)
	return s
}

// A helpTexts has the help texts of the provider.
type helpTexts struct{ started, handled, received, sent, handling, recv, send string }

var serverHelp = helpTexts{
	started:  "Total number of RPCs started on the server.",
	handled:  "Total number of RPCs completed on the server, regardless of success or failure.",
	received: "Total number of RPC stream messages received on the server.",
	sent:     "Total number of gRPC stream messages sent by the server.",
	handling: "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
}

var clientHelp = helpTexts{
	started:  "Total number of RPCs started on the client.",
	handled:  "Total number of RPCs completed by the client, regardless of success or failure.",
	received: "Total number of RPC stream messages received by the client.",
	sent:     "Total number of gRPC stream messages sent by the client.",
	handling: "Histogram of response latency (seconds) of the gRPC until it is finished by the application.",
	recv:     "Histogram of response latency (seconds) of the gRPC single message receive.",
	send:     "Histogram of response latency (seconds) of the gRPC single message send.",
}

// find returns the method with this name and type, or nil.
func (s *methods) find(name string, typ callType) *method {
	table := *s.table.Load()
	return slot(table, maphash.String(s.seed, name), name, typ).Load()
}

// slot returns the slot of a method, or the empty slot where the method belongs. A slot
// never changes once it is filled.
func slot(table []atomic.Pointer[method], hash uint64, name string, typ callType) *atomic.Pointer[method] {
	for i := hash; ; i++ {
		p := &table[i&uint64(len(table)-1)]
		if m := p.Load(); m == nil || m.name == name && m.typ == typ {
			return p
		}
	}
}

// add returns the method with this name and type, and creates it if there is none. named
// reports whether the program chose the name. Otherwise the method may be the one of the
// names beyond the limit.
func (s *methods) add(name string, typ callType, named bool) *method {
	if !named && (len(name) > maxName || s.full.Load()) {
		return s.others[typ] // strangers choose such names: no lock, nothing allocated
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	table, hash := *s.table.Load(), maphash.String(s.seed, name)
	p := slot(table, hash, name, typ)
	if m := p.Load(); m != nil {
		return m
	}
	if !named {
		if s.left <= 0 {
			return s.others[typ]
		}
		s.left--
		s.full.Store(s.left == 0)
	}
	if s.n++; 2*s.n > len(table) {
		table = s.growLocked(table)
		p = slot(table, hash, name, typ)
	}
	m := s.newMethod(strings.Clone(name), typ)
	p.Store(m)
	return m
}

// growLocked doubles the table.
func (s *methods) growLocked(old []atomic.Pointer[method]) []atomic.Pointer[method] {
	table := make([]atomic.Pointer[method], 2*len(old))
	for i := range old {
		if m := old[i].Load(); m != nil {
			slot(table, maphash.String(s.seed, m.name), m.name, m.typ).Store(m)
		}
	}
	s.table.Store(&table)
	return table
}

func (s *methods) newMethod(name string, typ callType) *method {
	service, short, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok {
		service, short = "unknown", "unknown" // as in the provider
	}
	return &method{set: s, name: name, typ: typ, labels: [3]string{typeNames[typ], service, short}}
}

// inc adds 1 to the counter that p points to, which is a series of v.
func (m *method) inc(ctx context.Context, p *atomic.Pointer[tacho.Counter], v *tacho.CounterVec) {
	c := p.Load()
	if c == nil {
		c = v.With(m.labels[:]...)
		p.Store(c)
	}
	inc(ctx, c)
}

// epoch is a time of the process. A time of the package is a duration since epoch: a reading of the
// monotonic clock alone is cheaper than time.Now (BenchmarkClientMessage of module
// grpcmetrics/conformance).
var epoch = time.Now()

// observe observes the seconds since start in the histogram that p points to, which is a
// series of v.
func (m *method) observe(ctx context.Context, p *atomic.Pointer[tacho.Histogram], v *tacho.HistogramVec, start time.Duration) {
	h := p.Load()
	if h == nil {
		h = v.With(m.labels[:]...)
		p.Store(h)
	}
	observe(ctx, h, (time.Since(epoch) - start).Seconds())
}

// start counts the start of a call and returns its time, if a histogram needs it.
func (m *method) start(ctx context.Context) (t time.Duration) {
	if m.beyond {
		m.set.overflow.With(m.set.prefix + "started_total").Inc()
	}
	m.inc(ctx, &m.started, m.set.started)
	if m.set.handling != nil || m.set.recv != nil || m.set.send != nil {
		t = time.Since(epoch)
	}
	return t
}

func (m *method) countReceived(ctx context.Context) { m.inc(ctx, &m.received, m.set.received) }
func (m *method) countSent(ctx context.Context)     { m.inc(ctx, &m.sent, m.set.sent) }

// end counts the end of a call.
func (m *method) end(ctx context.Context, code codes.Code, start time.Duration) {
	inc(ctx, m.handledAs(code))
	if m.set.handling != nil {
		m.observe(ctx, &m.handling, m.set.handling, start)
	}
}

// handledAs returns the counter of calls that ended with code.
func (m *method) handledAs(code codes.Code) *tacho.Counter {
	if code >= numCodes {
		return m.set.handled.With(m.labels[0], m.labels[1], m.labels[2], m.set.codes.text(code))
	}
	p := &m.handled[code]
	c := p.Load()
	if c == nil {
		c = m.set.handled.With(m.labels[0], m.labels[1], m.labels[2], code.String())
		p.Store(c)
	}
	return c
}

// initialize creates the series of m, with the value 0.
func (m *method) initialize() {
	set, labels := m.set, m.labels[:]
	for _, v := range []*tacho.CounterVec{set.started, set.received, set.sent} {
		v.With(labels...)
	}
	if set.handling != nil {
		set.handling.With(labels...)
	}
	for code := range numCodes {
		m.handledAs(code)
	}
}
