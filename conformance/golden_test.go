package conformance

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// TestGoldens parses the golden files of package tacho with textparse and expfmt. The
// expected names, labels, values, buckets and timestamps come from the JSON file of
// the same registry, decoded by encoding/json. The variable openMetricsOnly has the
// expected units and exemplars, which JSON lacks. The expected types and help texts
// come from the text format and must be the same in OpenMetrics.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "*.txt.golden"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d golden files, want at least 9, error %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt.golden")
		t.Run(name, func(t *testing.T) {
			text, openMetrics, view := golden(t, name+".txt"), golden(t, name+".om"), golden(t, name+".json")
			x := fromJSON(t, view)
			x.addTypes(t, text)
			x.grammar = math.MaxInt
			for _, m := range x.metrics {
				m.unit = openMetricsOnly.units[m.name]
				for _, s := range m.series {
					s.exemplars = map[int][]exemplar{}
					for _, e := range openMetricsOnly.exemplars[m.name] {
						if len(s.labels) == 0 || s.labels[0].value == e.labelValue {
							s.exemplars[e.bucket] = append(s.exemplars[e.bucket], e.exemplar)
						}
					}
				}
			}
			checkText(t, text, x)
			checkOpenMetrics(t, openMetrics, x)
		})
	}
}

// openMetricsOnly has the units and exemplars of the registry in openmetrics.om.golden,
// by metric name. No other format has units or exemplars.
var openMetricsOnly = struct {
	units     map[string]string
	exemplars map[string][]goldenExemplar
}{
	units: map[string]string{
		"sent_bytes_total": "bytes", "work_seconds": "seconds", "wait_seconds": "seconds", "size_bytes": "bytes", "wait.time_seconds": "seconds",
	},
	exemplars: map[string][]goldenExemplar{
		"sent_bytes_total": {
			{"a", 0, stamped(7, label{"trace_id", "4bf92f35"}, label{"quote", `"`})},
			{"b", 0, stamped(1<<40, label{"trace_id", "00f067aa"})},
		},
		"work_seconds": {{"", 0, stamped(0.5, label{"id", "1"})}},
		"wait_seconds": {
			{"", 1, stamped(0.5, label{"id", "half"})},
			{"", 3, stamped(2, label{"id", "two"})},
		},
	},
}

type goldenExemplar struct {
	labelValue string // first label value of the series, or "" for a series without labels
	bucket     int
	exemplar
}

func stamped(value float64, labels ...label) exemplar {
	const at = 1520879607.789
	return exemplar{labels: labels, value: value, within: span{at, at}}
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", name+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fromJSON converts the JSON view to metrics. A null becomes NaN, which addTypes
// replaces.
func fromJSON(t *testing.T, view []byte) *expecter {
	t.Helper()
	var families map[string][]struct {
		Labels    json.RawMessage
		Value     *json.Number
		Count     uint64
		Timestamp *json.Number
		Buckets   []struct {
			Le    *float64
			Count uint64
		}
		Quantiles []struct {
			Quantile float64
			Value    *json.Number
		}
	}
	if err := json.Unmarshal(view, &families); err != nil {
		t.Fatal(err)
	}
	number := func(n *json.Number) float64 {
		if n == nil {
			return math.NaN()
		}
		v, err := n.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var metrics []*metric
	for name, list := range families {
		m := &metric{name: name, kind: "gauge", series: map[string]*series{}}
		for i, in := range list {
			s := &series{labels: labelsInOrder(t, in.Labels), value: number(in.Value), count: in.Count}
			if in.Timestamp != nil {
				at := time.UnixMilli(int64(math.Round(number(in.Timestamp) * 1000)))
				s.at = &at
			}
			below := uint64(0)
			for _, b := range in.Buckets {
				m.kind = "histogram"
				if b.Le != nil {
					s.bounds = append(s.bounds, *b.Le)
				}
				s.buckets = append(s.buckets, b.Count-below)
				below = b.Count
			}
			for _, q := range in.Quantiles {
				m.kind = "summary"
				s.quantiles = append(s.quantiles, tacho.Quantile{Quantile: q.Quantile, Value: number(q.Value)})
			}
			m.series[strconv.Itoa(i)] = s
		}
		metrics = append(metrics, m)
	}
	return newExpecter(&reference{}, metrics)
}

// labelsInOrder decodes a JSON object of strings. The result preserves the order and
// the duplicate members.
func labelsInOrder(t *testing.T, object json.RawMessage) (labels []label) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(object)))
	var words []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(string); ok {
			words = append(words, s)
		}
	}
	for i := 0; i+1 < len(words); i += 2 {
		labels = append(labels, label{words[i], words[i+1]})
	}
	return labels
}

// addTypes sets types and help texts from the text format. addTypes also sets values
// that are null in JSON, such as infinities.
func (x *expecter) addTypes(t *testing.T, text []byte) {
	t.Helper()
	shown, err := readTextparse(text, typeText)
	if err != nil {
		t.Fatal(err)
	}
	names := x.names()
	for _, m := range x.metrics {
		f := shown.families[names[m]]
		if f == nil {
			t.Fatalf("no family %q in the text format", names[m])
		}
		m.help = f.help
		if m.kind == "gauge" {
			m.kind = f.kind
		}
		if m.kind == "gauge" && strings.HasSuffix(names[m], "_info") {
			m.kind = "info" // no golden registry has a gauge with such a name
		}
		suffix := ""
		if m.kind == "histogram" || m.kind == "summary" {
			suffix = "_sum"
		}
		for _, s := range m.series {
			if s.value == s.value {
				continue
			}
			line := &sample{name: names[m] + suffix}
			for _, l := range s.labels {
				line.labels = append(line.labels, label{escapeLabel(l.name, x.escaping), l.value})
			}
			found := f.samples[line.key()]
			if found == nil {
				t.Fatalf("no sample %s in the text format", line.key())
			}
			if found.value == found.value && !math.IsInf(found.value, 0) {
				t.Errorf("%s is %v in the text format, but null in JSON", line.key(), found.value)
			}
			s.value = found.value
		}
	}
}
