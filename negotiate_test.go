//go:build !tacho_nohttp

package tacho

import (
	"strings"
	"testing"
)

const (
	accept2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
	accept3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
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
		// What Prometheus sends.
		{[]string{accept2}, open},
		{[]string{accept3}, utf8(open)},
		{[]string{acceptProto + accept3}, utf8(open)},
		{[]string{"application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.8," + accept3}, utf8(open)},
		// What others send.
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
		{[]string{"text/plain;version=0.0.3;escaping=allow-utf-8"}, plain}, // not that element: the fallback
		// Weights, order, how specific.
		{[]string{"text/plain, application/openmetrics-text;version=1.0.0"}, plain},
		{[]string{"application/openmetrics-text;version=1.0.0, text/plain"}, open},
		{[]string{"text/plain;q=0.5, application/openmetrics-text;version=1.0.0"}, open},
		{[]string{"text/plain;q=0.5", "application/openmetrics-text;version=1.0.0;q=0.6"}, open},
		{[]string{"application/openmetrics-text;version=1.0.0;q=0, text/plain;q=0.1"}, plain},
		{[]string{"application/openmetrics-text;version=1.0.0;q=0"}, plain},
		{[]string{"text/plain;q=0"}, plain}, // nothing else is left
		{[]string{"*/*, application/openmetrics-text;version=1.0.0"}, open},
		{[]string{"*/*, application/openmetrics-text;version=1.0.0;q=0.9"}, plain},
		{[]string{"text/*;q=0.9, */*, application/openmetrics-text;version=1.0.0"}, open},
		// How it is written.
		{[]string{"APPLICATION/OpenMetrics-Text ; VERSION=\"1.0.0\" ; Escaping=allow-utf-8 ; Q=1"}, utf8(open)},
		{[]string{"application/openmetrics-text;version=1.0.0;q=1.5"}, plain},
		{[]string{"application/openmetrics-text;version=1.0.0;q=high"}, plain},
		{[]string{`text/plain;x="a,application/openmetrics-text;version=1.0.0";q=0.1`}, plain},
		{[]string{`text/plain;x="\",\"";q=0.1, application/openmetrics-text;version=1.0.0`}, open},
		{[]string{",, ;q=1,;,application/openmetrics-text;version=1.0.0;;,"}, open},
		{[]string{`"`}, plain},
	} {
		if got := negotiate(c.accept).contentType(true); got != c.want {
			t.Errorf("%q: %s, want %s", c.accept, got, c.want)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", accept2, accept3, acceptProto, "*/*;q=0", `text/plain;x="`, `;=",\`, "application/openmetrics-text;q=1e-9"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got := negotiate([]string{a, b})
		if got.open && got.version != "1.0.0" && got.version != "0.0.1" {
			t.Errorf("%q %q: version %q", a, b, got.version)
		}
		if got.open && !strings.Contains(strings.ToLower(a+b), "application/openmetrics-text") {
			t.Errorf("%q %q: OpenMetrics, which nobody asked for", a, b)
		}
		if negotiate([]string{a, b, "application/openmetrics-text;version=1.0.0;q=0"}) != got {
			t.Errorf("%q %q: an element of weight 0 changes the answer", a, b)
		}
	})
}

func TestAcceptsGzip(t *testing.T) {
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
		if got := acceptsGzip(c.values); got != c.want {
			t.Errorf("acceptsGzip(%q) = %v", c.values, got)
		}
	}
}

func FuzzAcceptsGzip(f *testing.F) {
	for _, s := range []string{"", "gzip", "gzip;q=0", "*;q=.5,identity;q=1", ";;;=,", "q=;q", "gzip;q=1e999"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		acceptsGzip([]string{a, b})
		if acceptsGzip([]string{a, "gzip;q=0,x-gzip;q=0"}) && !strings.Contains(strings.ToLower(a), "gzip") {
			t.Errorf("gzip is refused, but not with %q before", a)
		}
	})
}
