package conformance

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	promexemplar "github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/tachikoma/tacho"
)

// TestDifferences checks the table of differences in README.md. Each row has an input
// that the parsers treat differently, or treat differently from the specification. A
// failure means that a parser has changed: update README.md, and compare more if
// possible.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name        string
		contentType string
		data        string
		prometheus  string // error text of textparse, or "" for no error
		expfmt      string // error text of expfmt, or "" for no error
	}{
		{"a timestamp before 1970", typeText, "x 1 -1\n", "expected timestamp or new record", ""},
		{"a timestamp before 1970", typeOpenMetrics, "# TYPE x gauge\nx 1 -1\n# EOF\n", "", ""},
		{"NUL in a label value", typeText, "x{a=\"\x00\"} 1\n", "", ""},
		{"NUL in a label value", typeOpenMetrics, "# TYPE x gauge\nx{a=\"\x00\"} 1\n# EOF\n", "", ""},
		{"NUL in an exemplar", typeOpenMetrics, "# TYPE x counter\nx_total 1 # {a=\"\x00\"} 1\n# EOF\n", "expected label value", ""},
		{"NUL in a quoted name", typeText, "# TYPE \"a\x00\" gauge\n{\"a\x00\"} 1\n", "expected metric name", ""},
		{"a label with a colon, not in quotes", typeText, "x{a:b=\"1\"} 1\n", "expected equal", "expected '='"},
		{"an exemplar with an infinite value", typeOpenMetrics, "# TYPE x counter\nx_total 1 # {a=\"b\"} +Inf\n# EOF\n", "", "invalid exemplar value"},
		{"an exemplar over 128 characters", typeOpenMetrics, "# TYPE x counter\nx_total 1 # {a=\"" + strings.Repeat("b", 128) + "\"} 1\n# EOF\n", "", "exceeds 128 runes"},
		{"an exemplar on a gauge", typeOpenMetrics, "# TYPE x gauge\nx 1 # {a=\"b\"} 1\n# EOF\n", "", "exemplar not allowed on gauge"},
		{"help that ends in a carriage return", typeOpenMetrics, "# HELP x a\r\n# TYPE x gauge\nx 1\n# EOF\n", "", "unexpected carriage return"},
		{"a family of type info", typeOpenMetrics, "# TYPE x info\nx_info{a=\"b\"} 1\n# EOF\n", "", "unsupported metric type"},
		{"a duplicate TYPE line", typeOpenMetrics, "# TYPE x gauge\n# TYPE x gauge\nx 1\n# EOF\n", "", "second TYPE line"},
		{"an interleaved family", typeOpenMetrics, "# TYPE x gauge\nx{a=\"1\"} 1\n# TYPE y gauge\ny 1\nx{a=\"2\"} 1\n# EOF\n", "", "interleaved"},
		{"a counter without _total", typeOpenMetrics, "# TYPE x counter\nx 1\n# EOF\n", "", "missing required suffix"},
		{"a negative counter", typeOpenMetrics, "# TYPE x counter\nx_total -1\n# EOF\n", "", "must not be negative"},
		{"a negative sum of a histogram", typeOpenMetrics, "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum -1\nx_count 1\n# EOF\n", "", "invalid sum"},
		{"a duplicate series", typeOpenMetrics, "# TYPE x gauge\nx 1\nx 2\n# EOF\n", "", ""},
		{"decreasing bucket counts", typeOpenMetrics, "# TYPE x histogram\nx_bucket{le=\"1.0\"} 2\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n# EOF\n", "", ""},
		{"a duplicate label", typeOpenMetrics, "# TYPE x gauge\nx{a=\"1\",a=\"2\"} 1\n# EOF\n", "", "duplicate label"},
		{"a unit that is not a suffix of the name", typeOpenMetrics, "# TYPE x gauge\n# UNIT x seconds\nx 1\n# EOF\n", "not a suffix", "not a suffix"},
		{"a gauge and a counter with the same family name", typeOpenMetrics, "# TYPE x gauge\nx 1\n# TYPE x counter\nx_total 1\n# EOF\n", "", "after samples"},
		{"names that collide by a suffix", typeOpenMetrics, "# TYPE x counter\nx_total 1\n# TYPE x_created gauge\nx_created 1\n# EOF\n", "", ""},
		{"no # EOF line", typeOpenMetrics, "# TYPE x gauge\nx 1\n", "does not end with # EOF", "does not end with # EOF"},
	} {
		for oracle, complaint := range map[string]string{"textparse": c.prometheus, "expfmt": c.expfmt} {
			var err error
			if oracle == "textparse" {
				err = textparseError([]byte(c.data), c.contentType)
			} else {
				_, err = decode([]byte(c.data), c.contentType+"; escaping=allow-utf-8")
			}
			if (err == nil) != (complaint == "") || err != nil && !strings.Contains(err.Error(), complaint) {
				t.Errorf("%s (%s): %s returned %v, want %q", c.name, c.contentType[:10], oracle, err, complaint)
			}
		}
	}
}

// textparseError parses a scrape with textparse and returns the error. The function has
// none of the checks of readTextparse.
func textparseError(data []byte, contentType string) error {
	p, err := textparse.New(data, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	for err == nil {
		_, err = p.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestReadings checks inputs that both parsers accept, with different results.
func TestReadings(t *testing.T) {
	read := func(data, contentType string, by func([]byte, string) (*exposition, error)) *exposition {
		t.Helper()
		e, err := by([]byte(data), contentType)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	help := func(text string) (prometheus, client string) {
		data := "# HELP x " + text + "\n# TYPE x gauge\nx 1\n"
		return read(data, typeText, readTextparse).families["x"].help, read(data, typeText, readExpfmt).families["x"].help
	}
	if p, e := help("  a "); p != "  a " || e != "a " {
		t.Errorf("help after blanks: textparse %q, expfmt %q", p, e)
	}
	if p, e := help(" \t"); p != "" || e != "" {
		t.Errorf("help of blanks: textparse %q, expfmt %q", p, e)
	}
	if p, e := help("\x00"); p != "" || e != "\x00" {
		t.Errorf("help of NUL: textparse %q, expfmt %q", p, e)
	}

	// Timestamps are floats in OpenMetrics. Prometheus truncates to milliseconds, but
	// expfmt rounds.
	timed := "# TYPE x gauge\nx 1 1520879607.789\nx{a=\"b\"} 1 1.001\n# EOF\n"
	p, e := read(timed, typeOpenMetrics, readTextparse).families["x"], read(timed, typeOpenMetrics, readExpfmt).families["x"]
	late := (&sample{name: "x", labels: []label{{"a", "b"}}}).key()
	if *p.samples[late].at != 1000 || *e.samples[late].at != 1001 {
		t.Errorf("1.001 s: textparse %d ms, expfmt %d", *p.samples[late].at, *e.samples[late].at)
	}

	// The parser does not unescape label values of exemplars. readSample does.
	parser := textparse.NewOpenMetricsParser([]byte("# TYPE x counter\nx_total 1 # {a=\"\\\"\"} 1\n# EOF\n"), labels.NewSymbolTable())
	for range 2 {
		if _, err := parser.Next(); err != nil {
			t.Fatal(err)
		}
	}
	var x promexemplar.Exemplar
	if !parser.Exemplar(&x) || x.Labels.Get("a") != `\"` {
		t.Errorf("exemplar label is %q, want an escaped quote", x.Labels.Get("a"))
	}

	// The parser does not unescape quoted names in TYPE lines. readTextparse does.
	parser = textparse.NewPromParser([]byte("# TYPE \"a\\\"b\" gauge\n"), labels.NewSymbolTable(), false)
	if _, err := parser.Next(); err != nil {
		t.Fatal(err)
	}
	if name, _ := parser.Type(); string(name) != `a\"b` {
		t.Errorf("name in the TYPE line is %s, want an escaped quote", name)
	}

	// With start times enabled, textparse drops the quantiles of a summary x_created.
	starts, err := startTimes([]byte("# TYPE x_created summary\nx_created{quantile=\"0.5\"} 1\nx_created_sum 1\nx_created_count 1\n# EOF\n"), typeOpenMetrics)
	if err != nil || len(starts) != 2 {
		t.Errorf("%d samples of a summary x_created, want 2, error %v", len(starts), err)
	}
}

// TestInfiniteExemplar checks an exemplar with the value +Inf. The grammar of OpenMetrics
// allows the value, and Prometheus accepts the value. The parser expfmt rejects the
// value, so the fuzz targets have no such exemplars.
func TestInfiniteExemplar(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Histogram("h", "", []float64{1}).ObserveExemplar(math.Inf(1), "trace_id", "x")
	var b strings.Builder
	if err := reg.WriteOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	e, err := readTextparse([]byte(b.String()), typeOpenMetrics)
	if err != nil {
		t.Fatal(err)
	}
	inf := &sample{name: "h_bucket", labels: []label{{"le", "+Inf"}}}
	got := e.families["h"].samples[inf.key()]
	want := exemplar{value: math.Inf(1), labels: []label{{"trace_id", "x"}}, within: span{0, seconds(time.Now())}}
	if len(got.exemplar) != 1 || !got.exemplar[0].matches(want) {
		t.Errorf("sample %+v, want the exemplar %v", got, want)
	}
	if _, err := decode([]byte(b.String()), typeOpenMetrics); err == nil || !strings.Contains(err.Error(), "invalid exemplar value") {
		t.Errorf("expfmt returned %v, want an error for the exemplar", err)
	}
}
