package migrating

import (
	"flag"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

const document = "../docs/MIGRATING.md"

func read(t *testing.T, names ...string) (all string) {
	t.Helper()
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(data)
	}
	return all
}

// section returns the text of MIGRATING.md below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, document), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %q", document, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// listed returns the table of the changes and the additions.
func listed() string {
	b := &strings.Builder{}
	b.WriteString("| client_golang | tacho | Why |\n| --- | --- | --- |\n")
	for _, ch := range changes {
		after := "`" + ch.after + "`"
		switch {
		case ch.property == "time of creation":
			after = "no time of creation"
		case ch.property == "help":
			after = "another help text"
		case ch.property != "":
			after = "another " + ch.property
		case ch.after == "":
			after = "none"
		}
		b.WriteString("| `" + ch.before + "` | " + after + " | " + ch.why + " |\n")
	}
	for _, a := range added {
		b.WriteString("| none | `" + a.series + "` | " + a.why + " |\n")
	}
	return b.String()
}

var update = flag.Bool("update", false, "rewrite the table in MIGRATING.md")

// TestListedChanges checks that MIGRATING.md has the lists of TestService as a table.
func TestListedChanges(t *testing.T) {
	table := listed()
	if strings.Contains(section(t, "## What changes"), "\n"+table+"\n") {
		return
	}
	if !*update {
		t.Fatalf("the section \"What changes\" of %s does not have the table\n%s", document, table)
	}
	text := read(t, document)
	i := strings.Index(text, strings.SplitAfter(table, "\n")[0])
	if i < 0 {
		t.Fatal("no table")
	}
	_, rest, _ := strings.Cut(text[i:], "\n\n")
	if err := os.WriteFile(document, []byte(text[:i]+table+"\n"+rest), 0o666); err != nil {
		t.Fatal(err)
	}
}

// lines returns the lines of a program without their indentation and without the parameter that
// the document leaves out.
func lines(code string) string {
	b := &strings.Builder{}
	for _, line := range strings.Split(code, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(strings.ReplaceAll(line, ", opts...)", ")") + "\n")
		}
	}
	return b.String()
}

var codeBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestChecklist checks that each row of the checklist has code of both versions of the service. Each
// paragraph of the code is in the programs as it is in MIGRATING.md.
func TestChecklist(t *testing.T) {
	tests := read(t, "calls_test.go")
	testBefore, testAfter, _ := strings.Cut(tests, "// TestAfter")
	programs := [2]string{lines(read(t, "before.go") + testBefore), lines(read(t, "after.go") + testAfter)}
	rows := strings.Split(section(t, "## Checklist"), "\n### ")[1:]
	if len(rows) < 10 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		title, _, _ := strings.Cut(row, "\n")
		blocks := codeBlock.FindAllStringSubmatch(row, -1)
		if len(blocks) != len(programs) {
			t.Errorf("%s: %d blocks of code, want one before and one after", title, len(blocks))
			continue
		}
		for i, block := range blocks {
			for _, paragraph := range strings.Split(block[1], "\n\n") {
				if !strings.Contains("\n"+programs[i], "\n"+lines(paragraph)) {
					t.Errorf("%s: %s does not have\n%s", title, [...]string{"before.go", "after.go"}[i], paragraph)
				}
			}
		}
	}
}

// TestLinks checks that the files exist to which MIGRATING.md links.
func TestLinks(t *testing.T) {
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(read(t, document), -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(path.Join(path.Dir(document), link[1])); err != nil {
			t.Error(err)
		}
	}
}
