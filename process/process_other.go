//go:build unix && !linux

package process

// A system reads what other Unix systems have in common with Linux.
type system struct{}

func (system) read(now *[facts]fact) { usage(now) }
