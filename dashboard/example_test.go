//go:build !tacho_nohttp

package dashboard_test

import (
	"log"
	"net/http"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/dashboard"
)

func ExampleNew() {
	reg := tacho.NewRegistry()
	d := dashboard.New(reg, dashboard.Options{})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", reg.Handler())
	mux.Handle("GET /dashboard", d)
	err := http.ListenAndServe("127.0.0.1:8080", mux)
	d.Close()
	log.Fatal(err)
}
