package conformance

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/accept"
)

const (
	accept2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
	accept3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
	acceptProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.8,"
)

// TestNegotiation sends the same Accept header to a handler of tacho and to a handler
// of promhttp. The Content-Type headers must be equal, except for the rows with a
// reason for a difference.
func TestNegotiation(t *testing.T) {
	peer := promhttp.HandlerFor(prometheus.NewRegistry(), promhttp.HandlerOpts{EnableOpenMetrics: true})
	legacy := tacho.NewRegistry()
	utf8 := tacho.NewRegistry(tacho.WithUTF8Names())
	const (
		text           = "text/plain; version=0.0.4; charset=utf-8; escaping="
		openMetrics    = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="
		openMetrics001 = "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping="
		protobuf       = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping="
		openMetrics2   = "application/openmetrics-text;version=2.0.0"
		opt            = "promhttp serves OpenMetrics 2.0 only with HandlerOpts.AcceptedFormats"
		underscores    = "underscores"
		unescaped      = "allow-utf-8"
	)
	for _, c := range []struct {
		accept string
		want   string // Content-Type of tacho
		peer   string // Content-Type of promhttp, if different
		reason string
	}{
		// Scrapers.
		{accept: accept2, want: openMetrics + underscores},
		{accept: accept3, want: openMetrics + unescaped},
		{accept: acceptProto + accept3, want: openMetrics + unescaped, peer: protobuf + unescaped, reason: "tacho offers the protobuf format only if the registry has a native histogram; see TestNegotiationProtobuf"},
		{accept: openMetrics2 + ";escaping=allow-utf-8;q=0.8," + accept3, want: typeOpenMetrics2 + "; escaping=" + unescaped, peer: openMetrics + unescaped, reason: opt},
		{accept: strings.ReplaceAll(accept3, "allow-utf-8", "underscores"), want: openMetrics + underscores},
		{accept: strings.ReplaceAll(accept3, "allow-utf-8", "dots"), want: openMetrics + "dots"},
		{accept: strings.ReplaceAll(accept3, "allow-utf-8", "values"), want: openMetrics + "values"},
		// Other clients.
		{accept: "", want: text + underscores},
		{accept: "*/*", want: text + underscores},
		{accept: "text/*", want: text + underscores},
		{accept: "text/plain", want: text + underscores},
		{accept: "text/plain;version=0.0.4", want: text + underscores},
		{accept: "text/plain;version=0.0.4;escaping=values", want: text + "values"},
		{accept: "text/plain;version=0.0.4;escaping=allow-utf-8", want: text + unescaped},
		{accept: "text/plain;version=1.0.0;escaping=allow-utf-8", want: text + unescaped, peer: text + underscores,
			reason: "the client accepts quoted names, but promhttp does not support version 1.0.0 of the text format"},
		{accept: "text/plain;version=0.0.3", want: text + underscores},
		{accept: "application/openmetrics-text", want: openMetrics001 + underscores},
		{accept: "application/openmetrics-text;version=0.0.1", want: openMetrics001 + underscores},
		{accept: "application/openmetrics-text;version=1.0.0", want: openMetrics + underscores},
		{accept: "application/openmetrics-text; version=1.0.0; charset=utf-8", want: openMetrics + underscores},
		{accept: "application/openmetrics-text;version=1.0.0;escaping=nonsense", want: openMetrics + underscores},
		{accept: openMetrics2, want: typeOpenMetrics2 + "; escaping=" + underscores, peer: text + underscores, reason: opt},
		{accept: openMetrics2 + ";escaping=values", want: typeOpenMetrics2 + "; escaping=values", peer: text + underscores, reason: opt},
		{accept: openMetrics2 + "-rc0", want: text + underscores},
		{accept: openMetrics2 + ",application/openmetrics-text;version=1.0.0", want: typeOpenMetrics2 + "; escaping=" + underscores, peer: openMetrics + underscores, reason: opt},
		{accept: "application/openmetrics-text;version=1.0.0," + openMetrics2, want: openMetrics + underscores},
		{accept: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", want: text + underscores},
		{accept: "application/json", want: text + underscores},
		{accept: "garbage", want: text + underscores},
		// Weights.
		{accept: "text/plain;q=0.5,application/openmetrics-text;version=1.0.0", want: openMetrics + underscores},
		{accept: "text/plain,application/openmetrics-text;version=1.0.0;q=0.5", want: text + underscores},
		{accept: "text/plain,application/openmetrics-text;version=1.0.0", want: text + underscores},
		{accept: "application/openmetrics-text;version=1.0.0,text/plain", want: openMetrics + underscores},
		{accept: "*/*;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5", want: text + underscores, peer: openMetrics + underscores,
			reason: "the preferred media range includes text, but promhttp ignores wildcards"},
		{accept: "*/*,application/openmetrics-text;version=1.0.0", want: openMetrics + underscores},
		{accept: "application/openmetrics-text;version=1.0.0;q=0", want: text + underscores, peer: openMetrics + underscores,
			reason: "q=0 means not acceptable (RFC 9110, section 12.4.2)"},
		{accept: "application/openmetrics-text;version=1.0.0;q=0,text/plain;q=0.1", want: text + underscores},
		{accept: "application/openmetrics-text;version=1.0.0;q=nonsense,text/plain;q=0.1", want: text + underscores},
		{accept: "application/openmetrics-text;version=1.0.0;q=7,text/plain;q=0.1", want: text + underscores, peer: openMetrics + underscores,
			reason: "a weight is 0 to 1, and tacho ignores an element with an invalid weight"},
		// Upper case, quotes and spaces.
		{accept: "Application/OpenMetrics-Text;Version=1.0.0", want: openMetrics + underscores, peer: text + underscores,
			reason: "types and parameter names are case-insensitive (RFC 9110, section 8.3.1)"},
		{accept: `application/openmetrics-text;version="1.0.0"`, want: openMetrics + underscores, peer: text + underscores,
			reason: "a parameter value may be a quoted string (RFC 9110, section 5.6.6)"},
		{accept: "application/openmetrics-text ; version=1.0.0", want: openMetrics + underscores},
	} {
		ask := func(h http.Handler) string {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/metrics", nil)
			if c.accept != "" {
				r.Header.Set("Accept", c.accept)
			}
			h.ServeHTTP(w, r)
			return w.Header().Get("Content-Type")
		}
		if got := ask(utf8.Handler()); got != c.want {
			t.Errorf("%q: %s, want %s", c.accept, got, c.want)
		}
		plain, _, _ := strings.Cut(c.want, "; escaping")
		if got := ask(legacy.Handler()); got != plain {
			t.Errorf("%q, legacy names only: %s, want %s", c.accept, got, plain)
		}
		want := c.peer
		if want == "" {
			want = c.want
		}
		if got := ask(peer); got != want {
			t.Errorf("%q: promhttp returned %s, want %s", c.accept, got, want)
		}
		if (c.reason == "") != (c.peer == "") {
			t.Errorf("%q: only one of peer and reason is set", c.accept)
		}
	}
}

// TestNegotiationProtobuf is TestNegotiation for a registry that offers the protobuf format.
func TestNegotiationProtobuf(t *testing.T) {
	const (
		named    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
		protobuf = typeProtobuf + "; escaping="
		text     = typeText + "; escaping="
		open     = typeOpenMetrics + "; escaping="
		// The lists of Prometheus 3.16: without native histograms, with them, and with
		// scrape_protocols of OpenMetrics 2.0, protobuf and text.
		without   = accept3
		with      = named + ";q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
		protocols = "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.7," + named + ";q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
		escaping  = "Prometheus names no escaping for protobuf and accepts UTF-8 there: the rest of its Accept decides"
	)
	peer := promhttp.HandlerFor(prometheus.NewRegistry(), promhttp.HandlerOpts{EnableOpenMetrics: true})
	for _, c := range []struct{ accept, want, peer, reason string }{
		{accept: without, want: open + "allow-utf-8"},
		{accept: with, want: protobuf + "allow-utf-8", peer: protobuf + "underscores", reason: escaping},
		{accept: protocols, want: typeOpenMetrics2 + "; escaping=allow-utf-8", peer: protobuf + "underscores", reason: "promhttp serves OpenMetrics 2.0 only with HandlerOpts.AcceptedFormats"},
		{accept: strings.ReplaceAll(with, "allow-utf-8", "underscores"), want: protobuf + "underscores"},
		{accept: acceptProto + accept3, want: protobuf + "allow-utf-8"},
		{accept: named + ";escaping=dots", want: protobuf + "dots"},
		{accept: named, want: protobuf + "underscores"},
		{accept: named + ";q=0.1,text/plain;version=0.0.4;q=0.2", want: text + "underscores"},
		{accept: "application/vnd.google.protobuf", want: text + "underscores"},
		{accept: "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", want: text + "underscores"},
		{accept: strings.Replace(named, "MetricFamily", "Other", 1), want: text + "underscores"},
		{accept: strings.Replace(named, "delimited", "text", 1), want: text + "underscores",
			peer: strings.Replace(protobuf, "delimited", "text", 1) + "underscores", reason: "no scraper asks for this encoding"},
		{accept: strings.Replace(named, "delimited", "compact-text", 1), want: text + "underscores",
			peer: strings.Replace(protobuf, "delimited", "compact-text", 1) + "underscores", reason: "no scraper asks for this encoding"},
		{accept: "*/*", want: text + "underscores"},
	} {
		if got := accept.Negotiate([]string{c.accept}, true, true).ContentType(true); got != c.want {
			t.Errorf("%q: %s, want %s", c.accept, got, c.want)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", c.accept)
		peer.ServeHTTP(w, r)
		want := c.peer
		if want == "" {
			want = c.want
		}
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("%q: promhttp returned %s, want %s", c.accept, got, want)
		}
		if (c.reason == "") != (c.peer == "") {
			t.Errorf("%q: only one of peer and reason is set", c.accept)
		}
	}
}

// TestNegotiationOpenMetrics2 is TestNegotiation with a handler of promhttp that has OpenMetrics 2.0 among
// its formats.
func TestNegotiationOpenMetrics2(t *testing.T) {
	const two = "application/openmetrics-text;version=2.0.0"
	formats := []expfmt.Format{expfmt.FmtOpenMetrics_2_0_0, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}
	peer := promhttp.HandlerFor(prometheus.NewRegistry(), promhttp.HandlerOpts{AcceptedFormats: formats})
	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	for _, c := range []struct{ accept, want, peer, reason string }{
		{accept: two + ";escaping=allow-utf-8;q=0.7,*/*;q=0.6", want: typeOpenMetrics2 + "; escaping=allow-utf-8"},
		{accept: two + ";escaping=underscores", want: typeOpenMetrics2 + "; escaping=underscores"},
		{accept: two + ";escaping=values;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4", want: typeOpenMetrics2 + "; escaping=values"},
		{accept: two + ";q=0.4,application/openmetrics-text;version=1.0.0;q=0.5", want: typeOpenMetrics + "; escaping=underscores"},
		{accept: two + "-rc0", want: typeText + "; escaping=underscores"},
		{accept: accept3, want: typeOpenMetrics + "; escaping=allow-utf-8"},
		{accept: "application/openmetrics-text;version=1.0.0," + two, want: typeOpenMetrics + "; escaping=underscores"},
		{accept: two, want: typeOpenMetrics2 + "; escaping=underscores", peer: typeOpenMetrics2 + "; escaping=allow-utf-8",
			reason: "without the parameter escaping, names are escaped in every version; all parsers of version 2.0.0 can read quoted names"},
	} {
		for i, h := range []http.Handler{reg.Handler(), peer} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept", c.accept)
			h.ServeHTTP(w, r)
			want := c.want
			if i == 1 && c.peer != "" {
				want = c.peer
			}
			if got := w.Header().Get("Content-Type"); got != want {
				t.Errorf("%q, handler %d: %s, want %s", c.accept, i, got, want)
			}
		}
		if (c.reason == "") != (c.peer == "") {
			t.Errorf("%q: only one of peer and reason is set", c.accept)
		}
	}
}

// TestContentEncoding is like TestNegotiation, but for Accept-Encoding. The test also
// compares the bodies.
func TestContentEncoding(t *testing.T) {
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g", Help: "h"})
	registry.MustRegister(gauge)
	peer := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	reg := tacho.NewRegistry()
	reg.Gauge("g", "h")
	for _, c := range []struct {
		accept, want, peer, reason string
	}{
		{accept: "gzip", want: "gzip"}, // Prometheus
		{accept: "zstd,gzip", want: "gzip"},
		{accept: "gzip, deflate, br", want: "gzip"},
		{accept: "", want: ""},
		{accept: "identity", want: ""},
		{accept: "zstd", want: ""},
		{accept: "deflate", want: ""},
		{accept: "gzip;q=0", want: ""},
		{accept: "gzip;q=0.5", want: "gzip"},
		{accept: "identity;q=0.5, gzip", want: "gzip"},
		{accept: "*", want: "gzip", peer: "none", reason: "the client accepts every coding, so tacho selects the smaller body"},
		{accept: "GZIP", want: "gzip", peer: "none", reason: "codings are case-insensitive (RFC 9110, section 8.4.1)"},
		{accept: "x-gzip", want: "gzip", peer: "none", reason: "x-gzip means gzip (RFC 9110, section 8.4.1.3)"},
	} {
		var bodies []string
		for i, h := range []http.Handler{reg.Handler(), peer} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/metrics", nil)
			if c.accept != "" {
				r.Header.Set("Accept-Encoding", c.accept)
			}
			h.ServeHTTP(w, r)
			want := c.want
			if i == 1 && c.peer != "" {
				want = strings.TrimPrefix(c.peer, "none")
			}
			got := w.Header().Get("Content-Encoding")
			if got != want {
				t.Errorf("%q, handler %d: %q, want %q", c.accept, i, got, want)
			}
			var body io.Reader = w.Body
			if got == "gzip" {
				z, err := gzip.NewReader(body)
				if err != nil {
					t.Fatalf("%q, handler %d: %v", c.accept, i, err)
				}
				body = z
			}
			plain, err := io.ReadAll(body)
			if err != nil {
				t.Fatalf("%q, handler %d: %v", c.accept, i, err)
			}
			bodies = append(bodies, string(plain))
			if vary := strings.Join(w.Header().Values("Vary"), ", "); vary != "Accept, Accept-Encoding" {
				t.Errorf("%q, handler %d: Vary is %q, want both request headers", c.accept, i, vary)
			}
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%q: body %q, want %q as from promhttp", c.accept, bodies[0], bodies[1])
		}
		if (c.reason == "") != (c.peer == "") {
			t.Errorf("%q: only one of peer and reason is set", c.accept)
		}
	}
}
