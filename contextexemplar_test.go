//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
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
	var f family
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
		if got := open(t, r); c.Value() != 3 || h.Snapshot().Count != 1 || strings.Contains(got, "# {") || strings.Contains(got, "tacho_errors_total") {
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

// TestContextExemplarsOfSubRegistries: a sub-registry has the function of its parent unless it has
// one of its own. The middleware uses the function of its registry.
func TestContextExemplarsOfSubRegistries(t *testing.T) {
	own := func(context.Context) []string { return []string{"own", "1"} }
	r := NewRegistry(WithContextExemplars(traceOf))
	for prefix, c := range map[string]struct {
		reg  *Registry
		want string
	}{
		"inherits_":   {r.Sub(WithPrefix("inherits_")), `{trace_id="abc"}`},
		"two_levels_": {r.Sub().Sub(WithPrefix("two_levels_")), `{trace_id="abc"}`},
		"nil_":        {r.Sub(WithPrefix("nil_"), WithContextExemplars(nil)), `{trace_id="abc"}`},
		"own_":        {r.Sub(WithPrefix("own_"), WithContextExemplars(own)), `{own="1"}`},
		"below_own_":  {r.Sub(WithContextExemplars(own)).Sub(WithPrefix("below_own_")), `{own="1"}`},
		"only_":       {NewRegistry().Sub(WithPrefix("only_"), WithContextExemplars(own)), `{own="1"}`},
	} {
		c.reg.Counter("c_total", "").AddContext(traced("abc"), 1)
		c.reg.HistogramVec("h", "", []float64{1}, []string{"l"}).With("x").ObserveContext(traced("abc"), 1)
		h := NewHTTPMetrics(c.reg).Handler(http.NotFoundHandler())
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(traced("abc")))
		n := 0
		for line := range strings.Lines(open(t, c.reg)) {
			if strings.HasPrefix(line, prefix) && strings.Contains(line, "# "+c.want) {
				n++
			}
		}
		if n != 5 {
			t.Errorf("%s: %d exemplars %s, want 5 in\n%s", prefix, n, c.want, open(t, c.reg))
		}
	}
}

// TestObserveSinceContext: the value is the time since start, also by defer, and its exemplar has
// that value.
func TestObserveSinceContext(t *testing.T) {
	r := NewRegistry(WithContextExemplars(traceOf))
	h := r.Histogram("h", "", []float64{10, 1000})
	func() { defer h.ObserveSinceContext(traced("abc"), time.Now().Add(-100*time.Second)) }()
	x := (*h.last.Load())[1].Load()
	if s := h.Snapshot(); s.Count != 1 || s.Sum < 100 || s.Sum >= 1000 || x == nil || x.Labels != `{trace_id="abc"}` || x.Value != s.Sum {
		t.Errorf("%+v with the exemplar %+v, want one value from 100 to 1000", s, x)
	}
	new(Histogram).ObserveSinceContext(traced("abc"), time.Now())
}

// TestContextExemplarsOfReturningSeries: an exemplar of a context is in a series that came back after
// it was replaced or had expired. A series that Replace keeps has its exemplar.
func TestContextExemplarsOfReturningSeries(t *testing.T) {
	r := NewRegistry(WithContextExemplars(traceOf))
	v := r.CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Nanosecond))
	c := v.With("x")
	c.AddContext(traced("old"), 1)
	text(t, r)
	time.Sleep(time.Millisecond)
	if got := open(t, r); strings.Contains(got, "trace_id") {
		t.Errorf("an exemplar of an expired series:\n%s", got)
	}
	c.AddContext(traced("back"), 1)
	if got := open(t, r); !strings.Contains(got, `c_total{l="x"} 2.0 # {trace_id="back"} 1`) {
		t.Errorf("no exemplar after the return of the series:\n%s", got)
	}
	g := r.HistogramVec("h", "", []float64{1}, []string{"l"})
	g.With("gone").ObserveContext(traced("gone"), 1)
	g.With("kept").ObserveContext(traced("kept"), 1)
	g.Replace(func(set *HistogramVec) { set.With("kept").ObserveContext(traced("new"), 1) })
	if got := open(t, r); strings.Contains(got, "gone") || strings.Contains(got, `"kept"}  # `) || !strings.Contains(got, `h_bucket{l="kept",le="1.0"} 1 # {trace_id="new"} 1`) {
		t.Errorf("after Replace:\n%s", got)
	}
}

// TestContextFunctionUsesTheRegistry: the function may define, look up, record without its context,
// and scrape.
func TestContextFunctionUsesTheRegistry(t *testing.T) {
	var r *Registry
	r = NewRegistry(WithContextExemplars(func(ctx context.Context) []string {
		calls := r.CounterVec("calls_total", "", []string{"l"})
		calls.With("x").Inc()
		var none context.Context
		calls.With("y").AddContext(none, 1)
		r.Histogram("inner", "", nil).Observe(1)
		r.Unregister("inner")
		return []string{"n", strconv.Itoa(strings.Count(text(t, r), "calls_total{"))}
	}))
	r.Counter("c_total", "").AddContext(context.Background(), 1)
	r.Histogram("h", "", []float64{1}).ObserveContext(context.Background(), 1)
	h := NewHTTPMetrics(r).Handler(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if got := open(t, r); strings.Count(got, `# {n="2"} `) != 5 || !strings.Contains(got, `calls_total{l="x"} 3`) {
		t.Errorf("not 5 exemplars of 3 calls in\n%s", got)
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
