//go:build !tacho_nohttp

package push

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tachikoma/tacho"
)

func TestIdentity(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	process := fmt.Sprintf("%s:%d", host, os.Getpid())
	for _, tt := range []struct {
		name          string
		job, instance string
		labels        []string
		want          string // labels in the order of remote write
	}{
		{"none", "", "", nil, ``},
		{"only labels", "", "", []string{"job", "a"}, `job="a"`},
		{"both", "shop", "web1:80", nil, `instance="web1:80",job="shop"`},
		{"job", "shop", "", nil, `instance="` + process + `",job="shop"`},
		{"beside other labels", "shop", "web1:80", []string{"zone", "eu"}, `instance="web1:80",job="shop",zone="eu"`},
		{"labels win", "shop", "web1:80", []string{"instance", "x", "job", "y"}, `instance="x",job="y"`},
		{"one label wins", "shop", "web1:80", []string{"job", "y"}, `instance="web1:80",job="y"`},
		{"no instance by a label", "shop", "", []string{"instance", ""}, `job="shop"`},
		{"invalid UTF-8", "a\xff", "b\xff", nil, "instance=\"b\uFFFD\",job=\"a\uFFFD\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, nil)
			p, _ := testPusher(t, RemoteWrite{URL: s.URL, Job: tt.job, Instance: tt.instance, Labels: tt.labels}, Config{})
			mustPush(t, p)
			want := `{__name__="jobs_total"}`
			if tt.want != "" {
				want = `{__name__="jobs_total",` + tt.want + `}`
			}
			if got, _, _ := cutSample(readRequest(t, s.seen()[0].body)[0]); got != want {
				t.Errorf("remote write sends %s, want %s", got, want)
			}
			p, _ = testPusher(t, VictoriaMetrics{URL: s.URL, Job: tt.job, Instance: tt.instance, Labels: tt.labels}, Config{})
			mustPush(t, p)
			u, err := url.Parse(s.seen()[1].uri)
			if err != nil {
				t.Fatal(err)
			}
			extra := u.Query()["extra_label"]
			for _, l := range strings.FieldsFunc(tt.want, func(c rune) bool { return c == ',' }) {
				if want := strings.ReplaceAll(l, `"`, ""); !strings.Contains(strings.Join(extra, ","), want) {
					t.Errorf("VictoriaMetrics gets the labels %q, want %q", extra, want)
				}
			}
			names := map[string]bool{}
			for _, l := range extra {
				name, _, _ := strings.Cut(l, "=")
				if names[name] {
					t.Errorf("VictoriaMetrics gets two labels %s: %q", name, extra)
				}
				names[name] = true
			}
		})
	}
	for _, target := range []Target{RemoteWrite{URL: "http://h", Instance: "x"}, VictoriaMetrics{URL: "http://h", Instance: "x"}} {
		if _, err := New(target, Config{Registry: tacho.NewRegistry()}); err == nil || !strings.Contains(err.Error(), "needs a Job") {
			t.Errorf("%+v: %v, want an error", target, err)
		}
	}
}

// A series with the labels of the target keeps its own ones under other names, as after a scrape.
func TestIdentityConflict(t *testing.T) {
	s := serve(t, nil)
	reg := tacho.NewRegistry(tacho.WithConstLabels("job", "own", "instance", "mine"))
	reg.Gauge("g", "").Set(1)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Job: "shop", Instance: "web1"}, Config{Registry: reg})
	mustPush(t, p)
	want := `{__name__="g",exported_instance="mine",exported_job="own",instance="web1",job="shop"}`
	if got, _, _ := cutSample(readRequest(t, s.seen()[0].body)[0]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Two programs with the same labels write to the same series. If the receiver refuses samples for this
// reason, the error has a hint, unless the target has a job or an instance.
func TestSameLabels(t *testing.T) {
	for _, tt := range []struct {
		target RemoteWrite
		behind time.Duration // the clock of the second program
		poison bool
		reason string
		hint   bool
	}{
		{RemoteWrite{}, time.Second, false, "out of order", true},
		{RemoteWrite{}, 0, false, "duplicate", true},
		{RemoteWrite{Labels: []string{"zone", "eu"}}, time.Second, false, "out of order", true},
		{RemoteWrite{}, -time.Second, true, "out of bounds", false},
		{RemoteWrite{Job: "shop", Instance: "x"}, time.Second, false, "out of order", false},
		{RemoteWrite{Labels: []string{"job", "x"}}, 0, false, "duplicate", false},
		{RemoteWrite{Labels: []string{"instance", "x"}}, 0, false, "duplicate", false},
	} {
		s := newStorage(t)
		tt.target.URL = s.URL
		now := time.Now()
		var err error
		for i := range 2 {
			reg := tacho.NewRegistry()
			reg.Gauge("g", "").Set(int64(i))
			p, _ := testPusher(t, tt.target, Config{Registry: reg})
			at := now.Add(-time.Duration(i) * tt.behind)
			p.dest.remote.clock = func() time.Time { return at }
			s.set(0, func(string) bool { return i == 1 && tt.poison })
			err = p.Push(context.Background())
			if i == 0 && err != nil {
				t.Fatal(err)
			}
		}
		if err == nil || !strings.Contains(err.Error(), tt.reason) || strings.Contains(err.Error(), "set Job and Instance") != tt.hint {
			t.Errorf("%+v, %s: %v, want a hint: %v", tt.target, tt.reason, err, tt.hint)
		}
	}
}

// FuzzIdentity: every job and instance becomes valid labels.
func FuzzIdentity(f *testing.F) {
	f.Add("shop", "web1:80")
	f.Add("a\xff", "")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, job, instance string) {
		labels, err := identity(job, instance, nil)
		switch {
		case job == "" && instance != "":
			if err == nil {
				t.Error("an instance without a job is no error")
			}
		case err != nil:
			t.Error(err)
		case (job != "") != (len(labels) == 2):
			t.Errorf("labels %q of the job %q", labels, job)
		}
		for _, l := range labels {
			if !utf8.ValidString(l.value) || l.value == "" {
				t.Errorf("label %s has the value %q", l.name, l.value)
			}
		}
	})
}
