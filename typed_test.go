package tacho

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

type (
	typedMethod string
	typedPath   string
	typedStatus string
	typedHost   string
)

func (typedMethod) LabelName() string { return "method" }
func (typedPath) LabelName() string   { return "path" }
func (typedStatus) LabelName() string { return "status" }
func (typedHost) LabelName() string   { return "host" }

// TestTypedIsWith: a typed vector has the series of its vector.
func TestTypedIsWith(t *testing.T) {
	r := NewRegistry()
	two := r.CounterVec("two_total", "", []string{"method", "path"})
	three := r.CounterVec("three_total", "", []string{"method", "path", "status"})
	four := r.CounterVec("four_total", "", []string{"method", "path", "status", "host"})
	t2, t3 := Typed2[typedMethod, typedPath](two), Typed3[typedMethod, typedPath, typedStatus](three)
	t4 := Typed4[typedMethod, typedPath, typedStatus, typedHost](four)
	t2.With("GET", "/").Inc()
	t3.With("GET", "/", "200").Inc()
	t4.With("GET", "/", "200", "h").Inc()
	for _, want := range []string{
		`two_total{method="GET",path="/"} 1`, `three_total{method="GET",path="/",status="200"} 1`,
		`four_total{method="GET",path="/",status="200",host="h"} 1`,
	} {
		if got := text(t, r); !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if two.With("GET", "/") != t2.With("GET", "/") || three.With("GET", "/", "200") != t3.With("GET", "/", "200") ||
		four.With("GET", "/", "200", "h") != t4.With("GET", "/", "200", "h") {
		t.Error("With of the vector returns another metric")
	}
	for i, deleted := range []bool{
		t2.Delete("GET", "/"), t3.Delete("GET", "/", "200"), t4.Delete("GET", "/", "200", "h"),
		!t2.Delete("GET", "/"), !t3.Delete("GET", "/", "200"), !t4.Delete("GET", "/", "200", "h"),
	} {
		if !deleted {
			t.Errorf("Delete %d returned the wrong result", i)
		}
	}
	if n := two.Len() + three.Len() + four.Len(); n != 0 {
		t.Errorf("%d series after Delete", n)
	}
}

// TestTypedDefinitions: types that do not have the names of the labels, in the order of the labels,
// are refused. The error names the metric, both names and the definition of the vector.
func TestTypedDefinitions(t *testing.T) {
	r := NewRegistry()
	two := r.CounterVec("two_total", "", []string{"method", "path"})
	three := r.GaugeVec("three", "", []string{"method", "path", "status"})
	for name, c := range map[string]struct {
		define func()
		want   []string
	}{
		"swapped":          {func() { Typed2[typedPath, typedMethod](two) }, []string{`"two_total"`, `label 1 is "method"`, `the label "path"`}},
		"second":           {func() { Typed2[typedMethod, typedStatus](two) }, []string{`"two_total"`, `label 2 is "path"`, `the label "status"`}},
		"the same type":    {func() { Typed2[typedMethod, typedMethod](two) }, []string{`"two_total"`, `label 2 is "path"`, `the label "method"`}},
		"third":            {func() { Typed3[typedMethod, typedPath, typedHost](three) }, []string{`"three"`, `label 3 is "status"`, `the label "host"`}},
		"too few types":    {func() { Typed2[typedMethod, typedPath](three) }, []string{`"three"`, "3 labels", "2"}},
		"too many types":   {func() { Typed3[typedMethod, typedPath, typedStatus](two) }, []string{`"two_total"`, "2 labels", "3"}},
		"four":             {func() { Typed4[typedMethod, typedPath, typedStatus, typedHost](two) }, []string{`"two_total"`, "2 labels", "4"}},
		"nil vector":       {func() { Typed2[typedMethod, typedPath, Counter](nil) }, []string{"vector"}},
		"zero vector":      {func() { Typed2[typedMethod, typedPath](new(CounterVec)) }, []string{"vector"}},
		"fourth of a zero": {func() { Typed4[typedMethod, typedPath, typedStatus, typedHost](new(GaugeVec)) }, []string{"vector"}},
	} {
		_, err := Try(func() int { c.define(); return 0 })
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not contain %s", name, err, want)
			}
		}
		if e := err.(*DefinitionError); e.Metric != "" && !strings.Contains(e.First, "typed_test.go:") {
			t.Errorf("%s: first defined at %q", name, e.First)
		}
	}
}

// TestTypedRefusesSwappedValues: the compiler refuses values of another Label, variables of type
// string, and a wrong number of values. It accepts constants, as the comment of Label states.
func TestTypedRefusesSwappedValues(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command: ", err)
	}
	program := `package main

import "github.com/tachikoma/tacho"

type (
	Method string
	Path   string
)

func (Method) LabelName() string { return "method" }
func (Path) LabelName() string   { return "path" }

const Post Method = "POST"

func main() {
	v := tacho.Typed2[Method, Path](tacho.Default.CounterVec("c_total", "", []string{"method", "path"}))
	method, path, text := Method("GET"), Path("/"), "x"
	_, _, _ = method, path, text
`
	calls := []struct{ call, want string }{
		{`v.With(method, path)`, ""},
		{`v.With("GET", path)`, ""},
		{`v.With("/", "GET")`, ""}, // see Label
		{`v.Delete(Post, "/")`, ""},
		{`v.With(path, method)`, `cannot use path .* as Method value`},
		{`v.With("/", Post)`, `cannot use Post .* as Path value`},
		{`v.With(method, text)`, `cannot use text .* as Path value`},
		{`v.With(method)`, `not enough arguments`},
		{`v.With(method, path, method)`, `too many arguments`},
		{`v.Delete(path, method)`, `cannot use path .* as Method value`},
		{`tacho.Typed2[Method, string, tacho.Counter](nil)`, `string does not satisfy tacho.Label`},
	}
	first := strings.Count(program, "\n") + 1
	for _, c := range calls {
		program += "\t" + c.call + "\n"
	}
	// The program is a file of the module by an overlay alone.
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "testdata", "typed", "main.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{file: program + "}\n", overlay: string(replace)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(goCommand, "build", "-overlay="+overlay, "-gcflags=-e", "-o", os.DevNull, "./testdata/typed").CombinedOutput()
	if err == nil {
		t.Fatal("the program compiles")
	}
	for i, c := range calls {
		got := ""
		if m := regexp.MustCompile(`main.go:` + strconv.Itoa(first+i) + `:\d+: (.*)`).FindSubmatch(out); m != nil {
			got = string(m[1])
		}
		if (got == "") != (c.want == "") || !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s: error %q, want %q in\n%s", c.call, got, c.want, out)
		}
	}
}
