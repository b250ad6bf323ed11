package conformance

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tinyhttp"
)

// TestTinyPrometheus runs Prometheus 3 with targets that tinyhttp serves. All scrapes of a job use
// one connection.
func TestTinyPrometheus(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	requests := reg.CounterVec("requests_total", "Requests.", []string{"path"}).With("é\n\"\\")
	dotted := reg.Gauge("a.b", "A UTF-8 name.")
	reg.GaugeFunc("function", "A function.", func() float64 { return float64(requests.Value()) })
	latency := reg.Histogram("latency_seconds", "Latency.", []float64{0.25, 0.5, 1}, tacho.WithNative())

	conns := &countedListener{}
	var err error
	if conns.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	srv := &tinyhttp.Server{Registry: reg}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(conns) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; err != tinyhttp.ErrServerClosed {
			t.Error(err)
		}
	})
	targets := []*target{
		{job: "three"},
		{job: "plain", config: "enable_compression: false"},
		{job: "text", config: "scrape_protocols: [PrometheusText0.0.4]"},
		{job: "native", config: "scrape_native_histograms: true"},
		{job: "asked", config: "params: {'name[]': [requests_total, function]}"},
	}
	for _, g := range targets {
		g.address = conns.Addr().String()
	}
	s := newServer(t, targets)
	const steps = 4
	for step := range steps {
		requests.Add(3)
		dotted.Set(int64(step))
		latency.Observe(0.375)
		s.wait(t, targets)
	}
	for _, g := range targets {
		job := `job="` + g.job + `"`
		want := map[string]float64{
			"up{" + job + "}": 1,
			`requests_total{path="é\n\"\\",` + job + "}": 3 * steps,
			"function{" + job + "}":                      3 * steps,
		}
		switch g.job {
		case "native":
			want["histogram_count(latency_seconds{"+job+"})"] = steps
		case "text":
			want["a_b{"+job+"}"] = steps - 1
		case "asked":
			want["count({"+job+`,__name__!~"up|scrape_.*"})`] = 2
		default:
			want[`{"a.b",`+job+"}"] = steps - 1
			want["latency_seconds_sum{"+job+"}"] = 0.375 * steps
			want[`latency_seconds_bucket{le="0.5",`+job+"}"] = steps
		}
		for expr, want := range want {
			if got := s.value(t, g, expr); got != want {
				t.Errorf("%s is %v, want %v", expr, got, want)
			}
		}
	}
	if n := int(conns.accepted.Load()); n > len(targets) {
		t.Errorf("%d connections, want %d", n, len(targets))
	}
	if warned := s.log.String(); warned != "" {
		t.Errorf("Prometheus logged\n%s", warned)
	}
}

// A countedListener counts connections.
type countedListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}
