package goruntime

import "runtime/debug"

// Both families are gauges, in OpenMetrics as well. In OpenMetrics the family name of an
// info metric lacks the suffix _info, but client_golang exposes the full name.
var (
	info      = family{name: "go_info", help: "The version of Go that the program was built with."}
	buildInfo = family{name: "go_build_info", help: "Path, version and checksum of the main module of the program."}
)

func one() float64 { return 1 }

// mainModule returns the label pairs of go_build_info.
func mainModule() []string {
	path, version, sum := "unknown", "unknown", "unknown"
	if b, ok := debug.ReadBuildInfo(); ok {
		path, version, sum = b.Main.Path, b.Main.Version, b.Main.Sum
	}
	return []string{"checksum", sum, "path", path, "version", version}
}
