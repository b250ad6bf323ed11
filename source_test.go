package tacho

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestOnlyAtomicTypes holds the source to the types of sync/atomic. Its functions
// want 64-bit words that the program aligned itself, and crash on 32-bit machines
// where one is not; a field of type atomic.Uint64 is aligned wherever it lies, and
// cannot be read without being atomic.
func TestOnlyAtomicTypes(t *testing.T) {
	allowed := []string{"Bool", "Int32", "Int64", "Pointer", "Uint32", "Uint64", "Uintptr", "Value"}
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), ".go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name.Name(), nil, 0)
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
			t.Errorf("%s imports sync/atomic as %s", name.Name(), atomics)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && atomics != "" && pkg.Name == atomics {
				if uses++; !slices.Contains(allowed, sel.Sel.Name) {
					t.Errorf("%s uses atomic.%s", fset.Position(sel.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
	if uses < 20 {
		t.Errorf("only %d uses of sync/atomic found", uses)
	}
}

// TestEngineDependencies lists what a program without HTTP must not get.
func TestEngineDependencies(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to ask:", err)
	}
	list := func(tags string) []string {
		out, err := exec.Command(goCommand, "list", "-deps", "-tags", tags, ".").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Fields(string(out))
	}
	refused := func(pkg string) bool {
		return pkg == "net" || strings.HasPrefix(pkg, "net/") || pkg == "fmt" || pkg == "reflect" ||
			pkg == "encoding/json" || pkg == "compress/gzip" || pkg == "github.com/google/uuid"
	}
	deps := list("tacho_nohttp")
	if !slices.Contains(deps, "github.com/tachikoma/tacho") {
		t.Fatalf("the package itself is not in %q", deps)
	}
	for _, pkg := range deps {
		if refused(pkg) {
			t.Errorf("the engine depends on %s", pkg)
		}
	}
	if !slices.ContainsFunc(list(""), refused) {
		t.Error("with HTTP nothing is found that would be refused: the question is wrong")
	}
}
