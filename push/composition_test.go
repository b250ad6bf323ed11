//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
)

// TestPushJoined: a joined registry is pushed with the metrics of the pusher, which no part has.
func TestPushJoined(t *testing.T) {
	a, b := tacho.NewRegistry(tacho.WithNative()), tacho.NewRegistry()
	a.Histogram("h", "", nil).Observe(1)
	b.Counter("x_total", "").Inc()
	for name, target := range map[string]func(url string) Target{
		"Pushgateway": func(url string) Target { return Pushgateway{URL: url, Job: "j"} },
		"RemoteWrite": func(url string) Target { return RemoteWrite{URL: url} },
	} {
		s := serve(t, nil)
		p, err := New(target(s.URL), Config{Registry: tacho.Join(a, b)})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Push(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		body := s.seen()[1].body
		for _, want := range []string{"x_total", "h", "push_attempts_total"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %q", name, want, body)
			}
		}
		for _, r := range []*tacho.Registry{a, b} {
			var text strings.Builder
			if err := r.WriteText(&text); err != nil || strings.Contains(text.String(), "push_") {
				t.Errorf("a part has metrics of the pusher: %v\n%s", err, &text)
			}
		}
	}
	var refused *tacho.DefinitionError
	if _, err := New(Pushgateway{URL: "http://x", Job: "j"}, Config{Registry: a, Metrics: tacho.Join(a)}); !errors.As(err, &refused) {
		t.Errorf("a joined registry as Metrics: %v", err)
	}
}

// TestPushSub: a sub-registry is pushed alone, also after it is closed.
func TestPushSub(t *testing.T) {
	r := tacho.NewRegistry()
	r.Counter("other_total", "").Inc()
	sub := r.Sub(tacho.WithConstLabels("s", "1"))
	sub.Counter("x_total", "").Inc()
	s := serve(t, nil)
	p, err := New(Pushgateway{URL: s.URL, Job: "j"}, Config{Registry: sub})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	sub.Close()
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	first, second := s.seen()[0].body, s.seen()[1].body
	if !strings.Contains(first, "x_total") || strings.Contains(first, "other_total") || strings.Contains(second, "x_total") {
		t.Errorf("pushed %q and then %q", first, second)
	}
}
