//go:build !tacho_nohttp

package tacho

import (
	"strings"

	"github.com/google/uuid"
)

// NormalizePath replaces each segment of path that is a UUID, in any form that
// [uuid.Validate] accepts, or made of ASCII digits alone by ":id", and leaves
// the rest alone: /missions/42/logs becomes /missions/:id/logs. It accepts any
// string and returns path itself if nothing is replaced.
func NormalizePath(path string) string {
	var store [128]byte
	b, changed := appendNormalized(store[:0], path)
	if !changed {
		return path
	}
	return string(b)
}

// appendNormalized appends the normalised path, or nothing if it is path itself.
func appendNormalized(b []byte, path string) (_ []byte, changed bool) {
	done := 0 // path up to here is in b
	for start := 0; start <= len(path); {
		end := strings.IndexByte(path[start:], '/')
		if end < 0 {
			end = len(path)
		} else {
			end += start
		}
		if isID(path[start:end]) {
			b = append(append(b, path[done:start]...), ":id"...)
			done, changed = end, true
		}
		start = end + 1
	}
	if !changed {
		return b, false
	}
	return append(b, path[done:]...), true
}

func isID(segment string) bool {
	switch len(segment) {
	case 0:
		return false
	case 32, 36, 38, 45: // the forms of a UUID; others make uuid.Validate build an error
		if uuid.Validate(segment) == nil {
			return true
		}
	}
	for i := 0; i < len(segment); i++ {
		if segment[i] < '0' || segment[i] > '9' {
			return false
		}
	}
	return true
}

// patternPath returns the path of the pattern that a ServeMux matched, without
// method and host, or "" for one that says too little: an empty one, or one
// that catches all below it.
func patternPath(pattern string) string {
	slash := strings.IndexByte(pattern, '/')
	if slash < 0 || strings.HasSuffix(pattern, "/") || strings.HasSuffix(pattern, "...}") {
		return ""
	}
	return pattern[slash:]
}
