//go:build tacho_nohttp

package tacho

// httpOptions is empty where there is no HTTP; see middleware.go.
//
//lint:ignore U1000 it is there for options to embed in both builds
type httpOptions struct{}
