//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"
)

// A result has the measurements of a run.
type result struct {
	Scenario, Receiver, Mode string
	Via                      string // the agent between the programs and the receiver
	Settings                 string // of the receiver
	Programs, Series         int
	Note                     string  // the setting of a scenario
	Interval, Down, Skew     float64 // seconds

	// In the measured time.
	Seconds           float64
	Pushes            float64 // or scrapes
	CPUMicroseconds   float64 // of a push, with everything that the process does
	BytesPerPush      float64 // on the wire, in both directions, with headers
	BytesPerSample    float64
	SentPerSecond     float64 // samples
	StoredPerSecond   float64 // samples, as the receiver counts them
	Mean, Peak        float64 // requests a second
	Connections       float64
	Opened            float64 // connections since the start
	ReceiverCores     float64
	ReceiverMicros    float64 // processor time of a sample
	ReceiverMiB       float64
	ReceiverKiBSeries float64 // resident memory divided by the series
	AgentMicros       float64 // processor time of the agent for a sample
	AgentMiB          float64

	// After a collection, without the memory of the simulator.
	RegistryKiB float64 // of a program without its pusher
	ProgramKiB  float64 // of a program with its pusher, connection and goroutines

	StartMean, StartPeak float64 // requests a second in the first interval

	// Of an outage.
	DownAttempts         float64 // a program and interval
	DownKiB              float64 // of a program at the end of the outage
	DownGoroutines       float64 // of a program
	AfterMean, AfterPeak float64 // requests a second in the interval after the outage

	// Of the whole run.
	Expositions       float64
	StoredExpositions float64
	Accepted          float64 // requests
	Refused           float64
	Failed            float64
	Retries           float64
	Late              float64 // expositions that a retry delivered
	LongestDelay      float64 // seconds between the first attempt and the accepted one
	Steps, EmptySteps float64
	Resets            float64 // of counters, as the receiver sees them
}

// newResult returns a result with the settings of a run.
func newResult(c *config) *result {
	r := &result{Scenario: c.scenario, Receiver: c.receiver, Via: c.via, Mode: c.mode, Programs: c.programs, Series: c.series,
		Interval: c.interval.Seconds(), Down: c.down.Seconds(), Skew: c.skew.Seconds()}
	if c.connections > 0 {
		r.Settings = fmt.Sprintf(", --web.max-connections=%d", c.connections)
	}
	if c.queue > 0 {
		r.Settings = fmt.Sprintf(", -insert.maxQueueDuration=%v", c.queue)
	}
	if c.after > 0 {
		r.Note = fmt.Sprintf(", Retry-After %v", c.after)
	}
	return r
}

// A mark is the state of a run at a time.
type mark struct {
	at                         time.Time
	cpu, receiver, agent       time.Duration
	agentMemory                float64
	accepted, wire, opened     int64
	stored, resident, openConn float64
	second                     int
}

func (f *fleet) mark(ctx context.Context) mark {
	t := f.traffic
	m := mark{at: time.Now(), accepted: t.accepted.Load(), wire: t.sent.Load() + t.received.Load(),
		opened: t.opened.Load(), openConn: float64(t.open.Load()), second: int(time.Since(t.start) / time.Second)}
	if f.server != nil {
		m.stored = f.server.stored(ctx)
		m.receiver, m.resident = f.server.usage()
	}
	if f.agent != nil {
		m.agent, m.agentMemory = f.agent.usage()
	}
	m.cpu = processorTime()
	return m
}

func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// set sets the measurements between two marks.
func (r *result) set(a, b mark, f *fleet) {
	r.Seconds = b.at.Sub(a.at).Seconds()
	r.Pushes = float64(b.accepted - a.accepted)
	pushes := max(r.Pushes, 1)
	r.CPUMicroseconds = float64((b.cpu - a.cpu).Microseconds()) / pushes
	r.BytesPerPush = float64(b.wire-a.wire) / pushes
	r.BytesPerSample = r.BytesPerPush / float64(r.Series)
	r.SentPerSecond = r.Pushes * float64(r.Series) / r.Seconds
	r.StoredPerSecond = (b.stored - a.stored) / r.Seconds
	r.Mean, r.Peak = f.traffic.rate(a.second+1, b.second)
	r.Connections, r.Opened = b.openConn, float64(b.opened)
	cpu := (b.receiver - a.receiver).Seconds()
	r.ReceiverCores = cpu / r.Seconds
	r.ReceiverMicros = 1e6 * cpu / max(b.stored-a.stored, 1)
	r.AgentMicros, r.AgentMiB = 1e6*(b.agent-a.agent).Seconds()/max(r.Pushes*float64(r.Series), 1), b.agentMemory/(1<<20)
	r.ReceiverMiB = b.resident / (1 << 20)
	r.ReceiverKiBSeries = b.resident / 1024 / float64(r.Programs*r.Series)
}

// A table is a part of the report.
type table struct {
	title string
	rows  []*result
	cells []cell
}

type cell struct {
	head  string
	value func(*result) string
}

func number(format string, f func(*result) float64) func(*result) string {
	return func(r *result) string { return fmt.Sprintf(format, f(r)) }
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

var (
	common = []cell{
		{"receiver", func(r *result) string {
			if r.Via != "" {
				return r.Receiver + " via " + r.Via + r.Settings
			}
			return r.Receiver + ", " + r.Mode + r.Settings
		}},
		{"programs", number("%.0f", func(r *result) float64 { return float64(r.Programs) })},
		{"interval", number("%.0f s", func(r *result) float64 { return r.Interval })},
	}
	programCells = append(common[:3:3], []cell{
		{"samples/s sent", number("%.0f", func(r *result) float64 { return r.SentPerSecond })},
		{"CPU a push", number("%.0f µs", func(r *result) float64 { return r.CPUMicroseconds })},
		{"cores a 1,000 programs", number("%.3f", func(r *result) float64 { return r.CPUMicroseconds / r.Interval / 1e3 })},
		{"registry", number("%.0f KiB", func(r *result) float64 { return r.RegistryKiB })},
		{"pusher and connection", number("%.0f KiB", func(r *result) float64 { return r.ProgramKiB - r.RegistryKiB })},
		{"bytes a push", number("%.0f", func(r *result) float64 { return r.BytesPerPush })},
		{"bytes a sample", number("%.1f", func(r *result) float64 { return r.BytesPerSample })},
		{"connections", number("%.0f", func(r *result) float64 { return r.Connections })},
		{"peak/mean at start", number("%.2f", func(r *result) float64 { return ratio(r.StartPeak, r.StartMean) })},
		{"peak/mean", number("%.2f", func(r *result) float64 { return ratio(r.Peak, r.Mean) })},
	}...)
	receiverCells = append(common[:3:3], []cell{
		{"samples/s sent", number("%.0f", func(r *result) float64 { return r.SentPerSecond })},
		{"samples/s stored", number("%.0f", func(r *result) float64 { return r.StoredPerSecond })},
		{"cores", number("%.2f", func(r *result) float64 { return r.ReceiverCores })},
		{"CPU a sample", number("%.2f µs", func(r *result) float64 { return r.ReceiverMicros })},
		{"resident", number("%.0f MiB", func(r *result) float64 { return r.ReceiverMiB })},
		{"resident a series", number("%.2f KiB", func(r *result) float64 { return r.ReceiverKiBSeries })},
		{"agent", func(r *result) string {
			if r.Via == "" {
				return "none"
			}
			return fmt.Sprintf("%.2f µs a sample, %.0f MiB", r.AgentMicros, r.AgentMiB)
		}},
		{"expositions", number("%.0f", func(r *result) float64 { return r.Expositions })},
		{"of them stored", number("%.0f", func(r *result) float64 { return r.StoredExpositions })},
	}...)
	outageCells = append([]cell{{"scenario", func(r *result) string { return fmt.Sprintf("%s, %.0f s", r.Scenario, r.Down) }}}, append(common[:3:3], []cell{
		{"attempts a program and interval", number("%.2f", func(r *result) float64 { return r.DownAttempts })},
		{"memory before", number("%.0f KiB", func(r *result) float64 { return r.ProgramKiB })},
		{"memory at the end", number("%.0f KiB", func(r *result) float64 { return r.DownKiB })},
		{"peak/mean after", number("%.2f", func(r *result) float64 { return ratio(r.AfterPeak, r.AfterMean) })},
		{"peak after/peak before", number("%.2f", func(r *result) float64 { return ratio(r.AfterPeak, r.Peak) })},
		{"expositions lost", number("%.0f", func(r *result) float64 { return r.Expositions - r.StoredExpositions })},
		{"late", number("%.0f", func(r *result) float64 { return r.Late })},
		{"longest delay", number("%.1f s", func(r *result) float64 { return r.LongestDelay })},
		{"empty steps", func(r *result) string { return fmt.Sprintf("%.0f of %.0f", r.EmptySteps, r.Steps) }},
	}...)...)
	otherCells = append([]cell{{"scenario", func(r *result) string { return r.title() }}}, append(common[:3:3], []cell{
		{"requests accepted", number("%.0f", func(r *result) float64 { return r.Accepted })},
		{"refused", number("%.0f", func(r *result) float64 { return r.Refused })},
		{"failed or 429", number("%.0f", func(r *result) float64 { return r.Failed })},
		{"retries", number("%.0f", func(r *result) float64 { return r.Retries })},
		{"expositions", number("%.0f", func(r *result) float64 { return r.Expositions })},
		{"stored", number("%.0f", func(r *result) float64 { return r.StoredExpositions })},
		{"late", number("%.0f", func(r *result) float64 { return r.Late })},
		{"peak/mean", number("%.2f", func(r *result) float64 { return ratio(r.Peak, r.Mean) })},
		{"counter resets", number("%.0f", func(r *result) float64 { return r.Resets })},
	}...)...)
)

// title returns the scenario with its setting.
func (r *result) title() string {
	if r.Scenario == skewed {
		return fmt.Sprintf("%s %v", skewed, time.Duration(r.Skew)*time.Second)
	}
	return r.Scenario + r.Note
}

// tables returns the tables that show results.
func tables(results []*result) []table {
	programs := table{title: "Programs", cells: programCells}
	receivers := table{title: "Receivers", cells: receiverCells}
	outages := table{title: "Outages", cells: outageCells}
	others := table{title: "Limits, clocks and labels", cells: otherCells}
	for _, r := range results {
		switch r.Scenario {
		case steady:
			programs.rows, receivers.rows = append(programs.rows, r), append(receivers.rows, r)
		case restart, kill, hang:
			outages.rows = append(outages.rows, r)
		default:
			others.rows = append(others.rows, r)
		}
	}
	return []table{programs, receivers, outages, others}
}

// write writes the tables with rows as Markdown.
func write(w io.Writer, all []table) {
	for _, t := range all {
		if len(t.rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "### %s\n\n|", t.title)
		for _, c := range t.cells {
			fmt.Fprintf(w, " %s |", c.head)
		}
		fmt.Fprint(w, "\n|")
		for range t.cells {
			fmt.Fprint(w, " --- |")
		}
		for _, r := range t.rows {
			fmt.Fprint(w, "\n|")
			for _, c := range t.cells {
				fmt.Fprintf(w, " %s |", c.value(r))
			}
		}
		fmt.Fprint(w, "\n\n")
	}
}
