//go:build !tacho_nohttp

// Package dashboard serves a web page with live charts of the metrics of a program. The
// page is for machines without Grafana. The page shows counters as rates, gauges as lines,
// and histograms as quantiles and a heat map. A table shows the families with the most
// series.
//
// The page is embedded in the program, and requests nothing from other servers. The page of
// [New] opens with the last 15 minutes. The page of [Handler] begins when it opens.
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
//		http.Handle("GET /dashboard", dashboard.New(tacho.Default, dashboard.Options{}))
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
//	}
package dashboard

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/history"
)

// Options configure a Dashboard. A field that is 0 has the default value.
type Options struct {
	// Range is the length of the history. The default is 15 minutes. The history is shorter if it
	// needs more than MaxBytes.
	Range time.Duration

	// Step is the time between two steps of the history. It must be at least 100 ms and at most
	// Range. The default is 5 seconds. While a page is open there is a step each second.
	Step time.Duration

	// MaxBytes is the memory of the history. It must be at least 1 MiB. The default is 32 MiB. At
	// most five eighths of it are for the names and labels of series. Further series have no
	// history, and the page shows their number.
	MaxBytes int
}

const (
	minStep  = 100 * time.Millisecond
	minBytes = 1 << 20
)

// A Dashboard serves the page with a history of a registry. A program can mount it at any path, but at
// one path: the page requests its script and its history from the same path. A Dashboard is safe for
// concurrent use.
//
// From New until Close, a goroutine adds a step to the history at each interval. docs/BENCHMARKS.md has the
// cost of a step and the memory of a series. A step calls the functions of a CounterFunc, a GaugeFunc and a
// collector, as a scrape does. The functions have nine tenths of the interval, or of 5 seconds if the interval
// is longer. A step never restarts native histograms.
//
// At most two large responses are made at the same time. A client that reads slowly holds such a response for
// the WriteTimeout of the server, or for a minute if the server has none.
//
// The page has no access control. A program that restricts access to its metrics should restrict access to
// the page in the same way. The Content-Security-Policy of the page allows only the script and the style of
// the page, by hash. Connections are allowed only to the same origin.
type Dashboard struct {
	page    *page
	ring    *history.Ring
	sampler *sampler
	large   chan struct{} // has an element for each large response that is being made
	slowest time.Duration // see limitWrite
}

// New returns a Dashboard for a registry, and starts its sampler. New panics with a *[tacho.DefinitionError]
// if reg is nil or an option is bad.
//
// A program that goes on without the Dashboard should call [Dashboard.Close]: the sampler holds the registry.
func New(reg *tacho.Registry, o Options) *Dashboard {
	if reg == nil {
		refuse("the registry is nil")
	}
	reg.JSONHandler() // panics if NewRegistry did not make reg
	o = o.checked()
	ring := history.New(history.Config{Range: o.Range, Step: o.Step, MaxBytes: o.MaxBytes})
	d := &Dashboard{newPage("", true), ring, newSampler(reg, ring, o.Step), make(chan struct{}, 2), slowest}
	go d.sampler.run()
	return d
}

// checked returns o with the defaults. It panics if an option is bad.
func (o Options) checked() Options {
	if o.Range == 0 {
		o.Range = 15 * time.Minute
	}
	if o.Step == 0 {
		o.Step = 5 * time.Second
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 32 << 20
	}
	switch {
	case o.Step < minStep:
		refuse("Step must be at least 100ms")
	case o.Range < o.Step:
		refuse("Range must be at least Step")
	case o.MaxBytes < minBytes:
		refuse("MaxBytes must be at least " + strconv.Itoa(minBytes))
	}
	return o
}

func refuse(reason string) { panic(&tacho.DefinitionError{Reason: "dashboard: " + reason}) }

// Close ends the sampler and waits for its end. ServeHTTP then serves the page with the history so far. Further
// calls have no effect.
func (d *Dashboard) Close() {
	d.sampler.stop()
	<-d.sampler.ended
}

// ServeHTTP serves the page, the script of its worker, and the history. It accepts GET and HEAD, and responds to
// any other method with status 405. Unknown query parameters are ignored.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.page.serve(w, r, d.serveHistory)
}

// Handler returns a handler that serves the page without a history: the page has the values from the time at
// which it opens. A program can mount the handler at any path. The handler accepts GET and HEAD, and responds
// to any other method with status 405. It is safe for concurrent use.
//
// The argument metrics is the path of the metrics on the same server. An empty string
// means /metrics, and a slash at the end is ignored. The page polls this path with the
// suffix /json, so a program must mount [tacho.Registry.JSONHandler] there. The page
// requests no other path. A path that does not begin with a slash is relative to the path
// of the page, so that a proxy can add a prefix.
//
// The page has no access control; see [Dashboard].
func Handler(metrics string) http.Handler {
	if metrics == "" {
		metrics = "/metrics"
	}
	p := newPage(strings.TrimSuffix(metrics, "/"), false)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serve(w, r, func(w http.ResponseWriter, r *http.Request, _ string) { http.NotFound(w, r) })
	})
}
