package conformance

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
)

// TestRemoteWrite checks that the samples pushed to Prometheus 3 by remote write equal
// the samples of a scrape.
func TestRemoteWrite(t *testing.T) {
	taken := 0
	for i := range 200 {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		data := make([]byte, 10*i)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		if checkRemoteWrite(t, newRandomRegistry(t, &generator{data}, i%2 == 1).reg) {
			taken++
		}
	}
	if taken < 100 {
		t.Errorf("%d of 200 pushes succeeded, want at least 100", taken)
	}
	many := tacho.NewRegistry(tacho.WithCreated())
	v := many.HistogramVec("h", "", []float64{1, 2}, []string{"n"})
	for i := range 1500 {
		v.With(string(rune('一' + i))).Observe(1.5)
	}
	if !checkRemoteWrite(t, many) {
		t.Error("push rejected")
	}
}

func checkRemoteWrite(t *testing.T, reg *tacho.Registry) (taken bool) {
	t.Helper()
	stored := teststorage.NewAppendable()
	handler := remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), stored,
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType}, false, false)
	web := httptest.NewServer(handler)
	defer web.Close()
	p, err := push.New(push.RemoteWrite{URL: web.URL, Labels: []string{"b", "pushed"}},
		push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().UnixMilli()
	if err := p.Push(context.Background()); err != nil {
		if strings.Contains(err.Error(), "too far in the future") {
			return false // the timestamp of a collector
		}
		t.Fatal(err)
	}
	after := time.Now().UnixMilli()

	var scraped body
	if err := reg.WriteOpenMetrics(&scraped); err != nil {
		t.Fatal(err)
	}
	want := map[string]*sample{}
	for _, s := range scrapedSamples(t, scraped) {
		// A label with an empty value equals a missing label. A label of the sample with
		// the name of a target label gets the prefix exported_.
		s.labels = slices.DeleteFunc(s.labels, func(l label) bool { return l.value == "" })
		for i := range s.labels {
			if s.labels[i].name == "b" {
				s.labels[i].name = "exported_b"
			}
		}
		s.labels = append(s.labels, label{"b", "pushed"})
		want[s.key()] = s
	}
	for _, got := range stored.ResultSamples() {
		s := &sample{value: got.V}
		s.name, s.labels = split(got.L)
		w := want[s.key()]
		if w == nil {
			t.Errorf("%s was pushed twice, or is not in the scrape", s.key())
			continue
		}
		delete(want, s.key())
		if s.name == "tacho_errors_total" {
			continue // each scrape increments the errors
		}
		if w.value != s.value && !(math.IsNaN(w.value) && math.IsNaN(s.value)) {
			t.Errorf("%s is %v, want %v", s.key(), s.value, w.value)
		}
		if w.at != nil && *w.at != got.T || w.at == nil && (got.T < before || got.T > after) {
			t.Errorf("%s has timestamp %d, want %v, or %d to %d without a timestamp", s.key(), got.T, timestampOf(w), before, after)
		}
	}
	for key := range want {
		t.Errorf("%s was not pushed", key)
	}
	return true
}

// scrapedSamples parses an OpenMetrics scrape with textparse and returns the samples in
// order.
func scrapedSamples(t *testing.T, data []byte) (samples []*sample) {
	t.Helper()
	p, err := textparse.New(data, typeOpenMetrics, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry == textparse.EntrySeries {
			samples = append(samples, readSample(p))
		}
	}
}

// A body is an io.Writer that keeps the written bytes.
type body []byte

func (b *body) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func timestampOf(s *sample) any {
	if s.at == nil {
		return "none"
	}
	return *s.at
}
