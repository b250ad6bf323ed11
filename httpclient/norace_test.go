//go:build !race && !tacho_nohttp

package httpclient

const raceEnabled = false
