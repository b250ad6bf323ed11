// Package collectors registers in one call the metrics that client_golang's default registry
// has: those of the Go runtime, of the main module and of the process.
//
// This program serves them:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/tachikoma/tacho"
//		"github.com/tachikoma/tacho/collectors"
//	)
//
//	func main() {
//		collectors.Register(tacho.Default)
//		http.Handle("GET /metrics", tacho.Default.Handler())
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
//	}
package collectors

import (
	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/process"
)

// Register defines the metrics of [goruntime.Register] and [process.Register] in reg. Names,
// types and labels are those of client_golang's NewGoCollector, NewBuildInfoCollector and
// NewProcessCollector with default options. On Linux these are all their families. Package
// process lists the families on other systems. [goruntime.RegisterAdvanced] has further
// metrics of the Go runtime.
//
// Register panics with a *[tacho.DefinitionError] if reg is nil or the zero Registry, or if reg
// already has one of the names. After a panic reg is unchanged. stop removes the metrics from
// reg. A second call of stop has no effect. Register, stop and the scrapes are safe for
// concurrent use.
func Register(reg *tacho.Registry) (stop func()) {
	stopRuntime := goruntime.Register(reg)
	registered := false
	defer func() {
		if !registered {
			stopRuntime()
		}
	}()
	stopProcess := process.Register(reg)
	registered = true
	return func() {
		stopRuntime()
		stopProcess()
	}
}
