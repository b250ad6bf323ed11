package goruntime

import (
	"testing"

	"github.com/tachikoma/tacho"
)

// TestNoRegistry: a registry that NewRegistry did not make is refused with a
// DefinitionError.
func TestNoRegistry(t *testing.T) {
	for _, reg := range []*tacho.Registry{nil, new(tacho.Registry)} {
		for _, register := range []func(*tacho.Registry) func(){Register, RegisterAdvanced} {
			if _, err := tacho.Try(func() int { register(reg); return 0 }); err == nil {
				t.Error("the registry is accepted")
			}
		}
	}
}
