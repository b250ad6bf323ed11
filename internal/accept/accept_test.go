package accept

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/testkit"
)

const (
	accept2     = testkit.AcceptPrometheus2
	accept3     = testkit.AcceptPrometheus3
	acceptProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.8,"
)

func TestNegotiate(t *testing.T) {
	const (
		plain = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
		open  = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
		old   = "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores"
	)
	utf8 := func(s string) string { return strings.Replace(s, "underscores", "allow-utf-8", 1) }
	for _, c := range []struct {
		accept []string
		want   string
	}{
		// Prometheus sends these.
		{[]string{accept2}, open},
		{[]string{accept3}, utf8(open)},
		{[]string{acceptProto + accept3}, utf8(open)},
		{[]string{"application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.8," + accept3}, utf8(open)},
		// Other clients send these.
		{nil, plain},
		{[]string{""}, plain},
		{[]string{"*/*"}, plain},
		{[]string{"text/*"}, plain},
		{[]string{"text/plain"}, plain},
		{[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}, plain},
		{[]string{"application/json"}, plain},
		{[]string{"application/openmetrics-text"}, old},
		{[]string{"application/openmetrics-text;version=0.0.1"}, old},
		{[]string{"application/openmetrics-text; version=1.0.0; charset=utf-8"}, open},
		{[]string{"application/openmetrics-text;version=2.0.0"}, plain},
		{[]string{"application/openmetrics-text;version=1.0.0;escaping=values"}, strings.Replace(open, "underscores", "values", 1)},
		{[]string{"application/openmetrics-text;version=1.0.0;escaping=dots"}, strings.Replace(open, "underscores", "dots", 1)},
		{[]string{"application/openmetrics-text;version=1.0.0;escaping=runes"}, open},
		{[]string{"text/plain;version=1.0.0;escaping=allow-utf-8"}, utf8(plain)},
		{[]string{"text/plain;version=0.0.4;escaping=allow-utf-8"}, utf8(plain)},
		{[]string{"text/plain;version=0.0.3;escaping=allow-utf-8"}, plain}, // an unknown version, whose escaping is ignored
		// The weight comes first, then the more specific range, then the order.
		{[]string{"text/plain, application/openmetrics-text;version=1.0.0"}, plain},
		{[]string{"application/openmetrics-text;version=1.0.0, text/plain"}, open},
		{[]string{"text/plain;q=0.5, application/openmetrics-text;version=1.0.0"}, open},
		{[]string{"text/plain;q=0.5", "application/openmetrics-text;version=1.0.0;q=0.6"}, open},
		{[]string{"application/openmetrics-text;version=1.0.0;q=0, text/plain;q=0.1"}, plain},
		{[]string{"application/openmetrics-text;version=1.0.0;q=0"}, plain},
		{[]string{"text/plain;q=0"}, plain}, // there is no other format to serve
		{[]string{"*/*, application/openmetrics-text;version=1.0.0"}, open},
		{[]string{"*/*, application/openmetrics-text;version=1.0.0;q=0.9"}, plain},
		{[]string{"text/*;q=0.9, */*, application/openmetrics-text;version=1.0.0"}, open},
		// Case, spaces, quotes, and malformed elements.
		{[]string{"APPLICATION/OpenMetrics-Text ; VERSION=\"1.0.0\" ; Escaping=allow-utf-8 ; Q=1"}, utf8(open)},
		{[]string{"application/openmetrics-text;version=1.0.0;q=1.5"}, plain},
		{[]string{"application/openmetrics-text;version=1.0.0;q=high"}, plain},
		{[]string{`text/plain;x="a,application/openmetrics-text;version=1.0.0";q=0.1`}, plain},
		{[]string{`text/plain;x="\",\"";q=0.1, application/openmetrics-text;version=1.0.0`}, open},
		{[]string{",, ;q=1,;,application/openmetrics-text;version=1.0.0;;,"}, open},
		{[]string{`"`}, plain},
	} {
		if got := Negotiate(c.accept, false, false).ContentType(true); got != c.want {
			t.Errorf("%q: %s, want %s", c.accept, got, c.want)
		}
	}
}

// TestNegotiateProtobuf: the protobuf format is served only if the registry offers it, and in
// no other message and encoding.
func TestNegotiateProtobuf(t *testing.T) {
	const (
		plain = "text/plain; version=0.0.4; charset=utf-8; escaping="
		open  = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="
		proto = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping="
		named = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
		utf8  = "allow-utf-8"
	)
	for _, c := range []struct{ accept, offered, other string }{
		// Prometheus 3.16 with scrape_native_histograms, and with a list of protocols.
		{named + ";q=0.7," + accept3, proto + utf8, open + utf8},
		{"application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.7," + named + ";q=0.6,text/plain;version=0.0.4;q=0.5", proto + utf8, plain + "underscores"},
		{accept3, open + utf8, open + utf8},
		{named + ";q=0.5," + accept3, open + utf8, open + utf8},
		// An escaping of the element itself comes first, and then that of the best other one.
		{acceptProto + strings.ReplaceAll(accept3, utf8, "dots"), proto + utf8, open + "dots"},
		{named + ";escaping=values;q=0.8," + accept3, proto + "values", open + utf8},
		{named + ",text/plain;escaping=dots;q=0.5,text/plain;escaping=values;q=0.6", proto + "values", plain + "values"},
		{named + ",text/plain;escaping=dots;q=0", proto + "underscores", plain + "underscores"},
		{named + ",text/html;escaping=dots", proto + "underscores", plain + "underscores"},
		{named, proto + "underscores", plain + "underscores"},
		// Both parameters are needed.
		{"application/vnd.google.protobuf", plain + "underscores", plain + "underscores"},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", plain + "underscores", plain + "underscores"},
		{"application/vnd.google.protobuf;encoding=delimited", plain + "underscores", plain + "underscores"},
		{strings.Replace(named, "delimited", "text", 1), plain + "underscores", plain + "underscores"},
		{strings.Replace(named, "delimited", "compact-text", 1), plain + "underscores", plain + "underscores"},
		{strings.Replace(named, "MetricFamily", "Metric", 1), plain + "underscores", plain + "underscores"},
		{"application/vnd.google.protobuf;escaping=dots,text/plain;q=0.1", plain + "underscores", plain + "underscores"},
		// Weights, case and quotes.
		{named + ";q=0", plain + "underscores", plain + "underscores"},
		{named + ";q=0.5,*/*", plain + "underscores", plain + "underscores"},
		{named + ",*/*", proto + "underscores", plain + "underscores"},
		{"*/*," + named, proto + "underscores", plain + "underscores"},
		{"text/plain," + named, plain + "underscores", plain + "underscores"},
		{`Application/VND.google.protobuf ; PROTO="io.prometheus.client.MetricFamily" ; Encoding=delimited`, proto + "underscores", plain + "underscores"},
	} {
		if got := Negotiate([]string{c.accept}, true, false).ContentType(true); got != c.offered {
			t.Errorf("%q, offered: %s, want %s", c.accept, got, c.offered)
		}
		if got := Negotiate([]string{c.accept}, false, false).ContentType(true); got != c.other {
			t.Errorf("%q, not offered: %s, want %s", c.accept, got, c.other)
		}
	}
	if got := Negotiate([]string{named}, true, false).ContentType(false); got != strings.TrimSuffix(proto, "; escaping=") {
		t.Errorf("without UTF-8 names: %s", got)
	}
}

// TestNegotiateOpenMetrics2: OpenMetrics 2.0 is served only if it is offered, and only to a range
// with exactly this version.
func TestNegotiateOpenMetrics2(t *testing.T) {
	const (
		plain = "text/plain; version=0.0.4; charset=utf-8; escaping="
		open  = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="
		open2 = "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping="
		proto = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping="
		named = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
		two   = "application/openmetrics-text;version=2.0.0"
		utf8  = "allow-utf-8"
	)
	for _, c := range []struct{ accept, offered, other string }{
		// Prometheus 3.16 with OpenMetricsText2.0.0 in scrape_protocols.
		{two + ";escaping=allow-utf-8;q=0.7," + named + ";q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4", open2 + utf8, proto + utf8},
		{two + ";escaping=allow-utf-8;q=0.7,*/*;q=0.6", open2 + utf8, plain + "underscores"},
		{two + ";escaping=underscores;q=0.7,application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5", open2 + "underscores", open + "underscores"},
		{two + ";escaping=allow-utf-8;q=0.8," + accept3, open2 + utf8, open + utf8},
		{accept3 + "," + two + ";q=0.6", open + utf8, open + utf8},
		{named + ";q=0.7," + two + ";escaping=dots;q=0.6", proto + "dots", proto + "dots"},
		// Other clients.
		{two, open2 + "underscores", plain + "underscores"},
		{two + ";escaping=values", open2 + "values", plain + "underscores"},
		{`Application/OpenMetrics-Text ; VERSION="2.0.0"`, open2 + "underscores", plain + "underscores"},
		{two + ",application/openmetrics-text;version=1.0.0", open2 + "underscores", open + "underscores"},
		{"application/openmetrics-text;version=1.0.0," + two, open + "underscores", open + "underscores"},
		{"text/plain," + two, plain + "underscores", plain + "underscores"},
		{"*/*," + two, open2 + "underscores", plain + "underscores"},
		{"*/*," + two + ";q=0.9", plain + "underscores", plain + "underscores"},
		{two + ";q=0", plain + "underscores", plain + "underscores"},
		// Other versions, and clients that name no version, do not get 2.0.
		{"application/openmetrics-text;version=2.0.0-rc0", plain + "underscores", plain + "underscores"},
		{"application/openmetrics-text;version=2.0.0-rc", plain + "underscores", plain + "underscores"},
		{"application/openmetrics-text;version=2.0", plain + "underscores", plain + "underscores"},
		{"application/openmetrics-text;version=2", plain + "underscores", plain + "underscores"},
		{"application/openmetrics-text;version=2.0.1", plain + "underscores", plain + "underscores"},
		{"application/openmetrics-text", strings.Replace(open, "1.0.0", "0.0.1", 1) + "underscores", strings.Replace(open, "1.0.0", "0.0.1", 1) + "underscores"},
		{"application/*", plain + "underscores", plain + "underscores"},
		{"text/plain;version=2.0.0", plain + "underscores", plain + "underscores"},
		{"*/*", plain + "underscores", plain + "underscores"},
		{accept2, open + "underscores", open + "underscores"},
		{accept3, open + utf8, open + utf8},
	} {
		if got := Negotiate([]string{c.accept}, true, true).ContentType(true); got != c.offered {
			t.Errorf("%q, offered: %s, want %s", c.accept, got, c.offered)
		}
		if got := Negotiate([]string{c.accept}, true, false).ContentType(true); got != c.other {
			t.Errorf("%q, not offered: %s, want %s", c.accept, got, c.other)
		}
	}
}

// TestQuotedParameters: double quotes around the value of a parameter do not count, also if they are
// repeated or only at one end.
func TestQuotedParameters(t *testing.T) {
	for _, value := range []string{`1.0.0`, `"1.0.0"`, `""1.0.0""`, `"1.0.0`, `1.0.0"`} {
		if f := Negotiate([]string{"application/openmetrics-text;version=" + value}, false, false); !f.Open || f.version != "1.0.0" {
			t.Errorf("%s: %+v", value, f)
		}
		if got, want := unquoted(value), strings.Trim(value, `"`); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
	for _, value := range []string{"", `"`, `""`, `"""`, `a"b`, `"a"b"`} {
		if got, want := unquoted(value), strings.Trim(value, `"`); got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

// TestPreference: of all ranges that can be served, the one with the highest weight is
// chosen, then the most specific, then the first.
func TestPreference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var elements, served []string
		var weights, ranks []int
		for range random.IntN(5) {
			i, weight := random.IntN(6), random.IntN(3)
			element := []string{"*/*", "text/*", "text/plain", "application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=2.0.0", "text/html"}[i]
			scheme := names.Scheme(random.IntN(names.NumSchemes)).HeaderValue()
			elements = append(elements, element+";escaping="+scheme+";q=0."+strconv.Itoa(weight))
			if weight == 0 || i == 5 {
				continue
			}
			want := "text/plain; version=0.0.4; charset=utf-8; escaping=" + scheme
			if i >= 3 {
				want = "application/openmetrics-text; version=" + strconv.Itoa(i-2) + ".0.0; charset=utf-8; escaping=" + scheme
			}
			served, weights, ranks = append(served, want), append(weights, weight), append(ranks, min(i, 2))
		}
		want := "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
		best := -1
		for i := range served {
			if best < 0 || weights[i] > weights[best] || weights[i] == weights[best] && ranks[i] > ranks[best] {
				best = i
			}
		}
		if best >= 0 {
			want = served[best]
		}
		header := strings.Join(elements, ",")
		if got := Negotiate([]string{header}, false, true).ContentType(true); got != want {
			t.Fatalf("%s: %s, want %s", header, got, want)
		}
		if got := Negotiate(elements, false, true).ContentType(true); got != want {
			t.Fatalf("%q in several headers: %s, want %s", elements, got, want)
		}
	}
}

// TestContentType: without UTF-8 names the media type has no parameter escaping.
func TestContentType(t *testing.T) {
	for _, c := range []struct {
		format Format
		utf8   bool
		want   string
	}{
		{Format{}, false, "text/plain; version=0.0.4; charset=utf-8"},
		{Format{}, true, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"},
		{Format{Names: names.AllowUTF8, version: "1.0.0"}, false, "text/plain; version=0.0.4; charset=utf-8"},
		{Format{Names: names.AllowUTF8, version: "1.0.0"}, true, "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8"},
		{Format{Open: true, version: "1.0.0"}, false, "application/openmetrics-text; version=1.0.0; charset=utf-8"},
		{Format{Open: true, version: "0.0.1", Names: names.Dots}, true, "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=dots"},
	} {
		if got := c.format.ContentType(c.utf8); got != c.want {
			t.Errorf("%+v: %s, want %s", c.format, got, c.want)
		}
	}
}

// FuzzNegotiate: OpenMetrics has a version that can be served, and is chosen only if a
// header names it. An element of weight 0 changes nothing.
func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", accept2, accept3, acceptProto, "*/*;q=0", `text/plain;x="`, `;=",\`, "application/openmetrics-text;q=1e-9", "application/openmetrics-text;version=2.0.0"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got := Negotiate([]string{a, b}, true, true)
		if got.Open && !got.Open2 && got.version != "1.0.0" && got.version != "0.0.1" || got.Open2 && (got.version != "2.0.0" || !got.Open) {
			t.Errorf("%q %q: version %q", a, b, got.version)
		}
		if old := Negotiate([]string{a, b}, true, false); old != got && !strings.Contains(a+b, "2.0.0") {
			t.Errorf("%q %q: %+v instead of %+v, although no range has version 2.0.0", a, b, got, old)
		}
		if got.Protobuf && !strings.Contains(strings.ToLower(a+b), "application/vnd.google.protobuf") {
			t.Errorf("%q %q: the protobuf format is chosen and not named", a, b)
		}
		if got.Open && !strings.Contains(strings.ToLower(a+b), "application/openmetrics-text") {
			t.Errorf("%q %q: OpenMetrics is chosen and not named", a, b)
		}
		if Negotiate([]string{a, b, "application/openmetrics-text;version=1.0.0;q=0"}, true, true) != got {
			t.Errorf("%q %q: an element of weight 0 changes the format", a, b)
		}
	})
}

func TestGzip(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{",, ,"}, false},
		{[]string{"gzip"}, true},
		{[]string{"GZIP"}, true},
		{[]string{"GZip;Q=0.5"}, true},
		{[]string{"x-gzip"}, true},
		{[]string{"X-GZIP;q=0"}, false},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip;q=0.000"}, false},
		{[]string{"gzip; q=0.001"}, true},
		{[]string{"gzip ; q = 1.000"}, true},
		{[]string{"gzip;q=1.1"}, false},
		{[]string{"gzip;q=-1"}, false},
		{[]string{"gzip;q=NaN"}, false},
		{[]string{"gzip;q=Inf"}, false},
		{[]string{"gzip;q="}, false},
		{[]string{"gzip;q"}, false},
		{[]string{"gzip;q=high"}, false},
		{[]string{"gzip;q=1.0001"}, false},
		{[]string{"gzip;q=2"}, false},
		{[]string{"gzip;q=0.x"}, false},
		{[]string{"gzip;q=0.5.5"}, false},
		{[]string{"gzip;q=.5"}, true},
		{[]string{"gzip;q=0.00000001"}, true},
		{[]string{"gzip;q=."}, false},
		{[]string{"gzip;level=9"}, true},
		{[]string{"gzip;level=9;q=0"}, false},
		{[]string{"gzipped"}, false},
		{[]string{"not-gzip"}, false},
		{[]string{"deflate, br"}, false},
		{[]string{"deflate, gzip;q=0.5, br"}, true},
		{[]string{"deflate,gzip"}, true},
		{[]string{"\tgzip\t,br"}, true},
		{[]string{"br", "gzip"}, true},
		{[]string{"br", "gzip;q=0"}, false},
		{[]string{"*"}, true},
		{[]string{"*;q=0.5"}, true},
		{[]string{"*;q=0"}, false},
		{[]string{"*;q=0, gzip"}, true},
		{[]string{"*, gzip;q=0"}, false},
		{[]string{"gzip;q=0, *"}, false},
		{[]string{"identity"}, false},
		{[]string{"identity, gzip;q=0.5"}, false},
		{[]string{"identity;q=0.5, gzip;q=0.5"}, true},
		{[]string{"identity;q=0.4, gzip;q=0.5"}, true},
		{[]string{"identity;q=0.50, gzip;q=0.5"}, true},
		{[]string{"identity;q=0.501, gzip;q=0.5"}, false},
		{[]string{"identity;q=0, gzip;q=0.1"}, true},
		{[]string{"identity, *;q=0.5"}, false},
		{[]string{"identity;q=0.1", "*;q=0.5"}, true},
		{[]string{"gzip, deflate, br, zstd"}, true}, // browsers
	} {
		if got := Gzip(c.values); got != c.want {
			t.Errorf("Gzip(%q) = %v", c.values, got)
		}
	}
}

// TestQvalue: a weight is a number from 0 to 1. Other weights are 0.
func TestQvalue(t *testing.T) {
	for s, want := range map[string]float64{
		"0": 0, "1": 1, "0.5": 0.5, ".5": 0.5, "0.25": 0.25, "1.": 1, "1.000": 1, "0.": 0, "": 0, ".": 0,
		"1.001": 0, "2": 0, "10": 0, "00": 0, "00.5": 0, "-0": 0, "-1": 0, "+1": 0, "1e0": 0, "0.1e1": 0, "0.5 ": 0, "0,5": 0, "0x1": 0, "NaN": 0, "Inf": 0,
	} {
		if got := qvalue(s); got-want > 1e-12 || want-got > 1e-12 || got != got {
			t.Errorf("qvalue(%q) = %v, want %v", s, got, want)
		}
	}
}

// TestDigits: a byte that is no digit makes a weight or a time malformed, at each place.
func TestDigits(t *testing.T) {
	for c := range 256 {
		digit := '0' <= c && c <= '9'
		for _, s := range []string{"0.%", "0.%1", "0.1%", "0.00%1"} {
			s = strings.Replace(s, "%", string([]byte{byte(c)}), 1)
			if want, err := strconv.ParseFloat(s, 64); digit && (err != nil || math.Abs(qvalue(s)-want) > 1e-12) || !digit && qvalue(s) != 0 {
				t.Errorf("qvalue(%q) = %v", s, qvalue(s))
			}
		}
		for _, s := range []string{"%", "1%", "%1", "1%.5", "0.%", "0.5%", "0.%5"} {
			s = strings.Replace(s, "%", string([]byte{byte(c)}), 1)
			seconds, _ := strconv.ParseFloat(s, 64)
			if c == '.' && strings.Count(s, ".") == 1 {
				continue // another number
			}
			if want := time.Duration(math.Round(seconds * 1e9)); digit && Timeout(s) != want || !digit && Timeout(s) != 0 {
				t.Errorf("Timeout(%q) is %v", s, Timeout(s))
			}
		}
	}
}

// FuzzGzip: a header that refuses gzip is overridden only by a header that names gzip.
func FuzzGzip(f *testing.F) {
	for _, s := range []string{"", "gzip", "gzip;q=0", "*;q=.5,identity;q=1", ";;;=,", "q=;q", "gzip;q=1e999"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		Gzip([]string{a, b})
		if Gzip([]string{a, "gzip;q=0,x-gzip;q=0"}) && !strings.Contains(strings.ToLower(a), "gzip") {
			t.Errorf("gzip is refused, and accepted with %q before", a)
		}
	})
}

func TestTimeout(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "10": 10 * time.Second, "0.5": 500 * time.Millisecond, "1.25": 1250 * time.Millisecond, "10.": 10 * time.Second, ".5": 500 * time.Millisecond,
		"3599.999": time.Hour - time.Millisecond, "3600": 0, "99999999999999999999999": 0, "-1": 0, "1e3": 0, "NaN": 0, "+Inf": 0, "1.2.3": 0, " 1": 0, "1s": 0,
		"0.0000000001": 0, "0.00000000000000000000000000001": 0, "00000000000000000000000001": time.Second,
	} {
		if got := Timeout(value); got != want {
			t.Errorf("Timeout(%q) is %v, want %v", value, got, want)
		}
	}
}
