//go:build !tacho_nohttp

package push

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
)

// A Target is a server for pushes: [Pushgateway], [VictoriaMetrics], [RemoteWrite] or [OTLP].
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
	base    *url.URL // as the program set it
	header  http.Header
	deletes bool      // the target supports DELETE
	sender  sender    // makes the pushes
	remote  *receiver // the sender of a RemoteWrite; otherwise nil
	gzip    bool      // bodies are compressed with gzip
}

// A sender makes the pushes of a Pusher in the protocol of its target.
type sender interface {
	// send makes one push. If final is true, no push follows.
	send(ctx context.Context, p *Pusher, stop <-chan struct{}, final bool) error
	// retryable reports whether a retry may succeed after a response with this status.
	retryable(status int) bool
}

// A Pushgateway is a Prometheus Pushgateway, version 1.5.0 or later. It keeps the last
// push of each grouping key, and Prometheus scrapes the Pushgateway. The grouping key
// consists of Job and the labels in Grouping. These labels replace labels of the same
// name in the pushed metrics. A Pushgateway refuses a push if a sample has a time, see
// [tacho.Emitter.At].
//
// Older versions do not accept the gzip compression of the body. For such a version, set
// [Config.DisableCompression].
//
// If the registry has a native histogram, a push is in protobuf, and otherwise in the text
// format. A push in protobuf needs memory for the largest family.
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
//
// The text format has no stale markers and no native buckets. If the end of a series must be visible at
// once, or for native histograms, use [RemoteWrite].
type VictoriaMetrics struct {
	// URL is the URL of the server, for example http://127.0.0.1:8428. In a cluster
	// the URL is for example http://vminsert:8480/insert/0/prometheus.
	URL string
	// Labels lists labels for every series, as alternating names and values. The
	// server replaces labels of the same name in a series.
	Labels []string
	// Job and Instance are the values of the labels job and instance of every series. Without
	// these labels, the programs of a fleet write to the same series. If Job is empty, no label is
	// added, and Instance must be empty. If only Instance is empty, the instance is the host name, a
	// colon and the process ID, for example web1:4711. Entries of Labels with the names job and
	// instance override both.
	//
	// Each restart of a program then starts new series. Set Instance to a name that remains, for
	// example the host and the port of the server, if a host has one program of the job.
	Job, Instance string
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
	if labels, err = identity(t.Job, t.Instance, labels); err != nil {
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

// RemoteWrite is a receiver of the Prometheus remote write protocol, version 1.0, or version
// 2.0 if Version2 is set. A sample has the time at which the push began, unless the sample has
// its own time, see [tacho.Emitter.At]. A request contains up to 2000 series. A larger push
// consists of several requests. A push without samples is one empty request, so an error shows that
// the receiver is not available.
//
// If a series is missing from a push, the push contains a stale marker for the series.
// Queries then return no value of the series from that time, as after a scrape (remote
// write specification 1.0, "Stale Markers"). The next push with the series continues it. A
// series is also missing if its function does not return in time. [Pusher.Shutdown] sends stale markers for
// all series. A series of samples with their own times gets no stale marker. The stale marker
// of a native histogram is a native histogram.
//
// If a receiver refuses a request because of some samples, the pusher finds these samples
// and sends the others in smaller requests. A push sends at most 128 further requests for
// this purpose, and fewer if the receiver refuses most of them. The samples of the requests
// that remain refused are dropped. The next pushes send the same series in a request of
// their own. If a receiver refuses all samples of several pushes, few later pushes search.
//
// The times are those of the clock. If the clock goes back, a receiver can refuse samples
// until the clock reaches the time of the latest accepted push. Prometheus does so without
// an out-of-order time window. The errors of such pushes contain the difference.
type RemoteWrite struct {
	// URL is the complete URL for writes. The path is /api/v1/write for Prometheus
	// and VictoriaMetrics, /api/v1/push for Mimir and /api/v1/receive for Thanos.
	// Prometheus needs the flag --web.enable-remote-write-receiver.
	URL string
	// Labels lists labels for every series, as alternating names and values. If a
	// series already has a label of the same name, for example job, the label of the
	// series is renamed to exported_job. A scrape renames labels in the same way.
	//
	// A scrape adds the labels job and instance to distinguish programs. Set Job and
	// Instance for the same purpose.
	Labels []string
	// Job and Instance are the values of the labels job and instance of every series. Without
	// these labels, the programs of a fleet write to the same series. If Job is empty, no label is
	// added, and Instance must be empty. If only Instance is empty, the instance is the host name, a
	// colon and the process ID, for example web1:4711. Entries of Labels with the names job and
	// instance override both.
	//
	// Each restart of a program then starts new series. Set Instance to a name that remains, for
	// example the host and the port of the server, if a host has one program of the job.
	Job, Instance string
	// NoStaleMarkers disables stale markers. A series that ended then remains visible
	// in queries for the lookback time of the server, by default 5 minutes in
	// Prometheus.
	//
	// Set NoStaleMarkers for a job whose last values must be visible after its end, or
	// for a receiver without support for stale markers. The pusher then does not keep
	// the labels of all series in memory.
	NoStaleMarkers bool
	// NoNativeHistograms sends native histograms as classic histograms. A histogram without
	// classic buckets then has the bucket +Inf, _sum and _count, as in the text format.
	//
	// Set NoNativeHistograms for a receiver without support for native histograms. The package
	// documentation lists receivers.
	NoNativeHistograms bool
	// Version2 sends remote write 2.0 to a receiver that supports this version, and remote write
	// 1.0 to any other receiver. Version 2.0 adds the type, help and unit of each metric, start
	// times and exemplars.
	//
	// If a response shows that the receiver does not support version 2.0, the pusher sends the same
	// samples again in version 1.0. The pusher then uses version 1.0 and asks for version 2.0 again
	// after an hour. See the section "Remote write 2.0" of the package documentation.
	//
	// Version2 is experimental, as the specification of remote write 2.0 is.
	Version2 bool
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
	if labels, err = identity(t.Job, t.Instance, labels); err != nil {
		return nil, err
	}
	labels = slices.DeleteFunc(labels, func(l label) bool { return l.value == "" })
	slices.SortStableFunc(labels, func(a, b label) int { return len(a.name) - len(b.name) })
	d.method = http.MethodPost
	d.remote = newReceiver(labels, !t.NoStaleMarkers)
	d.sender = d.remote
	d.remote.noNative = t.NoNativeHistograms
	if d.remote.version2 = t.Version2; t.Version2 {
		d.remote.version = 2
	}
	d.header = remoteHeader(d.remote.version)
	return d, nil
}

// resolve checks the URL base and returns a destination for base joined with path.
func resolve(base, path string) (*destination, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errURL
	}
	d := &destination{url: u, base: u}
	if path != "" {
		d.url = u.JoinPath(path)
	}
	return d, nil
}

// errURL does not contain the URL. A malformed URL can have its password in any part.
var errURL = errors.New("tacho: push: bad URL: want http://host/path or https://host/path")

// The values of Content-Type.
const (
	textType     = "text/plain; version=0.0.4; charset=utf-8"
	protobufType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

// textFormat configures d for the text format.
func (d *destination) textFormat() {
	d.header, d.gzip = http.Header{"Content-Type": {textType}, "Content-Encoding": {"gzip"}}, true
	d.sender = textSender{d}
}

var errTooLarge = errors.New("tacho: push: the metrics are larger than MaxBytes")

// A limitedWriter writes to w. After more than left bytes, Write returns errTooLarge.
// After the end of ctx, Write returns the error of ctx.
type limitedWriter struct {
	ctx  context.Context
	w    io.Writer
	left int64
}

// Choose implements [expo.Chooser]. w.w must be a Chooser.
func (w *limitedWriter) Choose(native bool) (*expo.Format, names.Scheme) {
	return w.w.(expo.Chooser).Choose(native)
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
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
			return nil, fmt.Errorf("tacho: push: bad label name %.128q", name)
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
