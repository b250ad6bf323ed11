package tachotest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// A fakeTB collects the failure messages of a test. A message has the line of the test only
// if every function of this package on the stack has called Helper.
type fakeTB struct {
	testing.TB
	messages string
	helpers  map[string]bool
}

func (f *fakeTB) Helper() {
	if f.helpers == nil {
		f.helpers = map[string]bool{}
	}
	pc, _, _, _ := runtime.Caller(1)
	f.helpers[runtime.FuncForPC(pc).Name()] = true
}

func (f *fakeTB) Errorf(format string, args ...any) {
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for more := true; more; {
		var fr runtime.Frame
		fr, more = frames.Next()
		if strings.Contains(fr.Function, "/tachotest.") && !strings.HasSuffix(fr.File, "_test.go") && !f.helpers[fr.Function] {
			f.messages += fr.Function + " without Helper: "
		}
	}
	f.messages += fmt.Sprintf(format, args...)
}

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// failure returns the failure messages of test, or "" if test passes.
func failure(test func(tb testing.TB)) string {
	f := &fakeTB{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(f)
	}()
	<-done
	if strings.Contains(f.messages, "without Helper") {
		panic(f.messages)
	}
	return f.messages
}

func registry() *tacho.Registry {
	reg := tacho.NewRegistry(tacho.WithConstLabels("zone", "eu"))
	jobs := reg.CounterVec("jobs_total", "Jobs done.", []string{"result", "kind"})
	jobs.With("ok", "a\n\"\\").Add(3)
	jobs.With("failed", "").Inc()
	reg.Histogram("wait_seconds", "Time in the queue.", []float64{0.5}).Observe(0.25)
	reg.Collect(func(e *tacho.Emitter) { e.At(time.UnixMilli(1500)).Gauge("outside_celsius", "", 4.5) })
	return reg
}

func TestValue(t *testing.T) {
	reg := registry()
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{3, "jobs_total", []string{"kind", "a\n\"\\", "zone", "eu", "result", "ok"}},
		{1, "jobs_total", []string{"result", "failed", "zone", "eu"}},
		{1, "jobs_total", []string{"result", "failed", "zone", "eu", "kind", ""}},
		{0.25, "wait_seconds_sum", []string{"zone", "eu"}},
		{1, "wait_seconds_bucket", []string{"zone", "eu", "le", "+Inf"}},
		{4.5, "outside_celsius", []string{"zone", "eu"}},
	} {
		if got := Value(t, reg, c.name, c.labels...); got != c.want {
			t.Errorf("%s %q: got %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for want, test := range map[string]func(testing.TB){
		`no sample jobs_total{result="ok"}, other samples of this name:` + "\n\tjobs_total{": func(tb testing.TB) { Value(tb, reg, "jobs_total", "result", "ok") },
		"no sample none, no other samples of this name":                                      func(tb testing.TB) { Value(tb, reg, "none") },
		"must be pairs": func(tb testing.TB) { Value(tb, reg, "jobs_total", "result") },
	} {
		if got := failure(test); !strings.Contains(got, want) {
			t.Errorf("got message %q, want %q", got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	reg := registry()
	same := `
		# TYPE wait_seconds histogram
		wait_seconds_count{zone="eu"} 1.0
		wait_seconds_sum{zone="eu"} 2.5e-1
		wait_seconds_bucket{le="0.5",zone="eu"} 1
		wait_seconds_bucket{zone="eu",le="+Inf"} 1

		jobs_total{zone="eu",result="failed"} 1
		jobs_total{zone="eu",kind="a\n\"\\",result="ok"} 3
		outside_celsius{zone="eu"} 4.5 1500
	`
	Compare(t, reg, same)
	Compare(t, reg, `jobs_total{zone="eu",result="failed",kind=""} 1
		jobs_total{zone="eu",kind="a\n\"\\",result="ok"} 3`, "jobs_total")
	Compare(t, reg, "", "none")
	Compare(t, tacho.NewRegistry(), "")
	for _, c := range []struct{ old, new, want string }{
		{`result="failed"} 1`, `result="failed"} 2`, "+ jobs_total{result=\"failed\",zone=\"eu\"} 1\n"},
		{`result="failed"} 1`, `result="failed"} 2`, "- jobs_total{result=\"failed\",zone=\"eu\"} 2\n"},
		{`outside_celsius{zone="eu"} 4.5 1500`, "", "+ outside_celsius{zone=\"eu\"} 4.5 1500\n"},
		{"4.5 1500", "4.5", "- outside_celsius{zone=\"eu\"} 4.5\n"},
		{"# TYPE wait_seconds histogram", "# TYPE wait_seconds gauge", "- # TYPE wait_seconds gauge\n"},
		{"outside_celsius", "outside_celsius{zone=", "in the expected line"},
		{`{zone="eu"} 4.5`, `{zone="eu"} x`, "in the expected line"},
		{`\n`, `\t`, "in the expected line"},
		{`4.5 1500`, "4.5 1500\n\t\toutside_celsius{zone=\"eu\"} 4.5 1500", "- outside_celsius"},
	} {
		got := failure(func(tb testing.TB) { Compare(tb, reg, strings.Replace(same, c.old, c.new, 1)) })
		if !strings.Contains(got, c.want) {
			t.Errorf("%s instead of %s: got message\n%s\nwant %s", c.new, c.old, got, c.want)
		}
	}
}

func TestLint(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("good_total", "Help.").Inc()
	reg.Histogram("good_seconds", "Help.", nil).Observe(1)
	reg.Gauge("good_bytes", "Help.").Set(1)
	if got := Lint(t, reg); got != nil {
		t.Errorf("got %q, want no violations", got)
	}
	reg.Gauge("no_help", "")
	reg.Counter("events", "Help.")
	reg.Gauge("things_total", "Help.")
	reg.Gauge("things_count", "Help.")
	reg.Gauge("job:rate", "Help.")
	reg.Gauge("jobQueue", "Help.")
	reg.Gauge("job_gauge", "Help.")
	reg.Gauge("wait_ms", "Help.")
	reg.Gauge("used_percent", "Help.")
	reg.GaugeVec("labelled", "Help.", []string{"jobName"}).With("x")
	reg.Gauge("known_kb", "Help.")
	got := strings.Join(Lint(t, reg, "known_kb"), "\n")
	want := `events: a counter should end in _total
job:rate: colons are reserved for recording rules
jobQueue: should be in snake_case
job_gauge: should not contain its type
labelled: label jobName should be in snake_case
no_help: should have a help text
things_count: the suffix _count belongs to histograms and summaries
things_total: only a counter should end in _total
used_percent: should be in ratio, not percent
wait_ms: should be in seconds, not ms`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNativeOnly: the text of a histogram that has only native buckets is that of a histogram
// without finite bounds. All functions accept this text.
func TestNativeOnly(t *testing.T) {
	reg := tacho.NewRegistry()
	waits := reg.HistogramVec("wait_seconds", "Time in the queue.", []float64{}, []string{"queue"})
	waits.With("a").Observe(0.25)
	waits.With("a").Observe(4)
	waits.With("b")
	same := `
		# HELP wait_seconds Time in the queue.
		# TYPE wait_seconds histogram
		wait_seconds_bucket{queue="a",le="+Inf"} 2
		wait_seconds_sum{queue="a"} 4.25
		wait_seconds_count{queue="a"} 2
		wait_seconds_bucket{queue="b",le="+Inf"} 0
		wait_seconds_sum{queue="b"} 0
		wait_seconds_count{queue="b"} 0
	`
	Compare(t, reg, same)
	Compare(t, reg, same, "wait_seconds")
	want := "- wait_seconds_bucket{le=\"1\",queue=\"a\"} 1\n"
	if got := failure(func(tb testing.TB) { Compare(tb, reg, same+`wait_seconds_bucket{queue="a",le="1"} 1`) }); !strings.Contains(got, want) {
		t.Errorf("got message\n%s\nwant %s", got, want)
	}
	for name, want := range map[string]float64{"wait_seconds_count": 2, "wait_seconds_sum": 4.25} {
		if got := Value(t, reg, name, "queue", "a"); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got := Value(t, reg, "wait_seconds_bucket", "le", "+Inf", "queue", "a"); got != 2 {
		t.Errorf("got %v observations up to +Inf, want 2", got)
	}
	if got := Lint(t, reg); got != nil {
		t.Errorf("got %q, want no violations", got)
	}
}

// TestHelpers: each function calls Helper before it scrapes, so a failed scrape is reported
// at the line of the test.
func TestHelpers(t *testing.T) {
	reg := registry()
	for name, call := range map[string]func(testing.TB){
		"Value":   func(tb testing.TB) { Value(tb, reg, "wait_seconds_count", "zone", "eu") },
		"Compare": func(tb testing.TB) { Compare(tb, reg, "", "none") },
		"Lint":    func(tb testing.TB) { Lint(tb, reg) },
	} {
		f := &fakeTB{}
		call(f)
		for _, want := range []string{name, "scrape"} {
			if want = "github.com/tachikoma/tacho/tachotest." + want; !f.helpers[want] {
				t.Errorf("%s: no call of Helper in %s", name, want)
			}
		}
	}
}

func FuzzParseSample(f *testing.F) {
	for _, s := range []string{"a 1", `a{b="c"} 1 2`, `a{b="\"\\\n"} NaN`, "a{", `a{b="`, `a{b=} 1`, "a{\t=\"c\"} 1", "a{\t}=\"c\"} 1", "{} 1", "# x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		canonical, err := canonicalLine(line)
		if err != nil || strings.HasPrefix(line, "#") {
			return
		}
		if again, err := canonicalLine(canonical); err != nil || again != canonical {
			t.Errorf("%q: canonical form %q, then %q, error %v", line, canonical, again, err)
		}
	})
}
