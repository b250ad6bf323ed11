//go:build !tacho_nohttp

package push

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/testkit"
)

// A hop is a server that redirects to next, or accepts if next is nil.
type hop struct {
	*httptest.Server
	mu   sync.Mutex
	got  *http.Request // the latest request
	next func() string
}

func newHop(t *testing.T, secure bool, next func() string) *hop {
	h := &hop{next: next}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = r.Clone(context.Background())
		if h.next != nil && !strings.HasPrefix(r.URL.Path, "/final") {
			w.Header().Set("Location", h.next())
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}))
	if secure {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	return h
}

// No field of Config.Header, no password and no query follows a redirect to another origin.
func TestSecretsOfRedirects(t *testing.T) {
	plain, secure := newHop(t, false, nil), newHop(t, true, nil)
	hostPort := strings.TrimPrefix(plain.URL, "http://")
	_, port, _ := strings.Cut(hostPort, ":")
	var location string
	next := func() string { return location }
	from, secureFrom := newHop(t, false, next), newHop(t, true, next)
	back := newHop(t, false, func() string { return from.URL + "/final" })
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	for _, tt := range []struct {
		name     string
		from     *hop
		location string
		to       *hop
		kept     bool
	}{
		{"another port", from, plain.URL + "/final", plain, false},
		{"another host", from, "http://localhost:" + port + "/final", plain, false},
		{"without a scheme", from, "//" + hostPort + "/final", plain, false},
		{"http to https", from, secure.URL + "/final", secure, false},
		{"https to http", secureFrom, plain.URL + "/final", plain, false},
		{"same origin", from, "/final", from, true},
		{"same origin with the host", from, from.URL + "/final", from, true},
		{"away and back", from, back.URL, from, true},
	} {
		for name, target := range allTargets {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				location = tt.location
				base := strings.Replace(tt.from.URL, "://", "://motoko:kusanagi@", 1)
				p, _ := testPusher(t, target(base), Config{
					Client: &http.Client{Transport: transport},
					Header: http.Header{"X-Api-Key": {"k3y"}, "Host": {"gateway.internal"}, "Cookie": {"a=b"}, "User-Agent": {"job/1"}},
				})
				q := p.dest.url.Query()
				q.Set("token", "qu3ry")
				p.dest.url.RawQuery = q.Encode()
				if name == "Pushgateway" { // also with an explicit field Authorization
					p.header.Set("Authorization", "Bearer b3arer")
				}
				if err := p.Push(context.Background()); err != nil {
					t.Fatal(err)
				}
				h := tt.to.got.Header
				if h.Get("Content-Type") == "" || h.Get("User-Agent") == "" {
					t.Errorf("header %v lacks the format of the body", h)
				}
				if tt.kept {
					if h.Get("X-Api-Key") != "k3y" {
						t.Errorf("header %v, want the fields of Config.Header", h)
					}
					return
				}
				for _, field := range []string{"Authorization", "X-Api-Key", "Cookie", "Referer"} {
					if v := h.Get(field); v != "" {
						t.Errorf("the other origin got %s: %s", field, v)
					}
				}
				if h.Get("User-Agent") != userAgent || tt.to.got.Host == "gateway.internal" {
					t.Errorf("the other origin got User-Agent %q and Host %q", h.Get("User-Agent"), tt.to.got.Host)
				}
			})
		}
	}
}

// The redirect policy of the program's client still applies.
func TestRedirectPolicy(t *testing.T) {
	end := newHop(t, false, nil)
	from := newHop(t, false, func() string { return end.URL })
	refused := errors.New("no redirects")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return refused }}
	p, _ := testPusher(t, VictoriaMetrics{URL: from.URL}, Config{Client: client, Retries: -1})
	if err := p.Push(context.Background()); !errors.Is(err, refused) || end.got != nil {
		t.Errorf("got error %v, want that of CheckRedirect", err)
	}
	loop := newHop(t, false, func() string { return "/" })
	p, _ = testPusher(t, VictoriaMetrics{URL: loop.URL}, Config{Retries: -1})
	if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "too many redirects") {
		t.Errorf("got error %v, want too many redirects", err)
	}
}

// No error contains a secret, even if the server includes the secret in its response.
func TestErrorsWithoutSecrets(t *testing.T) {
	secrets := []string{"motoko", "kusanagi", "qu3ry", "b3arer", "k3y-of-api", "redir3ct"}
	check := func(t *testing.T, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got error %v, want %q", err, want)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			for _, secret := range secrets {
				if u, ok := err.(*url.Error); ok {
					t.Errorf("the error wraps a *url.Error: %v", u)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %v contains %s", err, secret)
				}
			}
		}
	}
	config := Config{Retries: -1, Header: http.Header{"Authorization": {"Bearer b3arer"}, "X-Api-Key": {"k3y-of-api"}}}
	withSecrets := func(base string) string {
		return strings.Replace(base, "://", "://motoko:kusanagi@", 1) + "/?token=qu3ry"
	}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no route "+r.URL.String()+" "+strings.Join(r.Header["Authorization"], "")+strings.Join(r.Header["X-Api-Key"], ""), 404)
	}))
	defer echo.Close()
	redirect := newHop(t, false, func() string { return "http://127.0.0.1:1/?token=redir3ct" })
	malformed := newHop(t, false, func() string { return "http://[/?token=qu3ry" })
	stopped := httptest.NewServer(nil)
	stopped.Close()
	slow, _ := blocked(t)
	for name, target := range allTargets {
		t.Run(name, func(t *testing.T) {
			for base, want := range map[string]string{
				echo.URL:      "404 Not Found",
				redirect.URL:  "connect: ", // what follows differs between machines
				malformed.URL: "Location",
				stopped.URL:   "connect: ",
			} {
				p, _ := testPusher(t, target(withSecrets(base)), config)
				check(t, p.Push(context.Background()), want)
				if name == "Pushgateway" {
					check(t, p.Delete(context.Background()), want)
				}
			}
			c := config
			c.Timeout = time.Millisecond
			c.Registry = tacho.NewRegistry()
			p, _ := testPusher(t, target(withSecrets(slow.URL)), c)
			check(t, p.Push(context.Background()), "deadline exceeded")
		})
	}
	for _, base := range []string{"motoko:kusanagi@h", "ftp://motoko:kusanagi@h", "http://motoko:kusanagi/x@h", "http://h:kusanagi", "http://%zzkusanagi", "http:///?token=qu3ry"} {
		_, err := New(VictoriaMetrics{URL: base}, Config{Registry: tacho.NewRegistry()})
		check(t, err, "bad URL")
	}
}

func TestHostHeader(t *testing.T) {
	h := newHop(t, false, nil)
	p, _ := testPusher(t, Pushgateway{URL: h.URL, Job: "b"}, Config{Header: http.Header{"host": {"gateway.internal"}}})
	for name, request := range map[string]func(context.Context) error{"Push": p.Push, "Delete": p.Delete} {
		if err := request(context.Background()); err != nil || h.got.Host != "gateway.internal" {
			t.Errorf("%s sends Host %q, error %v", name, h.got.Host, err)
		}
	}
}

func TestDisableCompression(t *testing.T) {
	for name, target := range allTargets {
		s := serve(t, nil)
		p, _ := testPusher(t, target(s.URL), Config{DisableCompression: true})
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := s.seen()[0]
		coding := got.header.Get("Content-Encoding")
		if strings.HasPrefix(name, "RemoteWrite") {
			if coding != "snappy" {
				t.Errorf("%s: Content-Encoding %q", name, coding)
			}
			continue
		}
		if name == "OTLP" {
			if text, err := testkit.ReadOTLPRequest([]byte(got.body)); coding != "" || err != nil || p.bodyBytes.Value() != int64(len(got.body)) {
				t.Errorf("%s: Content-Encoding %q, body %s, error %v", name, coding, text, err)
			}
			continue
		}
		if coding != "" || got.body != jobsText || p.bodyBytes.Value() != int64(len(jobsText)) {
			t.Errorf("%s: Content-Encoding %q, body %q, push_body_bytes %d", name, coding, got.body, p.bodyBytes.Value())
		}
		empty, _ := testPusher(t, target(s.URL), Config{DisableCompression: true, Registry: tacho.NewRegistry()})
		if err := empty.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		if ct := s.seen()[1].header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
			t.Errorf("%s: an empty push has the Content-Type %q", name, ct)
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"http://h", "http://h:80/x?y", true},
		{"https://H", "https://h:443", true},
		{"http://[::1]", "http://[::1]:80", true},
		{"http://h:8080", "https://h:8080", false},
		{"http://h", "http://h:8080", false},
		{"http://h", "http://a.h", false},
		{"http://h", "https://h", false},
	} {
		a, errA := url.Parse(tt.a)
		b, errB := url.Parse(tt.b)
		if errA != nil || errB != nil || (origin(a) == origin(b)) != tt.same {
			t.Errorf("origins %s and %s, want the same: %v", origin(a), origin(b), tt.same)
		}
	}
}

// TestSecretsOf: each form in which a URL or a header field can have a secret is found.
// Strings of less than four bytes stay, because error texts would become unreadable.
func TestSecretsOf(t *testing.T) {
	for _, tt := range []struct {
		url    string
		header http.Header
		want   []string
	}{
		{"http://h/path", nil, nil},
		{"http://h/?wholequery", nil, []string{"wholequery"}},
		{"http://h/?abc", nil, nil},
		{"http://h/?abcd", nil, []string{"abcd"}},
		{"http://h/?a=b%20cd", nil, []string{"a=b%20cd", "b+cd", "b cd"}},
		{"http://user:pass%20word@h/", nil, []string{"user:pass%20word", "pass word"}},
		{"http://username@h/", nil, []string{"username"}},
		{"http://h/", http.Header{"Authorization": {"Basic abcdef"}, "Accept": {"text/plain"}}, []string{"Basic abcdef", "abcdef"}},
		{"http://h/", http.Header{"X-Api-Key": {"one two"}, "X-Token": {"three"}, "Cookie": {"cook"}}, []string{"one two", "three", "cook"}},
		{"http://h/", http.Header{"X-Password": {"hush"}}, []string{"hush"}},
		{"http://h/", http.Header{"My-Secret": {"hush"}}, []string{"hush"}},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		got := secretsOf(u, tt.header)
		for i, s := range got[min(1, len(got)):] {
			if len(s) > len(got[i]) { // a longer secret may contain a shorter one
				t.Errorf("%s %v: %q is not in order of length", tt.url, tt.header, got)
			}
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if got = slices.Compact(got); !slices.Equal(got, tt.want) {
			t.Errorf("%s %v: %q, want %q", tt.url, tt.header, got, tt.want)
		}
	}
}
