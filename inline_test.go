package tacho

import (
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestInlining: the compiler can inline the functions of the fast paths. Counter.Inc uses the
// whole inlining budget, so a small change can exceed the budget.
func TestInlining(t *testing.T) {
	goCommand, err := exec.LookPath("go") // finds nothing on wasm
	if err != nil {
		t.Skip("no go command: ", err)
	}
	// The go command repeats the output of the compiler for packages in its cache.
	out, err := exec.Command(goCommand, "build", "-gcflags=-m", ".", "./internal/stripe").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	missing := map[string]*regexp.Regexp{}
	for name, pattern := range map[string]string{
		"Counter.Inc":                `\(\*Counter\)\.Inc`,
		"Gauge.Inc":                  `\(\*Gauge\)\.Inc`,
		"Gauge.Set":                  `\(\*Gauge\)\.Set`,
		"Vec.With":                   `\(\*Vec\[go\.shape\..*\]\)\.With`, // the body that all types of one shape share
		"Vec.With of counters":       `\(\*Vec\[.*\.Counter\]\)\.With`,
		"Vec.With of float counters": `\(\*Vec\[.*\.FloatCounter\]\)\.With`,
		"Vec.With of gauges":         `\(\*Vec\[.*\.Gauge\]\)\.With`,
		"Vec.With of float gauges":   `\(\*Vec\[.*\.FloatGauge\]\)\.With`,
		"Vec.With of histograms":     `\(\*Vec\[.*\.Histogram\]\)\.With`,
		"Curried.With":               `\(\*Curried\[go\.shape\..*\]\)\.With`,
		"stripe.StackNumber":         `StackNumber`,
	} {
		missing[name] = regexp.MustCompile(`^` + pattern + `$`)
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		delete(missing, "Counter.Inc") // on 386 and wasm each atomic operation is a call
	}
	found := 0
	for line := range strings.Lines(string(out)) {
		_, function, ok := strings.Cut(strings.TrimSpace(line), ": can inline ")
		if !ok {
			continue
		}
		found++
		for name, pattern := range missing {
			if pattern.MatchString(function) {
				delete(missing, name)
			}
		}
	}
	if found == 0 {
		t.Fatalf("the compiler prints no function that it can inline:\n%s", out)
	}
	for name := range missing {
		t.Errorf("%s cannot be inlined", name)
	}
}
