//go:build !tacho_nohttp

package push_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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

// A program sends its metrics to an OpenTelemetry Collector without the OpenTelemetry SDK.
func ExampleOTLP() {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"))
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Write([]byte("\x0a\x0b\x08\x01\x12\x07no room")) // partial_success
	}))
	defer collector.Close()

	reg := tacho.NewRegistry()
	reg.Counter("jobs_total", "Jobs.").Inc()
	reg.Histogram("job_duration_seconds", "Time that a job took.", nil, tacho.WithNative(), tacho.WithUnit("seconds")).Observe(0.3)

	p, err := push.New(push.OTLP{
		URL:        collector.URL + "/v1/metrics",
		Service:    "tachikoma",
		Attributes: []string{"deployment.environment.name", "production"},
	}, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The collector rejects one of the two data points.
	if err := p.Push(context.Background()); err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), collector.URL, "http://collector:4318"))
	}
	// Output:
	// POST /v1/metrics application/x-protobuf gzip
	// tacho: push: POST http://collector:4318/v1/metrics: the receiver rejected 1 of 2 data points: "no room" (dropped samples: 1)
}

// A receiver without remote write 2.0 gets the same samples in version 1.0. The second push uses version
// 1.0 at once.
func ExampleRemoteWrite_version2() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("X-Prometheus-Remote-Write-Version"), r.Header.Get("Content-Type"))
		if r.Header.Get("Content-Type") != "application/x-protobuf" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
		}
	}))
	defer receiver.Close()

	reg := tacho.NewRegistry()
	reg.Counter("missions_total", "Missions.").Inc()
	p, err := push.New(push.RemoteWrite{URL: receiver.URL, Version2: true}, push.Config{Registry: reg})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		if err := p.Push(context.Background()); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 2.0.0 application/x-protobuf;proto=io.prometheus.write.v2.Request
	// 0.1.0 application/x-protobuf
	// 0.1.0 application/x-protobuf
}

// The programs of a fleet need labels of their own. Instance names the program, and a restarted program
// continues its series.
func ExampleVictoriaMetrics() {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Query()["extra_label"])
	}))
	defer server.Close()

	reg := tacho.NewRegistry()
	reg.Counter("jobs_total", "Jobs.").Inc()
	p, err := push.New(push.VictoriaMetrics{
		URL:      server.URL,
		Job:      "shop",
		Instance: "web1:8080",
	}, push.Config{Registry: reg})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Push(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// [job=shop instance=web1:8080]
}
