//go:build !tacho_nohttp

package dashboard

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(h http.Handler, method string, header ...string) *httptest.ResponseRecorder {
	return getAt(h, method, "/anywhere", header...)
}

func getAt(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// TestPolicy checks that the policy allows only the inline script and style, by hash.
func TestPolicy(t *testing.T) {
	w := get(Handler("/metrics"), "GET")
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	for element, directive := range map[string]string{"style": "style-src", `script type="module"`: "script-src"} {
		tag, _, _ := strings.Cut(element, " ")
		found := regexp.MustCompile(`(?s)<`+regexp.QuoteMeta(element)+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(found) != 1 {
			t.Fatalf("%d elements %s, want 1", len(found), element)
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"; !strings.Contains(policy, want) {
			t.Errorf("want %s in the policy %s", want, policy)
		}
	}
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "worker-src 'self'", "require-trusted-types-for 'script'; trusted-types tacho"} {
		if !strings.Contains(policy, want) {
			t.Errorf("want %s in the policy %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("policy %s, want no unsafe and no *", policy)
	}
	for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", " onclick="} {
		if strings.Contains(body, bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
	for _, url := range regexp.MustCompile(`(?:https?:)?//[a-z0-9.]+\.[a-z]+[^'"\s]*`).FindAllString(body, -1) {
		if url != "http://www.w3.org/2000/svg" { // a namespace, which a browser does not fetch
			t.Errorf("the page contains the URL %s", url)
		}
	}
}

func TestHandler(t *testing.T) {
	h := Handler("")
	w := get(h, "GET")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(w.Body.String(), `name="metrics" content="/metrics"`) {
		t.Errorf("GET: got status %d, header %v", w.Code, w.Header())
	}
	if again := get(h, "GET", "If-None-Match", w.Header().Get("ETag")); again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("If-None-Match: got status %d, %d bytes, want 304 without a body", again.Code, again.Body.Len())
	}
	if head := get(h, "HEAD"); head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Security-Policy") == "" {
		t.Errorf("HEAD: got status %d, header %v, want 200, the policy and no body", head.Code, head.Header())
	}
	if post := get(h, "POST"); post.Code != 405 || post.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got status %d, header %v, want 405 and Allow", post.Code, post.Header())
	}
	if body := get(Handler("metrics"), "GET").Body.String(); !strings.Contains(body, `name="metrics" content="metrics"`) {
		t.Error("a path that does not begin with a slash is changed")
	}
	body := get(Handler(`/a"><script>alert(1)</script>/`), "GET").Body.String()
	if strings.Contains(body, "<script>alert") || !strings.Contains(body, `content="/a&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"`) {
		t.Error("the argument of Handler is not escaped in the page")
	}
}
