//go:build !tacho_nohttp

package httpclient

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

func TestHosts(t *testing.T) {
	reg := tacho.NewRegistry()
	m := New(reg, Config{MaxHosts: 2})
	send := func(m *Metrics, url string) {
		t.Helper()
		if _, err := m.RoundTripper(respond(200, http.NoBody)).RoundTrip(request(t, "GET", url)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		send(m, "http://a:80")
		send(m, "http://"+strings.Repeat("x", maxHostLabel+1))
		send(m, "http://user:secret@b/path")
		send(m, "http://c")
	}
	if got := scrape(t, reg); got != `http_client_request_duration_seconds_count{method="GET",host="a:80"} 2
http_client_request_duration_seconds_count{method="GET",host="b"} 2
http_client_request_duration_seconds_count{method="GET",host="other"} 4
http_client_requests_in_flight 0
http_client_requests_total{method="GET",host="a:80",status="200"} 2
http_client_requests_total{method="GET",host="b",status="200"} 2
http_client_requests_total{method="GET",host="other",status="200"} 4
tacho_series_overflow_total{metric="http_client_requests_total"} 4
` {
		t.Errorf("got\n%s", got)
	}

	none := New(tacho.NewRegistry(), Config{MaxHosts: -1})
	send(none, "http://a")
	if none.requests.With("GET", "other", "200").Value() != 1 {
		t.Error("a negative MaxHosts allows a host label")
	}

	grouped := New(tacho.NewRegistry(), Config{Host: func(r *http.Request) string {
		if r.URL.Host == "bad" {
			panic("from Host")
		}
		return "group"
	}})
	send(grouped, "http://a")
	send(grouped, "http://b")
	send(grouped, "http://bad")
	if got := [2]uint64{grouped.requests.With("GET", "group", "200").Value(), grouped.requests.With("GET", "other", "200").Value()}; got != [2]uint64{2, 1} {
		t.Errorf("counted %v requests, want 2 of the group and 1 of other", got)
	}

	many := New(tacho.NewRegistry(), Config{MaxHosts: 50})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 100 {
				send(many, fmt.Sprintf("http://h%d", (i+g*25)%100))
			}
		}()
	}
	wg.Wait()
	if got := many.requests.Len(); got != 51 {
		t.Errorf("%d host labels, want 50 and other", got)
	}
}

// TestLongestHost: the longest domain name with a port is a label, and a longer host is not.
func TestLongestHost(t *testing.T) {
	longest := strings.Repeat("x", 255) + ":65535"
	m := New(tacho.NewRegistry(), Config{})
	if got := m.hosts.label(longest); got != longest {
		t.Errorf("a host of %d bytes has the label %q", len(longest), got)
	}
	if got := m.hosts.label(longest + "x"); got != other {
		t.Errorf("a host of %d bytes has the label %q", len(longest)+1, got)
	}
}

func TestStatusLabels(t *testing.T) {
	m := New(tacho.NewRegistry(), Config{})
	for status, want := range map[int]string{100: "100", 200: "200", 599: "599", 999: "999", 99: "other", 1000: "other", -1: "other", 0: "other"} {
		if got := statusLabel(status); got != want {
			t.Errorf("status %d: label %q, want %q", status, got, want)
		}
		if _, err := m.RoundTripper(respond(status, http.NoBody)).RoundTrip(request(t, "GET", "http://h")); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.requests.With("GET", "h", "other").Value(); got != 4 {
		t.Errorf("counted %d requests with status other, want 4", got)
	}
}

func TestExemplars(t *testing.T) {
	reg := tacho.NewRegistry()
	m := New(reg, Config{Exemplar: func(r *http.Request) []string {
		if r.URL.Host == "bad" {
			panic("from Exemplar")
		}
		return []string{"trace_id", "abc"}
	}})
	for _, url := range []string{"http://h", "http://bad"} {
		if _, err := m.RoundTripper(respond(200, http.NoBody)).RoundTrip(request(t, "GET", url)); err != nil {
			t.Fatal(err)
		}
	}
	var om bytes.Buffer
	if err := reg.WriteOpenMetrics(&om); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(om.String(), `# {trace_id="abc"}`); got != 2 {
		t.Errorf("%d exemplars, want one of the counter and one of a bucket:\n%s", got, om.String())
	}
	if got := m.requests.With("GET", "bad", "200").Value(); got != 1 {
		t.Error("the request is not counted after a panic in Exemplar")
	}
}

// The function of the registry's contexts gives the exemplars unless Config.Exemplar does.
func TestContextExemplars(t *testing.T) {
	type trace struct{}
	reg := tacho.NewRegistry(tacho.WithContextExemplars(func(ctx context.Context) []string {
		if id, ok := ctx.Value(trace{}).(string); ok {
			return []string{"trace_id", id}
		}
		return nil
	}))
	own := New(reg.Sub(tacho.WithPrefix("own_")), Config{Exemplar: func(*http.Request) []string { return []string{"own", "1"} }})
	for m, prefix := range map[*Metrics]string{New(reg, Config{}): "http", own: "own_http"} {
		for _, id := range []any{"abc", nil} {
			req := request(t, "GET", "http://h")
			req = req.WithContext(context.WithValue(req.Context(), trace{}, id))
			if _, err := m.RoundTripper(respond(200, http.NoBody)).RoundTrip(req); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{"http": `# {trace_id="abc"}`, "own_http": `# {own="1"}`}[prefix]
		var om bytes.Buffer
		if err := reg.WriteOpenMetrics(&om); err != nil {
			t.Fatal(err)
		}
		counters, buckets := 0, 0
		for line := range strings.Lines(om.String()) {
			if strings.HasPrefix(line, prefix+"_client_requests_total{") && strings.Contains(line, " 2.0 "+want) {
				counters++
			}
			if strings.HasPrefix(line, prefix+"_client_request_duration_seconds_bucket{") && strings.Contains(line, want) {
				buckets++
			}
		}
		if counters != 1 || buckets == 0 {
			t.Errorf("%s: no exemplars %s in\n%s", prefix, want, om.String())
		}
	}
}

// A sub-registry gives the metrics a prefix and constant labels. The overflow of hosts
// counts with the name without the prefix.
func TestSubRegistries(t *testing.T) {
	reg := tacho.NewRegistry()
	for _, api := range []string{"a", "b"} {
		m := New(reg.Sub(tacho.WithPrefix("app_"), tacho.WithConstLabels("api", api)), Config{MaxHosts: 1, Phases: true, StatusLabel: "code"})
		for _, url := range []string{"http://h", "http://h2"} {
			if _, err := m.RoundTripper(respond(200, http.NoBody)).RoundTrip(request(t, "GET", url)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := scrape(t, reg)
	for _, want := range []string{
		`app_http_client_requests_total{api="a",method="GET",host="h",code="200"} 1`,
		`app_http_client_requests_total{api="b",method="GET",host="other",code="200"} 1`,
		`app_http_client_request_duration_seconds_count{api="b",method="GET",host="h"} 1`,
		`app_http_client_requests_in_flight{api="a"} 0`,
		`app_http_client_phase_duration_seconds_count{api="a",phase="body"} 0`,
		`tacho_series_overflow_total{metric="http_client_requests_total"} 2`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// A bad name of the status label is refused.
func TestStatusLabelName(t *testing.T) {
	for _, name := range []string{"a b", "host", "\xff"} {
		if _, err := tacho.Try(func() *Metrics { return New(tacho.NewRegistry(), Config{StatusLabel: name}) }); err == nil {
			t.Errorf("the name %q is not refused", name)
		}
	}
}

// Hosts that strangers choose do not take the labels of the hosts that the program names.
func TestNamedHosts(t *testing.T) {
	for _, tt := range []struct {
		max      int
		hosts    int     // of strangers, with a label
		overflow float64 // -1 for no series
	}{{0, 100, 50}, {2, 2, 148}, {-1, 0, -1}} {
		reg := tacho.NewRegistry()
		long := strings.Repeat("n", maxHostLabel+1)
		names := []string{"own", "own:8443", long, "own"}
		m := New(reg, Config{Hosts: names, MaxHosts: tt.max})
		names[0] = "changed" // New has copied the names
		send := func(host string) {
			t.Helper()
			if _, err := m.RoundTripper(respond(200, http.NoBody)).RoundTrip(request(t, "GET", "http://"+host)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 150 {
			send(fmt.Sprintf("webhook%d", i))
		}
		for _, host := range []string{"own", "own:8443", long} {
			send(host)
			if got := m.requests.With("GET", host, "200").Value(); got != 1 {
				t.Errorf("MaxHosts %d: %d requests to %.10s, want 1", tt.max, got, host)
			}
		}
		if got := m.requests.With("GET", "other", "200").Value(); got != uint64(150-tt.hosts) {
			t.Errorf("MaxHosts %d: %d requests to other, want %d", tt.max, got, 150-tt.hosts)
		}
		var text bytes.Buffer
		if err := reg.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		counts := strings.Contains(text.String(), "tacho_series_overflow_total{")
		if counts != (tt.overflow > 0) {
			t.Errorf("MaxHosts %d: tacho_series_overflow_total has a series: %v", tt.max, counts)
		}
		if counts {
			if got := tachotest.Value(t, reg, "tacho_series_overflow_total", "metric", "http_client_requests_total"); got != tt.overflow {
				t.Errorf("MaxHosts %d: %v overflows counted, want %v", tt.max, got, tt.overflow)
			}
		}
	}
}

// A host whose series expired makes room for another host.
func TestHostExpiry(t *testing.T) {
	const idle = time.Millisecond
	reg := tacho.NewRegistry()
	m := New(reg, Config{Hosts: []string{"own"}, MaxHosts: 2, IdleExpiry: idle})
	send := func(host string) {
		t.Helper()
		if _, err := m.RoundTripper(respond(200, http.NoBody)).RoundTrip(request(t, "GET", "http://"+host)); err != nil {
			t.Fatal(err)
		}
	}
	known := func(host string) bool {
		_, ok := (*m.hosts.known.Load())[host]
		return ok
	}
	send("own")
	send("a")
	send("b")
	time.Sleep(idle) // without a scrape the series remain
	send("c")
	if known("c") || m.requests.Len() != 4 {
		t.Errorf("%d series, want own, a, b and other", m.requests.Len())
	}
	for !known("c") {
		scrape(t, reg)
		runtime.GC() // frees the metrics of the expired series
		time.Sleep(idle)
		send("c")
	}
	if !known("own") {
		t.Error("own has no label after it was idle")
	}
	if n := len(*m.hosts.known.Load()); n > 3 {
		t.Errorf("%d host labels, want at most 3", n)
	}
}

// A miss of a full set without expiry does not read the series.
func TestFullHostSetIsCheap(t *testing.T) {
	m := New(tacho.NewRegistry(), Config{MaxHosts: 1, IdleExpiry: time.Hour})
	scans := 0
	inUse := m.hosts.inUse
	m.hosts.inUse = func(found func(string)) { scans++; inUse(found) }
	for i := range 100 {
		h := fmt.Sprintf("h%d", i)
		if label := m.hosts.label(h); (label == h) != (i == 0) && i < 2 {
			t.Errorf("%s has the label %s", h, label)
		}
		m.requests.With("GET", m.hosts.label(h), "200").Inc()
	}
	if scans != 1 {
		t.Errorf("%d scans of the series, want 1", scans)
	}
}

// TestStatusesOfHosts: a host that varies its status has 20 status labels, and so have all
// hosts beyond the limit. The hosts of the program have all.
func TestStatusesOfHosts(t *testing.T) {
	reg := tacho.NewRegistry()
	m := New(reg, Config{Hosts: []string{"own"}, MaxHosts: 1})
	for range 2 {
		for _, host := range []string{"own", "webhook", "beyond"} {
			for status := 99; status <= 1000; status++ {
				if _, err := m.RoundTripper(respond(status, http.NoBody)).RoundTrip(request(t, "GET", "http://"+host)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	got := scrape(t, reg)
	for host, want := range map[string]int{"own": 901, "webhook": 21, "other": 21} {
		if n := strings.Count(got, `http_client_requests_total{method="GET",host="`+host+`",`); n != want {
			t.Errorf("%s has %d statuses, want %d", host, n, want)
		}
	}
	for _, line := range []string{
		`http_client_requests_total{method="GET",host="own",status="other"} 4`,
		`http_client_requests_total{method="GET",host="webhook",status="119"} 2`,
		`http_client_requests_total{method="GET",host="webhook",status="other"} 1764`,
		`tacho_series_overflow_total{metric="http_client_requests_total"} 5324`, // 1804 by the host, and twice 1760 by the status
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
}
