//go:build !tacho_nohttp

package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

func TestFailures(t *testing.T) {
	block := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-block:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(block)
	closed := httptest.NewServer(nil)
	closed.Close()
	cause := errors.New("the user left")

	for _, tt := range []struct {
		name, status string
		send         func(http.RoundTripper) error
	}{
		{"connection refused", "error", func(rt http.RoundTripper) error {
			_, err := rt.RoundTrip(request(t, "GET", closed.URL))
			return err
		}},
		{"canceled", "canceled", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Millisecond, cancel)
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"canceled with a cause", "canceled", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Millisecond, func() { cancel(cause) })
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"deadline", "timeout", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"deadline with a cause", "timeout", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, cause)
			defer cancel()
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"timeout of the client", "timeout", func(rt http.RoundTripper) error {
			_, err := (&http.Client{Transport: rt, Timeout: time.Millisecond}).Get(s.URL)
			return err
		}},
	} {
		for _, phases := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " phases ", phases), func(t *testing.T) {
				reg := tacho.NewRegistry()
				m := New(reg, Config{Phases: phases, Host: func(*http.Request) string { return "h" }})
				tr := &http.Transport{}
				defer tr.CloseIdleConnections()
				if err := tt.send(m.RoundTripper(tr)); err == nil {
					t.Fatal("no error")
				}
				if got := tachotest.Value(t, reg, "http_client_requests_total", "method", "GET", "host", "h", "status", tt.status); got != 1 {
					t.Errorf("counted %v requests with status %s, want 1:\n%s", got, tt.status, scrape(t, reg))
				}
				if got := m.inFlight.Value(); got != 0 {
					t.Errorf("%d requests in flight, want 0", got)
				}
				if got := m.duration.With("GET", "h").Snapshot().Count; got != 1 {
					t.Errorf("%d durations observed, want 1", got)
				}
			})
		}
	}

	t.Run("timeout of the transport", func(t *testing.T) {
		reg := tacho.NewRegistry()
		tr := &http.Transport{ResponseHeaderTimeout: time.Millisecond}
		defer tr.CloseIdleConnections()
		if _, err := New(reg, Config{}).RoundTripper(tr).RoundTrip(request(t, "GET", s.URL)); err == nil {
			t.Fatal("no error")
		}
		if got := scrape(t, reg); !strings.Contains(got, `status="timeout"} 1`) {
			t.Errorf("no request with status timeout in\n%s", got)
		}
	})
	t.Run("no response, no error", func(t *testing.T) {
		m := New(tacho.NewRegistry(), Config{})
		resp, err := m.RoundTripper(roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, nil })).RoundTrip(request(t, "GET", "http://h"))
		if resp != nil || err != nil || m.requests.With("GET", "h", "error").Value() != 1 || m.inFlight.Value() != 0 {
			t.Errorf("got response %v and error %v, want a recorded error and nil, nil", resp, err)
		}
	})
	t.Run("panic", func(t *testing.T) {
		m := New(tacho.NewRegistry(), Config{})
		func() {
			defer func() {
				if v := recover(); v != "from the transport" {
					t.Errorf("recovered %v, want the panic of the transport", v)
				}
			}()
			m.RoundTripper(roundTripFunc(func(*http.Request) (*http.Response, error) { panic("from the transport") })).RoundTrip(request(t, "GET", "http://h"))
		}()
		if m.requests.With("GET", "h", "error").Value() != 1 || m.inFlight.Value() != 0 {
			t.Error("the panic is not recorded as an error")
		}
	})
	t.Run("no URL, no method", func(t *testing.T) {
		m := New(tacho.NewRegistry(), Config{})
		if _, err := m.RoundTripper(nil).RoundTrip(&http.Request{}); err == nil {
			t.Error("no error")
		}
		if m.requests.With("GET", "other", "error").Value() != 1 {
			t.Error("the request is not recorded as an error")
		}
	})
}
