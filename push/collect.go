//go:build !tacho_nohttp

package push

import (
	"context"
	"fmt"
)

// collect returns the result of encode, whose context ends with ctx or after p.timeout.
// Functions of the registry that take longer are left out of the push; see
// [tacho.Registry.WriteTextContext].
func collect[T any](ctx context.Context, p *Pusher, encode func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	value, err := encode(limited)
	if err == nil {
		return value, nil
	}
	p.attempts.With(p.host, "unsent").Inc()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case limited.Err() != nil:
		err = fmt.Errorf("tacho: push: the metrics were not encoded within %v: %w", p.timeout, limited.Err())
	}
	var none T
	return none, err
}
