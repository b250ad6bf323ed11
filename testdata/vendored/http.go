//go:build !tacho_nohttp

package main

import "github.com/tachikoma/tacho"

func measure(reg *tacho.Registry) {
	tacho.NewHTTPMetrics(reg).Record("GET", "/jobs/42", 200, 0, 10)
	_ = reg.Handler()
}
