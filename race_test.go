//go:build !tacho_nohttp && race

package tacho

// The race detector makes sync.Pool drop things at random and allocates itself.
const httpRace = true
