//go:build unix

package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strconv"
)

// serve serves the registries of all programs on one listener, each at its own path. It writes the list
// of targets for the service discovery file_sd of Prometheus.
func serve(programs []*program, t *traffic, list string) (*http.Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	mux := http.NewServeMux()
	var targets []target
	for i, p := range programs {
		path := "/program/" + strconv.Itoa(i)
		h := p.reg.Handler()
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			t.note()
			h.ServeHTTP(w, r)
			t.accepted.Add(1)
		})
		targets = append(targets, target{[]string{l.Addr().String()}, map[string]string{
			"__metrics_path__": path, p.labels[0]: p.labels[1], p.labels[2]: p.labels[3],
		}})
	}
	text, err := json.Marshal(targets)
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: mux}
	go s.Serve(countedListener{l, t})
	return s, os.WriteFile(list, text, 0o600)
}

type countedListener struct {
	net.Listener
	traffic *traffic
}

// Accept implements [net.Listener].
func (l countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.traffic.opened.Add(1)
	l.traffic.open.Add(1)
	return &countedConn{Conn: c, traffic: l.traffic}, nil
}
