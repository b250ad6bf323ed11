//go:build unix && !linux

package process

// A system reads the values that every Unix system provides.
type system struct{}

func (system) read(now *[numReadings]reading) { usage(now) }
