//go:build !tacho_nohttp

package main

import (
	"net/http"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/httpclient"
	"github.com/tachikoma/tacho/push"
)

// newPusher returns a pusher of the metrics to a receiver of Prometheus' remote write
// protocol. Package httpclient measures the pusher's HTTP client.
func newPusher(reg *tacho.Registry, url, instance string) (*push.Pusher, error) {
	client := &http.Client{Transport: httpclient.New(reg, httpclient.Config{}).RoundTripper(nil)}
	return push.New(
		push.RemoteWrite{URL: url, Job: "tachikoma", Instance: instance},
		push.Config{Registry: reg, Client: client},
	)
}
