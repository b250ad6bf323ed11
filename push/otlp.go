//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/gzip"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/wire"
)

// OTLP is a receiver of metrics by OTLP over HTTP, in protobuf: an OpenTelemetry Collector, Prometheus,
// VictoriaMetrics, Mimir or a hosted service. A sample has the time of the push, unless the sample has its
// own time, see [tacho.Emitter.At]. A request contains up to 2000 data points and 1 MiB before compression,
// or one data point that is larger. A push without samples is one request without data points, so an error
// shows that the receiver is not available.
//
// The names of metrics and labels are those of the definition. Receivers can rename them. Prometheus replaces other
// characters by underscores and adds the unit and _total to the name of a counter, unless its configuration
// has another translation_strategy. VictoriaMetrics keeps names.
//
// A receiver can refuse a part of a request and accept the rest. The refused data points are dropped. If a receiver
// refuses a whole request, its data points are dropped. The other requests of the push are sent in both cases. Prometheus
// refuses a whole request if one sample is out of order.
//
// OTLP has no stale markers. A series that ended remains visible in queries for the lookback time of the server.
type OTLP struct {
	// URL is the complete URL for metrics. The path is /v1/metrics for a Collector, whose port is 4318,
	// /api/v1/otlp/v1/metrics for Prometheus, /opentelemetry/v1/metrics for VictoriaMetrics and
	// /otlp/v1/metrics for Mimir. Prometheus needs the flag --web.enable-otlp-receiver.
	URL string
	// Service is the resource attribute service.name. If Service is empty, there is no such attribute.
	//
	// Prometheus makes the label job of Service and the label instance of Instance. These labels replace labels
	// of the same name in a series. Two series that differ only in such a label become one, without an error.
	Service string
	// Instance is the resource attribute service.instance.id. If Instance is empty and Service is not, the
	// attribute is the host name, a colon and the process ID. Two programs with the same Service and
	// the same Instance write to the same series.
	Instance string
	// Attributes lists further resource attributes, as alternating names and values, for example
	// deployment.environment.name and production. Prometheus makes one series of them for each instance,
	// target_info. VictoriaMetrics makes labels of them.
	//
	// Prometheus 3.16 then writes target_info once for each 150 seconds between the oldest and the newest sample of a
	// request. So do not set Attributes if a collector emits samples with times that are long ago.
	Attributes []string
	// NoNativeHistograms sends native histograms as classic histograms. A histogram without classic buckets
	// then has one bucket. Otherwise a histogram with native buckets is an exponential histogram without its
	// classic buckets, because a data point has buckets of one kind.
	//
	// Set NoNativeHistograms for a receiver without support for exponential histograms.
	NoNativeHistograms bool
}

// The names of resource attributes (OpenTelemetry semantic conventions, "Service").
const (
	serviceName     = "service.name"
	serviceInstance = "service.instance.id"
)

// otlpScope is the name of the instrumentation scope.
const otlpScope = "github.com/tachikoma/tacho"

func (t OTLP) resolve() (*destination, error) {
	d, err := resolve(t.URL, "")
	if err != nil {
		return nil, err
	}
	attributes, err := t.attributes()
	if err != nil {
		return nil, err
	}
	var resource []byte
	for _, l := range attributes {
		value := appendString([]byte{wire.OTLPString}, l.value)
		pair := appendString([]byte{wire.OTLPKey}, l.name)
		pair = appendBytes(append(pair, wire.OTLPValue), value)
		resource = appendBytes(append(resource, wire.OTLPResourceAttribute), pair)
	}
	d.method, d.gzip = http.MethodPost, true
	d.header = http.Header{
		"Content-Type":     {"application/x-protobuf"}, // Prometheus compares the whole value
		"Content-Encoding": {"gzip"},
	}
	d.sender = &otlpSender{
		dest:     d,
		resource: appendBytes([]byte{wire.OTLPResource}, resource),
		scope:    appendBytes([]byte{wire.OTLPScope}, appendString([]byte{wire.OTLPScopeName}, otlpScope)),
		noNative: t.NoNativeHistograms,
		clock:    time.Now,
	}
	return d, nil
}

// attributes returns the resource attributes.
func (t OTLP) attributes() ([]label, error) {
	if len(t.Attributes)%2 != 0 {
		return nil, errors.New("tacho: push: attributes must be pairs of a name and a value")
	}
	var list []label
	has := func(name string) bool {
		for _, l := range list {
			if l.name == name {
				return true
			}
		}
		return false
	}
	add := func(name, value string) { list = append(list, label{name, strings.ToValidUTF8(value, "\uFFFD")}) }
	if t.Service != "" {
		add(serviceName, t.Service)
	}
	if t.Instance != "" {
		add(serviceInstance, t.Instance)
	}
	for i := 0; i < len(t.Attributes); i += 2 {
		name := t.Attributes[i]
		if name == "" || !utf8.ValidString(name) {
			return nil, fmt.Errorf("tacho: push: bad attribute name %.128q", name)
		}
		if has(name) {
			return nil, fmt.Errorf("tacho: push: duplicate attribute %.128q", name)
		}
		add(name, t.Attributes[i+1])
	}
	if t.Service != "" && !has(serviceInstance) {
		add(serviceInstance, defaultInstance())
	}
	return list, nil
}

const (
	// maxPoints is the maximum number of data points in a request. Prometheus refuses all data points of a request
	// because of one, so the number is that of a remote write request.
	maxPoints = maxSeries
	// maxRequest is the maximum size of the metrics in a request before compression, unless one Metric is larger.
	// It is a twentieth of the limit that the specification recommends to servers, since histograms
	// and labels can be large. Proxies often have a limit of 1 MiB for the compressed body.
	maxRequest = 1 << 20
)

// An otlpSender sends the pushes to an OTLP receiver. It is used by one goroutine at a time.
type otlpSender struct {
	dest     *destination
	resource []byte // the field resource of ResourceMetrics
	scope    []byte // the field scope of ScopeMetrics
	noNative bool
	clock    func() time.Time
	last     int64  // time of the latest push in Unix milliseconds
	sizes    []int  // of the requests of the latest push before compression, for the memory of the next ones
	lease    *lease // of the bodies of the current push
}

// retryable reports whether a retry may succeed after this status (OTLP specification, "Retryable Response
// Codes").
func (*otlpSender) retryable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// now returns the time of a push. It differs from the time of the push before: a receiver refuses a second
// value for the same millisecond.
func (s *otlpSender) now() int64 {
	now := s.clock().UnixMilli()
	if now == s.last {
		time.Sleep(time.Millisecond)
		now = s.clock().UnixMilli()
	}
	s.last = now
	return now
}

// send sends the requests of a push. A retry has the same body.
func (s *otlpSender) send(ctx context.Context, p *Pusher, stop <-chan struct{}, _ bool) error {
	requests, err := collect(ctx, p, func(ctx context.Context) ([]otlpRequest, error) {
		return s.encode(ctx, p.reg, p.maxBytes)
	})
	if err != nil {
		return err
	}
	s.lease = new(lease)
	defer func() {
		if s.lease.end() {
			for _, r := range requests {
				keepMemory(r.memory)
			}
		}
	}()
	size := 0
	for _, r := range requests {
		size += len(r.body)
	}
	p.bodyBytes.Set(int64(size))
	var first error
	failed, dropped := 0, uint64(0)
	for _, r := range requests {
		o := p.sendWithRetries(ctx, stop, func() ([]byte, error) { return r.body, nil })
		if o.err == nil {
			dropped += s.partial(p, &o, r.points)
		} else if !o.retry && o.becauseOfSamples() {
			dropped += uint64(r.points)
			p.dropped.With(p.host, o.reason()).Add(uint64(r.points))
		}
		if o.err != nil {
			failed++
			if first == nil {
				first = o.err
			}
		}
		if o.retry {
			break // the remaining requests would probably fail too
		}
	}
	if len(requests) > 1 && failed > 0 {
		first = fmt.Errorf("%w (requests with an error: %d of %d)", first, failed, len(requests))
	}
	if dropped > 0 {
		first = fmt.Errorf("%w (dropped samples: %d)", first, dropped)
	}
	return first
}

// partial returns the number of data points that the receiver rejected in a request with this outcome, and counts
// them. It then sets o.err.
func (*otlpSender) partial(p *Pusher, o *outcome, points int) (rejected uint64) {
	rejected, o.reply = partialSuccess(o.header.Get("Content-Type"), o.reply)
	if rejected = min(rejected, uint64(points)); rejected == 0 { // the receiver can be wrong
		return 0 // a message without rejected data points is a warning
	}
	p.dropped.With(p.host, o.reason()).Add(rejected)
	o.err = fmt.Errorf("tacho: push: %s %s: the receiver rejected %d of %d data points: %.512q", p.dest.method, p.publicURL, rejected, points, p.redact(o.reply))
	return rejected
}

// partialSuccess returns the number of rejected data points and the message of an ExportMetricsServiceResponse. If
// the reply is not such a response, partialSuccess returns 0. The reply can lack its end.
func partialSuccess(contentType, reply string) (rejected uint64, message string) {
	if contentType = strings.ToLower(contentType); strings.HasPrefix(contentType, "text/") || strings.HasPrefix(contentType, "application/json") {
		return 0, ""
	}
	for rest := []byte(reply); len(rest) > 0; {
		var f field
		var ok bool
		if f, rest, ok = cutReply(rest); !ok {
			return 0, ""
		}
		if f.tag != wire.OTLPPartialSuccess {
			continue
		}
		for inner := f.bytes; len(inner) > 0; {
			if f, inner, ok = cutReply(inner); !ok {
				return 0, ""
			}
			switch f.tag {
			case wire.OTLPRejected:
				rejected = uint64(max(int64(f.value), 0))
			case wire.OTLPMessage:
				message = string(f.bytes)
			}
		}
	}
	return rejected, message
}

// cutReply is cutField, except that the last string or message may lack its end. An outcome has only the beginning of
// a long reply.
func cutReply(b []byte) (f field, rest []byte, ok bool) {
	if f, rest, ok = cutField(b); ok || b[0]&7 != wire.Bytes || b[0] >= 1<<7 {
		return f, rest, ok
	}
	_, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return f, nil, false
	}
	return field{tag: uint64(b[0]), bytes: b[1+n:]}, nil, true
}

// An otlpRequest is a request of a push.
type otlpRequest struct {
	body   []byte // compressed unless the compression is disabled
	memory []byte // of body, if keepMemory can keep it after the request
	points int
}

// encode returns the requests of a push, at least one. If the exposition is larger than limit bytes, encode returns
// errTooLarge. If ctx ends, encode returns an error.
func (s *otlpSender) encode(ctx context.Context, reg *tacho.Registry, limit int64) ([]otlpRequest, error) {
	w := &otlpWriter{sender: s, at: s.now()}
	if err := reg.WriteProtobufContext(ctx, &limitedWriter{ctx, w, limit}); err != nil {
		return nil, err
	}
	if w.points > 0 || len(w.done) == 0 {
		w.finish()
	}
	s.sizes = w.sizes
	keepMemory(w.open) // of the metrics before compression
	return w.done, nil
}

// An otlpWriter distributes the Metrics of an exposition over requests. A full request is compressed at once. The
// memory in use therefore exceeds the size of the compressed requests only a little.
type otlpWriter struct {
	sender  *otlpSender
	at      int64 // the time of the push in Unix milliseconds
	encoded *int  // number of data points that the format passes to the next Write; nil if unknown
	done    []otlpRequest
	sizes   []int  // of the elements of done, before compression
	open    []byte // the current request: room bytes, and the Metrics
	points  int    // number of data points in open
}

// Choose implements [expo.Chooser].
func (w *otlpWriter) Choose(bool) (*expo.Format, names.Scheme) {
	format := expo.OTLP(w.at, w.sender.noNative)
	w.encoded = expo.OTLPPoints(format)
	return format, names.AllowUTF8
}

// Write adds the Metrics in p. The format passes complete fields. If all of them fit into the current request, Write
// does not read them.
func (w *otlpWriter) Write(p []byte) (int, error) {
	if w.encoded != nil {
		points := *w.encoded
		*w.encoded = 0
		if w.points+points <= maxPoints && w.size()+len(p) <= maxRequest {
			w.add(p, points)
			return len(p), nil
		}
	}
	for rest := p; len(rest) > 0; {
		f, after, ok := cutField(rest)
		if !ok || f.tag != wire.OTLPMetric {
			return 0, errMalformed
		}
		points, ok := countPoints(f.bytes)
		if !ok {
			return 0, errMalformed
		}
		metric := rest[:len(rest)-len(after)]
		if w.points > 0 && (w.points+points > maxPoints || w.size()+len(metric) > maxRequest) {
			w.finish()
		}
		w.add(metric, points)
		rest = after
	}
	return len(p), nil
}

// size returns the size of the Metrics of the current request.
func (w *otlpWriter) size() int { return max(len(w.open)-w.sender.room(), 0) }

// add adds Metrics to the current request.
func (w *otlpWriter) add(metrics []byte, points int) {
	w.begin(len(metrics))
	w.open, w.points = append(w.open, metrics...), w.points+points
}

// begin begins a request, unless it has begun. The request before it, or that of the last push, shows its
// size. n is the least size of its Metrics.
func (w *otlpWriter) begin(n int) {
	s := w.sender
	room := s.room()
	if len(w.open) > 0 {
		return
	}
	if size := room + n; size > cap(w.open) {
		if i := len(w.done); i < len(s.sizes) {
			size = max(size, s.sizes[i]+s.sizes[i]/16+1<<10)
		}
		w.open = memoryOf(size)
	}
	w.open = w.open[:room]
}

// countPoints returns the number of data points of a Metric.
func countPoints(metric []byte) (points int, ok bool) {
	for len(metric) > 0 {
		var f field
		if f, metric, ok = cutField(metric); !ok {
			return 0, false
		}
		switch f.tag {
		case wire.OTLPGauge, wire.OTLPSum, wire.OTLPHistogram, wire.OTLPExponential, wire.OTLPSummary:
			for data := f.bytes; len(data) > 0; {
				var point field
				if point, data, ok = cutField(data); !ok {
					return 0, false
				}
				if point.tag == wire.OTLPPoint {
					points++
				}
			}
		}
	}
	return points, true
}

// room returns the number of bytes that are kept for the fields of a request before the Metrics: three tags and
// lengths, the resource and the scope.
func (s *otlpSender) room() int { return 2*(1+binary.MaxVarintLen64) + len(s.resource) + len(s.scope) }

// finish moves the current request to w.done.
func (w *otlpWriter) finish() {
	s := w.sender
	w.begin(0)
	inner := len(s.scope) + w.size()
	head := binary.AppendUvarint([]byte{wire.OTLPResourceMetrics}, uint64(len(s.resource)+1+sizeUvarint(uint64(inner))+inner))
	head = binary.AppendUvarint(append(append(head, s.resource...), wire.OTLPScopeMetrics), uint64(inner))
	head = append(head, s.scope...)
	body := w.open[s.room()-len(head):]
	copy(body, head)
	w.sizes = append(w.sizes, len(w.open))
	var memory []byte
	if s.dest.gzip {
		var b bytes.Buffer // whose Write returns no error
		_ = gzip.Write(&b, func(w io.Writer) error {
			_, err := w.Write(body)
			return err
		})
		body = b.Bytes()
		w.open = w.open[:0]
	} else {
		memory, w.open = w.open, nil
	}
	w.done = append(w.done, otlpRequest{body, memory, w.points})
	w.points = 0
}
