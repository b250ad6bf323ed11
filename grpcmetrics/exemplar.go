//go:build !tacho_nohttp

package grpcmetrics

import (
	"context"

	"github.com/tachikoma/tacho"
)

// inc adds 1 to c, with the exemplar of ctx.
func inc(ctx context.Context, c *tacho.Counter) { c.AddContext(ctx, 1) }

// observe observes v in h, with the exemplar of ctx.
func observe(ctx context.Context, h *tacho.Histogram, v float64) { h.ObserveContext(ctx, v) }
