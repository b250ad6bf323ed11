package tacho

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOnlyAtomicTypes: the source uses the types of sync/atomic and not its functions. The
// functions need 64-bit words that the program itself aligns, and panic on 32-bit machines
// if a word is not aligned. A field of type atomic.Uint64 is always aligned, and every
// access of it is atomic.
func TestOnlyAtomicTypes(t *testing.T) {
	allowed := []string{"Bool", "Int32", "Int64", "Pointer", "Uint32", "Uint64", "Uintptr", "Value"}
	uses := map[string]int{} // by directory
	for _, path := range sourceFiles(t) {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		atomics := ""
		for _, imp := range file.Imports {
			if imp.Path.Value == `"sync/atomic"` {
				if atomics = "atomic"; imp.Name != nil {
					atomics = imp.Name.Name
				}
			}
		}
		if atomics == "." || atomics == "_" {
			t.Errorf("%s imports sync/atomic as %s", path, atomics)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && atomics != "" && pkg.Name == atomics {
				if uses[filepath.Dir(path)]++; !slices.Contains(allowed, sel.Sel.Name) {
					t.Errorf("%s uses atomic.%s", fset.Position(sel.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
	if stripes := filepath.Join("internal", "stripe"); uses["."] < 20 || uses[stripes] < 5 {
		t.Errorf("only %d uses of sync/atomic found, and %d in %s", uses["."], uses[stripes], stripes)
	}
}

// sourceFiles returns the Go files of the root package and of the packages in internal.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("internal", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".go" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestEngineDependencies: without HTTP the package does not depend on large packages.
func TestEngineDependencies(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command: ", err)
	}
	list := func(tags, pkg string) []string {
		out, err := exec.Command(goCommand, "list", "-deps", "-tags", tags, pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Fields(string(out))
	}
	refused := func(pkg string) bool {
		return pkg == "net" || strings.HasPrefix(pkg, "net/") || pkg == "fmt" || pkg == "reflect" ||
			pkg == "encoding/json" || pkg == "compress/gzip" || pkg == "github.com/google/uuid"
	}
	deps := list("tacho_nohttp", ".")
	if !slices.Contains(deps, "github.com/tachikoma/tacho") {
		t.Fatalf("the package itself is not among its dependencies %q", deps)
	}
	for _, pkg := range deps {
		if refused(pkg) {
			t.Errorf("the engine depends on %s", pkg)
		}
	}
	// Package tinyhttp needs package net, and packages that net imports.
	ofNet := list("", "net")
	for _, pkg := range list("tacho_nohttp", "./tinyhttp") {
		if refused(pkg) && !slices.Contains(ofNet, pkg) {
			t.Errorf("tinyhttp depends on %s", pkg)
		}
	}
	if !slices.ContainsFunc(list("", "."), refused) {
		t.Error("with HTTP there is no such dependency, so the check finds nothing")
	}
}
