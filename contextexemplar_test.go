//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

type contextTrace struct{}

func traced(id string) context.Context {
	return context.WithValue(context.Background(), contextTrace{}, id)
}

// traceOf returns the trace ID of a context as an exemplar, or nil.
func traceOf(ctx context.Context) []string {
	if id, ok := ctx.Value(contextTrace{}).(string); ok {
		return []string{"trace_id", id}
	}
	return nil
}

// TestOriginIsTwoFields: the fields fault and hook of a family are an exemplar.Origin.
func TestOriginIsTwoFields(t *testing.T) {
	f := NewRegistry(WithContextExemplars(traceOf)).CounterVec("c_total", "", nil).fam
	if unsafe.Offsetof(f.hook)-unsafe.Offsetof(f.fault) != unsafe.Sizeof(uintptr(0)) {
		t.Error("the fields are not adjacent")
	}
}

// TestContextExemplars: the exemplar of the context is in OpenMetrics and in protobuf.
func TestContextExemplars(t *testing.T) {
	r := NewRegistry(WithContextExemplars(traceOf))
	c, f := r.Counter("c_total", ""), r.FloatCounter("f_total", "")
	h, n := r.Histogram("h", "", []float64{1, 2}), r.Histogram("n", "", nil, WithNative())
	for _, ctx := range []context.Context{traced("abc"), context.Background(), nil} {
		c.AddContext(ctx, 2)
		f.AddContext(ctx, 0.5)
		h.ObserveContext(ctx, 1.5)
		n.ObserveContext(ctx, 1.5)
	}
	got := open(t, r)
	for _, want := range []string{`c_total 6.0 # {trace_id="abc"} 2`, `f_total 1.5 # {trace_id="abc"} 0.5`, `h_bucket{le="2.0"} 3 # {trace_id="abc"} 1.5`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if n.Snapshot().Count != 3 || (*n.last.Load())[0].Load().Labels != `{trace_id="abc"}` {
		t.Error("no exemplar of native buckets")
	}
	var b bytes.Buffer
	if err := r.WriteProtobuf(&b); err != nil || strings.Count(b.String(), "trace_id") != 4 {
		t.Errorf("%v: %d exemplars in protobuf, want 4", err, strings.Count(b.String(), "trace_id"))
	}
	if strings.Contains(got, "tacho_errors_total") {
		t.Errorf("errors:\n%s", got)
	}
}

// TestContextExemplarFaults: a function that panics or returns bad labels leaves no exemplar. The
// value is recorded, and the fault is counted for the metric.
func TestContextExemplarFaults(t *testing.T) {
	var result func() []string
	calls := 0
	r := NewRegistry(WithContextExemplars(func(context.Context) []string { calls++; return result() }))
	c, f, h := r.Counter("c_total", ""), r.FloatCounter("f_total", ""), r.Histogram("h", "", []float64{1})
	for _, result = range []func() []string{
		func() []string { panic("x") }, func() []string { return []string{"odd"} }, func() []string { text(t, r); return nil },
	} {
		c.AddContext(context.Background(), 1)
		f.AddContext(context.Background(), 1)
		h.ObserveContext(context.Background(), 1)
	}
	f.AddContext(context.Background(), -1)
	f.AddContext(context.Background(), math.NaN())
	h.ObserveContext(context.Background(), math.NaN())
	if c.Value() != 3 || f.Value() != 3 || h.Snapshot().Count != 3 || calls != 9 {
		t.Errorf("%d, %v, %d recorded, %d calls, want 3 and 9", c.Value(), f.Value(), h.Snapshot().Count, calls)
	}
	got := open(t, r)
	for _, metric := range []string{"c_total", "f_total", "h"} {
		for _, reason := range []string{"panic", "exemplar"} {
			if want := `tacho_errors_total{metric="` + metric + `",reason="` + reason + `"} 1`; !strings.Contains(got, want) {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
	}
	if strings.Contains(got, "# {") {
		t.Errorf("an exemplar in\n%s", got)
	}
}

// TestContextWithoutHook: without the option, and in a metric without a registry, the methods record.
func TestContextWithoutHook(t *testing.T) {
	ctx := traced("abc")
	for _, r := range []*Registry{NewRegistry(), NewRegistry(WithContextExemplars(nil))} {
		c, h := r.Counter("c_total", ""), r.Histogram("h", "", nil)
		c.AddContext(ctx, 3)
		h.ObserveContext(ctx, 1)
		if c.Value() != 3 || h.Snapshot().Count != 1 || strings.Contains(open(t, r), "# {") {
			t.Errorf("%s", open(t, r))
		}
	}
	var c Counter
	var f FloatCounter
	var h Histogram
	c.AddContext(ctx, 1)
	f.AddContext(ctx, 1)
	h.ObserveContext(ctx, 1)
	if c.Value() != 1 || f.Value() != 1 {
		t.Errorf("%d %v", c.Value(), f.Value())
	}
}

// TestContextAllocations: a function that returns nil causes no allocation.
func TestContextAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	r := NewRegistry(WithContextExemplars(func(context.Context) []string { return nil }))
	c, f, h := r.Counter("c_total", ""), r.FloatCounter("f_total", ""), r.Histogram("h", "", nil)
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { c.AddContext(ctx, 1); f.AddContext(ctx, 1); h.ObserveContext(ctx, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMiddlewareContextExemplars: the middleware passes the context of the request, unless
// WithExemplar is given.
func TestMiddlewareContextExemplars(t *testing.T) {
	for want, opts := range map[string][]Option{
		`{trace_id="abc"}`: nil,
		`{own="1"}`:        {WithExemplar(func(*http.Request) []string { return []string{"own", "1"} })},
	} {
		r := NewRegistry(WithContextExemplars(traceOf))
		h := NewHTTPMetrics(r, opts...).Handler(http.NotFoundHandler())
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(traced("abc")))
		if got := open(t, r); strings.Count(got, "# "+want) != 3 {
			t.Errorf("not 3 exemplars %s in\n%s", want, got)
		}
	}
}

// TestConcurrentContextExemplars: each exemplar is one that a goroutine recorded.
func TestConcurrentContextExemplars(t *testing.T) {
	r := NewRegistry(WithContextExemplars(traceOf))
	v, h := r.CounterVec("c_total", "", []string{"l"}), r.Histogram("h", "", []float64{1})
	ids := [2]context.Context{traced("aa"), traced("bb")}
	testkit.Hammer(300, func(i int) {
		v.With("x").AddContext(ids[i&1], 1)
		h.ObserveContext(ids[i&1], 1)
		if i%50 == 0 {
			v.Replace(func(set *CounterVec) { set.With("x").AddContext(ids[i&1], 1) })
		}
	})
	v.With("x").AddContext(ids[0], 1)
	if got := open(t, r); !strings.Contains(got, `# {trace_id="aa"} 1`) {
		t.Errorf("no exemplar in\n%s", got)
	}
}

// FuzzContextExemplars: a scrape is valid, whatever labels the function returns.
func FuzzContextExemplars(f *testing.F) {
	f.Add("trace_id", "abc")
	f.Add("", "\xff")
	f.Add("a b", "\x00\"\\\n")
	f.Fuzz(func(t *testing.T, name, value string) {
		r := NewRegistry(WithContextExemplars(func(context.Context) []string { return []string{name, value} }))
		c := r.Counter("c_total", "")
		c.AddContext(context.Background(), 1)
		refused := strings.Contains(text(t, r), `reason="exemplar"`)
		if c.Value() != 1 || refused == strings.Contains(open(t, r), "# {") {
			t.Errorf("%q, %q: refused %v\n%s", name, value, refused, open(t, r))
		}
	})
}
