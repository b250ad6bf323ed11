//go:build tacho_nohttp

package grpcmetrics

import (
	"context"

	"github.com/tachikoma/tacho"
)

// The tag tacho_nohttp leaves out tacho.WithContextExemplars.

func inc(_ context.Context, c *tacho.Counter) { c.Inc() }

func observe(_ context.Context, h *tacho.Histogram, v float64) { h.Observe(v) }
