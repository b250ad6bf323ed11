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
)

// ErrClosed is the error of [Pusher.Push], [Pusher.Run] and [Pusher.Shutdown] after
// a call of [Pusher.Shutdown] or [Pusher.Close].
var ErrClosed = errors.New("tacho: push: the pusher is closed")

// A Config configures a [Pusher]. The zero value is ready to use.
type Config struct {
	// Registry is the registry to push. If Registry is nil, tacho.Default is pushed.
	Registry *tacho.Registry
	// Metrics is the registry for the metrics of the pusher. If Metrics is nil, the
	// metrics of the pusher are defined in Registry.
	Metrics *tacho.Registry

	// Client sends the requests. If Client is nil, http.DefaultClient sends the
	// requests. A redirect is not followed if the redirect changes the method.
	//
	// After such a redirect, a GET could succeed without a push.
	Client *http.Client
	// Header is sent with every request, for example Authorization or Mimir's
	// X-Scope-OrgID. New copies Header. Content-Type and Content-Encoding of a push
	// always describe the format of the target.
	Header http.Header

	// Interval is the time between two pushes of [Pusher.Run]. If Interval is 0 or
	// less, Run pushes every 15 seconds. Each wait differs from Interval by up to a
	// tenth, at random.
	Interval time.Duration
	// Timeout limits the duration of one attempt. If Timeout is 0 or less, the limit
	// is 10 seconds.
	Timeout time.Duration
	// Retries is the maximum number of retries for each request. The value 0 means 3
	// retries, and a negative value disables retries. The wait before the first retry
	// is half a second to a second. Each further wait is twice as long, up to one
	// minute. If the server asks for more than one minute, the push ends.
	Retries int
	// MaxBytes limits the size of a push, in bytes of exposition before compression.
	// If MaxBytes is 0 or less, the limit is 32 MiB. A larger push returns an error
	// and is not sent.
	MaxBytes int64

	// OnError is called by [Pusher.Run] with the error of each failed push, unless
	// OnError is nil. Run waits until OnError returns.
	OnError func(error)
}

// A Pusher pushes the metrics of a registry. All methods are safe for concurrent use.
// Concurrent pushes run one after another.
type Pusher struct {
	dest     *destination
	reg      *tacho.Registry
	client   *http.Client
	header   http.Header
	interval time.Duration
	timeout  time.Duration
	retries  int
	backoff  time.Duration // before the first retry
	maxBytes int64
	onError  func(error)

	attempts    *tacho.CounterVec
	duration    *tacho.Histogram
	lastSuccess *tacho.FloatGauge
	bodyBytes   *tacho.Gauge
	host        string

	sem       chan struct{} // semaphore: holds an element during a push
	notBefore atomic.Int64  // Run does not push before this time, in Unix nanoseconds

	mu     sync.Mutex
	stop   chan struct{}   // closed by Shutdown and Close; only Shutdown's push may start later
	ctx    context.Context // every push ends with ctx
	cancel context.CancelFunc
}

// New returns a Pusher for t. If t is invalid, New returns an error. If a metric
// definition conflicts with the registry, the error is a *[tacho.DefinitionError]. New
// starts no goroutine and sends no request.
func New(t Target, c Config) (*Pusher, error) {
	dest, err := t.resolve()
	if err != nil {
		return nil, err
	}
	p := &Pusher{
		dest:     dest,
		reg:      c.Registry,
		header:   c.Header.Clone(),
		interval: c.Interval,
		timeout:  c.Timeout,
		retries:  c.Retries,
		backoff:  time.Second,
		maxBytes: c.MaxBytes,
		onError:  c.OnError,
		host:     dest.url.Host,
		sem:      make(chan struct{}, 1),
		stop:     make(chan struct{}),
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
	if err := p.define(metrics); err != nil {
		return nil, err
	}
	p.client = withoutMethodChange(c.Client)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// define defines the metrics of the pusher in reg.
func (p *Pusher) define(reg *tacho.Registry) error {
	target := []string{"target"}
	unlimited := tacho.WithMaxSeries(0) // the number of targets is set by the program
	_, err := tacho.Try(func() *Pusher {
		p.attempts = reg.CounterVec("push_attempts_total", "Attempts to push metrics, by result.", []string{"target", "result"}, unlimited)
		p.duration = reg.HistogramVec("push_duration_seconds", "Time that an attempt to push took.", nil, target, unlimited, tacho.WithUnit("seconds")).With(p.host)
		p.bodyBytes = reg.GaugeVec("push_body_bytes", "Size of the latest push as it was sent.", target, unlimited, tacho.WithUnit("bytes")).With(p.host)
		p.lastSuccess = reg.FloatGaugeVec("push_last_success_timestamp_seconds", "Time of the latest push that succeeded, in Unix seconds.", target, unlimited, tacho.WithUnit("seconds")).With(p.host)
		return p
	})
	return err
}

// withoutMethodChange returns a copy of c. The copy returns the response of a redirect
// to the caller if the redirect changes the method. A GET instead of a push could
// succeed, although no metrics were sent.
func withoutMethodChange(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	limited := *c
	limited.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case req.Method != via[0].Method:
			return http.ErrUseLastResponse
		case c.CheckRedirect != nil:
			return c.CheckRedirect(req, via)
		case len(via) >= 10:
			return errors.New("too many redirects")
		}
		return nil
	}
	return &limited
}

// Push sends the metrics once, with retries. Push returns nil if the server accepted
// every request. Otherwise Push returns the error of the last attempt, or the joined
// errors of all refused requests. Push returns as soon as ctx ends. After
// [Pusher.Shutdown] or [Pusher.Close], Push returns [ErrClosed].
func (p *Pusher) Push(ctx context.Context) error { return p.push(ctx, p.stop) }

func (p *Pusher) push(ctx context.Context, stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	err := p.exclusive(ctx, stop, func() error { return p.send(ctx, stop) })
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
func (p *Pusher) send(ctx context.Context, stop <-chan struct{}) error {
	bodies, err := p.dest.encode(p.reg, p.maxBytes)
	if err != nil {
		p.attempts.With(p.host, "unsent").Inc()
		return err
	}
	size := 0
	for _, b := range bodies {
		size += len(b)
	}
	p.bodyBytes.Set(int64(size))
	var refused []error
	for _, b := range bodies {
		o := p.sendWithRetries(ctx, stop, b)
		if o.retry {
			return o.err // the remaining requests would probably fail too
		}
		if o.err != nil {
			refused = append(refused, o.err)
		}
	}
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	p.lastSuccess.SetToCurrentTime()
	return nil
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
// If a push takes longer than the interval, Run waits another interval before the
// next push. If Retry-After asks for a longer wait, Run waits accordingly, up to one
// hour.
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
		err := p.Push(ctx)
		if err != nil && err != ErrClosed && ctx.Err() == nil && p.onError != nil {
			p.onError(err)
		}
		wait := p.interval*9/10 + rand.N(p.interval/5+1)
		if took := time.Since(start); took < wait {
			wait -= took
		}
		timer.Reset(max(wait, time.Until(time.Unix(0, p.notBefore.Load()))))
	}
}

// Shutdown makes Run return, waits for a push in progress, and pushes a last time.
// The push in progress is not retried, but the last push is. Shutdown returns the
// error of the last push. When ctx ends, Shutdown returns and sends no further
// requests. After an earlier call of Shutdown or Close, Shutdown returns [ErrClosed].
func (p *Pusher) Shutdown(ctx context.Context) error {
	if !p.close() {
		return ErrClosed
	}
	defer p.cancel()
	return p.push(ctx, nil)
}

// Close makes Run return and cancels a push in progress. Close does not push a last
// time. Use [Pusher.Shutdown] for a last push. Close always returns nil.
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
