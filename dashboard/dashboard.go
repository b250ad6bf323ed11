//go:build !tacho_nohttp

// Package dashboard serves a web page with live charts of the metrics of a program. The
// page is for machines without Grafana. The page shows counters as rates, gauges as lines,
// and histograms as quantiles and a heat map. A table shows the families with the most
// series.
//
// The page is embedded in the program. The page requests nothing from other servers and
// stores the values only in the browser.
//
// This program serves metrics and a dashboard:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/tachikoma/tacho"
//		"github.com/tachikoma/tacho/dashboard"
//	)
//
//	func main() {
//		http.Handle("GET /metrics", tacho.Default.Handler())
//		http.Handle("GET /metrics/json", tacho.Default.JSONHandler())
//		http.Handle("GET /dashboard", dashboard.Handler("/metrics"))
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
//	}
package dashboard

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for go:embed
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

//go:embed buckets.mjs
var buckets string

//go:embed page.js
var script string

// Handler returns a handler that serves the page. A program can mount the handler at any
// path. The handler accepts GET and HEAD, and responds to any other method with status
// 405. It is safe for concurrent use.
//
// The argument metrics is the path of the metrics on the same server. An empty string
// means /metrics, and a slash at the end is ignored. The page polls this path with the
// suffix /json, so a program must mount [tacho.Registry.JSONHandler] there. The page
// requests no other path.
//
// The page has no access control. A program that restricts access to its metrics should
// restrict access to the page in the same way. The Content-Security-Policy of the page
// allows only the script and the style of the page, by hash. Connections are allowed only
// to the same origin.
//
// [tacho.Registry.JSONHandler]: https://pkg.go.dev/github.com/tachikoma/tacho#Registry.JSONHandler
func Handler(metrics string) http.Handler {
	if metrics == "" {
		metrics = "/metrics"
	}
	code := buckets + "\n" + script // one inline module
	body := strings.NewReplacer(
		"/*style*/", style,
		"/*script*/", code,
		"{{metrics}}", html.EscapeString(strings.TrimSuffix(metrics, "/")),
	).Replace(page)
	sum := sha256.Sum256([]byte(body))
	etag := `"` + hex.EncodeToString(sum[:12]) + `"`
	policy := "default-src 'none'; script-src " + hash(code) + "; style-src " + hash(style) +
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
		h.Set("Cache-Control", "no-cache") // a cache must revalidate the page
		h.Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte(body)))
	})
}

// The result of hash is a source expression that allows an inline element with this text.
// See CSP Level 3, section "Hash source".
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
