//go:build !tacho_nohttp

package push

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const redacted = "xxxxx"

// redactURL returns u for an error text. It contains no user, no password and no query,
// because each of the three can be a secret.
func redactURL(u *url.URL) string {
	public := *u
	public.User, public.Fragment = nil, ""
	if public.RawQuery != "" {
		public.RawQuery = redacted
	}
	return public.String()
}

// minSecret is the minimum length of a secret in bytes. A replacement of shorter strings
// would make error texts unreadable.
const minSecret = 4

// secretsOf returns the strings that no error text may contain, longest first.
func secretsOf(u *url.URL, header http.Header) (secrets []string) {
	add := func(s string) {
		if len(s) >= minSecret {
			secrets = append(secrets, s)
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		add(password)
		add(u.User.String())
	}
	add(u.RawQuery)
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
			add(url.QueryEscape(v))
		}
	}
	for name, values := range header {
		if !secretHeader(name) {
			continue
		}
		for _, v := range values {
			add(v)
			_, credentials, _ := strings.Cut(v, " ") // after the scheme, for example Bearer
			add(credentials)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return secrets
}

// secretHeader reports whether the name of a header field suggests a secret value.
func secretHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"auth", "cookie", "key", "password", "secret", "token"},
		func(part string) bool { return strings.Contains(name, part) })
}

// redact replaces the secrets of p in s. A server or a proxy can include them in the text
// of a response.
func (p *Pusher) redact(s string) string {
	for _, secret := range p.secrets {
		s = strings.ReplaceAll(s, secret, redacted)
	}
	return s
}

// redactError returns err without the URL that [http.Client.Do] adds, and without secrets
// in its text.
func (p *Pusher) redactError(err error) error {
	for {
		u, ok := err.(*url.Error)
		if !ok {
			break
		}
		err = u.Err
	}
	if text := p.redact(err.Error()); text != err.Error() {
		return &redactedError{text, err}
	}
	return err
}

// A redactedError has a text of its own. It has no method Unwrap, so a log of wrapped errors
// does not contain the original text.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }
func (e *redactedError) As(target any) bool   { return errors.As(e.err, target) }

// redirecting returns a copy of the client c for the requests of p. If a redirect changes
// the method, the copy returns the response of the redirect to the caller. A GET instead
// of a push could succeed, although no metrics were sent.
func (p *Pusher) redirecting(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	limited := *c
	limited.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.Method != via[0].Method {
			return http.ErrUseLastResponse
		}
		if origin(req.URL) != origin(via[0].URL) {
			p.removeSecrets(req)
		}
		switch {
		case c.CheckRedirect != nil:
			return c.CheckRedirect(req, via)
		case len(via) >= 10:
			return errors.New("too many redirects")
		}
		return nil
	}
	return &limited
}

// removeSecrets removes the header fields of Config.Header and the credentials of the URL
// from a request to another origin. net/http itself compares only the host names, and
// only for a few fields. The field Referer contains the query of the previous URL.
func (p *Pusher) removeSecrets(req *http.Request) {
	for name := range req.Header {
		if p.dest.header[name] == nil {
			delete(req.Header, name)
		}
	}
	req.Header.Set("User-Agent", userAgent)
	req.Host = ""
}

// origin returns the scheme, host and port of u (RFC 6454, section 4).
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
