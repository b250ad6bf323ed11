//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/expo"
)

// ErrClosed is the error of [Pusher.Push], [Pusher.Run] and [Pusher.Shutdown] after
// a call of [Pusher.Shutdown] or [Pusher.Close].
var ErrClosed = errors.New("tacho: push: the pusher is closed")

// A Config configures a [Pusher]. The zero value is ready to use.
type Config struct {
	// Registry is the registry to push. If Registry is nil, tacho.Default is pushed.
	Registry *tacho.Registry
	// Metrics is the registry for the metrics of the pusher. If Metrics is nil, the
	// metrics of the pusher are defined in Registry. If Registry is from [tacho.Join], they are
	// then defined in a registry of their own, which is pushed with Registry.
	Metrics *tacho.Registry

	// Client sends the requests. If Client is nil, http.DefaultClient sends the
	// requests. A redirect is not followed if the redirect changes the method.
	//
	// After such a redirect, a GET could succeed without a push.
	Client *http.Client
	// Header is sent with every request, for example Authorization or Mimir's
	// X-Scope-OrgID. New copies Header. The value of Host replaces the host of the URL
	// in the request, but the connection goes to the host of the URL. Content-Type and
	// Content-Encoding are ignored, because they describe the format of the target.
	//
	// A redirect to another scheme, host or port is followed without Header, and
	// without the user and the password of the URL.
	Header http.Header
	// DisableCompression sends the text format and OTLP without gzip. DisableCompression has no
	// effect on [RemoteWrite]. That protocol requires Snappy.
	DisableCompression bool

	// Interval is the time between two pushes of [Pusher.Run]. If Interval is 0 or
	// less, Run pushes every 15 seconds. Each wait differs from Interval by up to a
	// tenth, at random.
	Interval time.Duration
	// Timeout limits the duration of one attempt, and the time to collect the metrics
	// before the attempt. If Timeout is 0 or less, the limit is 10 seconds.
	Timeout time.Duration
	// Retries is the maximum number of retries for each request. The value 0 means 3
	// retries, and a negative value disables retries. The wait before the first retry
	// is half a second to a second. Each further wait is twice as long, up to one
	// minute. If the server asks for a wait with Retry-After, the retry waits for both times.
	// If the server asks for more than one minute, the push ends.
	//
	// A push of Run has retries only if the server accepted or refused the last request before
	// the push at the first attempt. Otherwise, a fleet would send several times its usual
	// requests to a server that starts or is overloaded.
	Retries int
	// MaxBytes limits the size of a push, in bytes of exposition before compression.
	// If MaxBytes is 0 or less, the limit is 32 MiB. A larger push returns an error
	// and is not sent.
	//
	// A [RemoteWrite] has no exposition. MaxBytes limits the size of the labels of all its series
	// and of its native histograms, as version 1.0 of the protocol encodes them. The labels of the
	// target do not count. The series of the buckets of a histogram repeat its labels.
	MaxBytes int64

	// OnError is called by [Pusher.Run] with the error of each failed push, unless
	// OnError is nil. Run waits until OnError returns.
	OnError func(error)
}

// A Pusher pushes the metrics of a registry. All methods are safe for concurrent use.
// Concurrent pushes run one after another.
type Pusher struct {
	dest       *destination
	publicURL  string   // for error texts
	secrets    []string // see secretsOf
	reg        *tacho.Registry
	client     *http.Client
	header     http.Header // without Host
	hostHeader string      // "" for the host of the URL
	interval   time.Duration
	timeout    time.Duration
	retries    int
	backoff    time.Duration // before the first retry
	maxBytes   int64
	onError    func(error)

	attempts    *tacho.CounterVec
	dropped     *tacho.CounterVec
	duration    *tacho.Histogram
	lastSuccess *tacho.FloatGauge
	bodyBytes   *tacho.Gauge
	host        string

	sem       chan struct{} // semaphore: holds an element during a push
	epoch     time.Time     // has a monotonic clock reading
	notBefore atomic.Int64  // Run does not push before this time, in nanoseconds since epoch

	// The next fields are used by one push at a time.
	limit   int  // of retries of each request of the push
	healthy bool // the receiver accepted or refused the latest request at its first attempt

	mu     sync.Mutex
	stop   chan struct{}   // closed by Shutdown and Close; only Shutdown's push may start later
	ctx    context.Context // every push ends with ctx
	cancel context.CancelFunc
}

// New returns a Pusher for t. If t is invalid, New returns an error. If a metric
// definition conflicts with the registry, the error is a *[tacho.DefinitionError]. New
// starts no goroutine and sends no request.
func New(t Target, c Config) (*Pusher, error) {
	if t == nil {
		return nil, errors.New("tacho: push: the target is nil")
	}
	dest, err := t.resolve()
	if err != nil {
		return nil, err
	}
	p := &Pusher{
		dest:     dest,
		reg:      c.Registry,
		interval: c.Interval,
		timeout:  c.Timeout,
		retries:  c.Retries,
		backoff:  time.Second,
		maxBytes: c.MaxBytes,
		onError:  c.OnError,
		host:     dest.url.Host,
		sem:      make(chan struct{}, 1),
		epoch:    time.Now(),
		stop:     make(chan struct{}),
	}
	p.setHeader(c.Header)
	p.publicURL, p.secrets = redactURL(dest.url), secretsOf(dest.base, p.header)
	if c.DisableCompression && dest.gzip {
		dest.gzip = false
		delete(dest.header, "Content-Encoding")
	}
	setDefault(&p.interval, 15*time.Second)
	setDefault(&p.timeout, 10*time.Second)
	setDefault(&p.maxBytes, 32<<20)
	if p.retries == 0 {
		p.retries = 3
	}
	if p.reg == nil {
		p.reg = tacho.Default
	}
	metrics := c.Metrics
	if metrics == nil {
		metrics = p.reg
	}
	err = p.define(metrics)
	var refused *tacho.DefinitionError
	if c.Metrics == nil && errors.As(err, &refused) && refused.Reason == expo.NoDefinitions {
		metrics = tacho.NewRegistry()
		p.reg = tacho.Join(p.reg, metrics)
		err = p.define(metrics)
	}
	if err != nil {
		return nil, err
	}
	p.client = p.redirecting(c.Client)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// setHeader copies h for the requests. net/http ignores the field Host of a request.
func (p *Pusher) setHeader(h http.Header) {
	p.header = http.Header{}
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		p.header[name] = append(p.header[name], values...)
	}
	p.hostHeader = p.header.Get("Host")
	for _, name := range []string{"Host", "Content-Type", "Content-Encoding"} {
		p.header.Del(name)
	}
}

// define defines the metrics of the pusher in reg.
func (p *Pusher) define(reg *tacho.Registry) error {
	target := []string{"target"}
	unlimited := tacho.WithMaxSeries(0) // the number of targets is set by the program
	_, err := tacho.Try(func() *Pusher {
		p.attempts = reg.CounterVec("push_attempts_total", "Attempts to push metrics, by result.", []string{"target", "result"}, unlimited)
		p.dropped = reg.CounterVec("push_samples_dropped_total", "Samples that the receiver refused, by reason.", []string{"target", "reason"}, unlimited)
		p.duration = reg.HistogramVec("push_duration_seconds", "Time that an attempt to push took.", nil, target, unlimited, tacho.WithUnit("seconds")).With(p.host)
		p.bodyBytes = reg.GaugeVec("push_body_bytes", "Size of the latest push as it was sent.", target, unlimited, tacho.WithUnit("bytes")).With(p.host)
		p.lastSuccess = reg.FloatGaugeVec("push_last_success_timestamp_seconds", "Time of the latest push that succeeded, in Unix seconds.", target, unlimited, tacho.WithUnit("seconds")).With(p.host)
		return p
	})
	return err
}

// Push sends the metrics once, with retries. Push returns nil if the server accepted
// every request. Otherwise Push returns the error of the last attempt, or the joined
// errors of all refused requests. Push returns as soon as ctx ends. After
// [Pusher.Shutdown] or [Pusher.Close], Push returns [ErrClosed].
//
// If the receiver of a [RemoteWrite] refuses some samples, Push sends the other samples
// and returns an error. Push also returns an error if an [OTLP] receiver rejects some samples.
func (p *Pusher) Push(ctx context.Context) error { return p.push(ctx, p.stop, byCall) }

// push is Push, with the rules of the cause.
func (p *Pusher) push(ctx context.Context, stop <-chan struct{}, why cause) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	err := p.exclusive(ctx, stop, func() error {
		p.limit = p.allowed(why)
		return p.send(ctx, stop, why == byTheEnd)
	})
	if err != nil && p.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

// exclusive calls f while no other push runs. Otherwise an earlier state could
// overwrite a later state on the server.
func (p *Pusher) exclusive(ctx context.Context, stop <-chan struct{}, f func() error) error {
	select {
	case <-stop:
		return ErrClosed
	case p.sem <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.sem }()
	// If both channels were ready, select may have chosen p.sem.
	if isClosed(stop) {
		return ErrClosed
	}
	return f()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// send encodes the metrics and sends the resulting requests.
func (p *Pusher) send(ctx context.Context, stop <-chan struct{}, final bool) error {
	err := p.dest.sender.send(ctx, p, stop, final)
	if err == nil {
		p.lastSuccess.SetToCurrentTime()
	}
	return err
}

// Delete removes the metrics of the target's grouping key from a [Pushgateway].
// Delete sends one request, without retries. For all other targets, Delete returns
// an error and sends no request. Delete also works after Shutdown or Close.
//
// Call Delete at the end of a program if its metrics must not outlive the program.
func (p *Pusher) Delete(ctx context.Context) error {
	if !p.dest.deletes {
		return errors.New("tacho: push: only a Pushgateway supports Delete")
	}
	return p.exclusive(ctx, nil, func() error { return p.request(ctx, http.MethodDelete, nil).err })
}

// Run pushes once in every [Config.Interval]. The first push starts at a random time
// within the first interval. When ctx ends, Run returns the error of ctx. After
// Shutdown or Close, Run returns [ErrClosed]. A failed push does not end Run.
//
// At first and after a request that needed retries, a push of Run has no retries. It has retries
// again after the server accepted or refused a request at the first attempt. A push that failed
// is not kept. The next push contains the values of its own time.
//
// If a push takes longer than the interval, Run waits half an interval to one and a half
// intervals before the next push, at random. If Retry-After asks for a longer wait, Run waits
// accordingly, up to one hour, and then for a random part of the interval. So the programs of a
// fleet do not return at the same time after an outage.
func (p *Pusher) Run(ctx context.Context) error {
	timer := time.NewTimer(rand.N(p.interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.stop:
			return ErrClosed
		case <-timer.C:
		}
		start := time.Now()
		err := p.push(ctx, p.stop, byTime)
		if err != nil && err != ErrClosed && ctx.Err() == nil && p.onError != nil {
			p.onError(err)
		}
		timer.Reset(p.pause(time.Since(start), time.Since(p.epoch)))
	}
}

// Shutdown makes Run return, waits for a push in progress, and pushes a last time.
// The push in progress is not retried, but the last push is. Shutdown returns the
// error of the last push. When ctx ends, Shutdown returns and sends no further
// requests. So ctx must not be the context whose end made Run return. After an earlier call of
// Shutdown or Close, Shutdown returns [ErrClosed].
//
// After the last push to a [RemoteWrite], Shutdown sends the stale markers of all series,
// unless NoStaleMarkers is set. If the last push failed, Shutdown sends no stale markers. The same
// holds if the receiver refused all requests for a reason other than their samples, for example
// with the status 401 or 404.
func (p *Pusher) Shutdown(ctx context.Context) error {
	if !p.close() {
		return ErrClosed
	}
	defer p.cancel()
	return p.push(ctx, nil, byTheEnd)
}

// Close makes Run return and cancels a push in progress. Close does not push a last
// time, and sends no stale markers. Use [Pusher.Shutdown] for a last push. Close always returns nil.
func (p *Pusher) Close() error {
	p.close()
	p.cancel()
	return nil
}

// close closes p.stop. It reports whether p.stop was open before.
func (p *Pusher) close() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if isClosed(p.stop) {
		return false
	}
	close(p.stop)
	return true
}
