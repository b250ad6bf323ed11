package conformance

import (
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tachikoma/tacho"
)

var schemes = []model.EscapingScheme{model.NoEscaping, model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping}

// textFormats are those of client_golang's formats that tacho serves too.
var textFormats = []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}

// serve scrapes a registry over its handler, as a client does that wants a format
// and names in a scheme. The registry must be one with names in UTF-8.
func serve(t testing.TB, reg *tacho.Registry, contentType string, scheme model.EscapingScheme) []byte {
	t.Helper()
	escaping := "; escaping=" + scheme.String()
	response := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "/metrics", nil)
	request.Header.Set("Accept", contentType+escaping)
	reg.Handler().ServeHTTP(response, request)
	if got := response.Header().Get("Content-Type"); got != contentType+escaping {
		t.Errorf("Content-Type %s, want %s", got, contentType+escaping)
	}
	return response.Body.Bytes()
}

// TestEscapingAsPromhttp writes the same families by tacho and by client_golang's
// encoder, in both formats and with each way to say names that need one, and
// wants the same lines of both.
func TestEscapingAsPromhttp(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithUTF8Names(), tacho.WithConstLabels("cloud.region", "eu"))
	requests := reg.CounterVec("http.server.requests_total", "Help with \\, \"quotes\" and\nnewline.", []string{"http.method", "plain", "näme \"\\\n{},="})
	requests.With("GET", "x", "y").Add(3)
	requests.With("\"", "\\", "\n").Add(4)
	reg.Counter("http.server.dropped.total", "A suffix after a dot is no suffix before it is escaped.").Add(5)
	reg.Histogram("wait.time_seconds", "", []float64{0.5, 1}, tacho.WithUnit("seconds")).Observe(0.75)
	reg.FloatGauge("日本 1", "Not one legacy character.").Set(-0.5)
	reg.Gauge("1st", "A digit in front.").Set(6)
	reg.Gauge("a:b.c", "A colon may stay.").Set(7)
	reg.Gauge("legacy_name", "Stays in every scheme.").Set(8)

	eu := []string{"cloud.region", "eu"}
	families := []*dto.MetricFamily{
		given("http.server.requests_total", "Help with \\, \"quotes\" and\nnewline.", dto.MetricType_COUNTER,
			counted(3, "cloud.region", "eu", "http.method", "GET", "plain", "x", "näme \"\\\n{},=", "y"),
			counted(4, "cloud.region", "eu", "http.method", "\"", "plain", "\\", "näme \"\\\n{},=", "\n")),
		given("http.server.dropped.total", "A suffix after a dot is no suffix before it is escaped.", dto.MetricType_COUNTER, counted(5, eu...)),
		given("wait.time_seconds", "", dto.MetricType_HISTOGRAM, observed(eu)),
		given("日本 1", "Not one legacy character.", dto.MetricType_GAUGE, gauged(-0.5, eu...)),
		given("1st", "A digit in front.", dto.MetricType_GAUGE, gauged(6, eu...)),
		given("a:b.c", "A colon may stay.", dto.MetricType_GAUGE, gauged(7, eu...)),
		given("legacy_name", "Stays in every scheme.", dto.MetricType_GAUGE, gauged(8, eu...)),
	}
	seconds := "seconds"
	families[2].Unit = &seconds

	for _, scheme := range schemes {
		for _, contentType := range contentTypes {
			format := expfmt.Format(contentType).WithEscapingScheme(scheme)
			t.Run(string(format), func(t *testing.T) {
				theirs := peer(t, families, format)
				want, err := readTextparse(theirs, string(format))
				if err != nil {
					t.Fatalf("client_golang: %v\n%s", err, theirs)
				}
				if contentType == typeOpenMetrics {
					want.unknownCounters(t)
				}
				ours := serve(t, reg, contentType, scheme)
				got, err := readTextparse(ours, string(format))
				if err != nil {
					t.Fatalf("%v\n%s", err, ours)
				}
				if compare(t, "client_golang", want, got, blind{}); t.Failed() {
					t.Logf("client_golang:\n%s\ntacho:\n%s", theirs, ours)
				}
			})
		}
	}
}

// unknownCounters undoes a difference: to client_golang a counter whose name, as it
// is shown, does not end in _total is of unknown type in OpenMetrics; tacho gives
// its sample the suffix that it must have.
func (e *exposition) unknownCounters(t *testing.T) {
	t.Helper()
	for name, f := range e.families {
		if f.kind != "unknown" {
			continue
		}
		f.kind = "counter"
		samples := f.samples
		f.samples = map[string]*sample{}
		for _, s := range samples {
			s.name = name + "_total"
			if err := f.add(s); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func given(name, help string, kind dto.MetricType, metrics ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: metrics}
}

func pairs(labels []string) (out []*dto.LabelPair) {
	for i := 0; i < len(labels); i += 2 {
		out = append(out, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	return out
}

func counted(v float64, labels ...string) *dto.Metric {
	return &dto.Metric{Label: pairs(labels), Counter: &dto.Counter{Value: &v}}
}

func gauged(v float64, labels ...string) *dto.Metric {
	return &dto.Metric{Label: pairs(labels), Gauge: &dto.Gauge{Value: &v}}
}

func observed(labels []string) *dto.Metric {
	s := &series{value: 0.75, bounds: []float64{0.5, 1}, buckets: []uint64{0, 1, 0}}
	return &dto.Metric{Label: pairs(labels), Histogram: s.dto()}
}

// TestNamesThatMeet: what client_golang's encoder would write twice under one
// name, or under a name that no parser takes, stays apart and readable here.
func TestNamesThatMeet(t *testing.T) {
	for _, c := range []struct {
		what   string
		define func(*tacho.Registry)
		peer   []*dto.MetricFamily
		names  map[model.EscapingScheme][]string
	}{
		{
			what: "two names with one escaped form",
			define: func(r *tacho.Registry) {
				r.Gauge("a.b", "")
				r.Gauge("a/b", "")
			},
			peer: []*dto.MetricFamily{
				given("a.b", "", dto.MetricType_GAUGE, gauged(0)),
				given("a/b", "", dto.MetricType_GAUGE, gauged(0)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"U__a_2e_b", "U__a_2f_b"},
				model.DotsEscaping:          {"a_dot_b", "a__b"},
				model.ValueEncodingEscaping: {"U__a_2e_b", "U__a_2f_b"},
				model.NoEscaping:            {"a.b", "a/b"},
			},
		},
		{
			what: "an escaped form that is a name",
			define: func(r *tacho.Registry) {
				r.Gauge("a.b", "")
				r.Gauge("a_b", "")
				r.Gauge("a_dot_b", "")
			},
			peer: []*dto.MetricFamily{
				given("a.b", "", dto.MetricType_GAUGE, gauged(0)),
				given("a_b", "", dto.MetricType_GAUGE, gauged(0)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"U__a_2e_b", "a_b", "a_dot_b"},
				model.DotsEscaping:          {"U__a_2e_b", "a_b", "a_dot_b"},
				model.ValueEncodingEscaping: {"U__a_2e_b", "a_b", "a_dot_b"},
				model.NoEscaping:            {"a.b", "a_b", "a_dot_b"},
			},
		},
		{
			what: "an escaped form that is a sample's name",
			define: func(r *tacho.Registry) {
				r.Gauge("a.b_count", "")
				r.Histogram("a_b", "", []float64{}).Observe(1)
			},
			peer: []*dto.MetricFamily{
				given("a.b_count", "", dto.MetricType_GAUGE, gauged(0)),
				given("a_b", "", dto.MetricType_HISTOGRAM, observed(nil)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"U__a_2e_b__count", "a_b"},
				model.DotsEscaping:          {"a_dot_b__count", "a_b"},
				model.ValueEncodingEscaping: {"U__a_2e_b__count", "a_b"},
				model.NoEscaping:            {"a.b_count", "a_b"},
			},
		},
		{
			what: "an escaped form that is the time of a counter's creation",
			define: func(r *tacho.Registry) {
				r.Counter("a_b_total", "")
				r.Gauge("a.b_created", "")
			},
			peer: []*dto.MetricFamily{
				given("a_b_total", "", dto.MetricType_COUNTER, counted(0)),
				given("a.b_created", "", dto.MetricType_GAUGE, gauged(0)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"a_b_total", "a_b_created"}, // the counter as unknown
				model.DotsEscaping:          {"a_b", "a_dot_b__created"},
				model.ValueEncodingEscaping: {"a_b", "U__a_2e_b__created"},
				model.NoEscaping:            {"a_b", "a.b_created"},
			},
		},
		{
			what: "labels with one escaped form",
			define: func(r *tacho.Registry) {
				r.Collect(func(e *tacho.Emitter) {
					e.Gauge("a", "", 1, "b.c", "x")
					e.Gauge("a", "", 2, "b_c", "x") // refused and counted
				})
			},
			peer: []*dto.MetricFamily{given("a", "", dto.MetricType_GAUGE, gauged(1, "b.c", "x"), gauged(2, "b_c", "x"))},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping: {"a", "tacho_errors"}, model.DotsEscaping: {"a", "tacho_errors"},
				model.ValueEncodingEscaping: {"a", "tacho_errors"}, model.NoEscaping: {"a", "tacho_errors"},
			},
		},
		{
			what: "a label with a colon",
			define: func(r *tacho.Registry) {
				r.GaugeVec("a", "", []string{"b:c"}).With("x")
			},
			peer: []*dto.MetricFamily{given("a", "", dto.MetricType_GAUGE, gauged(0, "b:c", "x"))},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping: {"a"}, model.DotsEscaping: {"a"}, model.ValueEncodingEscaping: {"a"}, model.NoEscaping: {"a"},
			},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			reg := tacho.NewRegistry(tacho.WithUTF8Names())
			c.define(reg)
			broken := 0
			for _, scheme := range schemes {
				for _, contentType := range contentTypes {
					data := serve(t, reg, contentType, scheme)
					e, err := readTextparse(data, contentType)
					if err != nil {
						t.Fatalf("%v: %v\n%s", scheme, err, data)
					}
					if _, err := readExpfmt(data, contentType+"; escaping="+scheme.String()); err != nil {
						t.Fatalf("%v: %v\n%s", scheme, err, data)
					}
					if len(e.families) != len(c.names[scheme]) {
						t.Errorf("%v: %d families, want %d", scheme, len(e.families), len(c.names[scheme]))
					}
					for _, name := range c.names[scheme] {
						// Where nothing meets, the family of a counter has no suffix in OpenMetrics.
						if e.families[name] == nil && e.families[name+"_total"] == nil {
							t.Errorf("%v: no family %q in\n%s", scheme, name, data)
						}
					}
					if err := e.clashes(); err != nil && contentType == typeOpenMetrics {
						t.Errorf("%v: %v\n%s", scheme, err, data)
					}
					theirs := peer(t, c.peer, expfmt.Format(contentType).WithEscapingScheme(scheme))
					e, err = readTextparse(theirs, contentType)
					if err == nil {
						err = e.clashes()
					}
					if err != nil {
						broken++
					}
				}
			}
			if broken == 0 {
				t.Error("client_golang writes this without a fault now: README.md says otherwise")
			}
		})
	}
}

// TestEscapedNamesComeBack: names by values can be turned back into what they
// were, by Prometheus' own rule.
func TestEscapedNamesComeBack(t *testing.T) {
	for _, name := range []string{"a.b", "é", "1", "a b", "日本", "a\nb", "\"\\", "_.", "a:b.c", "\U000fffff"} {
		reg := tacho.NewRegistry(tacho.WithUTF8Names())
		reg.GaugeVec(name, "", []string{name}).With("x")
		e, err := readTextparse(serve(t, reg, typeText, model.ValueEncodingEscaping), typeText)
		if err != nil {
			t.Fatal(err)
		}
		for escaped, f := range e.families {
			if got := model.UnescapeName(escaped, model.ValueEncodingEscaping); got != name {
				t.Errorf("%q is %s, which is %q", name, escaped, got)
			}
			for _, s := range f.samples {
				if got := model.UnescapeName(s.labels[0].name, model.ValueEncodingEscaping); got != name {
					t.Errorf("label %q is %s, which is %q", name, s.labels[0].name, got)
				}
			}
		}
		if len(e.families) != 1 {
			t.Errorf("%q: %d families", name, len(e.families))
		}
	}
	// Prometheus cannot undo its own escape of the last 65,536 code points.
	if last := "\U0010ffff"; model.UnescapeName(model.EscapeName(last, model.ValueEncodingEscaping), model.ValueEncodingEscaping) == last {
		t.Error("all code points come back now: README.md says otherwise")
	}
	if !strings.HasPrefix(model.EscapeName("a.b", model.ValueEncodingEscaping), "U__") {
		t.Error("another prefix than the one that tacho keeps free")
	}
}
