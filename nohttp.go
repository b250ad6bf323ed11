//go:build tacho_nohttp

package tacho

// httpOptions is empty without HTTP; see middleware.go.
//
//lint:ignore U1000 options embeds it in both builds
type httpOptions struct{}
