// Package race tells tests whether the race detector is on. The race detector allocates,
// so tests of allocations and of binary sizes skip.
package race
