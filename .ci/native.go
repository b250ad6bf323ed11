//go:build ignore

// This program serves native histograms for .ci/prometheus. It prints the address, and the quantile
// 0.9 of the histogram native_seconds.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/tachikoma/tacho"
)

func main() {
	reg := tacho.NewRegistry(tacho.WithCreated(), tacho.WithNative())
	alone := reg.Histogram("native_seconds", "Native buckets.", nil)
	both := reg.Histogram("both_seconds", "Native and classic buckets.", []float64{1, 10, 100})
	for i := range 1000 {
		alone.ObserveExemplar(float64(i)/8, "trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")
		both.Observe(float64(i) / 8)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("serving", l.Addr(), alone.Snapshot().Quantile(0.9))
	fmt.Fprintln(os.Stderr, http.Serve(l, reg.Handler()))
	os.Exit(1)
}
