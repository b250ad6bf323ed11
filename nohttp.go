//go:build tacho_nohttp

package tacho

// httpOptions is empty where there is no HTTP; see middleware.go.
type httpOptions struct{}
