//go:build !tacho_nohttp

package push_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
)

// gateway starts a server for pushes. The server prints each request.
func gateway() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
	}))
}

// A job pushes its metrics once, at its end.
func ExamplePusher_Push() {
	server := gateway()
	defer server.Close()

	reg := tacho.NewRegistry()
	last := reg.FloatGauge("backup_last_success_timestamp_seconds", "Time of the latest backup, in Unix seconds.")
	last.SetToCurrentTime()

	p, err := push.New(push.Pushgateway{
		URL:      server.URL,
		Job:      "backup",
		Grouping: []string{"instance", "db1", "path", "/var/lib"},
	}, push.Config{Registry: reg})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Push(ctx); err != nil {
		fmt.Println(err)
	}
	if err := p.Delete(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// PUT /metrics/job/backup/instance/db1/path@base64/L3Zhci9saWI
	// DELETE /metrics/job/backup/instance/db1/path@base64/L3Zhci9saWI
}

// A server pushes periodically, and a last time at shutdown.
func ExamplePusher_Run() {
	server := gateway()
	defer server.Close()

	p, err := push.New(push.RemoteWrite{
		URL:    server.URL + "/api/v1/write",
		Labels: []string{"job", "tachikoma", "instance", "ghost-1"},
	}, push.Config{
		Interval: time.Minute,
		Header:   http.Header{"Authorization": {"Bearer 9f8e7d"}},
		OnError:  func(err error) { fmt.Println(err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ran := make(chan error)
	go func() { ran <- p.Run(context.Background()) }()

	// At the end of the program. The second request has the stale markers.
	if err := p.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-ran)
	// Output:
	// POST /api/v1/write
	// POST /api/v1/write
	// tacho: push: the pusher is closed
}
