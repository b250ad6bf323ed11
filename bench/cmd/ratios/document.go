package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// replace replaces the text between the markers of a section. A document without the
// markers is an error.
func replace(doc, section, text string) (string, error) {
	begin, end := "<!-- ratios: "+section+" -->\n", "<!-- /ratios -->"
	before, rest, found := strings.Cut(doc, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("the document has no section %q", section)
	}
	return before + begin + strings.TrimRight(text, "\n") + "\n" + end + after, nil
}

// targets returns a table of the rows with a target. The rows come from the tables of
// the document.
func targets(doc string) string {
	t := table{header: []string{colPath, colThreads, colAgainst, colRatio, colTarget}}
	var header []string
	for line := range strings.Lines(doc) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			header = nil
		case header == nil:
			header = cells
		case len(header) > len(t.header) && len(cells) == len(header) && slices.Contains(header, colTarget) &&
			cells[slices.Index(header, colTarget)] != "" && !strings.HasPrefix(cells[0], "---"):
			row := make([]string, len(t.header))
			for i, name := range t.header {
				if at := slices.Index(header, name); at >= 0 {
					row[i] = cells[at]
				}
			}
			if row[3] == "" { // a row about bytes added to a binary has no ratio
				row[3] = cells[2]
			}
			if strings.Contains(line, dagger) {
				row[4] += " " + dagger
				t.note("%s", disturbed)
			}
			t.rows = append(t.rows, row)
		}
	}
	return t.String()
}

// machine describes the machine. The description includes the Go version and the
// versions of the peers.
func machine() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d cores (%s), %s, %s/%s.\n", runtime.GOMAXPROCS(0), processor(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	peers := []string{
		"github.com/prometheus/client_golang", "github.com/VictoriaMetrics/metrics", "go.opentelemetry.io/otel/sdk/metric",
		"go.opentelemetry.io/otel/exporters/prometheus", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains(peers, m.Path) {
				fmt.Fprintf(&b, "%s %s.\n", m.Path, m.Version)
			}
		}
	}
	return b.String()
}

// processor returns the model name of the processor on Linux.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo") // only Linux has the file
	for line := range strings.Lines(string(b)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
