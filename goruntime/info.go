package goruntime

import "runtime/debug"

// The type of infos is gauge in OpenMetrics too: there an info has its suffix on
// the sample alone, and these must be called what they always were.
var (
	info      = family{name: "go_info", help: "The version of Go that the program was built with."}
	buildInfo = family{name: "go_build_info", help: "Path, version and checksum of the main module of the program."}
)

func one() float64 { return 1 }

// mainModule returns the labels of go_build_info.
func mainModule() []string {
	path, version, sum := "unknown", "unknown", "unknown"
	if b, ok := debug.ReadBuildInfo(); ok {
		path, version, sum = b.Main.Path, b.Main.Version, b.Main.Sum
	}
	return []string{"checksum", sum, "path", path, "version", version}
}
