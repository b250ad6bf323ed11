// Package repocheck has tests of the repository itself: the order of imports, and the words of
// its comments.
package repocheck

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/tachikoma/tacho"

// order has the packages of the module, from the lowest to the highest. A package may
// import packages of lower rows only.
var order = [][]string{
	{"internal/stringslite", "internal/byteorder", "internal/atomicfloat", "internal/race", "internal/recorder", "internal/native", "internal/wire"},
	{"internal/decimal", "internal/escape", "internal/stripe", "internal/gzip"},
	{"internal/names"},
	{"internal/label", "internal/accept", "internal/sortkeys"},
	{"internal/exemplar", "internal/store"},
	{"internal/expo"},
	{"internal/history"},
	{""},
	{"internal/registration"},
	{"goruntime", "process", "sqlstats", "httpclient", "dashboard", "push", "tachotest", "tinyhttp"},
	{"collectors", "tachikoma"},
	{"examples/server", "examples/push", "examples/minimal", "examples/tiny"},
}

// onlyTests have no code that a program contains.
var onlyTests = []string{"internal/repocheck", "internal/testkit", "dashboard/browser/chromium/testserver", "ops", "testdata/size/bare", "testdata/size/barehttp", "testdata/size/tacho", "testdata/size/tachohttp", "testdata/vendored"}

type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// packages returns the packages of the module, as the go command lists them.
func packages(t *testing.T) []goPackage {
	t.Helper()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command: ", err)
	}
	cmd := exec.Command(goCommand, "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// inModule returns the path of a package inside the module.
func inModule(path string) (rel string, ok bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// TestImportsPointDown fails if a package imports a package of its own row or of a higher
// row, or if order does not have a package.
func TestImportsPointDown(t *testing.T) {
	row := map[string]int{}
	for i, names := range order {
		for _, name := range names {
			row[name] = i + 1
		}
	}
	for _, name := range onlyTests {
		row[name] = len(order) + 1
	}
	arrows := 0
	for _, p := range packages(t) {
		from, _ := inModule(p.ImportPath)
		if row[from] == 0 {
			t.Errorf("the package %q is not in order", from)
			continue
		}
		for _, path := range p.Imports {
			to, ok := inModule(path)
			if !ok {
				continue
			}
			arrows++
			if row[to] >= row[from] {
				t.Errorf("%q imports %q, which is not below it", from, to)
			}
		}
	}
	if arrows < 30 {
		t.Errorf("only %d imports found", arrows)
	}
}
