//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"fmt"
)

var errNoReturn = errors.New("tacho: push: a function of the registry ended its goroutine")

// collect returns the result of encode, which runs in a goroutine of its own. collect
// returns an error as soon as ctx or p.timeout ends, even if encode does not return. A
// call of encode never starts while another call runs.
//
// The functions and collectors of a registry belong to the program, so they can block.
// encode gets a context that ends when collect returns.
func collect[T any](ctx context.Context, p *Pusher, encode func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	ended := func() error {
		p.attempts.With(p.host, "unsent").Inc()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("tacho: push: the registry did not return its metrics within %v: %w", p.timeout, limited.Err())
	}
	select {
	case p.encoding <- struct{}{}:
	case <-limited.Done():
		return none, ended()
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errNoReturn}
		defer func() { // also after runtime.Goexit in a function of the registry
			<-p.encoding
			done <- r
		}()
		value, err := encode(limited)
		r = result{value, err}
	}()
	select {
	case r := <-done:
		if r.err == nil {
			return r.value, nil
		}
		if limited.Err() != nil {
			return none, ended()
		}
		p.attempts.With(p.host, "unsent").Inc()
		return none, r.err
	case <-limited.Done():
		return none, ended()
	}
}
