//go:build race

package tacho

// raceEnabled: the race detector allocates, so counts of allocations say nothing.
const raceEnabled = true
