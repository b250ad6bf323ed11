//go:build !tacho_nohttp

package dashboard

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/history"
)

const (
	// maxAge is the age of the newest step from which a request asks for a step. Requests cause at
	// most one step in this time.
	maxAge = time.Second

	// maxTimeout is the longest time that the functions of a registry have for a step.
	maxTimeout = 5 * time.Second

	// patience is the time that a request waits for a step. A function can take longer.
	patience = 500 * time.Millisecond
)

// A sampler adds steps to a ring on one goroutine, until stop.
type sampler struct {
	ring     *history.Ring
	write    func(ctx context.Context, w io.Writer) error // Registry.WriteProtobufContext
	interval time.Duration
	demand   chan struct{} // has an element if a request waits for a step
	ctx      context.Context
	stop     context.CancelFunc
	ended    chan struct{} // closed when run returns

	mu   sync.Mutex
	last time.Time     // the begin of the last step, also if the step failed
	next chan struct{} // closed at the end of the next step
}

func newSampler(reg *tacho.Registry, ring *history.Ring, interval time.Duration) *sampler {
	s := &sampler{
		ring: ring, write: reg.WriteProtobufContext, interval: interval,
		demand: make(chan struct{}, 1), ended: make(chan struct{}), next: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// run adds a step now, at each interval, and on demand. A tick is skipped if a request caused a step just
// before. A Ticker drops the ticks of the time in which the machine slept.
func (s *sampler) run() {
	defer close(s.ended)
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	s.sample()
	for {
		s.wake()
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			if s.age() >= s.least()/2 {
				s.sample()
			}
		case <-s.demand:
			if s.age() >= s.least() {
				s.sample()
			}
		}
	}
}

// least returns the least time between two steps that requests cause.
func (s *sampler) least() time.Duration { return min(maxAge, s.interval) }

// sample adds a step. A step without an end of the functions in time has the values of the other
// families. A panic ends the step and not the program.
func (s *sampler) sample() {
	now := time.Now()
	s.mu.Lock()
	s.last = now
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, min(max(s.interval, maxAge), maxTimeout))
	defer cancel()
	defer func() { _ = recover() }()
	// After an error there is no step, which the page shows as a gap.
	_ = s.ring.Sample(now, func(w io.Writer) error { return s.write(ctx, w) })
}

// age returns the time since the begin of the last step.
func (s *sampler) age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.last)
}

// wake ends the waits of refresh.
func (s *sampler) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.next)
	s.next = make(chan struct{})
}

// refresh asks for a step if the newest is old. It returns at the end of the step, or when patience, ctx
// or the sampler ends.
func (s *sampler) refresh(ctx context.Context) {
	s.mu.Lock()
	next, old := s.next, time.Since(s.last) >= s.least()
	s.mu.Unlock()
	if !old {
		return
	}
	select {
	case s.demand <- struct{}{}:
	default: // another request asked
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-next:
	case <-timer.C:
	case <-ctx.Done():
	case <-s.ended:
	}
}
