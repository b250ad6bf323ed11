//go:build !tacho_nohttp

// Server is an HTTP server with the metrics of package tachikoma. It serves JSON routes,
// the metrics and a dashboard:
//
//	GET    /missions            lists the missions
//	POST   /missions            creates a mission and returns its UUID
//	GET    /missions/{id}       returns a mission
//	DELETE /missions/{id}       completes a mission
//	GET    /forge/sessions      returns the number of open forge sessions
//	GET    /forge/sessions/...  returns an open forge session
//	GET    /healthz             returns the status of the server
//	GET    /metrics             returns the metrics in a format of Prometheus
//	GET    /metrics/json        returns the metrics as JSON
//	GET    /dashboard           returns the dashboard, with the last 15 minutes
//
// A workload changes every metric of package tachikoma in the background. The simulated
// clients of the workload request paths with UUIDs, but no UUID becomes a label value.
// The path label of a route is its pattern, such as /missions/{id}. The path label of a
// request without a route is the result of [tacho.NormalizePath].
//
// Packages collectors and goruntime add the metrics of the Go runtime and of the process. A
// request with a sampled W3C trace adds an exemplar. With the flag -write, the server also
// pushes the metrics to a receiver of Prometheus' remote write protocol. With the flag
// -incident, requests of GET /forge/sessions/{path...} are slow and fail for a minute, again and
// again. The dashboard shows the incident.
//
//	go run ./examples/server -addr 127.0.0.1:8080
//	go run ./examples/server -incident
//	go run ./examples/server -write http://127.0.0.1:9090/api/v1/write
//	curl -d '{"name":"laughing man"}' http://127.0.0.1:8080/missions
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/collectors"
	"github.com/tachikoma/tacho/dashboard"
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/tachikoma"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Requests in flight then have 5 seconds to finish.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on, with port 0 for any free port")
	write := flags.String("write", "", "`URL` of a remote write receiver, for a push every 15 seconds and at the end")
	simulate := flags.Bool("incident", false,
		"make GET /forge/sessions/{path...} slow and fail, from 30 to 90 seconds after the start and then every 3 minutes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	metrics := tachikoma.New(tacho.WithExemplar(traceExemplar))
	collectors.Register(metrics.Registry)
	goruntime.RegisterAdvanced(metrics.Registry)
	if *write != "" {
		pusher, err := newPusher(metrics.Registry, *write, listener.Addr().String())
		if err != nil {
			return err
		}
		go pusher.Run(ctx)
		defer func() { // Shutdown pushes once more.
			grace, done := context.WithTimeout(context.Background(), 5*time.Second)
			defer done()
			if err := pusher.Shutdown(grace); err != nil {
				fmt.Fprintln(stdout, err)
			}
		}()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	page := dashboard.New(metrics.Registry, dashboard.Options{})
	defer page.Close()
	a := newAPI(metrics)
	if *simulate {
		a.incident = newIncident()
	}
	handler := metrics.Middleware(a.routes())
	workloadDone := make(chan struct{})
	go func() {
		defer close(workloadDone)
		(&workload{api: a, handler: handler}).run(ctx)
	}()

	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/dashboard", page) // outside of the middleware, so that the charts have the requests of clients only
	server := &http.Server{
		// Outside of the middleware, so that a body that is too large closes the connection.
		Handler:           http.MaxBytesHandler(mux, 1<<16),
		ConnState:         metrics.HTTP.ConnState,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second, // for clients that do not read the history of the dashboard
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	base := "http://" + listener.Addr().String()
	fmt.Fprintf(stdout, "server: open %s/metrics or %s/dashboard, list missions at %s/missions\n%s", base, base, base, a.incident)

	select {
	case err = <-served:
	case <-ctx.Done():
		grace, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		err = server.Shutdown(grace)
	}
	cancel()
	<-workloadDone
	return err
}
