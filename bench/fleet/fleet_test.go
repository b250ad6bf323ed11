//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
	"github.com/tachikoma/tacho/tachotest"
)

// A fakeReceiver counts requests and their bytes. It keeps the body of the latest request.
type fakeReceiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	body     []byte
}

func newFakeReceiver(t *testing.T) *fakeReceiver {
	f := &fakeReceiver{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the program ended
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.requests++
		f.body = body
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(f.Close)
	return f
}

// Ten programs push to a receiver in this process for about a second.
func TestFleet(t *testing.T) {
	for _, mode := range []string{modeWrite, modeText} {
		t.Run(mode, func(t *testing.T) {
			f := newFakeReceiver(t)
			c := &config{scenario: steady, receiver: victoria, mode: mode, programs: 10, series: minSeries, base: f.URL,
				interval: 100 * time.Millisecond, warm: 200 * time.Millisecond, measured: 800 * time.Millisecond}
			r, err := run(context.Background(), c)
			if err != nil {
				t.Fatal(err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if r.Accepted == 0 || r.Accepted > float64(f.requests) || r.Failed+r.Refused+r.Retries > 0 || r.Pushes == 0 || r.Pushes > r.Accepted {
				t.Errorf("the receiver got %d requests: %+v", f.requests, r)
			}
			if r.BytesPerPush == 0 || r.CPUMicroseconds == 0 || r.RegistryKiB <= 0 || r.Expositions < r.Accepted {
				t.Errorf("a measurement is missing: %+v", r)
			}
			var text bytes.Buffer
			write(&text, tables([]*result{r}))
			for _, want := range []string{"### Programs", "### Receivers", "| victoriametrics, " + mode + " | 10 |"} {
				if !strings.Contains(text.String(), want) {
					t.Errorf("the report has no %q:\n%s", want, &text)
				}
			}
		})
	}
}

// A busy front admits a part of the requests. The programs count the others as failed.
func TestBusyFront(t *testing.T) {
	f := newFakeReceiver(t)
	proxy, err := newFront(f.URL, 2, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.server.Close()
	admitted := 0
	for range 5 {
		if proxy.admits(1) {
			admitted++
		}
	}
	if !proxy.admits(2) || admitted != 2 {
		t.Errorf("%d requests of a second were admitted, want 2", admitted)
	}
	proxy.limit = 0
	w := httptest.NewRecorder()
	proxy.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("x")))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3" {
		t.Errorf("status %d, header %v", w.Code, w.Header())
	}
}

// Two programs of the scenario twins have the same labels. In other scenarios all labels differ.
func TestInstances(t *testing.T) {
	for scenario, want := range map[string]bool{twins: true, steady: false} {
		c := &config{scenario: scenario}
		if got := instance(0, c) == instance(1, c); got != want {
			t.Errorf("%s: the labels of two programs are the same: %v", scenario, got)
		}
	}
}

// A program has as many series as the flag -series asks for.
func TestSeries(t *testing.T) {
	for _, n := range []int{minSeries, 500, 1234} {
		p := newProgram(1, &config{series: n})
		var text bytes.Buffer
		if err := p.reg.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		series := 0
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "#") {
				series++
			}
		}
		if series != n {
			t.Errorf("%d series, want %d", series, n)
		}
		before := tachotest.Value(t, p.reg, "http_requests_total", "method", "GET", "path", path(0), "status", "200")
		after := tachotest.Value(t, p.reg, "http_requests_total", "method", "GET", "path", path(0), "status", "200")
		if after <= before {
			t.Errorf("a counter does not move: %v, then %v", before, after)
		}
	}
}

// shift changes the times of a request by the skew, and nothing else.
func TestShift(t *testing.T) {
	f := newFakeReceiver(t)
	reg := tacho.NewRegistry()
	reg.CounterVec("c_total", "", []string{"a"}).With("x").Add(7)
	p, err := push.New(push.RemoteWrite{URL: f.URL}, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	const skew = -3 * time.Hour
	shifted, err := shift(f.body, skew)
	if err != nil {
		t.Fatal(err)
	}
	before, after := readSample(t, f.body), readSample(t, shifted)
	if after.at-before.at != skew.Milliseconds() || after.value != 7 || after.rest != before.rest {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for n := range f.body {
		shift(f.body[:n], skew) // must not panic
	}
}

type sample struct {
	rest  string // the labels
	value float64
	at    int64
}

// readSample returns the sample of a request with one series.
func readSample(t *testing.T, body []byte) (s sample) {
	t.Helper()
	request, err := decompress(body)
	if err != nil {
		t.Fatal(err)
	}
	series, rest, err := cutMessage(request, 1<<3|2)
	if err != nil || len(rest) > 0 {
		t.Fatal(err, rest)
	}
	for len(series) > 0 {
		tag := series[0]
		field, rest, err := cutMessage(series, tag)
		if err != nil {
			t.Fatal(err)
		}
		series = rest
		if tag != 2<<3|2 {
			s.rest += string(field)
			continue
		}
		s.value = math.Float64frombits(binary.LittleEndian.Uint64(field[1:]))
		at, _ := binary.Uvarint(field[10:])
		s.at = int64(at)
	}
	return s
}

// FuzzShift: no request causes a panic.
func FuzzShift(f *testing.F) {
	f.Add([]byte{0})
	f.Add(literal([]byte{10, 2, 18, 0}))
	f.Add([]byte{4, 0, 'a', 1, 1})
	f.Fuzz(func(_ *testing.T, body []byte) {
		shift(body, time.Hour)
	})
}

// The sizing table multiplies the costs of the largest run of a receiver.
func TestSizing(t *testing.T) {
	small := &result{Scenario: steady, Receiver: victoria, Mode: modeWrite, Programs: 10, Series: 500, ReceiverMiB: 1, ReceiverMicros: 99}
	large := &result{Scenario: steady, Receiver: victoria, Mode: modeWrite, Programs: 1000, Series: 500, ReceiverMiB: 1,
		ReceiverMicros: 3, ReceiverKiBSeries: 1.048576, BytesPerPush: 6000}
	other := &result{Scenario: hang, Receiver: prometheus, Programs: 5000, ReceiverMiB: 1}
	var text bytes.Buffer
	sizing(&text, []*result{small, large, other})
	for _, want := range []string{
		"(1000 programs measured)",
		// 100,000 programs of 500 series: 3.33 million samples a second, 50 million series.
		"\n| 100000 | 15 s | 6667 | 3333333 | 10 cores, 50 GiB, 40 MB/s | 634 cores, 1384 GB |",
		"\n| 100 | 60 s | 2 | 833 | 0.0025 cores, 0.050 GiB, 0.010 MB/s | 1 cores, 2 GB |",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &text)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.00123: "0.0012", 1.26: "1.3", 9.96: "10.0", 26: "26", 1384.2: "1400"} {
		if got := rounded(v); got != want {
			t.Errorf("%v is rounded to %s, want %s", v, got, want)
		}
	}
	text.Reset()
	if sizing(&text, []*result{other}); text.Len() > 0 {
		t.Errorf("without a steady run the table is %s", &text)
	}
}
