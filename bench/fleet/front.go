//go:build unix

package main

import (
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// A front is a proxy before a receiver. It forwards a limited number of requests in each second, and
// responds to the others with the status 429.
type front struct {
	server   *http.Server
	url      string
	limit    int           // requests a second
	after    time.Duration // value of Retry-After, or 0 for none
	proxy    *httputil.ReverseProxy
	mu       sync.Mutex
	second   int64
	accepted int // requests of the second
}

func newFront(receiver string, limit float64, after time.Duration) (*front, error) {
	to, err := url.Parse(receiver)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{url: "http://" + l.Addr().String(), limit: max(1, int(math.Ceil(limit))), after: after}
	f.proxy = httputil.NewSingleHostReverseProxy(to)
	f.proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	f.proxy.ErrorLog = log.New(io.Discard, "", 0)
	f.server = &http.Server{Handler: f}
	go f.server.Serve(l)
	return f, nil
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.admits(time.Now().Unix()) {
		f.proxy.ServeHTTP(w, r)
		return
	}
	io.Copy(io.Discard, r.Body) // so that the connection stays open
	if f.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.after.Seconds()))))
	}
	http.Error(w, "too many requests", http.StatusTooManyRequests)
}

func (f *front) admits(second int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.second != second {
		f.second, f.accepted = second, 0
	}
	f.accepted++
	return f.accepted <= f.limit
}
