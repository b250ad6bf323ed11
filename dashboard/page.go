//go:build !tacho_nohttp

package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"html"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tachikoma/tacho/internal/accept"
)

//go:embed page/*.html page/*.css page/model/*.mjs page/view/*.mjs
var files embed.FS

// The files of the page, in the order in which they are joined. A module follows the modules that it
// imports. viewModules run in the page, and workerModules in its worker.
var (
	styles      = []string{"shell.css", "card.css"}
	viewModules = []string{
		"view/clock.mjs", "view/format.mjs", "view/axis.mjs", "view/palette.mjs", "view/timeaxis.mjs",
		"view/plot.mjs", "view/samples.mjs", "view/chart.mjs", "model/functions.mjs", "model/units.mjs", "view/dom.mjs",
		"view/options.mjs", "view/order.mjs", "view/controls.mjs", "view/export.mjs", "view/heat.mjs", "view/legend.mjs",
		"view/pointer.mjs", "view/card.mjs", "model/panels.mjs", "view/gotab.mjs", "view/sizes.mjs",
		"view/board.mjs", "view/keys.mjs", "view/list.mjs", "view/noticebar.mjs", "view/address.mjs",
		"view/defaults.mjs", "view/session.mjs", "view/shell.mjs", "view/page.mjs",
	}
	workerModules = []string{
		"model/bytes.mjs", "model/request.mjs", "model/family.mjs", "model/json.mjs", "model/history.mjs",
		"model/notices.mjs", "model/search.mjs", "model/store.mjs", "model/engine.mjs", "model/functions.mjs",
		"model/groups.mjs", "model/buckets.mjs", "model/quantiles.mjs", "model/heatrows.mjs", "model/bounds.mjs",
		"model/heat.mjs", "model/known.mjs", "model/rates.mjs", "model/window.mjs", "model/member.mjs", "model/part.mjs",
		"model/histograms.mjs", "model/scalars.mjs", "model/measures.mjs", "model/ratio.mjs", "model/scan.mjs",
		"model/units.mjs", "model/query.mjs", "model/worker.mjs",
	}
)

// read returns a file of the page.
func read(name string) string {
	b, err := files.ReadFile("page/" + name)
	if err != nil {
		panic(err) // TestBundles reads all files
	}
	return string(b)
}

// join returns one script with the code of modules. An import is one line that begins with "import ",
// and an export is a declaration behind "export ". All modules share one scope. Comments and
// indentation are left out, so no text of a module may be longer than a line.
func join(modules []string) string {
	var b strings.Builder
	for _, name := range modules {
		for line := range strings.Lines(read(name)) {
			if strings.HasPrefix(line, "import ") {
				continue
			}
			if line = strings.TrimLeft(line, " \n"); !strings.HasPrefix(line, "//") {
				b.WriteString(withoutComment(strings.TrimPrefix(line, "export ")))
			}
		}
	}
	return b.String()
}

// withoutComment returns a line of code without the comment at its end. A comment with a quote stays, because it
// could be the end of a text.
func withoutComment(line string) string {
	code, comment, found := strings.Cut(line, " // ")
	if !found || strings.ContainsAny(comment, "'\"`") {
		return line
	}
	return strings.TrimRight(code, " ") + "\n"
}

// A page is the document and the script of its worker.
type page struct{ document, worker *asset }

// newPage returns the page for a path of metrics. history is true if the server has a history.
func newPage(metrics string, history bool) *page {
	worker := newAsset(join(workerModules))
	worker.contentType = "text/javascript; charset=utf-8"
	worker.policy = "default-src 'none'; connect-src 'self'"
	worker.cache = "public, max-age=31536000, immutable" // the URL contains the hash
	content := ""
	if history {
		content = "1"
	}
	var style strings.Builder
	for _, name := range styles {
		style.WriteString(read(name))
	}
	script := join(viewModules)
	document := newAsset(strings.NewReplacer(
		"/*style*/", style.String(),
		"/*script*/", script,
		"{{metrics}}", html.EscapeString(metrics),
		"{{history}}", content,
		"{{worker}}", "?worker="+worker.hash,
	).Replace(read("page.html")))
	document.contentType = "text/html; charset=utf-8"
	document.policy = "default-src 'none'; script-src " + source(script) + "; worker-src 'self'; style-src " + source(style.String()) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; require-trusted-types-for 'script'; trusted-types tacho"
	document.cache = "no-cache" // a cache must revalidate the page
	return &page{document, worker}
}

// serve responds to a request for the page or its worker. Requests for the history are for the function history,
// with the value of the parameter.
func (p *page) serve(w http.ResponseWriter, r *http.Request, history func(http.ResponseWriter, *http.Request, string)) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	switch query := r.URL.Query(); {
	case query.Has("history"):
		history(w, r, query.Get("history"))
	case query.Has("worker"):
		p.serveWorker(w, r, query.Get("worker"))
	default:
		p.document.serve(w, r)
	}
}

// serveWorker serves the script of the worker. A page of another version asks for another hash.
func (p *page) serveWorker(w http.ResponseWriter, r *http.Request, hash string) {
	if hash != p.worker.hash {
		http.Error(w, "this page is of another version of the program: reload the page", http.StatusNotFound)
		return
	}
	p.worker.serve(w, r)
}

// An asset is a file that does not change.
type asset struct {
	text                       string
	hash                       string
	contentType, policy, cache string
	zipped                     func() []byte
}

func newAsset(text string) *asset {
	sum := sha256.Sum256([]byte(text))
	return &asset{text: text, hash: hex.EncodeToString(sum[:12]), zipped: sync.OnceValue(func() []byte {
		var b bytes.Buffer // returns no error
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
		return b.Bytes()
	})}
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Security-Policy", a.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", a.cache)
	h.Add("Vary", "Accept-Encoding")
	if accept.Gzip(r.Header["Accept-Encoding"]) {
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", `"`+a.hash+`-gzip"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.zipped()))
		return
	}
	h.Set("ETag", `"`+a.hash+`"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(a.text))
}

// source returns a source expression that allows an inline element with this text; see CSP Level 3,
// section "Hash source".
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
