package tacho_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tachikoma/tacho"
)

func ExampleCounter() {
	reg := tacho.NewRegistry()
	requests := reg.Counter("requests_total", "Requests served.")
	requests.Inc()
	requests.Add(2)
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP requests_total Requests served.
	// # TYPE requests_total counter
	// requests_total 3
}

func ExampleFloatCounter() {
	reg := tacho.NewRegistry()
	busy := reg.FloatCounter("busy_seconds_total", "Time spent working.")
	busy.Add(0.25)
	busy.Add(-1) // refused, and counted
	fmt.Println(busy.Value())
	reg.WriteText(os.Stdout)
	// Output:
	// 0.25
	// # HELP busy_seconds_total Time spent working.
	// # TYPE busy_seconds_total counter
	// busy_seconds_total 0.25
	// # HELP tacho_errors_total Recordings and collected samples that were refused.
	// # TYPE tacho_errors_total counter
	// tacho_errors_total{metric="busy_seconds_total",reason="negative"} 1
}

func ExampleGauge() {
	queued := tacho.NewRegistry().Gauge("queued", "Jobs in the queue.")
	queued.Set(5)
	queued.Dec()
	fmt.Println(queued.Value())
	// Output: 4
}

func ExampleFloatGauge() {
	load := tacho.NewRegistry().FloatGauge("load", "Load average.")
	load.Set(0.75)
	load.Add(0.5)
	fmt.Println(load.Value())
	// Output: 1.25
}

func ExampleHistogram() {
	reg := tacho.NewRegistry()
	latency := reg.Histogram("latency_seconds", "Time to answer.", []float64{.1, .5})
	latency.Observe(0.25)
	latency.ObserveDuration(2 * time.Second)
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP latency_seconds Time to answer.
	// # TYPE latency_seconds histogram
	// latency_seconds_bucket{le="0.1"} 0
	// latency_seconds_bucket{le="0.5"} 1
	// latency_seconds_bucket{le="+Inf"} 2
	// latency_seconds_sum 2.25
	// latency_seconds_count 2
}

func ExampleHistogram_Snapshot() {
	h := tacho.NewRegistry().Histogram("size_bytes", "Size.", tacho.ExponentialBuckets(100, 10, 2))
	h.Observe(50)
	h.Observe(500)
	s := h.Snapshot()
	fmt.Println(s.Count, s.Sum, s.Buckets)
	// Output: 2 550 [{100 1} {1000 2} {+Inf 2}]
}

func ExampleHistogram_ObserveExemplar() {
	reg := tacho.NewRegistry()
	wait := reg.Histogram("wait_seconds", "Time in the queue.", []float64{0.5}, tacho.WithUnit("seconds"))
	wait.ObserveExemplar(0.25, "trace_id", "4bf92f3577b34da6")

	var b strings.Builder
	reg.WriteOpenMetrics(&b)
	for _, line := range strings.Split(b.String(), "\n") {
		if line, time, ok := strings.Cut(line, " 0.25 1"); ok { // the value and the time of the exemplar
			fmt.Println(line, len(time) > 0)
		}
	}
	// Output: wait_seconds_bucket{le="0.5"} 1 # {trace_id="4bf92f3577b34da6"} true
}

func ExampleVec_With() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs done.", []string{"queue", "result"})
	jobs.With("mail", "ok").Inc()
	failed := jobs.With("mail", "failed") // keep the pointer to skip the lookup
	failed.Add(2)
	jobs.Delete("mail", "ok")
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP jobs_total Jobs done.
	// # TYPE jobs_total counter
	// jobs_total{queue="mail",result="failed"} 2
}

func ExampleWithMaxSeries() {
	reg := tacho.NewRegistry()
	byUser := reg.CounterVec("logins_total", "Logins.", []string{"user"}, tacho.WithMaxSeries(2))
	for _, user := range []string{"a", "b", "c", "d"} {
		byUser.With(user).Inc()
	}
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP logins_total Logins.
	// # TYPE logins_total counter
	// logins_total{user="a"} 1
	// logins_total{user="b"} 1
	// logins_total{user="other"} 2
	// # HELP tacho_series_overflow_total Lookups that a full vector answered with its overflow series.
	// # TYPE tacho_series_overflow_total counter
	// tacho_series_overflow_total{metric="logins_total"} 2
}

func ExampleWithConstLabels() {
	reg := tacho.NewRegistry(tacho.WithConstLabels("region", "eu"))
	reg.Gauge("up", "Whether it is up.", tacho.WithConstLabels("tier", "web")).Set(1)
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP up Whether it is up.
	// # TYPE up gauge
	// up{region="eu",tier="web"} 1
}

func ExampleRegistry_GaugeFunc() {
	reg := tacho.NewRegistry()
	queue := make(chan int, 8)
	reg.GaugeFunc("queue_length", "Items in the queue.", func() float64 { return float64(len(queue)) })
	queue <- 1
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP queue_length Items in the queue.
	// # TYPE queue_length gauge
	// queue_length 1
}

func ExampleRegistry_Collect() {
	reg := tacho.NewRegistry()
	reg.Collect(func(e *tacho.Emitter) {
		for disk, free := range map[string]float64{"/": 10, "/home": 20} {
			e.Gauge("disk_free_bytes", "Free space.", free, "mount", disk)
		}
		e.Info("build_info", "The build.", "version", "1.2")
	})
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP build_info The build.
	// # TYPE build_info gauge
	// build_info{version="1.2"} 1
	// # HELP disk_free_bytes Free space.
	// # TYPE disk_free_bytes gauge
	// disk_free_bytes{mount="/"} 10
	// disk_free_bytes{mount="/home"} 20
}

func ExampleTry() {
	reg := tacho.NewRegistry()
	_, err := tacho.Try(func() *tacho.Counter { return reg.Counter("bad name", "") })
	fmt.Println(err)
	// Output: tacho: metric "bad name": the name must match [a-zA-Z_:][a-zA-Z0-9_:]*
}

func ExampleDefinitionError() {
	reg := tacho.NewRegistry()
	reg.Gauge("jobs", "Jobs.")
	_, err := tacho.Try(func() *tacho.Counter { return reg.Counter("jobs", "Jobs.") })
	var wrong *tacho.DefinitionError
	if errors.As(err, &wrong) { // wrong.First is the file and line of the gauge
		fmt.Println(wrong.Metric, "is", wrong.Reason)
	}
	// Output: jobs is already defined as a gauge
}

func ExampleRegistry_WriteJSON() {
	reg := tacho.NewRegistry()
	reg.CounterVec("hits_total", "Hits.", []string{"page"}).With("/").Add(3)
	reg.WriteJSON(os.Stdout)
	// Output: {"hits_total":[{"labels":{"page":"/"},"value":3}]}
}

func ExampleRegistry_WriteJSON_histogram() {
	reg := tacho.NewRegistry()
	h := reg.Histogram("job_seconds", "Time of a job.", []float64{.5})
	h.Observe(0.125)
	h.Observe(0.625)
	reg.WriteJSON(os.Stdout) // the value is the sum, the last bound +Inf
	// Output: {"job_seconds":[{"labels":{},"value":0.75,"count":2,"buckets":[{"le":0.5,"count":1},{"le":null,"count":2}]}]}
}

func ExampleRegistry_WriteText() {
	reg := tacho.NewRegistry()
	reg.Gauge("queued", "Jobs in the queue.").Set(4)
	reg.CounterVec("hits_total", "Hits.", []string{"page"}) // no series, so left out
	if err := reg.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// # HELP queued Jobs in the queue.
	// # TYPE queued gauge
	// queued 4
}

func ExampleRegistry_WriteOpenMetrics() {
	reg := tacho.NewRegistry()
	reg.Counter("sent_bytes_total", "Bytes sent.", tacho.WithUnit("bytes")).Add(42)
	reg.WriteOpenMetrics(os.Stdout)
	// Output:
	// # HELP sent_bytes Bytes sent.
	// # TYPE sent_bytes counter
	// # UNIT sent_bytes bytes
	// sent_bytes_total 42.0
	// # EOF
}

func ExampleWithUTF8Names() {
	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	reg.GaugeVec("queue.length", "Jobs that wait.", []string{"queue.name"}).With("mail").Set(3)
	reg.WriteText(os.Stdout) // a client that accepts UTF-8 gets {"queue.length","queue.name"="mail"} 3
	// Output:
	// # HELP queue_length Jobs that wait.
	// # TYPE queue_length gauge
	// queue_length{queue_name="mail"} 3
}

func ExampleEmitter_At() {
	reg := tacho.NewRegistry()
	measured := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) // by another system, which says when
	reg.Collect(func(e *tacho.Emitter) {
		e.At(measured).Gauge("outside_celsius", "Temperature outside.", 4.5)
	})
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP outside_celsius Temperature outside.
	// # TYPE outside_celsius gauge
	// outside_celsius 4.5 1795521600000
}

func ExampleRegistry_CounterFunc() {
	reg := tacho.NewRegistry()
	var read int64 // counted elsewhere
	reg.CounterFunc("read_bytes_total", "Bytes read.", func() float64 { return float64(read) })
	read = 4096
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP read_bytes_total Bytes read.
	// # TYPE read_bytes_total counter
	// read_bytes_total 4096
}

func ExampleRegistry_Unregister() {
	reg := tacho.NewRegistry()
	reg.Gauge("queued", "Jobs in the queue.")
	fmt.Println(reg.Unregister("queued"), reg.Unregister("queued"))
	// Output: true false
}

func ExampleVec_Delete() {
	up := tacho.NewRegistry().GaugeVec("peer_up", "Whether a peer answers.", []string{"peer"})
	up.With("a").Set(1)
	fmt.Println(up.Delete("a"), up.Delete("a"), up.Len())
	// Output: true false 0
}

func ExampleVec_DeleteFunc() {
	jobs := tacho.NewRegistry().CounterVec("jobs_total", "Jobs done.", []string{"queue", "result"})
	jobs.With("mail", "ok").Inc()
	jobs.With("mail", "failed").Inc()
	jobs.With("print", "ok").Inc()
	fmt.Println(jobs.DeleteFunc(func(values []string) bool { return values[0] == "mail" }), jobs.Len())
	// Output: 2 1
}

func ExampleVec_Replace() {
	reg := tacho.NewRegistry()
	depth := reg.GaugeVec("queue_depth", "Jobs waiting.", []string{"queue"})
	depth.With("closed").Set(1)
	list := map[string]int64{"mail": 3, "print": 0} // as the queue server tells it
	depth.Replace(func(set *tacho.GaugeVec) {
		for name, n := range list {
			set.With(name).Set(n)
		}
	})
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP queue_depth Jobs waiting.
	// # TYPE queue_depth gauge
	// queue_depth{queue="mail"} 3
	// queue_depth{queue="print"} 0
}

func ExampleLinearBuckets() {
	fmt.Println(tacho.LinearBuckets(10, 5, 4))
	// Output: [10 15 20 25]
}
