// Package race tells tests whether the race detector or the address sanitizer is on. Both
// allocate, so tests of allocations and of binary sizes skip.
package race
