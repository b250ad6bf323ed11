//go:build !tacho_nohttp

package push

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tachikoma/tacho"
)

// A Target is a server that takes pushes: [Pushgateway], [VictoriaMetrics] or
// [RemoteWrite]. Their URLs are http or https; a user and password in one are sent
// as basic authentication.
type Target interface {
	// resolve checks the target and says how to push there.
	resolve() (*destination, error)
}

// A destination is what a target comes to.
type destination struct {
	method  string
	url     *url.URL
	header  http.Header
	deletes bool // DELETE removes what was pushed
	// encode returns the bodies of the requests that make a push. They come from
	// no more than limit bytes of metrics; past that it returns errTooLarge. It is
	// not for concurrent use.
	encode func(reg *tacho.Registry, limit int64) ([][]byte, error)
}

// A Pushgateway keeps what was pushed last, for Prometheus to scrape. It knows
// pushes apart by their grouping key: the job and the labels of Grouping. They
// replace labels of the same name in what is pushed. Since bodies are compressed
// with gzip it must be of version 1.5.0 or later. It refuses a push that has a
// sample with a time, see [tacho.Emitter.At].
type Pushgateway struct {
	// URL is that of the Pushgateway, without /metrics, such as
	// http://127.0.0.1:9091.
	URL string
	// Job is the label job. It must not be empty.
	Job string
	// Grouping are further labels of the grouping key: name, value, name, value.
	Grouping []string
	// Add replaces only the metrics that a push has (POST); by default all that
	// were pushed with this grouping key are replaced (PUT).
	Add bool
}

func (t Pushgateway) resolve() (*destination, error) {
	d, err := resolve(t.URL, "/metrics")
	if err != nil {
		return nil, err
	}
	if t.Job == "" {
		return nil, errors.New("tacho: push: a Pushgateway needs a job")
	}
	labels, err := parseLabels(append([]string{"job", t.Job}, t.Grouping...))
	if err != nil {
		return nil, err
	}
	for _, l := range labels {
		d.url = d.url.JoinPath(groupingPath(l)...)
	}
	d.method, d.deletes = http.MethodPut, true
	if t.Add {
		d.method = http.MethodPost
	}
	d.textFormat()
	return d, nil
}

// groupingPath returns the two segments of a path that say one label. Values that
// a path cannot hold, an empty one or one with a slash, have a form in base64; here
// all that could change on the way have it.
func groupingPath(l label) []string {
	if l.value == "" {
		return []string{l.name + "@base64", "="}
	}
	if strings.Trim(l.value, ".") == "" || strings.ContainsFunc(l.value, reserved) {
		return []string{l.name + "@base64", base64.RawURLEncoding.EncodeToString([]byte(l.value))}
	}
	return []string{l.name, l.value}
}

// reserved reports whether a character could need escaping in a path (RFC 3986,
// section 2.3).
func reserved(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c))
}

// VictoriaMetrics takes the text format at /api/v1/import/prometheus, and gives
// samples the time at which it got them.
type VictoriaMetrics struct {
	// URL is that of the server, such as http://127.0.0.1:8428, or in a cluster
	// http://vminsert:8480/insert/0/prometheus.
	URL string
	// Labels are added to every series, where VictoriaMetrics lets them replace those
	// of the same name: name, value, name, value.
	Labels []string
}

func (t VictoriaMetrics) resolve() (*destination, error) {
	d, err := resolve(t.URL, "/api/v1/import/prometheus")
	if err != nil {
		return nil, err
	}
	labels, err := parseLabels(t.Labels)
	if err != nil {
		return nil, err
	}
	query := d.url.Query()
	for _, l := range labels {
		query.Add("extra_label", l.name+"="+l.value)
	}
	d.url.RawQuery = query.Encode()
	d.method = http.MethodPost
	d.textFormat()
	return d, nil
}

// RemoteWrite is a receiver of Prometheus' remote write protocol, version 1.0. All
// samples of a push have the time at which it began, but for those that say
// another, see [tacho.Emitter.At]. A push is one request for each 2000 series.
type RemoteWrite struct {
	// URL is where the receiver takes writes. Prometheus (with
	// --web.enable-remote-write-receiver) and VictoriaMetrics have it at
	// /api/v1/write, Mimir at /api/v1/push, Thanos at /api/v1/receive.
	URL string
	// Labels are added to every series: name, value, name, value. As in a scrape a
	// label of the series' own that has the same name, job, becomes exported_job. What
	// a scrape adds, job and instance, tells programs apart here too.
	Labels []string
}

func (t RemoteWrite) resolve() (*destination, error) {
	d, err := resolve(t.URL, "")
	if err != nil {
		return nil, err
	}
	labels, err := parseLabels(t.Labels)
	if err != nil {
		return nil, err
	}
	labels = slices.DeleteFunc(labels, func(l label) bool { return l.value == "" })
	slices.SortStableFunc(labels, func(a, b label) int { return len(a.name) - len(b.name) })
	d.method = http.MethodPost
	d.header = http.Header{
		"Content-Type":                      {"application/x-protobuf"},
		"Content-Encoding":                  {"snappy"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"}, // that of 1.0
	}
	last := int64(0)
	d.encode = func(reg *tacho.Registry, limit int64) ([][]byte, error) {
		// Receivers refuse another value of the same time, or one of an earlier time,
		// as after a correction of the clock.
		last = max(time.Now().UnixMilli(), last+1)
		w := &remoteWriter{labels: labels, now: last}
		if err := reg.WriteOpenMetrics(&limitedWriter{w, limit}); err != nil {
			return nil, err
		}
		return w.finish(), nil
	}
	return d, nil
}

// resolve returns a destination with the URL of a path below another.
func resolve(base, path string) (*destination, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("tacho: push: bad URL: %w", errors.Unwrap(err)) // without the URL and its password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("tacho: push: bad URL %q: want http://host", u.Redacted())
	}
	if path != "" {
		u = u.JoinPath(path)
	}
	return &destination{url: u}, nil
}

// textFormat makes the destination one that takes the text format with gzip.
func (d *destination) textFormat() {
	d.header = http.Header{
		"Content-Type":     {"text/plain; version=0.0.4; charset=utf-8"},
		"Content-Encoding": {"gzip"},
	}
	d.encode = func(reg *tacho.Registry, limit int64) ([][]byte, error) {
		var body bytes.Buffer
		zip := gzip.NewWriter(&body)
		if err := reg.WriteText(&limitedWriter{zip, limit}); err != nil {
			return nil, err
		}
		if err := zip.Close(); err != nil {
			return nil, err
		}
		return [][]byte{body.Bytes()}, nil
	}
}

var errTooLarge = errors.New("tacho: push: the metrics are larger than MaxBytes")

// A limitedWriter refuses what is more than left.
type limitedWriter struct {
	w    io.Writer
	left int64
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, errTooLarge
	}
	return w.w.Write(p)
}

type label struct{ name, value string }

// parseLabels makes labels of names and values. It refuses what servers would.
func parseLabels(pairs []string) ([]label, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("tacho: push: labels must be pairs of a name and a value")
	}
	var labels []label
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i]
		if !validName(name) {
			return nil, fmt.Errorf("tacho: push: bad label name %q", name)
		}
		for _, l := range labels {
			if l.name == name {
				return nil, fmt.Errorf("tacho: push: label %s twice", name)
			}
		}
		labels = append(labels, label{name, strings.ToValidUTF8(pairs[i+1], "\uFFFD")})
	}
	return labels, nil
}

// validName reports whether a label may have this name: one of the legacy set that
// is not reserved.
func validName(name string) bool {
	for i, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return name != "" && !strings.HasPrefix(name, "__")
}
