//go:build !tacho_nohttp

package push

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// TestPages: a URL of a login page, or of a page for browsers, is no success.
func TestPages(t *testing.T) {
	for name, target := range allTargets {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(_ int, w http.ResponseWriter) {
				w.Header().Set("Content-Type", "text/HTML; charset=utf-8")
				w.Write([]byte("<html>Sign in</html>"))
			})
			p, own := testPusher(t, target(s.URL), Config{})
			err := p.Push(context.Background())
			if err == nil || !strings.Contains(err.Error(), "200 OK with a web page") {
				t.Errorf("got error %v", err)
			}
			if n := attempts(t, own, s, "success"); n != 0 || p.lastSuccess.Value() != 0 {
				t.Errorf("%v attempts count as success", n)
			}
		})
	}
}

// TestWrongPath: VictoriaMetrics responds with 400 to an unknown path. The pusher does not search for
// samples then.
func TestWrongPath(t *testing.T) {
	for _, target := range []RemoteWrite{{}, {Version2: true}} {
		s := serve(t, func(_ int, w http.ResponseWriter) {
			http.Error(w, `unsupported path requested: "/write"`, http.StatusBadRequest)
		})
		target.URL = s.URL
		reg, _ := manySeries(10)
		p, _ := testPusher(t, target, Config{Registry: reg})
		err := p.Push(context.Background())
		if err == nil || !strings.Contains(err.Error(), "unsupported path") || !target.Version2 && strings.Contains(err.Error(), "dropped") {
			t.Errorf("got error %v", err)
		}
		if n := len(s.seen()); n > 2 { // version 2.0 falls back once
			t.Errorf("%d requests, want at most 2", n)
		}
	}
}
