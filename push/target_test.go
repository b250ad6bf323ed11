//go:build !tacho_nohttp

package push

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
)

func TestPushgateway(t *testing.T) {
	s := serve(t, nil)
	base64 := func(name string) string { return name + "@base64/" }
	for _, tt := range []struct {
		name   string
		target Pushgateway
		method string
		uri    string
	}{
		{"replaces", Pushgateway{Job: "backup"}, "PUT", "/metrics/job/backup"},
		{"adds", Pushgateway{Job: "backup", Add: true}, "POST", "/metrics/job/backup"},
		{"grouping", Pushgateway{Job: "b", Grouping: []string{"instance", "db-1.x_y~", "zone", "eu"}}, "PUT",
			"/metrics/job/b/instance/db-1.x_y~/zone/eu"},
		{"empty value", Pushgateway{Job: "b", Grouping: []string{"instance", ""}}, "PUT", "/metrics/job/b/" + base64("instance") + "="},
		{"slash", Pushgateway{Job: "b", Grouping: []string{"path", "/var/tmp"}}, "PUT", "/metrics/job/b/" + base64("path") + "L3Zhci90bXA"},
		{"slash in job", Pushgateway{Job: "a/b"}, "PUT", "/metrics/" + base64("job") + "YS9i"},
		{"URL alphabet", Pushgateway{Job: "??>/~"}, "PUT", "/metrics/" + base64("job") + "Pz8-L34"},
		{"dots", Pushgateway{Job: "b", Grouping: []string{"dir", ".."}}, "PUT", "/metrics/job/b/" + base64("dir") + "Li4"},
		{"UTF-8", Pushgateway{Job: "バ"}, "PUT", "/metrics/" + base64("job") + "44OQ"},
		{"bad UTF-8", Pushgateway{Job: "a\xff"}, "PUT", "/metrics/" + base64("job") + "Ye-_vQ"},
		{"below a path", Pushgateway{URL: "/gateway/", Job: "b"}, "PUT", "/gateway/metrics/job/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.target.URL = s.URL + tt.target.URL
			p, _ := testPusher(t, tt.target, Config{})
			if err := p.Push(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := s.seen()[len(s.seen())-1]
			if got.method != tt.method || got.uri != tt.uri {
				t.Errorf("%s %s, want %s %s", got.method, got.uri, tt.method, tt.uri)
			}
			if got.body != jobsText {
				t.Errorf("body is %q, want %q", got.body, jobsText)
			}
			if ct := got.header.Get("Content-Type"); ct != "text/plain; version=0.0.4; charset=utf-8" {
				t.Errorf("Content-Type is %q", ct)
			}
			if err := p.Delete(context.Background()); err != nil {
				t.Fatal(err)
			}
			got = s.seen()[len(s.seen())-1]
			// A Pushgateway refuses a Content-Encoding without a body.
			if got.method != "DELETE" || got.uri != tt.uri || got.body != "" || got.header.Get("Content-Encoding") != "" {
				t.Errorf("Delete sends %+v", got)
			}
		})
	}
}

// TestReserved: only unreserved characters need no escaping in a path (RFC 3986, section 2.3).
func TestReserved(t *testing.T) {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	for c := range rune(0x100) {
		if reserved(c) == strings.ContainsRune(unreserved, c) {
			t.Errorf("%q: reserved is %v", c, reserved(c))
		}
	}
}

func TestVictoriaMetrics(t *testing.T) {
	s := serve(t, statuses(204))
	p, _ := testPusher(t, VictoriaMetrics{URL: s.URL + "/insert/0/prometheus", Labels: []string{"job", "a b&c=d", "env", ""}}, Config{})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := s.seen()[0]
	if want := "/insert/0/prometheus/api/v1/import/prometheus?extra_label=job%3Da+b%26c%3Dd&extra_label=env%3D"; got.method != "POST" || got.uri != want {
		t.Errorf("%s %s, want %s", got.method, got.uri, want)
	}
	if got.body != jobsText {
		t.Errorf("body is %q, want %q", got.body, jobsText)
	}
	if err := p.Delete(context.Background()); err == nil || len(s.seen()) != 1 {
		t.Errorf("Delete returns %v after %d requests, want an error and 1 request", err, len(s.seen()))
	}
}

func TestBadTargets(t *testing.T) {
	for _, tt := range []struct {
		target Target
		want   string
	}{
		{Pushgateway{URL: "127.0.0.1:9091", Job: "b"}, "bad URL"},
		{Pushgateway{URL: "ftp://127.0.0.1", Job: "b"}, "want http://host"},
		{Pushgateway{URL: "http://", Job: "b"}, "want http://host"},
		{Pushgateway{URL: "http://h"}, "needs a job"},
		{Pushgateway{URL: "http://h", Job: "b", Grouping: []string{"a"}}, "pairs"},
		{Pushgateway{URL: "http://h", Job: "b", Grouping: []string{"job", "c"}}, "duplicate label job"},
		{Pushgateway{URL: "http://h", Job: "b", Grouping: []string{"a-b", "c"}}, `bad label name "a-b"`},
		{VictoriaMetrics{URL: "http://h", Labels: []string{"__name__", "x"}}, `bad label name "__name__"`},
		{RemoteWrite{URL: "http://h", Labels: []string{"", "x"}}, `bad label name ""`},
		{RemoteWrite{URL: "http://u:secret@h:port"}, "bad URL"},
		{RemoteWrite{URL: "unix://u:secret@h"}, "bad URL"},
		{OTLP{URL: "unix://u:secret@h"}, "bad URL"},
		{OTLP{URL: "http://h", Attributes: []string{"a"}}, "pairs"},
		{OTLP{URL: "http://h", Attributes: []string{"", "a"}}, `bad attribute name ""`},
		{OTLP{URL: "http://h", Attributes: []string{"a\xff", "a"}}, `bad attribute name "a\xff"`},
		{OTLP{URL: "http://h", Attributes: []string{"a", "b", "a", "c"}}, `duplicate attribute "a"`},
		{OTLP{URL: "http://h", Service: "s", Attributes: []string{"service.name", "c"}}, `duplicate attribute "service.name"`},
		{OTLP{URL: "http://h", Instance: "i", Attributes: []string{"service.instance.id", "c"}}, `duplicate attribute "service.instance.id"`},
	} {
		_, err := New(tt.target, Config{Registry: tacho.NewRegistry()})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "tacho: push: ") {
			t.Errorf("%+v: %v, want %q", tt.target, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v contains the password", err)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := serve(t, nil)
	basic := strings.Replace(s.URL, "http://", "http://user:pass@", 1)
	header := http.Header{"authorization": {"Bearer abc"}, "X-Scope-OrgID": {"7"}, "Content-Type": {"text/html"}, "User-Agent": {"backup/1"}}
	for _, tt := range []struct {
		url    string
		header http.Header
		want   [3]string
	}{
		{basic, nil, [3]string{"Basic dXNlcjpwYXNz", "", "tacho"}},
		{s.URL, header, [3]string{"Bearer abc", "7", "backup/1"}},
	} {
		p, _ := testPusher(t, Pushgateway{URL: tt.url, Job: "b"}, Config{Header: tt.header})
		if tt.header != nil {
			tt.header.Set("X-Late", "1") // New has copied the header
		}
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := s.seen()[len(s.seen())-1].header
		if is := [3]string{got.Get("Authorization"), got.Get("X-Scope-OrgID"), got.Get("User-Agent")}; is != tt.want {
			t.Errorf("%q, want %q", is, tt.want)
		}
		if !strings.HasPrefix(got.Get("Content-Type"), "text/plain") || got.Get("X-Late") != "" {
			t.Errorf("sent the header %v", got)
		}
	}
}

func TestTooLarge(t *testing.T) {
	s := serve(t, nil)
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"l"})
	for i := range 5000 {
		v.With(fmt.Sprint(i))
	}
	for _, target := range []Target{Pushgateway{URL: s.URL, Job: "b"}, VictoriaMetrics{URL: s.URL}, RemoteWrite{URL: s.URL}, OTLP{URL: s.URL}} {
		p, own := testPusher(t, target, Config{Registry: reg, MaxBytes: 50_000})
		if err := p.Push(context.Background()); err != errTooLarge {
			t.Errorf("%T: got error %v, want errTooLarge", target, err)
		}
		if attempts(t, own, s, "unsent") != 1 {
			t.Errorf("%T: the push is not counted as unsent", target)
		}
	}
	if n := len(s.seen()); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}

// TestMaxBytes: an exposition of exactly Config.MaxBytes is pushed.
func TestMaxBytes(t *testing.T) {
	s := serve(t, nil)
	for limit, want := range map[int64]error{int64(len(jobsText)): nil, int64(len(jobsText)) - 1: errTooLarge} {
		p, _ := testPusher(t, VictoriaMetrics{URL: s.URL}, Config{MaxBytes: limit})
		if err := p.Push(context.Background()); err != want {
			t.Errorf("%d bytes with a limit of %d: error %v, want %v", len(jobsText), limit, err, want)
		}
	}
}

// TestValidName: the first character of a label name is a letter or an underscore, and the
// others may be digits too.
func TestValidName(t *testing.T) {
	const first = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
	for c := range rune(0x100) {
		letter, digit := strings.ContainsRune(first, c), strings.ContainsRune("0123456789", c)
		for name, want := range map[string]bool{
			string(c): letter, string(c) + "x": letter, "x" + string(c): letter || digit, "xx" + string(c) + "x": letter || digit,
		} {
			if got := validName(name); got != want && name != "__" {
				t.Errorf("%q: %v, want %v", name, got, want)
			}
		}
	}
	for _, name := range []string{"", "__", "__name__", "a\xff"} {
		if validName(name) {
			t.Errorf("%q is valid", name)
		}
	}
}

func TestURLKeepsQuery(t *testing.T) {
	s := serve(t, nil)
	p, _ := testPusher(t, VictoriaMetrics{URL: s.URL + "/?token=x", Labels: []string{"a", "b"}}, Config{})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.seen()[0].uri)
	if err != nil || u.Path != "/api/v1/import/prometheus" || u.Query().Get("token") != "x" || u.Query().Get("extra_label") != "a=b" {
		t.Errorf("%v, %v", u, err)
	}
}
