package conformance

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
)

// receivedMetrics are the metrics of TestReceived, in the order of the table. Each series has the
// label metric, so that a receiver can rename the metric.
var receivedMetrics = []struct{ name, text string }{
	{"jobs_total", "counter `jobs_total`"},
	{"busy_seconds_total", "counter `busy_seconds_total`, unit seconds"},
	{"cost_dollars", "counter `cost_dollars`"},
	{"queued", "gauge `queued`"},
	{"free_bytes", "gauge `free_bytes`, unit bytes"},
	{"queue.length", "gauge `queue.length`"},
	{"build_info", "info `build_info`"},
	{"load", "untyped `load`"},
	{"job_seconds", "histogram `job_seconds`, unit seconds, classic buckets"},
	{"wait_seconds", "histogram `wait_seconds`, unit seconds, native buckets"},
	{"both_seconds", "histogram `both_seconds`, unit seconds, both kinds of buckets"},
	{"age_seconds", "summary `age_seconds`"},
}

func receivedRegistry() *tacho.Registry {
	reg := tacho.NewRegistry(tacho.WithUTF8Names(), tacho.WithCreated())
	label, seconds := []string{"metric"}, tacho.WithUnit("seconds")
	bounds := []float64{0.5, 1}
	reg.CounterVec("jobs_total", "Jobs.", label).With("jobs_total").Add(7)
	reg.FloatCounterVec("busy_seconds_total", "Time.", label, seconds).With("busy_seconds_total").Add(1.5)
	reg.FloatCounterVec("cost_dollars", "Cost.", label).With("cost_dollars").Add(2.5)
	reg.GaugeVec("queued", "Jobs.", label).With("queued").Set(3)
	reg.GaugeVec("free_bytes", "Memory.", label, tacho.WithUnit("bytes")).With("free_bytes").Set(3)
	reg.GaugeVec("queue.length", "Jobs.", label).With("queue.length").Set(3)
	reg.HistogramVec("job_seconds", "Time.", bounds, label, seconds).With("job_seconds").Observe(0.75)
	reg.HistogramVec("wait_seconds", "Time.", nil, label, seconds, tacho.WithNative()).With("wait_seconds").Observe(0.75)
	reg.HistogramVec("both_seconds", "Time.", bounds, label, seconds, tacho.WithNative()).With("both_seconds").Observe(0.75)
	reg.Collect(func(e *tacho.Emitter) {
		e.Info("build_info", "Version.", "metric", "build_info", "version", "1.2.3")
		e.Untyped("load", "Load.", 0.5, "metric", "load")
		e.Summary("age_seconds", "Age.", tacho.SummarySnapshot{Count: 2, Sum: 3, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 1}}}, "metric", "age_seconds")
	})
	return reg
}

// A receiver is a column of the table: it returns the samples that it stores.
type receiver struct {
	name    string
	samples func(t *testing.T, reg *tacho.Registry) []teststorage.Sample
}

var receivers = []receiver{
	{"text", scrapedBy("scrape_protocols: [PrometheusText0.0.4]")},
	{"OpenMetrics 1.0", scrapedBy("scrape_protocols: [OpenMetricsText1.0.0]")},
	{"OpenMetrics 2.0", scrapedBy("scrape_native_histograms: true\nscrape_protocols: [OpenMetricsText2.0.0]\nfallback_scrape_protocol: OpenMetricsText1.0.0")},
	{"protobuf", scrapedBy("scrape_native_histograms: true")},
	{"remote write 1.0", pushedTo(writeHandler(remoteapi.WriteV1MessageType), func(url string) push.Target { return push.RemoteWrite{URL: url} })},
	{"remote write 2.0", pushedTo(writeHandler(remoteapi.WriteV2MessageType), func(url string) push.Target { return push.RemoteWrite{URL: url, Version2: true} })},
	{"OTLP", pushedTo(otlpHandler, func(url string) push.Target { return push.OTLP{URL: url} })},
}

// scrapedBy returns the samples that Prometheus 3 appends in a scrape.
func scrapedBy(yaml string) func(*testing.T, *tacho.Registry) []teststorage.Sample {
	return func(t *testing.T, reg *tacho.Registry) []teststorage.Sample {
		web := httptest.NewServer(reg.Handler())
		defer web.Close()
		stored := teststorage.NewAppendable()
		log := slog.New(slog.DiscardHandler)
		manager, err := scrape.NewManager(&scrape.Options{
			DiscoveryReloadOnStartup: true, AppendMetadata: true, EnableOpenMetrics2: true, ParseST: true,
		}, log, nil, nil, stored, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		text := "scrape_configs:\n  - job_name: j\n    scrape_interval: 100ms\n    scrape_timeout: 100ms\n"
		for line := range strings.Lines(yaml) {
			text += "    " + strings.TrimSpace(line) + "\n"
		}
		cfg, err := config.Load(text, log)
		if err != nil {
			t.Fatal(err)
		}
		if err := manager.ApplyConfig(cfg); err != nil {
			t.Fatal(err)
		}
		sets := make(chan map[string][]*targetgroup.Group, 1)
		sets <- map[string][]*targetgroup.Group{"j": {{Source: "j", Targets: []model.LabelSet{{"__address__": model.LabelValue(web.Listener.Addr().String())}}}}}
		ran := make(chan error, 1)
		go func() { ran <- manager.Run(sets) }()
		defer func() {
			manager.Stop()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		}()
		for range 600 {
			samples := stored.ResultSamples()
			for _, s := range samples {
				if s.L.Get("__name__") == "up" && s.V == 1 { // the last sample of a successful scrape
					return samples
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatal("no successful scrape")
		return nil
	}
}

// pushedTo returns the samples that a handler of Prometheus 3 appends.
func pushedTo(handler func(*teststorage.Appendable) http.Handler, target func(url string) push.Target) func(*testing.T, *tacho.Registry) []teststorage.Sample {
	return func(t *testing.T, reg *tacho.Registry) []teststorage.Sample {
		stored := teststorage.NewAppendable()
		web := httptest.NewServer(handler(stored))
		defer web.Close()
		p, err := push.New(target(web.URL), push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Push(t.Context()); err != nil {
			t.Fatal(err)
		}
		return stored.ResultSamples()
	}
}

func writeHandler(version remoteapi.WriteMessageType) func(*teststorage.Appendable) http.Handler {
	return func(stored *teststorage.Appendable) http.Handler {
		return remote.NewWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), stored, remoteapi.MessageTypes{version}, false, true)
	}
}

func otlpHandler(stored *teststorage.Appendable) http.Handler {
	return remote.NewOTLPWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), stored,
		func() config.Config { return config.DefaultConfig }, remote.OTLPOptions{})
}

// TestReceived makes the table of docs/formats.md: the names and types with which Prometheus 3
// stores each metric, by the format. With -update the test writes the table.
func TestReceived(t *testing.T) {
	// For each metric, the receivers that store the same series.
	type row struct{ series, kind string }
	table := map[string]map[row][]string{}
	for _, r := range receivers {
		names, kinds := map[string][]string{}, map[string]string{}
		for _, s := range r.samples(t, receivedRegistry()) {
			metric := s.L.Get("metric")
			if metric == "" {
				continue
			}
			name := "`" + s.L.Get("__name__") + "`"
			if s.H != nil || s.FH != nil {
				name += " (native)"
			}
			if !slices.Contains(names[metric], name) {
				names[metric] = append(names[metric], name)
			}
			kinds[metric] = cmp.Or(string(s.M.Type), kinds[metric])
			if s.M.Unit != "" && !strings.Contains(kinds[metric], ", ") {
				kinds[metric] += ", unit " + s.M.Unit
			}
		}
		for _, m := range receivedMetrics {
			list := names[m.name]
			slices.Sort(list)
			x := row{strings.Join(list, ", "), cmp.Or(kinds[m.name], "none")}
			if len(list) == 0 {
				t.Errorf("%s: no series of %s", r.name, m.name)
			}
			if table[m.name] == nil {
				table[m.name] = map[row][]string{}
			}
			table[m.name][x] = append(table[m.name][x], r.name)
		}
	}
	var text strings.Builder
	text.WriteString("| metric | by | series | type |\n| --- | --- | --- | --- |\n")
	for _, m := range receivedMetrics {
		first := m.text
		order := func(x row) int {
			return slices.IndexFunc(receivers, func(r receiver) bool { return r.name == table[m.name][x][0] })
		}
		rows := slices.SortedFunc(maps.Keys(table[m.name]), func(a, b row) int { return order(a) - order(b) })
		for _, x := range rows {
			by := strings.Join(table[m.name][x], ", ")
			if len(rows) == 1 {
				by = "all"
			}
			fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", first, by, x.series, x.kind)
			first = ""
		}
	}
	compareSection(t, "../docs/formats.md", "received", text.String())
}

// compareSection compares a section of a Markdown file with text. With -update it writes the section.
func compareSection(t *testing.T, file, section, text string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+section+" -->\n", "<!-- /"+section+" -->"
	before, rest, ok := strings.Cut(string(data), begin)
	got, after, ended := strings.Cut(rest, end)
	switch {
	case !ok || !ended:
		t.Fatalf("%s has no section %q", file, section)
	case got == text:
	case *update:
		if err := os.WriteFile(file, []byte(before+begin+text+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("section %q of %s (run the test with -update):\ngot:\n%s\nwant:\n%s", section, file, got, text)
	}
}
