package tinyhttp_test

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tinyhttp"
)

// The program serves its metrics and reads them as a client does.
func ExampleServer() {
	reg := tacho.NewRegistry()
	reg.Counter("ticks_total", "Rounds of the control loop.").Add(3)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &tinyhttp.Server{Registry: reg, MaxConns: 4}
	go srv.Serve(l)
	defer srv.Close()

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	io.WriteString(c, "GET /metrics?name[]=ticks_total HTTP/1.0\r\n\r\n")
	response, _ := io.ReadAll(c)
	_, body, _ := strings.Cut(string(response), "\r\n\r\n")
	fmt.Print(body)
	// Output:
	// # HELP ticks_total Rounds of the control loop.
	// # TYPE ticks_total counter
	// ticks_total 3
}
