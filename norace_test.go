//go:build !race

package tacho

const raceEnabled = false
