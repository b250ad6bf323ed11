//go:build unix

package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const source = `package p

func f(a, b int) (int, bool) {
	mu.Lock()
	defer mu.Unlock()
	if a < 2 && b != 0 {
		a = max(a, 0)
		g()
		return a | b, true
	}
	for i := range b {
		a++
		if i > a {
			continue
		}
	}
	return a, false
}
`

func TestFind(t *testing.T) {
	found, err := find("p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, m.change)
		if _, err := parser.ParseFile(token.NewFileSet(), "p.go", m.apply([]byte(source)), 0); err != nil {
			t.Errorf("%s: %v\n%s", m.change, err, m.apply([]byte(source)))
		}
		if string(m.apply([]byte(source))) == source {
			t.Errorf("%s: no change", m.change)
		}
	}
	for _, want := range []string{
		"returns at once", "without the lock mu", "without defer mu.Unlock()", "negated condition", "&& becomes ||", "< becomes <=",
		"!= becomes ==", "without a < 2", "without b != 0", "2 becomes one more", "2 becomes one less", "max becomes min",
		"without g()", "| becomes &", "++ becomes --", "without a++", "without continue", "> becomes >=", "without a = max(a, 0)",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no mutant %q in %q", want, got)
		}
	}
}

func TestApply(t *testing.T) {
	found, err := find("p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found, func(m *mutant) bool { return m.change == "without the lock mu" })
	if got := string(found[i].apply([]byte(source))); strings.Contains(got, "Lock") || !strings.Contains(got, "max(a, 0)") {
		t.Errorf("got\n%s", got)
	}
}

// TestRun tests the mutants of a module with one missing test.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module m\n\ngo 1.24\n",
		"m.go":      "package m\n\nfunc Max(a, b int) int {\n\tif a > b {\n\t\treturn a\n\t}\n\treturn b\n}\n",
		"m_test.go": "package m\n\nimport \"testing\"\n\nfunc Test(t *testing.T) {\n\tif Max(1, 2) != 2 || Max(2, 1) != 2 {\n\t\tt.Fail()\n\t}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	status, err := run(&b, dir, []string{"./..."}, 0, 1, "", 2, 1<<40, false)
	if err != nil || status != 1 {
		t.Errorf("status %d, error %v, want 1", status, err)
	}
	// Max of equal numbers is the same for > and >=.
	for _, want := range []string{"SURVIVED: m.go:4\tif a > b {\t> becomes >=\n", "killed 2 of 3"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "mutation"), 0o755); err != nil {
		t.Fatal(err)
	}
	line := "m.go\tif a > b {\t> becomes >=\tEqual numbers have the same maximum.\n"
	if err := os.WriteFile(filepath.Join(dir, "mutation", "equivalent.txt"), []byte("# Known.\n"+line), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if status, err = run(&b, dir, []string{"./..."}, 0, 1, "", 2, 1<<40, false); err != nil || status != 0 || !strings.Contains(b.String(), "killed 2 of 2") {
		t.Errorf("status %d, error %v, want 0, output\n%s", status, err, b.String())
	}
}
