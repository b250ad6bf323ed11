package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// A document is a Markdown file with sections.
type document struct{ file, text string }

// documents is the list of the documents of the flag -write.
type documents []document

// readDocuments reads a comma-separated list of files.
func readDocuments(files string) (documents, error) {
	if files == "" {
		return nil, nil
	}
	var docs documents
	for file := range strings.SplitSeq(files, ",") {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		docs = append(docs, document{file, string(b)})
	}
	return docs, nil
}

func (docs documents) write() error {
	for _, d := range docs {
		if err := os.WriteFile(d.file, []byte(d.text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// update replaces the sections of the tables, the section "machine", and the section
// "targets". The rows of the targets come from the tables of all documents.
func (docs documents) update(tables []*table, machine string) error {
	for _, t := range tables {
		if err := docs.replace(t.name, t.String()); err != nil {
			return err
		}
	}
	if err := docs.replace("machine", machine); err != nil {
		return err
	}
	var all strings.Builder
	for _, d := range docs {
		all.WriteString(d.text + "\n")
	}
	return docs.replace("targets", targets(all.String()))
}

// replace replaces a section in the document with the markers of the section. A section
// that no document has is an error.
func (docs documents) replace(section, text string) error {
	for i, d := range docs {
		changed, err := replace(d.text, section, text)
		if err == nil {
			docs[i].text = changed
			return nil
		}
	}
	return fmt.Errorf("no document has the section %q", section)
}

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
		"github.com/prometheus/client_golang/exp", "github.com/prometheus/common", "github.com/prometheus/prometheus",
		"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp",
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
