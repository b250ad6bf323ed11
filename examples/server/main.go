//go:build !tacho_nohttp

// Server is a small Tachikoma-like server with metrics: a few JSON routes, the
// middleware around them, /metrics, /metrics/json and a dashboard, the metrics of
// the Go runtime and the process, and a background workload that moves every metric.
// Requests that carry a trace leave it as an exemplar. With -write it also pushes to
// a receiver of Prometheus' remote write protocol, by a client that is measured too.
//
//	go run ./examples/server -addr 127.0.0.1:8080
//	go run ./examples/server -write http://127.0.0.1:9090/api/v1/write
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
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/process"
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

// run serves until ctx ends, then lets requests in flight finish.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	write := flags.String("write", "", "`URL` to push the metrics to by remote write, every 15 seconds and at the end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	metrics := tachikoma.New(tacho.WithExemplar(traceExemplar))
	goruntime.Register(metrics.Registry)
	process.Register(metrics.Registry)
	if *write != "" {
		pusher, err := newPusher(metrics.Registry, *write, listener.Addr().String())
		if err != nil {
			return err
		}
		go pusher.Run(ctx)
		defer func() { // the last push
			grace, done := context.WithTimeout(context.Background(), 5*time.Second)
			defer done()
			if err := pusher.Shutdown(grace); err != nil {
				fmt.Fprintln(stdout, err)
			}
		}()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		workload(ctx, metrics)
	}()

	server := &http.Server{
		Handler:           metrics.Middleware(routes(metrics)),
		ConnState:         metrics.HTTP.ConnState,
		ReadHeaderTimeout: 5 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	base := "http://" + listener.Addr().String()
	fmt.Fprintf(stdout, "tachikoma is up: open %s/metrics or %s/dashboard, try %s/missions/42\n", base, base, base)

	select {
	case err = <-served:
	case <-ctx.Done():
		grace, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		err = server.Shutdown(grace)
	}
	cancel()
	<-worked
	return err
}
