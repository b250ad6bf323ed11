// Command tachonet is the program barenet with metrics, which it serves by hand: it reads no
// request and has no limits.
package main

import (
	"net"
	"os"

	"github.com/tachikoma/tacho"
)

func main() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs.", []string{"queue"})
	depth := reg.Histogram("depth", "Depth.", nil)
	jobs.With("a").Inc()
	depth.Observe(1)
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		c.Write([]byte("HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\r\n"))
		reg.WriteText(c)
		c.Close()
	}
}
