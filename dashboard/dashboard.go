//go:build !tacho_nohttp

// Package dashboard serves one page that shows a program's metrics while they
// move, for the machine that has no Grafana: counters as rates, gauges as lines,
// histograms as quantiles and a heat map, and which families have the most series.
// The page is embedded, makes no request but to the program itself, and keeps what
// it shows in the browser alone.
//
//	mux.Handle("GET /metrics", reg.Handler())
//	mux.Handle("GET /metrics/json", reg.JSONHandler())
//	mux.Handle("GET /dashboard", dashboard.Handler("/metrics"))
package dashboard

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the three files of the page
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/http"
	"strings"
	"time"
)

//go:embed page.html
var page string

//go:embed page.css
var style string

//go:embed page.js
var script string

// Handler returns the handler of the page. metrics is the path under which the
// same server has [tacho.Registry.Handler], of which the page reads the types of
// the families, and, with /json behind it, [tacho.Registry.JSONHandler], which it
// polls; "" means /metrics. The page can be mounted at any path. It answers GET and
// HEAD, and 405 to the rest, and is safe for concurrent use.
//
// What the page may do is in its Content-Security-Policy: run its own script, by
// hash, and connect to its own origin. Like the metrics themselves it has no access
// control: put what guards those in front of it.
//
// [tacho.Registry.Handler]: https://pkg.go.dev/github.com/tachikoma/tacho#Registry.Handler
// [tacho.Registry.JSONHandler]: https://pkg.go.dev/github.com/tachikoma/tacho#Registry.JSONHandler
func Handler(metrics string) http.Handler {
	if metrics == "" {
		metrics = "/metrics"
	}
	body := strings.NewReplacer(
		"/*style*/", style,
		"/*script*/", script,
		"{{metrics}}", html.EscapeString(strings.TrimSuffix(metrics, "/")),
	).Replace(page)
	sum := sha256.Sum256([]byte(body))
	etag := `"` + hex.EncodeToString(sum[:12]) + `"`
	policy := "default-src 'none'; script-src " + hash(script) + "; style-src " + hash(style) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // it may be kept, if it is asked for again each time
		h.Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte(body)))
	})
}

// hash is the source expression that allows an inline element with this text (CSP
// Level 3, "Hash source").
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
