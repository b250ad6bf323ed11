package conformance

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/tachikoma/tacho"
)

// subRegistries adds random sub-registries to a random registry.
func subRegistries(g *generator, parent *tacho.Registry, utf8Names bool) {
	regs := []*tacho.Registry{parent}
	for range g.n(12) {
		name := g.name(utf8Names)
		var labels []string
		if g.oneIn(2) {
			labels = []string{g.labelName(utf8Names)}
		}
		values := func() (values []string) {
			for range labels {
				values = append(values, g.text())
			}
			return values
		}
		_, _ = tacho.Try(func() bool { // some definitions are refused
			r := regs[g.n(len(regs))]
			if g.oneIn(2) {
				r = r.Sub(tacho.WithConstLabels(pick(g, []string{"sub", "pool"}), g.text()), tacho.WithPrefix(pick(g, []string{"", "p_"})))
				regs = append(regs, r)
			}
			switch g.n(5) {
			case 0:
				r.CounterVec(name, "", labels).With(values()...).Inc()
			case 1:
				r.FloatGaugeVec(name, "", labels).With(values()...).Set(g.float())
			case 2:
				r.HistogramVec(name, "", []float64{1}, labels).With(values()...).Observe(2)
			case 3:
				v := g.float()
				r.GaugeFuncVec(name, "", labels).Func(func() float64 { return v }, values()...)
			case 4:
				v, value := g.float(), g.text()
				r.Collect(func(e *tacho.Emitter) {
					e.Gauge(name, "", v, "l", value)
					e.Fallback().Gauge(name+"_f", "", v, "l", value)
				})
			}
			return true
		})
	}
}

// read parses a scrape with the parser of Prometheus, which must accept every scrape.
func read(t *testing.T, data []byte, contentType string) *exposition {
	t.Helper()
	e, err := readTextparse(data, contentType)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return e
}

// contains checks that e has the samples of part, without the registry's own metrics.
func (e *exposition) contains(t *testing.T, part *exposition) {
	t.Helper()
	// OpenMetrics can call a family by another name if another registry has a family x beside x_total. The counter
	// x_total then has the type unknown and no time of creation.
	all := map[string]*sample{}
	for _, f := range e.families {
		maps.Copy(all, f.samples)
	}
	for name, f := range part.families {
		if strings.HasPrefix(name, "tacho_") {
			continue
		}
		plain := e.families[name+"_total"]
		for key, s := range f.samples {
			if got := all[key]; got == nil {
				if f.kind == "counter" && strings.HasPrefix(key, name+"_created") && plain != nil && plain.kind == "unknown" {
					continue
				}
				t.Fatalf("no sample %s", key)
			} else if got.value != s.value && s.value == s.value {
				t.Fatalf("%s is %v, want %v", key, got.value, s.value)
			}
		}
	}
}

// FuzzComposition: Prometheus accepts each scrape of registries with sub-registries, and of joined
// registries. A joined registry has all samples of its first registry.
func FuzzComposition(f *testing.F) {
	seed(f, 60)
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &generator{data}
		utf8Names := g.oneIn(2)
		half := len(g.data) / 2
		a := newRandomRegistry(t, &generator{g.data[:half]}, utf8Names)
		b := newRandomRegistry(t, &generator{g.data[half:]}, false)
		subRegistries(&generator{g.data[half/2:]}, a.reg, utf8Names)
		subRegistries(&generator{g.data[half:]}, b.reg, false)
		joined := tacho.Join(a.reg, b.reg)
		if !utf8Names {
			for _, contentType := range contentTypes {
				read(t, scrapeAs(t, joined, contentType), contentType).contains(t, read(t, scrapeAs(t, a.reg, contentType), contentType))
			}
			return
		}
		for _, contentType := range contentTypes {
			for _, scheme := range schemes {
				whole, part := read(t, serve(t, joined, contentType, scheme), contentType), read(t, serve(t, a.reg, contentType, scheme), contentType)
				if scheme == model.NoEscaping && contentType == typeText {
					whole.contains(t, part) // otherwise the names of b decide about those of a
				}
			}
		}
	})
}

// TestJoinedProtobuf: expfmt and Prometheus read the samples of joined registries in the protobuf format,
// with their exemplars and native buckets.
func TestJoinedProtobuf(t *testing.T) {
	make := func(consts ...string) *tacho.Registry {
		r := tacho.NewRegistry(tacho.WithNative())
		for _, l := range []string{"1", "2"} {
			s := r.Sub(tacho.WithConstLabels(append([]string{"s", l}, consts...)...))
			v := s.HistogramVec("h", "Help.", nil, []string{"l"})
			for _, value := range []string{"x", "y", "z"} {
				v.With(value).ObserveExemplar(float64(len(value)), "trace_id", value)
				v.With(value).Observe(100)
			}
			s.Counter("c_total", "").AddExemplar(3, "trace_id", l)
		}
		return r
	}
	for name, regs := range map[string][]*tacho.Registry{
		"disjoint": {make("r", "a"), make("r", "b")}, // without a copy
		"copied":   {make(), make("r", "b")},
	} {
		var b bytes.Buffer
		if err := tacho.Join(regs...).WriteProtobuf(&b); err != nil {
			t.Fatal(err)
		}
		families, err := decode(b.Bytes(), typeProtobuf)
		if err != nil {
			t.Fatal(err)
		}
		series := map[string]bool{}
		last := ""
		for _, mf := range families {
			if mf.GetName() < last {
				t.Errorf("%s: %s after %s", name, mf.GetName(), last)
			}
			last = mf.GetName()
			for _, m := range mf.Metric {
				key := mf.GetName()
				for _, l := range m.Label {
					key += "," + l.GetName() + "=" + l.GetValue()
				}
				if series[key] {
					t.Errorf("%s: %s twice", name, key)
				}
				series[key] = true
				switch mf.GetName() {
				case "h":
					h := m.Histogram
					if h.GetSampleCount() != 2 || h.GetSampleSum() != 101 || len(h.PositiveSpan) == 0 || len(h.Exemplars) != 1 {
						t.Errorf("%s: %s: %v", name, key, h)
					}
				case "c_total":
					if m.Counter.GetValue() != 3 || m.Counter.Exemplar == nil {
						t.Errorf("%s: %s: %v", name, key, m.Counter)
					}
				}
			}
		}
		if len(series) != 16 {
			t.Errorf("%s: %d series, want 16", name, len(series))
		}
	}
}

// TestSubIsOneFamily: a family with several sets of constant labels is one family for expfmt.
func TestSubIsOneFamily(t *testing.T) {
	reg := tacho.NewRegistry()
	for _, s := range []string{"", "b", "a"} {
		_, err := tacho.Try(func() *tacho.Counter {
			return reg.Sub(tacho.WithConstLabels("s", s)).Counter("x_total", "Help.")
		})
		if refused := new(tacho.DefinitionError); errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	for _, contentType := range contentTypes {
		e, err := readExpfmt(scrapeAs(t, reg, contentType), contentType)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range e.families {
			n += len(f.samples)
		}
		if len(e.families) != 1 || n != 3 {
			t.Errorf("%s: %d families, %d samples", contentType, len(e.families), n)
		}
	}
}
