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

// textFormats lists the formats that both client_golang and tacho support.
var textFormats = []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}

// serve scrapes the handler of a registry. The request asks for a format and an
// escaping scheme. The registry must have the option WithUTF8Names.
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

// TestEscapingAsPromhttp writes the same families with tacho and with the encoder of
// client_golang, in both formats and all escaping schemes. The lines must be equal.
func TestEscapingAsPromhttp(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithUTF8Names(), tacho.WithConstLabels("cloud.region", "eu"))
	requests := reg.CounterVec("http.server.requests_total", "Help with \\, \"quotes\" and\nnewline.", []string{"http.method", "plain", "näme \"\\\n{},="})
	requests.With("GET", "x", "y").Add(3)
	requests.With("\"", "\\", "\n").Add(4)
	reg.Counter("http.server.dropped.total", "The suffix follows a dot.").Add(5)
	reg.Histogram("wait.time_seconds", "", []float64{0.5, 1}, tacho.WithUnit("seconds")).Observe(0.75)
	reg.FloatGauge("日本 1", "No legacy characters.").Set(-0.5)
	reg.Gauge("1st", "A digit at the start.").Set(6)
	reg.Gauge("a:b.c", "A valid colon.").Set(7)
	reg.Gauge("legacy_name", "Unchanged in every scheme.").Set(8)

	eu := []string{"cloud.region", "eu"}
	families := []*dto.MetricFamily{
		dtoFamily("http.server.requests_total", "Help with \\, \"quotes\" and\nnewline.", dto.MetricType_COUNTER,
			dtoCounter(3, "cloud.region", "eu", "http.method", "GET", "plain", "x", "näme \"\\\n{},=", "y"),
			dtoCounter(4, "cloud.region", "eu", "http.method", "\"", "plain", "\\", "näme \"\\\n{},=", "\n")),
		dtoFamily("http.server.dropped.total", "The suffix follows a dot.", dto.MetricType_COUNTER, dtoCounter(5, eu...)),
		dtoFamily("wait.time_seconds", "", dto.MetricType_HISTOGRAM, dtoHistogram(eu)),
		dtoFamily("日本 1", "No legacy characters.", dto.MetricType_GAUGE, dtoGauge(-0.5, eu...)),
		dtoFamily("1st", "A digit at the start.", dto.MetricType_GAUGE, dtoGauge(6, eu...)),
		dtoFamily("a:b.c", "A valid colon.", dto.MetricType_GAUGE, dtoGauge(7, eu...)),
		dtoFamily("legacy_name", "Unchanged in every scheme.", dto.MetricType_GAUGE, dtoGauge(8, eu...)),
	}
	seconds := "seconds"
	families[2].Unit = &seconds

	for _, scheme := range schemes {
		for _, contentType := range contentTypes {
			format := expfmt.Format(contentType).WithEscapingScheme(scheme)
			t.Run(string(format), func(t *testing.T) {
				clientData := encodeWithClient(t, families, format)
				want, err := readTextparse(clientData, string(format))
				if err != nil {
					t.Fatalf("client_golang: %v\n%s", err, clientData)
				}
				tachoData := serve(t, reg, contentType, scheme)
				got, err := readTextparse(tachoData, string(format))
				if err != nil {
					t.Fatalf("%v\n%s", err, tachoData)
				}
				if compare(t, "client_golang", want, got, ignored{}); t.Failed() {
					t.Logf("client_golang:\n%s\ntacho:\n%s", clientData, tachoData)
				}
			})
		}
	}
}

func dtoFamily(name, help string, kind dto.MetricType, metrics ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: metrics}
}

func dtoLabels(labels []string) (out []*dto.LabelPair) {
	for i := 0; i < len(labels); i += 2 {
		out = append(out, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	return out
}

func dtoCounter(v float64, labels ...string) *dto.Metric {
	return &dto.Metric{Label: dtoLabels(labels), Counter: &dto.Counter{Value: &v}}
}

func dtoGauge(v float64, labels ...string) *dto.Metric {
	return &dto.Metric{Label: dtoLabels(labels), Gauge: &dto.Gauge{Value: &v}}
}

func dtoHistogram(labels []string) *dto.Metric {
	s := &series{value: 0.75, bounds: []float64{0.5, 1}, buckets: []uint64{0, 1, 0}}
	return &dto.Metric{Label: dtoLabels(labels), Histogram: s.dto()}
}

// TestCollidingNames checks names with a collision after escaping, and a label name
// that no parser accepts. The output of client_golang is then invalid. tacho must
// write distinct and valid names.
func TestCollidingNames(t *testing.T) {
	for _, c := range []struct {
		name   string
		define func(*tacho.Registry)
		peer   []*dto.MetricFamily
		names  map[model.EscapingScheme][]string
	}{
		{
			name: "two names with the same escaped name",
			define: func(r *tacho.Registry) {
				r.Gauge("a.b", "")
				r.Gauge("a/b", "")
			},
			peer: []*dto.MetricFamily{
				dtoFamily("a.b", "", dto.MetricType_GAUGE, dtoGauge(0)),
				dtoFamily("a/b", "", dto.MetricType_GAUGE, dtoGauge(0)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"U__a_2e_b", "U__a_2f_b"},
				model.DotsEscaping:          {"a_dot_b", "a__b"},
				model.ValueEncodingEscaping: {"U__a_2e_b", "U__a_2f_b"},
				model.NoEscaping:            {"a.b", "a/b"},
			},
		},
		{
			name: "an escaped name equal to a name",
			define: func(r *tacho.Registry) {
				r.Gauge("a.b", "")
				r.Gauge("a_b", "")
				r.Gauge("a_dot_b", "")
			},
			peer: []*dto.MetricFamily{
				dtoFamily("a.b", "", dto.MetricType_GAUGE, dtoGauge(0)),
				dtoFamily("a_b", "", dto.MetricType_GAUGE, dtoGauge(0)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"U__a_2e_b", "a_b", "a_dot_b"},
				model.DotsEscaping:          {"U__a_2e_b", "a_b", "a_dot_b"},
				model.ValueEncodingEscaping: {"U__a_2e_b", "a_b", "a_dot_b"},
				model.NoEscaping:            {"a.b", "a_b", "a_dot_b"},
			},
		},
		{
			name: "an escaped name equal to a sample name",
			define: func(r *tacho.Registry) {
				r.Gauge("a.b_count", "")
				r.Histogram("a_b", "", []float64{}).Observe(1)
			},
			peer: []*dto.MetricFamily{
				dtoFamily("a.b_count", "", dto.MetricType_GAUGE, dtoGauge(0)),
				dtoFamily("a_b", "", dto.MetricType_HISTOGRAM, dtoHistogram(nil)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"U__a_2e_b__count", "a_b"},
				model.DotsEscaping:          {"a_dot_b__count", "a_b"},
				model.ValueEncodingEscaping: {"U__a_2e_b__count", "a_b"},
				model.NoEscaping:            {"a.b_count", "a_b"},
			},
		},
		{
			name: "an escaped name equal to the _created sample of a counter",
			define: func(r *tacho.Registry) {
				r.Counter("a_b_total", "")
				r.Gauge("a.b_created", "")
			},
			peer: []*dto.MetricFamily{
				dtoFamily("a_b_total", "", dto.MetricType_COUNTER, dtoCounter(0)),
				dtoFamily("a.b_created", "", dto.MetricType_GAUGE, dtoGauge(0)),
			},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping:    {"a_b_total", "a_b_created"}, // the counter has type unknown
				model.DotsEscaping:          {"a_b", "a_dot_b__created"},
				model.ValueEncodingEscaping: {"a_b", "U__a_2e_b__created"},
				model.NoEscaping:            {"a_b", "a.b_created"},
			},
		},
		{
			name: "labels with the same escaped name",
			define: func(r *tacho.Registry) {
				r.Collect(func(e *tacho.Emitter) {
					e.Gauge("a", "", 1, "b.c", "x")
					e.Gauge("a", "", 2, "b_c", "x") // rejected and counted
				})
			},
			peer: []*dto.MetricFamily{dtoFamily("a", "", dto.MetricType_GAUGE, dtoGauge(1, "b.c", "x"), dtoGauge(2, "b_c", "x"))},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping: {"a", "tacho_errors"}, model.DotsEscaping: {"a", "tacho_errors"},
				model.ValueEncodingEscaping: {"a", "tacho_errors"}, model.NoEscaping: {"a", "tacho_errors"},
			},
		},
		{
			name: "a label with a colon",
			define: func(r *tacho.Registry) {
				r.GaugeVec("a", "", []string{"b:c"}).With("x")
			},
			peer: []*dto.MetricFamily{dtoFamily("a", "", dto.MetricType_GAUGE, dtoGauge(0, "b:c", "x"))},
			names: map[model.EscapingScheme][]string{
				model.UnderscoreEscaping: {"a"}, model.DotsEscaping: {"a"}, model.ValueEncodingEscaping: {"a"}, model.NoEscaping: {"a"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
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
						// Without a collision, a counter family has no suffix _total in OpenMetrics.
						if e.families[name] == nil && e.families[name+"_total"] == nil {
							t.Errorf("%v: missing family %q in\n%s", scheme, name, data)
						}
					}
					if err := e.nameCollision(); err != nil && contentType == typeOpenMetrics {
						t.Errorf("%v: %v\n%s", scheme, err, data)
					}
					clientData := encodeWithClient(t, c.peer, expfmt.Format(contentType).WithEscapingScheme(scheme))
					e, err = readTextparse(clientData, contentType)
					if err == nil {
						err = e.nameCollision()
					}
					if err != nil {
						broken++
					}
				}
			}
			if broken == 0 {
				t.Error("every output of client_golang is valid: README.md is out of date")
			}
		})
	}
}

// TestUnescapeName checks that model.UnescapeName of Prometheus restores names
// escaped with the scheme values.
func TestUnescapeName(t *testing.T) {
	for _, name := range []string{"a.b", "é", "1", "a b", "日本", "a\nb", "\"\\", "_.", "a:b.c", "\U000fffff"} {
		reg := tacho.NewRegistry(tacho.WithUTF8Names())
		reg.GaugeVec(name, "", []string{name}).With("x")
		e, err := readTextparse(serve(t, reg, typeText, model.ValueEncodingEscaping), typeText)
		if err != nil {
			t.Fatal(err)
		}
		for escaped, f := range e.families {
			if got := model.UnescapeName(escaped, model.ValueEncodingEscaping); got != name {
				t.Errorf("%q is escaped as %s, which UnescapeName changes to %q", name, escaped, got)
			}
			for _, s := range f.samples {
				if got := model.UnescapeName(s.labels[0].name, model.ValueEncodingEscaping); got != name {
					t.Errorf("label %q is escaped as %s, which UnescapeName changes to %q", name, s.labels[0].name, got)
				}
			}
		}
		if len(e.families) != 1 {
			t.Errorf("%q: %d families, want 1", name, len(e.families))
		}
	}
	// Prometheus cannot unescape the last 65,536 code points.
	if last := "\U0010ffff"; model.UnescapeName(model.EscapeName(last, model.ValueEncodingEscaping), model.ValueEncodingEscaping) == last {
		t.Error("UnescapeName restores U+10FFFF: README.md is out of date")
	}
	if !strings.HasPrefix(model.EscapeName("a.b", model.ValueEncodingEscaping), "U__") {
		t.Error("the prefix of EscapeName is not U__, which tacho reserves")
	}
}
