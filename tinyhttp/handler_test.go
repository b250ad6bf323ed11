//go:build !tacho_nohttp

package tinyhttp

import (
	"bufio"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestLikeHandler: status, header and body are those of the handler of the registry.
func TestLikeHandler(t *testing.T) {
	native := tacho.NewRegistry(tacho.WithUTF8Names())
	native.Histogram("a.b", "", []float64{1}, tacho.WithNative()).Observe(2)
	for _, r := range []*tacho.Registry{registry(), native} {
		s := &Server{Registry: r}
		s.HandleJSON("/metrics/json")
		addr := start(t, s)
		web := httptest.NewServer(r.Handler())
		defer web.Close()
		view := httptest.NewServer(r.JSONHandler())
		defer view.Close()
		const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
		for _, method := range []string{"GET", "HEAD"} {
			for _, target := range []string{"/metrics", "/metrics/json", "/metrics/json?metadata=1", "/metrics/json?meta%64ata=%31&name[]=b", "/metrics/json?metadata=1&metadata=0", "/metrics/json?metadata=%zz", "/metrics?metadata=1", "/metrics?name[]=b&name[]=a.b", "/metrics?name%5B%5D=f&%zz&name[]=b;c", "/metrics?name[]=none"} {
				for _, field := range []string{"", "Accept: " + testkit.AcceptPrometheus2, "Accept: " + testkit.AcceptPrometheus3, "Accept: " + protobuf + ";q=0.8," + testkit.AcceptPrometheus3,
					"Accept: " + protobuf, "Accept: text/html\r\nAccept: application/openmetrics-text", "Accept: ;;;,", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0", "Accept-Encoding: br\r\nAccept-Encoding: x-gzip"} {
					request := method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + field + "\r\n\r\n"
					other := web.Listener.Addr().String()
					if strings.HasPrefix(target, "/metrics/json") {
						other = view.Listener.Addr().String()
					}
					got, body := readResponse(t, bufio.NewReader(strings.NewReader(send(t, addr, request))), request)
					want, wantBody := readResponse(t, bufio.NewReader(strings.NewReader(send(t, other, request))), request)
					for _, name := range []string{"Content-Type", "Content-Encoding", "Vary"} {
						if g, w := got.Header.Get(name), want.Header.Get(name); g != w {
							t.Errorf("%q: %s is %q, want %q", request, name, g, w)
						}
					}
					if got.StatusCode != want.StatusCode || body != wantBody || got.Close != want.Close {
						t.Errorf("%q: status %d, close %v, %d bytes, want %d, %v, %d", request, got.StatusCode, got.Close, len(body), want.StatusCode, want.Close, len(wantBody))
					}
				}
			}
		}
	}
}
