//go:build !tacho_nohttp

package tacho

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

const testUUID = "f47ac10b-58cc-4372-8567-0e02b2c3d479"

// uuidForms are the forms of a UUID that NormalizePath replaces.
var uuidForms = []string{
	testUUID,
	strings.ToUpper(testUUID),
	"{" + testUUID + "}",
	"urn:uuid:" + testUUID,
	"URN:UUID:" + strings.ToUpper(testUUID),
	strings.ReplaceAll(testUUID, "-", ""),
	strings.ToUpper(strings.ReplaceAll(testUUID, "-", "")),
	"00000000-0000-0000-0000-000000000000",
}

func TestNormalizePath(t *testing.T) {
	type row struct{ in, want string }
	rows := []row{
		{"", ""},
		{"/", "/"},
		{"//", "//"},
		{"//7//", "//:id//"},
		{"/missions", "/missions"},
		{"/missions/42", "/missions/:id"},
		{"/missions/42/", "/missions/:id/"},
		{"/missions/42/logs", "/missions/:id/logs"},
		{"/missions/42/logs/7", "/missions/:id/logs/:id"},
		{"42", ":id"},
		{"42/a", ":id/a"},
		{"a/42", "a/:id"},
		{"/0", "/:id"},
		{"/" + strings.Repeat("9", 400), "/:id"},
		{"/" + strings.Repeat("1", 32), "/:id"},
		{"/" + strings.Repeat("1", 36), "/:id"},
		{"/" + strings.Repeat("1", 38), "/:id"},
		{"/" + strings.Repeat("1", 45), "/:id"},
		{"/-1", "/-1"},
		{"/+1", "/+1"},
		{"/1.5", "/1.5"},
		{"/1 ", "/1 "},
		{"/0x10", "/0x10"},
		{"/v2", "/v2"},
		{"/2v", "/2v"},
		{"/:id", "/:id"},
		{"/\u0661\u0662", "/\u0661\u0662"}, // Arabic digits
		{"/\uff11", "/\uff11"},             // full-width digit
		{"/\xff/1\xff/1", "/\xff/1\xff/:id"},
		{"/a/" + testUUID + "x", "/a/" + testUUID + "x"},
		{"/a/" + testUUID[:35], "/a/" + testUUID[:35]},
		{"/a/" + testUUID[:35] + "g", "/a/" + testUUID[:35] + "g"},
		{"/a/[" + testUUID + "]", "/a/[" + testUUID + "]"},
		{"/a/{" + testUUID + ")", "/a/{" + testUUID + ")"},
		{"/a/urn:uuix:" + testUUID, "/a/urn:uuix:" + testUUID},
		{"/a/" + strings.Repeat("g", 32), "/a/" + strings.Repeat("g", 32)},
		// Longer than the buffer of NormalizePath on the stack.
		{strings.Repeat("/abc/1", 100), strings.Repeat("/abc/:id", 100)},
	}
	for _, u := range uuidForms {
		rows = append(rows, row{u, ":id"}, row{"/a/" + u, "/a/:id"}, row{"/a/" + u + "/b/" + u + "/", "/a/:id/b/:id/"})
	}
	for _, r := range rows {
		if got := NormalizePath(r.in); got != r.want {
			t.Errorf("NormalizePath(%q) = %q, want %q", r.in, got, r.want)
		}
	}
}

// TestNormalizePathUnchanged: if no segment is replaced, the result is the path itself and
// not a copy.
func TestNormalizePathUnchanged(t *testing.T) {
	paths := []string{"", "/", "/metrics", "/a/v2/b", strings.Repeat("/abc", 200), "/" + strings.Repeat("g", 36)}
	for _, p := range paths {
		if got := NormalizePath(p); got != p {
			t.Errorf("NormalizePath(%q) = %q, want the path itself", p, got)
		}
		if n := testing.AllocsPerRun(100, func() { NormalizePath(p) }); n != 0 {
			t.Errorf("NormalizePath(%.20q) allocates %v times, want 0", p, n)
		}
	}
}

// TestIsUUID: isUUID returns the same result as Validate of github.com/google/uuid. The
// inputs are all forms of a UUID, with one byte less, one byte more and each byte at each
// position.
func TestIsUUID(t *testing.T) {
	check := func(s string) {
		t.Helper()
		if got, want := isUUID(s), uuid.Validate(s) == nil; got != want {
			t.Errorf("isUUID(%q) = %t, want %t", s, got, want)
		}
	}
	for _, u := range uuidForms {
		check(u)
		check(u[1:])
		check(u + "0")
		for i := range len(u) {
			b := []byte(u)
			for c := range 256 {
				b[i] = byte(c)
				check(string(b))
			}
		}
	}
}

func FuzzIsUUID(f *testing.F) {
	for _, u := range uuidForms {
		f.Add(u)
		f.Add(u[:len(u)-1] + "\u017f") // a long s, which folds to s
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := isUUID(s), uuid.Validate(s) == nil; got != want {
			t.Fatalf("isUUID(%q) = %t, want %t", s, got, want)
		}
	})
}

func TestPatternPath(t *testing.T) {
	for _, r := range []struct{ in, want string }{
		{"", ""},
		{"/", "/"},
		{"GET /", "/"},
		{"example.com/", "/"},
		{"/static/", "/static/"},
		{"/files/{rest...}", "/files/{rest...}"},
		{"GET example.com/files/{rest...}", "/files/{rest...}"},
		{"/missions/{id}", "/missions/{id}"},
		{"GET /missions/{id}", "/missions/{id}"},
		{"GET \t /missions/{id}", "/missions/{id}"},
		{"example.com/missions/{id}/logs", "/missions/{id}/logs"},
		{"POST example.com/missions", "/missions"},
		{"/missions/{$}", "/missions/{$}"},
		{"nonsense", ""},
	} {
		if got := patternPath(r.in); got != r.want {
			t.Errorf("patternPath(%q) = %q, want %q", r.in, got, r.want)
		}
	}
}

func TestHasMethod(t *testing.T) {
	for _, r := range []struct {
		pattern, method string
		want            bool
	}{
		{"GET /a", "GET", true},
		{"GET \t /a", "GET", true},
		{"GET /a", "HEAD", false},
		{"GET /a", "GE", false},
		{"/a", "GET", false},
		{"GET", "GET", false},
		{"", "", false},
		{"", "GET", false},
	} {
		if got := hasMethod(r.pattern, r.method); got != r.want {
			t.Errorf("hasMethod(%q, %q) = %v, want %v", r.pattern, r.method, got, r.want)
		}
	}
}

// referencePath is a simple implementation of NormalizePath.
func referencePath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if uuid.Validate(s) == nil || s != "" && strings.Trim(s, "0123456789") == "" {
			segments[i] = ":id"
		}
	}
	return strings.Join(segments, "/")
}

func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"", "/", "//", "/a/1/b", "1", "1/", "/\xff/\u0661", strings.Repeat("/1", 200), "/:id"} {
		f.Add(s)
	}
	for _, u := range uuidForms {
		f.Add("/x/" + u + "/y")
		f.Add(u[:len(u)-1] + "/" + u + "0")
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := NormalizePath(path)
		if want := referencePath(path); got != want {
			t.Fatalf("NormalizePath(%q) = %q, want %q", path, got, want)
		}
		if again := NormalizePath(got); again != got {
			t.Fatalf("NormalizePath(%q) = %q, want the path itself", got, again)
		}
		if a, b := strings.Count(path, "/"), strings.Count(got, "/"); a != b {
			t.Fatalf("NormalizePath(%q) = %q has %d slashes, want %d", path, got, b, a)
		}
	})
}
