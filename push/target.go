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

// A Target is a server for pushes: [Pushgateway], [VictoriaMetrics] or [RemoteWrite].
// The scheme of a target's URL is http or https. A user and a password in the URL are
// sent as basic authentication.
type Target interface {
	// resolve checks the target and returns the destination of its requests.
	resolve() (*destination, error)
}

// A destination describes the requests to a target.
type destination struct {
	method  string
	url     *url.URL
	header  http.Header
	deletes bool // the target supports DELETE
	// encode returns the request bodies of a push. If the exposition is larger than
	// limit bytes, encode returns errTooLarge. encode is not safe for concurrent use.
	encode func(reg *tacho.Registry, limit int64) ([][]byte, error)
}

// A Pushgateway is a Prometheus Pushgateway, version 1.5.0 or later. It keeps the last
// push of each grouping key, and Prometheus scrapes the Pushgateway. The grouping key
// consists of Job and the labels in Grouping. These labels replace labels of the same
// name in the pushed metrics. A Pushgateway refuses a push if a sample has a time, see
// [tacho.Emitter.At].
//
// Older versions do not accept the gzip compression of the body.
type Pushgateway struct {
	// URL is the URL of the Pushgateway without /metrics, for example
	// http://127.0.0.1:9091.
	URL string
	// Job is the value of the label job. Job must not be empty.
	Job string
	// Grouping lists further labels of the grouping key, as alternating names and
	// values.
	Grouping []string
	// Add selects POST instead of PUT. With PUT, a push replaces all metrics of the
	// grouping key. With POST, a push replaces only metrics of the same name.
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

// groupingPath returns the two path segments for a label. A path cannot contain an
// empty value or a slash, so Pushgateway also accepts values in base64. groupingPath
// uses base64 for every value that a proxy or client could normalize.
func groupingPath(l label) []string {
	if l.value == "" {
		return []string{l.name + "@base64", "="}
	}
	if strings.Trim(l.value, ".") == "" || strings.ContainsFunc(l.value, reserved) {
		return []string{l.name + "@base64", base64.RawURLEncoding.EncodeToString([]byte(l.value))}
	}
	return []string{l.name, l.value}
}

// reserved reports whether c is outside the unreserved characters (RFC 3986, section
// 2.3). A reserved character may need escaping in a path.
func reserved(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c))
}

// VictoriaMetrics is a VictoriaMetrics server. Pushes go to
// /api/v1/import/prometheus in the text format. The server gives a sample without a
// time the time of receipt.
type VictoriaMetrics struct {
	// URL is the URL of the server, for example http://127.0.0.1:8428. In a cluster
	// the URL is for example http://vminsert:8480/insert/0/prometheus.
	URL string
	// Labels lists labels for every series, as alternating names and values. The
	// server replaces labels of the same name in a series.
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

// RemoteWrite is a receiver of the Prometheus remote write protocol, version 1.0. A
// sample has the start time of the push, unless the sample has its own time, see
// [tacho.Emitter.At]. A request contains up to 2000 series. A larger push consists of
// several requests.
type RemoteWrite struct {
	// URL is the complete URL for writes. The path is /api/v1/write for Prometheus
	// and VictoriaMetrics, /api/v1/push for Mimir and /api/v1/receive for Thanos.
	// Prometheus needs the flag --web.enable-remote-write-receiver.
	URL string
	// Labels lists labels for every series, as alternating names and values. If a
	// series already has a label of the same name, for example job, the label of the
	// series is renamed to exported_job. A scrape renames labels in the same way.
	//
	// A scrape adds the labels job and instance to distinguish programs. Set job and
	// instance here for the same purpose.
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
		"X-Prometheus-Remote-Write-Version": {"0.1.0"}, // the header value of version 1.0
	}
	last := int64(0)
	d.encode = func(reg *tacho.Registry, limit int64) ([][]byte, error) {
		// A receiver refuses a second value for the same time. It also refuses an
		// earlier time, for example after a clock correction.
		last = max(time.Now().UnixMilli(), last+1)
		w := &remoteWriter{labels: labels, now: last}
		if err := reg.WriteOpenMetrics(&limitedWriter{w, limit}); err != nil {
			return nil, err
		}
		return w.finish(), nil
	}
	return d, nil
}

// resolve checks the URL base and returns a destination for base joined with path.
func resolve(base, path string) (*destination, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("tacho: push: bad URL: %w", errors.Unwrap(err)) // the outer error contains the URL and its password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("tacho: push: bad URL %q: want http://host", u.Redacted())
	}
	if path != "" {
		u = u.JoinPath(path)
	}
	return &destination{url: u}, nil
}

// textFormat configures d for the text format, compressed with gzip.
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

// A limitedWriter writes to w. After more than left bytes, Write returns errTooLarge.
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

// parseLabels converts alternating names and values to labels. It returns an error
// for an invalid, reserved or duplicate name.
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
				return nil, fmt.Errorf("tacho: push: duplicate label %s", name)
			}
		}
		labels = append(labels, label{name, strings.ToValidUTF8(pairs[i+1], "\uFFFD")})
	}
	return labels, nil
}

// validName reports whether name is a legacy label name without the reserved prefix
// "__".
func validName(name string) bool {
	for i, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return name != "" && !strings.HasPrefix(name, "__")
}
