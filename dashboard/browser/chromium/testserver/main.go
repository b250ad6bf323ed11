//go:build !tacho_nohttp

// Testserver serves the dashboard to the tests in Chromium. The flags add series, families,
// buckets and faults to a program that otherwise has few metrics:
//
//	GET /metrics       returns the metrics in a format of Prometheus
//	GET /metrics/json  returns the metrics as JSON
//	GET /dashboard     returns the dashboard with the history of the server
//	GET /live          returns the dashboard without the history
//	GET /relative      returns the dashboard without the history, for any prefix of a proxy
//
// The first line of the output has the URL. The program ends with its standard input, so a test
// that is killed leaves no server.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/collectors"
	"github.com/tachikoma/tacho/dashboard"
	"github.com/tachikoma/tacho/goruntime"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on")
	step := flag.Duration("step", time.Second, "time between two steps of the history")
	size := scale{}
	flag.IntVar(&size.series, "series", 0, "number of additional series, in families of 5,000 counters")
	flag.IntVar(&size.families, "families", 0, "number of additional families of one gauge")
	flag.IntVar(&size.buckets, "buckets", 0, "number of buckets of an additional histogram")
	flag.BoolVar(&size.churn, "churn", false, "replace 10 series of a gauge each second")
	fault := faults{}
	flag.BoolVar(&fault.hung, "hung", false, "add a function that never returns")
	flag.BoolVar(&fault.limit, "limit", false, "add a vector that is at its limit of series")
	flag.BoolVar(&fault.errors, "errors", false, "record with a wrong number of label values, and panic in a function")
	flag.BoolVar(&fault.hostile, "hostile", false, "add names and label values that are hostile to a page")
	flag.Parse()

	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	collectors.Register(reg)
	goruntime.RegisterAdvanced(reg)
	go serveRequests(reg)
	size.register(reg)
	fault.register(reg)

	history := dashboard.New(reg, dashboard.Options{Step: *step})
	http.Handle("GET /metrics", reg.Handler())
	http.Handle("GET /metrics/json", reg.JSONHandler())
	http.Handle("GET /dashboard", history)
	http.Handle("GET /live", dashboard.Handler("/metrics"))
	http.Handle("GET /relative", dashboard.Handler("metrics"))

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("testserver: open http://%s/dashboard\n", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()
	_, _ = io.Copy(io.Discard, os.Stdin) // an error of the standard input is its end
}
