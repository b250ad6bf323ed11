//go:build !unix && !windows

package process

// A system provides no values on this operating system.
type system struct{}

func (system) read(*[numReadings]reading) {}
