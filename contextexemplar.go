//go:build !tacho_nohttp

package tacho

import (
	"context"
	"net/http"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/exemplar"
)

// WithContextExemplars makes f choose the exemplars of [Counter.AddContext],
// [FloatCounter.AddContext], [Histogram.ObserveContext] and [Histogram.ObserveSinceContext], for
// all metrics of a registry. The function f returns label pairs such as "trace_id", id, or none for
// no exemplar; see [Counter.AddExemplar]. The middleware of [HTTPMetrics.Handler] calls f too, unless
// [WithExemplar] is given. The option applies to [NewRegistry] and [Registry.Sub]. If f is nil,
// the option has no effect. A sub-registry without a function has that of its parent.
//
// The function runs after the value was recorded, on the goroutine that records, without a lock. If
// f panics, there is no exemplar and tacho_errors_total{metric,reason="panic"} counts. With a nil
// context, f is not called. It may use the registry. It must not call these four methods with its
// context: they would call f again without end. It may call them with nil.
//
// The function is meant for the trace of a context. It should return nil for a trace that is not sampled: such
// an exemplar refers to nothing, and takes an allocation.
func WithContextExemplars(f func(context.Context) []string) Option {
	var hook *contextHook
	if f != nil {
		hook = &contextHook{f, exemplarsOf(func(r *http.Request) []string { return f(r.Context()) })}
	}
	return func(o *options) {
		o.only(onRegistry|onSub, "WithContextExemplars")
		if hook != nil {
			o.context = unsafe.Pointer(hook)
		}
	}
}

// A contextHook is the function of WithContextExemplars.
type contextHook struct {
	labels  func(context.Context) []string
	request leaveExemplar // of the middleware
}

// call returns the labels of ctx. ok is false if the function panics.
func (k *contextHook) call(ctx context.Context) (labels []string, ok bool) {
	if ctx == nil {
		return nil, true
	}
	defer func() {
		if !ok {
			recover()
		}
	}()
	return k.labels(ctx), true
}

// leave leaves an exemplar of a counter that v was added to.
func (k *contextHook) leave(ctx context.Context, slot *exemplar.Slot, v float64) {
	labels, ok := k.call(ctx)
	if !ok {
		slot.Fault(reasonPanic)
	}
	if len(labels) > 0 {
		slot.Record(v, labels)
	}
}

// AddContext adds n, and leaves the exemplar that the function of [WithContextExemplars] returns
// for ctx. Without that option, AddContext is [Counter.Add]. A nil ctx leaves no exemplar.
func (c *Counter) AddContext(ctx context.Context, n uint64) {
	c.Add(n)
	if hook := exemplar.HookOf(&c.last); hook != nil {
		(*contextHook)(hook).leave(ctx, &c.last, float64(n))
	}
}

// AddContext adds v, and leaves an exemplar; see [Counter.AddContext]. If v is negative or NaN, the
// counter does not change and there is no exemplar; see [FloatCounter.Add].
func (c *FloatCounter) AddContext(ctx context.Context, v float64) {
	if c.add(v) {
		if hook := exemplar.HookOf(&c.last); hook != nil {
			(*contextHook)(hook).leave(ctx, &c.last, v)
		}
	}
}

// ObserveContext observes v, and leaves the exemplar that the function of [WithContextExemplars]
// returns for ctx, as [Histogram.ObserveExemplar] does. Without that option, ObserveContext is
// [Histogram.Observe]. If v is NaN, the histogram does not change and there is no exemplar. A nil
// ctx leaves no exemplar.
func (h *Histogram) ObserveContext(ctx context.Context, v float64) {
	if h.observe(v) < 0 {
		return
	}
	if hook := exemplar.OriginOf(h.def.none).Hook; hook != nil {
		labels, ok := (*contextHook)(hook).call(ctx)
		if !ok {
			h.def.fault(reasonPanic)
		}
		if len(labels) > 0 {
			h.leaveExemplar(v, labels)
		}
	}
}

// ObserveSinceContext observes the seconds since start, as [Histogram.ObserveSince] does. It leaves
// an exemplar; see [Histogram.ObserveContext].
//
// A deferred call of ObserveContext would compute the duration when the function begins:
//
//	defer h.ObserveSinceContext(ctx, time.Now())
func (h *Histogram) ObserveSinceContext(ctx context.Context, start time.Time) {
	h.ObserveContext(ctx, time.Since(start).Seconds())
}
