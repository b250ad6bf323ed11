//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The values of the flags -receiver, -via, -mode and -scenario.
const (
	victoria   = "victoriametrics"
	prometheus = "prometheus"

	agent   = "agent" // Prometheus in agent mode
	vmagent = "vmagent"

	modeWrite  = "write"
	modeText   = "text"
	modeScrape = "scrape"

	steady  = "steady"
	restart = "restart" // the receiver ends by SIGTERM and starts again
	kill    = "kill"    // the receiver ends by SIGKILL and starts again
	hang    = "hang"    // the receiver accepts connections and does not respond
	busy    = "busy"    // the receiver responds to a part of the requests with the status 429
	skewed  = "skew"    // the clock of some programs is wrong
	twins   = "twins"   // two programs have the same labels
)

// A config describes a run.
type config struct {
	scenario, receiver, mode string
	via                      string // an agent between the programs and the receiver, or ""
	programs, series         int
	interval                 time.Duration
	warm, measured           time.Duration
	down                     time.Duration // of restart, kill and hang
	capacity                 float64       // of busy: the part of the pushes that the receiver admits
	after                    time.Duration // of busy: Retry-After
	skew                     time.Duration
	skewedPrograms           int
	window                   time.Duration // out-of-order time window of Prometheus
	connections              int           // --web.max-connections of Prometheus and its agent, or 0
	queue                    time.Duration // -insert.maxQueueDuration of VictoriaMetrics, or 0
	shared                   bool          // one transport for all programs
	victoriaPath             string
	prometheusPath           string
	vmagentPath              string
	base                     string // URL of a receiver that runs already, for tests
}

// A fleet is a run in progress.
type fleet struct {
	c        *config
	server   *server // nil if c.base is set
	agent    *server // nil without c.via
	traffic  *traffic
	programs []*program
	running  sync.WaitGroup
}

// run runs the scenario of c and returns its measurements.
func run(ctx context.Context, c *config) (*result, error) {
	// The process and its receiver end if a step of the run does not return.
	ctx, cancel := context.WithTimeout(ctx, c.warm+c.measured+c.down+8*c.interval+8*time.Minute)
	defer cancel()
	f := &fleet{c: c, traffic: &traffic{}}
	defer f.closeServers()
	base, err := f.startServers(ctx)
	if err != nil {
		return nil, err
	}
	r := newResult(c)
	empty := memory()
	for n := range c.programs {
		f.programs = append(f.programs, newProgram(n, c))
	}
	r.RegistryKiB = (memory() - empty) / 1024 / float64(c.programs)
	stop, err := f.start(ctx, base)
	defer stop()
	if err != nil {
		return nil, err
	}

	// All programs started at the same time.
	if err := wait(ctx, c.warm); err != nil {
		return nil, err
	}
	r.StartMean, r.StartPeak = f.traffic.rate(0, max(1, int(c.interval/time.Second)))
	before := f.mark(ctx)
	if err := wait(ctx, c.measured); err != nil {
		return nil, err
	}
	after := f.mark(ctx)
	r.set(before, after, f)
	r.ProgramKiB = (memory() - empty) / 1024 / float64(c.programs)
	if err := f.event(ctx, r, empty); err != nil {
		return nil, err
	}
	stop()
	return r, f.losses(ctx, r)
}

// startServers starts the receiver and the agent. It returns the URL for the programs.
func (f *fleet) startServers(ctx context.Context) (base string, err error) {
	c := f.c
	if c.base != "" {
		return c.base, nil
	}
	if f.server, err = startServer(ctx, c, c.receiver, ""); err != nil {
		return "", err
	}
	if c.via == "" {
		return f.server.url, nil
	}
	if f.agent, err = startServer(ctx, c, c.via, f.server.url); err != nil {
		return "", err
	}
	return f.agent.url, nil
}

// closeServers stops the servers that startServers started.
func (f *fleet) closeServers() {
	if f.agent != nil {
		f.agent.close()
	}
	if f.server != nil {
		f.server.close()
	}
}

// start starts the programs at the same time. The function stop ends the programs. The caller also calls stop after
// an error.
func (f *fleet) start(ctx context.Context, base string) (stop func(), err error) {
	c := f.c
	f.traffic.start = time.Now()
	if c.mode == modeScrape {
		s, err := serve(f.programs, f.traffic, f.server.targets())
		if err != nil {
			return func() {}, err
		}
		return func() { s.Close() }, nil
	}
	var proxy *front
	if c.scenario == busy {
		nominal := float64(c.programs) / c.interval.Seconds()
		if proxy, err = newFront(base, nominal*c.capacity, c.after); err != nil {
			return func() {}, err
		}
		base = proxy.url
	}
	stop = func() {
		for _, p := range f.programs {
			if p.pusher != nil {
				p.pusher.Close()
			}
		}
		f.running.Wait()
		if proxy != nil {
			proxy.server.Close()
		}
	}
	transport := newTransport(f.traffic)
	for i, p := range f.programs {
		w := &wire{traffic: f.traffic, transport: transport}
		if !c.shared {
			w.transport = newTransport(f.traffic)
		}
		if i < c.skewedPrograms {
			w.skew = c.skew
		}
		if err := p.connect(base, c, w); err != nil {
			return stop, err
		}
	}
	f.traffic.start = time.Now()
	for _, p := range f.programs {
		f.running.Add(1)
		go func() {
			defer f.running.Done()
			p.pusher.Run(ctx)
		}()
	}
	return stop, nil
}

// event interrupts the receiver and waits until the programs push again.
func (f *fleet) event(ctx context.Context, r *result, empty float64) error {
	c := f.c
	var begin, end func() error
	switch c.scenario {
	case restart, kill:
		signal := syscall.SIGTERM
		if c.scenario == kill {
			signal = syscall.SIGKILL
		}
		begin = func() error { f.server.stop(signal); return nil }
		end = func() error { return f.server.start(ctx) }
	case hang:
		begin = func() error { return f.server.cmd.Process.Signal(syscall.SIGSTOP) }
		end = func() error { return f.server.cmd.Process.Signal(syscall.SIGCONT) }
	default:
		return nil
	}
	began, requests := time.Now(), f.traffic.requests.Load()
	if err := begin(); err != nil {
		return err
	}
	if err := wait(ctx, time.Until(began.Add(c.down))); err != nil {
		return errors.Join(err, end())
	}
	r.DownKiB = (memory() - empty) / 1024 / float64(c.programs)
	r.DownGoroutines = float64(runtime.NumGoroutine()) / float64(c.programs)
	if err := end(); err != nil {
		return err
	}
	// The attempts of a push of every program in each interval would be 1.
	took := time.Since(began)
	r.DownAttempts = float64(f.traffic.requests.Load()-requests) * c.interval.Seconds() / took.Seconds() / float64(c.programs)
	from := int(time.Since(f.traffic.start) / time.Second)
	if err := wait(ctx, 2*c.interval); err != nil {
		return err
	}
	r.AfterMean, r.AfterPeak = f.traffic.rate(from, from+int(c.interval/time.Second))
	return nil
}

// losses compares the expositions of the programs with the stored samples.
func (f *fleet) losses(ctx context.Context, r *result) error {
	for _, p := range f.programs {
		r.Expositions += float64(p.beats.Load())
	}
	t := f.traffic
	r.Retries, r.Late, r.LongestDelay = float64(t.retries.Load()), float64(t.late.Load()), t.longest.Seconds()
	r.Accepted, r.Refused, r.Failed = float64(t.accepted.Load()), float64(t.refused.Load()), float64(t.failed.Load())
	if f.server == nil {
		return nil
	}
	settle := 5 * time.Second // VictoriaMetrics shows new samples after seconds
	if f.agent != nil {
		settle = 40 * time.Second // an agent sends the samples of an outage with waits between the attempts
	}
	stopped := time.Now()
	if err := wait(ctx, settle); err != nil {
		return err
	}
	now := time.Now()
	whole := now.Sub(t.start) + time.Minute + 2*f.c.skew.Abs()
	samples, err := f.server.query(ctx, fmt.Sprintf("sum(count_over_time(%s[%ds]))", beatName, int(whole/time.Second)), now.Add(f.c.skew.Abs()))
	if err != nil {
		return err
	}
	r.StoredExpositions = samples
	if r.Resets, err = f.server.query(ctx, fmt.Sprintf("sum(resets(%s[%ds]))", beatName, int(whole/time.Second)), now); err != nil {
		return err
	}
	if f.c.scenario == twins || f.c.scenario == skewed {
		return nil
	}
	// A step is longer than the largest time between two pushes of Run.
	step := f.c.interval * 12 / 10
	for at := t.start.Add(f.c.interval + step); at.Before(stopped.Add(-step)); at = at.Add(step) {
		n, err := f.server.query(ctx, fmt.Sprintf("count(count_over_time(%s[%dms]))", beatName, step.Milliseconds()), at)
		if err != nil {
			return err
		}
		r.Steps += float64(f.c.programs)
		r.EmptySteps += float64(f.c.programs) - n
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// memory returns the bytes of the heap and the stacks after a collection.
func memory() float64 {
	runtime.GC()
	runtime.GC() // the second collection ends the sweep and empties sync.Pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
