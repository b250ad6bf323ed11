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

	"github.com/tachikoma/tacho"
)

const (
	accept2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
	accept3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
	acceptProto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.8,"
)

// TestNegotiation sends the same Accept to a tacho handler and to one of
// client_golang's promhttp, and wants the same Content-Type from both, unless a
// line says why not.
func TestNegotiation(t *testing.T) {
	peer := promhttp.HandlerFor(prometheus.NewRegistry(), promhttp.HandlerOpts{EnableOpenMetrics: true})
	legacy := tacho.NewRegistry()
	utf8 := tacho.NewRegistry(tacho.WithUTF8Names())
	const (
		text      = "text/plain; version=0.0.4; charset=utf-8; escaping="
		open      = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="
		old       = "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping="
		protobuf  = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping="
		under     = "underscores"
		unescaped = "allow-utf-8"
	)
	for _, c := range []struct {
		accept string
		want   string // of tacho
		peer   string // of promhttp, where that is another
		why    string
	}{
		// What scrapers send.
		{accept: accept2, want: open + under},
		{accept: accept3, want: open + unescaped},
		{accept: acceptProto + accept3, want: open + unescaped, peer: protobuf + unescaped, why: "no protobuf: it is asked for first where native histograms are on, and OpenMetrics next"},
		{accept: "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.8," + accept3, want: open + unescaped},
		{accept: strings.ReplaceAll(accept3, "allow-utf-8", "underscores"), want: open + under},
		{accept: strings.ReplaceAll(accept3, "allow-utf-8", "dots"), want: open + "dots"},
		{accept: strings.ReplaceAll(accept3, "allow-utf-8", "values"), want: open + "values"},
		// What else there is.
		{accept: "", want: text + under},
		{accept: "*/*", want: text + under},
		{accept: "text/*", want: text + under},
		{accept: "text/plain", want: text + under},
		{accept: "text/plain;version=0.0.4", want: text + under},
		{accept: "text/plain;version=0.0.4;escaping=values", want: text + "values"},
		{accept: "text/plain;version=0.0.4;escaping=allow-utf-8", want: text + unescaped},
		{accept: "text/plain;version=1.0.0;escaping=allow-utf-8", want: text + unescaped, peer: text + under,
			why: "the client reads quoted names and can have them: promhttp knows no text of that version and falls back"},
		{accept: "text/plain;version=0.0.3", want: text + under},
		{accept: "application/openmetrics-text", want: old + under},
		{accept: "application/openmetrics-text;version=0.0.1", want: old + under},
		{accept: "application/openmetrics-text;version=1.0.0", want: open + under},
		{accept: "application/openmetrics-text; version=1.0.0; charset=utf-8", want: open + under},
		{accept: "application/openmetrics-text;version=1.0.0;escaping=nonsense", want: open + under},
		{accept: "application/openmetrics-text;version=2.0.0", want: text + under},
		{accept: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", want: text + under},
		{accept: "application/json", want: text + under},
		{accept: "garbage", want: text + under},
		// Weights.
		{accept: "text/plain;q=0.5,application/openmetrics-text;version=1.0.0", want: open + under},
		{accept: "text/plain,application/openmetrics-text;version=1.0.0;q=0.5", want: text + under},
		{accept: "text/plain,application/openmetrics-text;version=1.0.0", want: text + under},
		{accept: "application/openmetrics-text;version=1.0.0,text/plain", want: open + under},
		{accept: "*/*;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5", want: text + under, peer: open + under,
			why: "the range that is preferred is one of text too: promhttp has no use for wildcards"},
		{accept: "*/*,application/openmetrics-text;version=1.0.0", want: open + under},
		{accept: "application/openmetrics-text;version=1.0.0;q=0", want: text + under, peer: open + under,
			why: "q=0 means not acceptable (RFC 9110, section 12.4.2)"},
		{accept: "application/openmetrics-text;version=1.0.0;q=0,text/plain;q=0.1", want: text + under},
		{accept: "application/openmetrics-text;version=1.0.0;q=nonsense,text/plain;q=0.1", want: text + under},
		{accept: "application/openmetrics-text;version=1.0.0;q=7,text/plain;q=0.1", want: text + under, peer: open + under,
			why: "a weight is 0 to 1; an element without a valid one is not counted on"},
		// How it is written.
		{accept: "Application/OpenMetrics-Text;Version=1.0.0", want: open + under, peer: text + under,
			why: "types and names of parameters are case-insensitive (RFC 9110, section 8.3.1)"},
		{accept: `application/openmetrics-text;version="1.0.0"`, want: open + under, peer: text + under,
			why: "a value may stand in quotes (RFC 9110, section 5.6.6)"},
		{accept: "application/openmetrics-text ; version=1.0.0", want: open + under},
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
			t.Errorf("%q: promhttp says %s, not %s as we do", c.accept, got, want)
		}
		if (c.why == "") != (c.peer == "") {
			t.Errorf("%q: a difference and its reason go together", c.accept)
		}
	}
}

// TestContentEncoding does the same with Accept-Encoding, and reads what comes.
func TestContentEncoding(t *testing.T) {
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g", Help: "h"})
	registry.MustRegister(gauge)
	peer := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	reg := tacho.NewRegistry()
	reg.Gauge("g", "h")
	for _, c := range []struct {
		accept, want, peer, why string
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
		{accept: "*", want: "gzip", peer: "none", why: "any coding is accepted, and the smaller one is served"},
		{accept: "GZIP", want: "gzip", peer: "none", why: "codings are case-insensitive (RFC 9110, section 8.4.1)"},
		{accept: "x-gzip", want: "gzip", peer: "none", why: "x-gzip means gzip (RFC 9110, section 8.4.1.3)"},
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
				t.Errorf("%q, handler %d: Vary is %q", c.accept, i, vary)
			}
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%q: %q, promhttp %q", c.accept, bodies[0], bodies[1])
		}
		if (c.why == "") != (c.peer == "") {
			t.Errorf("%q: a difference and its reason go together", c.accept)
		}
	}
}
