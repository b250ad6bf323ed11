package conformance

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tachikoma/tacho"
)

// instrument measures next by all functions of promhttp for handlers, with the names and labels that
// its documentation uses. handler is the value of the label handler, which promhttp curries.
func instrument(reg *prometheus.Registry, handler string, next http.Handler) http.Handler {
	labels := []string{"handler", "method"}
	histogram := func(name string, buckets []float64) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "shop", Name: name, Buckets: buckets}, labels)
		reg.MustRegister(v)
		return v
	}
	curry := func(v *prometheus.HistogramVec) prometheus.ObserverVec {
		return v.MustCurryWith(prometheus.Labels{"handler": handler})
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "shop", Name: "http_requests_total"}, append(labels, "code"))
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "shop", Name: "http_requests_in_flight"})
	reg.MustRegister(requests, inFlight)
	duration := histogram("http_request_duration_seconds", secondBuckets)
	response := histogram("http_response_size_bytes", byteBuckets)
	request := histogram("http_request_size_bytes", byteBuckets)
	first := histogram("http_time_to_first_byte_seconds", secondBuckets)

	h := promhttp.InstrumentHandlerTimeToWriteHeader(curry(first), next)
	h = promhttp.InstrumentHandlerResponseSize(curry(response), h).ServeHTTP
	h = promhttp.InstrumentHandlerRequestSize(curry(request), h)
	h = promhttp.InstrumentHandlerDuration(curry(duration), h)
	h = promhttp.InstrumentHandlerCounter(requests.MustCurryWith(prometheus.Labels{"handler": handler}), h)
	return promhttp.InstrumentHandlerInFlight(inFlight, h)
}

var (
	secondBuckets = []float64{.1, 1, 10}
	byteBuckets   = []float64{10, 1000}
)

// TestNamesOfPromhttp checks that tacho's middleware can have the names and labels of promhttp's
// functions. It sends the same requests through both, and compares the series and their values. The
// list of differences is complete, except for sums of durations and the methods.
func TestNamesOfPromhttp(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch r.URL.Query().Get("do") {
		case "":
			io.WriteString(w, strings.Repeat("x", 50))
		case "404":
			w.WriteHeader(404)
		}
	})
	theirs := prometheus.NewRegistry()
	ours := tacho.NewRegistry()
	mux := http.NewServeMux()
	mux.Handle("/cart", next)
	m := tacho.NewHTTPMetrics(ours, tacho.WithPrefix("shop_"), tacho.WithLabelName("status", "code"), tacho.WithLabelName("path", "handler"),
		tacho.WithRequestSize(), tacho.WithTimeToFirstByte(), tacho.WithDurationBuckets(secondBuckets), tacho.WithSizeBuckets(byteBuckets))
	both := []http.Handler{instrument(theirs, "/cart", next), m.Handler(mux)}
	for _, r := range []struct{ method, query, body string }{
		{"GET", "", ""}, {"GET", "", ""}, {"POST", "", "12345"}, {"GET", "?do=404", ""}, {"PUT", "?do=nothing", "1"}, {"HEAD", "", ""}, {"BREW", "", ""},
	} {
		for _, h := range both {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(r.method, "/cart"+r.query, strings.NewReader(r.body)))
		}
	}
	got, theirSamples := samplesOf(t, func(w io.Writer) error { return ours.WriteText(w) }), samplesOf(t, func(w io.Writer) error { return writeText(theirs, w) })

	// promhttp's methods have lower case, and "unknown" stands for methods that are not standard.
	methods := strings.NewReplacer(`method="get"`, `method="GET"`, `method="head"`, `method="HEAD"`, `method="post"`, `method="POST"`,
		`method="put"`, `method="PUT"`, `method="unknown"`, `method="other"`)
	want := map[string]string{}
	for series, value := range theirSamples {
		if series != "shop_http_requests_in_flight{}" && methods.Replace(series) == series {
			t.Errorf("promhttp's method in %s is that of tacho", series)
		}
		want[methods.Replace(series)] = value
	}
	found := map[string]bool{}
	for series, value := range want {
		name, _, _ := strings.Cut(series, "{")
		other, ok := got[series]
		if !ok {
			found["tacho lacks "+series] = true
		} else if value != other && !strings.HasSuffix(name, "_seconds_sum") {
			found["another value: "+name] = true
		}
	}
	for series := range got {
		if _, ok := want[series]; !ok {
			name, _, _ := strings.Cut(series, "{")
			found["promhttp lacks "+name+" of "+regexp.MustCompile(`method="\w+"`).FindString(series)] = true
		}
	}
	differences := []string{
		// promhttp adds the approximate length of the request line and of the headers.
		"another value: shop_http_request_size_bytes_bucket",
		"another value: shop_http_request_size_bytes_sum",
		// promhttp counts the bytes that the handler of a HEAD request wrote. A server does not send
		// these bytes.
		"another value: shop_http_response_size_bytes_bucket",
		"another value: shop_http_response_size_bytes_sum",
		// promhttp observes no time if the handler writes nothing. A server sends the headers then.
		`promhttp lacks shop_http_time_to_first_byte_seconds_bucket of method="PUT"`,
		`promhttp lacks shop_http_time_to_first_byte_seconds_count of method="PUT"`,
		`promhttp lacks shop_http_time_to_first_byte_seconds_sum of method="PUT"`,
	}
	if list := slices.Sorted(maps.Keys(found)); !slices.Equal(list, differences) {
		t.Errorf("differences\n%s\nwant\n%s", strings.Join(list, "\n"), strings.Join(differences, "\n"))
	}
}

// samplesOf returns the values of a text exposition by name and labels. The labels are sorted.
func samplesOf(t *testing.T, write func(io.Writer) error) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	samples := map[string]string{}
	for line := range strings.Lines(b.String()) {
		if line[0] == '#' {
			continue
		}
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		pairs := regexp.MustCompile(`\w+="[^"]*"`).FindAllString(labels, -1)
		slices.Sort(pairs)
		samples[fmt.Sprintf("%s{%s}", name, strings.Join(pairs, ","))] = value
	}
	return samples
}

// writeText writes the response of promhttp.
func writeText(reg *prometheus.Registry, w io.Writer) error {
	r := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	_, err := w.Write(r.Body.Bytes())
	return err
}
