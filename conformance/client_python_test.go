package conformance

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/tachikoma/tacho"
)

// TestClientPython parses random registries with both parsers of prometheus_client, the
// Python library. Its OpenMetrics parser is strict. The content must be the content that
// the reference expects.
func TestClientPython(t *testing.T) {
	p := newPythonClient(t)
	const registries = 400
	compared := map[string]int{}
	for i := range uint64(registries) {
		random := rand.New(rand.NewPCG(i, 1))
		data := make([]byte, 1200*i/registries)
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		r := newRandomRegistry(t, &generator{data}, i%2 == 0)
		for _, contentType := range contentTypes {
			scheme := model.UnderscoreEscaping
			var scrape []byte
			if r.utf8 {
				scheme = schemes[1+i/2%3] // the parsers do not know quoted names
				scrape = serve(t, r.reg, contentType, scheme)
			} else {
				scrape = r.scrapeAs(t, contentType)
			}
			x := r.expect()
			if x.escaping = scheme; p.check(t, scrape, contentType, x) {
				compared[contentType]++
			}
			if t.Failed() {
				t.Fatalf("registry %d, %s, %v:\n%s", i, contentType, scheme, scrape)
			}
		}
	}
	for _, contentType := range contentTypes {
		if n := compared[contentType]; n < registries*9/10 {
			t.Errorf("%s: %d of %d scrapes were compared", contentType, n, registries)
		}
	}
}

// check compares a scrape with the expectation x. check reports whether the parser has
// objects for the expectation.
func (p *pythonClient) check(t *testing.T, data []byte, contentType string, x *expecter) bool {
	t.Helper()
	var want *exposition
	if contentType == typeText {
		want = x.text(t).pythonText()
	} else if want = x.openMetrics(t); want.bracesInExemplars() {
		want = nil // the parser takes a brace in a label value for the end of the labels
	}
	if want == nil {
		return false
	}
	got, err := p.read(t, data, contentType)
	if err != nil {
		t.Errorf("prometheus_client: %v", err)
		return false
	}
	compare(t, "prometheus_client", want, got, ignored{})
	return true
}

func (e *exposition) bracesInExemplars() bool {
	for _, f := range e.families {
		for _, s := range f.samples {
			for _, x := range s.exemplar {
				for _, l := range x.labels {
					if strings.Contains(l.value, "}") {
						return true
					}
				}
			}
		}
	}
	return false
}

// TestClientPythonGoldens parses the golden files of package tacho with prometheus_client.
func TestClientPythonGoldens(t *testing.T) {
	p := newPythonClient(t)
	for suffix, contentType := range map[string]string{".txt": typeText, ".om": typeOpenMetrics} {
		files, err := filepath.Glob(filepath.Join("..", "testdata", "*"+suffix+".golden"))
		if err != nil || len(files) < 9 {
			t.Fatalf("%d golden files, want at least 9, error %v", len(files), err)
		}
		compared := 0
		for _, file := range files {
			data := golden(t, strings.TrimSuffix(filepath.Base(file), ".golden"))
			want, err := readTextparse(data, contentType)
			if err != nil {
				t.Fatal(err)
			}
			if contentType == typeText {
				if want = want.pythonText(); want == nil {
					continue
				}
			}
			compared++
			for _, f := range want.families {
				for _, s := range f.samples {
					for i, x := range s.exemplar {
						s.exemplar[i].within = span{*x.at, *x.at}
					}
				}
			}
			got, err := p.read(t, data, contentType)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			compare(t, "prometheus_client, "+file, want, got, ignored{timestamps: true})
		}
		if compared < 8 {
			t.Errorf("%d files compared, want at least 8", compared)
		}
	}
}

// TestClientPythonTimes parses infos and other samples of which some have a time, and some
// have none. A strict parser refuses such a mix in some families.
func TestClientPythonTimes(t *testing.T) {
	p := newPythonClient(t)
	at := time.UnixMilli(1520879607789)
	for mix, emit := range map[string]func(e *tacho.Emitter, timed *tacho.Emitter){
		"infos without a time": func(e, _ *tacho.Emitter) {
			e.Info("build_info", "Help.", "version", "1")
			e.Info("build_info", "Help.", "version", "2")
		},
		"infos with a time": func(_, timed *tacho.Emitter) {
			timed.Info("build_info", "Help.", "version", "1")
			timed.Info("build_info", "Help.", "version", "2")
		},
		"infos with and without a time": func(e, timed *tacho.Emitter) {
			e.Info("build_info", "Help.", "version", "1")
			timed.Info("build_info", "Help.", "version", "2")
			e.Info("build_info", "Help.", "version", "3")
		},
		"histograms and summaries with and without a time": func(e, timed *tacho.Emitter) {
			h := tacho.HistogramSnapshot{Count: 3, Sum: 6, Buckets: []tacho.Bucket{{UpperBound: 1, Count: 1}, {UpperBound: 2, Count: 2}}}
			s := tacho.SummarySnapshot{Count: 3, Sum: 6, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 2}, {Quantile: 1, Value: 3}}}
			for _, e := range []*tacho.Emitter{e, timed, e.At(time.UnixMilli(0)), e.At(at.Add(-time.Hour))} {
				for _, name := range []string{"b", "a"} {
					e.Histogram("h", "", h, "name", name)
					e.Summary("s", "", s, "name", name)
					e.Counter("c_total", "", 1, "name", name)
					e.Gauge("g", "", 1, "name", name)
					e.Untyped("u", "", 1, "name", name)
					h.Count++
					s.Count++
				}
			}
		},
	} {
		reg := tacho.NewRegistry()
		reg.Collect(func(e *tacho.Emitter) { emit(e, e.At(at)) })
		for _, contentType := range contentTypes {
			data := scrapeAs(t, reg, contentType)
			want, err := readTextparse(data, contentType)
			if err != nil {
				t.Fatal(err)
			}
			if contentType == typeText {
				want = want.pythonText()
			}
			got, err := p.read(t, data, contentType)
			if err != nil {
				t.Errorf("%s: %v\n%s", mix, err, data)
				continue
			}
			compare(t, "prometheus_client, "+mix, want, got, ignored{timestamps: true})
		}
	}
}

// TestClientPythonRejects has faults that the strict parser finds. The parsers of
// Prometheus accept some of them.
func TestClientPythonRejects(t *testing.T) {
	p := newPythonClient(t)
	for fault, scrape := range map[string]string{
		"infos with and without a time":            "# TYPE a info\na_info{v=\"1\"} 1.0\na_info{v=\"2\"} 1.0 5\n",
		"an interleaved family":                    "# TYPE a gauge\na{v=\"1\"} 1.0\n# TYPE b gauge\nb 1.0\na{v=\"2\"} 1.0\n# TYPE a gauge\n",
		"an interleaved series":                    "# TYPE a histogram\na_bucket{v=\"1\",le=\"+Inf\"} 1\na_bucket{v=\"2\",le=\"+Inf\"} 1\na_count{v=\"1\"} 1\na_sum{v=\"1\"} 1.0\n",
		"a gauge and a counter with the same name": "# TYPE a gauge\na 1.0\n# TYPE a counter\na_total 1.0\n",
		"names that collide by a suffix":           "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\n# TYPE a_count gauge\na_count 1.0\n",
		"a histogram without +Inf":                 "# TYPE a histogram\na_bucket{le=\"1.0\"} 1\n",
		"decreasing buckets":                       "# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\n",
		"a count that differs from +Inf":           "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 2\na_sum 1.0\n",
		"a sum with a negative bound":              "# TYPE a histogram\na_bucket{le=\"-1.0\"} 1\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1.0\n",
		"a negative counter":                       "# TYPE a counter\na_total -1.0\n",
		"a counter that is NaN":                    "# TYPE a counter\na_total NaN\n",
		"a negative quantile":                      "# TYPE a summary\na{quantile=\"0.5\"} -1.0\n",
		"a duplicate label":                        "# TYPE a gauge\na{v=\"1\",v=\"1\"} 1.0\n",
		"an exemplar on a gauge":                   "# TYPE a gauge\na 1.0 # {id=\"1\"} 1.0 5\n",
		"a long exemplar":                          "# TYPE a counter\na_total 1.0 # {id=\"" + strings.Repeat("x", 127) + "\"} 1.0 5\n",
		"a unit that the name lacks":               "# TYPE a gauge\n# UNIT a seconds\na 1.0\n",
		"a space at the end":                       "# TYPE a gauge\na 1.0 \n",
	} {
		if _, err := p.read(t, []byte(scrape+"# EOF\n"), typeOpenMetrics); err == nil {
			t.Errorf("%s: the scrape was accepted", fault)
		}
	}
	if _, err := p.read(t, []byte("# TYPE a gauge\na 1.0\n"), typeOpenMetrics); err == nil {
		t.Error("a scrape without an end was accepted")
	}
}
