package repocheck

import (
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The limits are near the figures of log/slog in Go 1.26, which has 13.3 words a sentence
// and 6 % of the sentences over 30 words.
const (
	maxAverage = 16.0 // words a sentence
	maxLong    = 8.0  // percent of the sentences over 30 words
)

// sentences splits the prose of a comment. Headings, code blocks and directives are no
// prose.
func sentences(comment string) (found []string) {
	var prose []string
	for _, line := range strings.Split(comment, "\n") {
		line = strings.TrimPrefix(line, "//")
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "go:") || strings.HasPrefix(line, "lint:") {
			continue
		}
		prose = append(prose, strings.TrimSpace(line))
	}
	text := strings.Join(prose, " ")
	add := func(s string) {
		if len(strings.Fields(s)) > 2 {
			found = append(found, s)
		}
	}
	start := 0
	for _, at := range endOfSentence.FindAllStringIndex(text, -1) {
		add(text[start : at[0]+1])
		start = at[1] - 1
	}
	add(text[start:])
	return found
}

// endOfSentence ends at the first letter of the next sentence, which is a capital letter.
var endOfSentence = regexp.MustCompile(`[.!?:]\s+[A-Z]`)

// comments returns the comments of the Go files of a package, without tests.
func comments(t *testing.T, p goPackage) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range f.Comments {
			var lines []string
			for _, c := range group.List {
				lines = append(lines, c.Text)
			}
			all = append(all, strings.Join(lines, "\n"))
		}
	}
	return all
}

// TestCommentsAreShort keeps the sentences of the comments short, in each package and over
// all packages. With -v it prints the figures and the longest sentences.
func TestCommentsAreShort(t *testing.T) {
	var all []string
	for _, p := range packages(t) {
		var own []string
		for _, c := range comments(t, p) {
			own = append(own, sentences(c)...)
		}
		name, _ := inModule(p.ImportPath)
		if name == "" {
			name = "tacho"
		}
		check(t, name, own)
		all = append(all, own...)
	}
	check(t, "all", all)
	if len(all) < 500 {
		t.Errorf("only %d sentences found", len(all))
	}
}

func check(t *testing.T, name string, list []string) {
	t.Helper()
	if len(list) == 0 {
		return
	}
	words, long := 0, 0
	slices.SortFunc(list, func(a, b string) int { return len(strings.Fields(b)) - len(strings.Fields(a)) })
	for _, s := range list {
		n := len(strings.Fields(s))
		words += n
		if n > 30 {
			long++
		}
	}
	average, percent := float64(words)/float64(len(list)), 100*float64(long)/float64(len(list))
	text := fmt.Sprintf("%s: %d sentences, %.1f words each, %.0f%% over 30 words", name, len(list), average, percent)
	t.Log(text)
	if few := len(list) < 20; !few && (average > maxAverage || percent > maxLong) {
		t.Errorf("%s; the limits are %.0f words and %.0f%%. The longest:\n%s", text, maxAverage, maxLong, strings.Join(list[:min(5, len(list))], "\n"))
	}
}
