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

// ErrClosed is what the methods of a [Pusher] return after [Pusher.Shutdown] or
// [Pusher.Close].
var ErrClosed = errors.New("tacho: push: the pusher is closed")

// A Config says what a [Pusher] pushes, how often and how hard it tries. Its zero
// value is ready to use.
type Config struct {
	// Registry is what is pushed; nil means tacho.Default.
	Registry *tacho.Registry
	// Metrics is where the pusher's own metrics are defined; nil means Registry.
	Metrics *tacho.Registry

	// Client sends the requests; nil means http.DefaultClient. A redirect that would
	// make a GET of the request is not followed.
	Client *http.Client
	// Header is sent with every request, such as Authorization or Mimir's
	// X-Scope-OrgID.
	Header http.Header

	// Interval is how often [Pusher.Run] pushes; 0 or less means 15 seconds. Each
	// time differs from it by up to a tenth, at random.
	Interval time.Duration
	// Timeout is how long one attempt may take; 0 or less means 10 seconds.
	Timeout time.Duration
	// Retries is how many attempts may follow a first one that failed, for each
	// request; 0 means 3, and a negative number none. The first waits half a second
	// to a second, each further one twice as long, up to a minute; a server that asks
	// for more than a minute ends the push.
	Retries int
	// MaxBytes is the size of the largest push, in bytes of exposition before
	// compression; 0 or less means 32 MiB. What is larger is not sent.
	MaxBytes int64

	// OnError, if not nil, is called by [Pusher.Run] with the error of each push that
	// failed. Run waits for it.
	OnError func(error)
}

// A Pusher pushes the metrics of a registry. Its methods are safe for concurrent
// use; pushes happen one after another.
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

	turn      chan struct{} // full while somebody pushes
	notBefore atomic.Int64  // when the server wants to see Run again, in Unix nanoseconds

	mu   sync.Mutex
	stop chan struct{}   // closed once there are to be no more pushes, but a last one
	life context.Context // done once there are to be none at all
	end  context.CancelFunc
}

// New returns a pusher. It reports a target that cannot be one, or, if a definition
// conflicts, a *[tacho.DefinitionError]. It starts nothing and sends nothing.
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
		turn:     make(chan struct{}, 1),
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
	own := c.Metrics
	if own == nil {
		own = p.reg
	}
	if err := p.define(own); err != nil {
		return nil, err
	}
	p.client = keepingMethods(c.Client)
	p.life, p.end = context.WithCancel(context.Background())
	return p, nil
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// define defines the pusher's own metrics.
func (p *Pusher) define(reg *tacho.Registry) error {
	target := []string{"target"}
	unlimited := tacho.WithMaxSeries(0) // the program chooses the targets
	_, err := tacho.Try(func() *Pusher {
		p.attempts = reg.CounterVec("push_attempts_total", "Attempts to push metrics, by result.", []string{"target", "result"}, unlimited)
		p.duration = reg.HistogramVec("push_duration_seconds", "Time that an attempt to push took.", nil, target, unlimited, tacho.WithUnit("seconds")).With(p.host)
		p.bodyBytes = reg.GaugeVec("push_body_bytes", "Size of the latest push as it was sent.", target, unlimited, tacho.WithUnit("bytes")).With(p.host)
		p.lastSuccess = reg.FloatGaugeVec("push_last_success_timestamp_seconds", "Time of the latest push that succeeded, in Unix seconds.", target, unlimited, tacho.WithUnit("seconds")).With(p.host)
		return p
	})
	return err
}

// keepingMethods returns the client with redirects that change the method left to
// the caller: a GET instead of a push would succeed and push nothing.
func keepingMethods(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	mine := *c
	mine.CheckRedirect = func(req *http.Request, via []*http.Request) error {
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
	return &mine
}

// Push pushes once, with retries. It returns nil once the server has taken all,
// and else the error of the last attempt, or of each request that was refused. The
// end of ctx ends it at once.
func (p *Pusher) Push(ctx context.Context) error { return p.push(ctx, p.stop) }

func (p *Pusher) push(ctx context.Context, stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	err := p.inTurn(ctx, stop, func() error { return p.send(ctx, stop) })
	if err != nil && p.life.Err() != nil {
		return ErrClosed
	}
	return err
}

// inTurn calls f while nobody else does. Later states must not reach a server
// before earlier ones.
func (p *Pusher) inTurn(ctx context.Context, stop <-chan struct{}, f func() error) error {
	select {
	case <-stop:
		return ErrClosed
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.turn }()
	if isClosed(stop) { // it may have been both
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

// send encodes the metrics and sends what comes of it.
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
		o := p.persist(ctx, stop, b)
		if o.retry {
			return o.err // the others would fare no better
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

// Delete removes what was pushed with the target's grouping key, once and without
// retries. Only a [Pushgateway] can do that; others get an error and no request. It
// is also for after Shutdown or Close: what was pushed need not outlive the program.
func (p *Pusher) Delete(ctx context.Context) error {
	if !p.dest.deletes {
		return errors.New("tacho: push: only a Pushgateway deletes")
	}
	return p.inTurn(ctx, nil, func() error { return p.request(ctx, http.MethodDelete, nil).err })
}

// Run pushes at every interval, beginning at a random time within the first, until
// ctx ends, whose error it returns, or Shutdown or Close is called; then it returns
// [ErrClosed]. Pushes that fail do not end it. One that takes longer than the
// interval makes it miss a turn, and so does a server that asks for more time with
// Retry-After, for up to an hour.
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

// Shutdown makes Run return, waits for a push that is under way without retrying
// it, and pushes a last time, with retries. It returns the error of that push. Once
// ctx ends nothing more is sent. After the first call, and after Close, it returns
// [ErrClosed].
func (p *Pusher) Shutdown(ctx context.Context) error {
	if !p.close() {
		return ErrClosed
	}
	defer p.end()
	return p.push(ctx, nil)
}

// Close makes Run return and ends a push that is under way. It does not push a
// last time; see Shutdown. It returns nil.
func (p *Pusher) Close() error {
	p.close()
	p.end()
	return nil
}

// close lets no new push begin, and reports whether that is new.
func (p *Pusher) close() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if isClosed(p.stop) {
		return false
	}
	close(p.stop)
	return true
}
