//go:build !tacho_nohttp

package tacho

import (
	"path"
	"strings"
)

// NormalizePath returns path with each segment that identifies one object replaced by
// ":id": /missions/42/logs becomes /missions/:id/logs. Such segments are numbers of ASCII
// digits and UUIDs, in any form that Validate of github.com/google/uuid accepts.
// NormalizePath accepts any string. If nothing is replaced, the result is path itself.
func NormalizePath(path string) string {
	var store [128]byte
	b, changed := appendNormalized(store[:0], path)
	if !changed {
		return path
	}
	return string(b)
}

// appendNormalized appends the normalized path, or nothing if that is path itself.
func appendNormalized(b []byte, path string) (_ []byte, changed bool) {
	done := 0 // path[:done] is in b
	for start := 0; start <= len(path); {
		end := strings.IndexByte(path[start:], '/')
		if end < 0 {
			end = len(path)
		} else {
			end += start
		}
		if start < end && startsID(path[start]) && isID(path[start:end]) {
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

func isID(segment string) bool { return isDigits(segment) || isUUID(segment) }

// startsID reports whether a number or a UUID may begin with c. Most segments begin with
// another byte.
func startsID(c byte) bool {
	if c <= '9' {
		return c >= '0'
	}
	c |= 0x20
	return c <= 'f' && c >= 'a' || c == 'u' || c == '{'
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isUUID reports whether s is a UUID in one of the forms of github.com/google/uuid. These
// are 32 hexadecimal digits, and the same digits with hyphens after the 8th, 12th, 16th and
// 20th. The form with hyphens may be in braces or after "urn:uuid:". TestIsUUID compares
// isUUID with Validate of that package, which is larger; see internal/SIZE.md.
func isUUID(s string) bool {
	switch len(s) {
	case 36 + len("{}"):
		if s[0] != '{' || s[37] != '}' {
			return false
		}
		s = s[1:37]
	case 36 + len(uuidURN):
		if !isURN(s[:len(uuidURN)]) {
			return false
		}
		s = s[len(uuidURN):]
	case 32, 36:
	default:
		return false
	}
	for i := 0; i < len(s); i++ {
		if len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23) {
			if s[i] != '-' {
				return false
			}
		} else if c := s[i] | 0x20; (c < 'a' || c > 'f') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

const uuidURN = "urn:uuid:"

// isURN reports whether s, which has the length of uuidURN, equals uuidURN in any case.
func isURN(s string) bool {
	for i := 0; i < len(uuidURN); i++ {
		if want := uuidURN[i]; s[i] != want && (want == ':' || s[i]|0x20 != want) {
			return false
		}
	}
	return true
}

// patternPath returns the path of a pattern of a ServeMux, without method and host, or ""
// if there is none.
func patternPath(pattern string) string {
	slash := strings.IndexByte(pattern, '/')
	if slash < 0 {
		return ""
	}
	return pattern[slash:]
}

// isRedirect reports whether a ServeMux made pattern for a redirect from urlPath. If a
// ServeMux redirects /users/ann to its pattern /users/{name}/, it sets the pattern
// /users/ann/ for CONNECT, and before Go 1.26 for all methods. The client chose that path.
func isRedirect(pattern, urlPath string) bool {
	return strings.HasSuffix(pattern, "//") || // from /users/ann%2F
		strings.HasSuffix(pattern, "/") && pattern != urlPath && pattern[:len(pattern)-1] == path.Clean(urlPath)
}

// hasMethod reports whether a pattern of a ServeMux begins with the method.
func hasMethod(pattern, method string) bool {
	n := len(method)
	return len(pattern) > n && pattern[n] == ' ' && pattern[:n] == method
}
