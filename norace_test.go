//go:build !tacho_nohttp && !race

package tacho

const httpRace = false
