package collectors_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/collectors"
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/process"
)

// families returns the names of the families that a scrape of reg shows.
func families(t *testing.T, reg *tacho.Registry) (names []string) {
	t.Helper()
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if family, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(family, " ")
			names = append(names, name)
		}
	}
	return names
}

// TestRegister: one call has the families of both packages, and stop removes them. A second
// stop leaves the families of a later call.
func TestRegister(t *testing.T) {
	both := tacho.NewRegistry()
	goruntime.Register(both)
	process.Register(both)
	reg := tacho.NewRegistry()
	stop := collectors.Register(reg)
	want := families(t, both)
	if got := families(t, reg); !slices.Equal(got, want) {
		t.Errorf("families\n%q, want\n%q", got, want)
	}
	stop()
	if got := families(t, reg); len(got) != 0 {
		t.Errorf("after stop: %q", got)
	}
	collectors.Register(reg)
	stop()
	if got := families(t, reg); !slices.Equal(got, want) {
		t.Errorf("after the second stop: families\n%q, want\n%q", got, want)
	}
}

// TestConflict: a name that is in use leaves the registry as it was, whichever package it is
// of.
func TestConflict(t *testing.T) {
	names := []string{"go_goroutines"}
	ofProcess := tacho.NewRegistry()
	process.Register(ofProcess) // nothing on some systems
	names = append(names, families(t, ofProcess)...)
	for _, name := range names {
		reg := tacho.NewRegistry()
		reg.Gauge(name, "Of the program.").Set(1)
		if _, err := tacho.Try(func() int { collectors.Register(reg); return 0 }); err == nil {
			t.Errorf("%s: no conflict", name)
		}
		if got := families(t, reg); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: after the conflict %q", name, got)
		}
		for f := range reg.Families() {
			if f.Name != name && !strings.HasPrefix(f.Name, "tacho_") {
				t.Errorf("%s: after the conflict there is %s", name, f.Name)
			}
		}
	}
}

// TestNoRegistry: a registry that NewRegistry did not make is refused with a DefinitionError.
func TestNoRegistry(t *testing.T) {
	for _, reg := range []*tacho.Registry{nil, new(tacho.Registry)} {
		if _, err := tacho.Try(func() int { collectors.Register(reg); return 0 }); err == nil {
			t.Error("the registry is accepted")
		}
	}
}
