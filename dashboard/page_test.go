//go:build !tacho_nohttp

package dashboard

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestBundles checks that the joined modules have no imports and exports, that their top-level names are
// unique, that imports precede their use, and that each module is in a script.
func TestBundles(t *testing.T) {
	for name, modules := range map[string][]string{"view": viewModules, "worker": workerModules} {
		script := join(modules)
		if bad := regexp.MustCompile(`(?m)^\s*(import|export)\b.*`).FindString(script); bad != "" {
			t.Errorf("the script of the %s has the line %q", name, bad)
		}
		var source strings.Builder
		for _, module := range modules {
			source.WriteString(read(module))
		}
		seen := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^(?:export )?(?:async )?(?:const|let|var|class|function\*?) (\w+|\{.*\}|\[.*\])(.*)`).FindAllStringSubmatch(source.String(), -1) {
			for _, name := range declared(m[1], m[2]) {
				if seen[name] {
					t.Errorf("the script has two declarations of %s", name)
				}
				seen[name] = true
			}
		}
		for i, module := range modules {
			for line := range strings.Lines(read(module)) {
				if strings.Count(line, "`")%2 != 0 || strings.Count(line, "/*") != strings.Count(line, "*/") {
					t.Errorf("%s: a text or comment of several lines begins in %q", module, line)
				}
			}
			for _, m := range regexp.MustCompile(`(?m)^import .* from '\.{1,2}/(?:\w+/)*(\w+\.mjs)';`).FindAllStringSubmatch(read(module), -1) {
				if !slices.ContainsFunc(modules[:i], func(before string) bool { return strings.HasSuffix(before, "/"+m[1]) }) {
					t.Errorf("%s: imports %s, which is not before it", module, m[1])
				}
			}
		}
	}
	err := fs.WalkDir(files, "page", func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, "page/")
		all := slices.Concat(viewModules, workerModules, styles, []string{"page.html"})
		if err == nil && !entry.IsDir() && !slices.Contains(all, name) {
			t.Errorf("%s is in no list", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// declared returns the names of a declaration: pattern is a name or a pattern, and rest is the rest of its line.
// Further names of the line follow a comma and precede an equals sign.
func declared(pattern, rest string) []string {
	list := regexp.MustCompile(`\w+`).FindAllString(pattern, -1)
	for _, m := range regexp.MustCompile(`, ([A-Z][A-Z_]+) = `).FindAllStringSubmatch(rest, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestWithoutComment(t *testing.T) {
	for line, want := range map[string]string{
		"f(); // why\n":                  "f();\n",
		"f();   // in seconds // more\n": "f();\n",
		"f('a // b');\n":                 "f('a // b');\n",
		"f('a // b'); // c\n":            "f('a // b'); // c\n",
		"f(`https://x`); // see\n":       "f(`https://x`);\n",
		"f();\n":                         "f();\n",
	} {
		if got := withoutComment(line); got != want {
			t.Errorf("withoutComment(%q) = %q, want %q", line, got, want)
		}
	}
}

// TestPageSize checks that the page, the styles and both scripts need less than 60 KB.
func TestPageSize(t *testing.T) {
	p := newPage("/metrics", true)
	size := len(p.document.zipped()) + len(p.worker.zipped())
	t.Logf("%d bytes", size)
	if size >= 60_000 {
		t.Errorf("the page and its worker have %d bytes in gzip, want less than 60000", size)
	}
}

// TestWorker checks the response for the script of the worker.
func TestWorker(t *testing.T) {
	h := Handler("/metrics")
	url := regexp.MustCompile(`<meta name="worker" content="(\?worker=[0-9a-f]{24})">`).FindStringSubmatch(get(h, "GET").Body.String())
	if url == nil {
		t.Fatal("the page has no URL of the worker")
	}
	w := getAt(h, "GET", "/anywhere"+url[1])
	if w.Code != 200 || w.Body.String() != join(workerModules) {
		t.Errorf("got status %d and %d bytes", w.Code, w.Body.Len())
	}
	for name, want := range map[string]string{
		"Content-Type":            "text/javascript; charset=utf-8",
		"Cache-Control":           "public, max-age=31536000, immutable",
		"Content-Security-Policy": "default-src 'none'; connect-src 'self'",
		"X-Content-Type-Options":  "nosniff",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, bad := range []string{"?worker=", "?worker=0123", "?worker=" + strings.Repeat("a", 1<<12)} {
		if w := getAt(h, "GET", "/anywhere"+bad); w.Code != 404 || !strings.Contains(w.Body.String(), "reload") || w.Header().Get("Cache-Control") != "" {
			t.Errorf("%.20s: got status %d, header %v", bad, w.Code, w.Header())
		}
	}
}

// TestCompression checks that both encodings of an asset have the same content and different tags.
func TestCompression(t *testing.T) {
	h := Handler("/metrics")
	plain, zipped := get(h, "GET"), get(h, "GET", "Accept-Encoding", "gzip")
	if plain.Header().Get("Content-Encoding") != "" || zipped.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("encodings %q and %q", plain.Header().Get("Content-Encoding"), zipped.Header().Get("Content-Encoding"))
	}
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
		t.Errorf("the contents differ (%v)", err)
	}
	tag := zipped.Header().Get("ETag")
	if tag == plain.Header().Get("ETag") || plain.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("header %v, want another ETag than %s, and Vary", plain.Header(), tag)
	}
	if again := get(h, "GET", "Accept-Encoding", "gzip", "If-None-Match", tag); again.Code != 304 {
		t.Errorf("status %d, want 304", again.Code)
	}
}
