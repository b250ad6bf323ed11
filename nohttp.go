//go:build tacho_nohttp

package tacho

import "unsafe"

// httpOptions is empty without HTTP; see middleware.go.
//
//lint:ignore U1000 options embeds it in both builds
type httpOptions = struct{}

// expireRoutes is a function with HTTP; see routes.go.
var expireRoutes func(m unsafe.Pointer)
