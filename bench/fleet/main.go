//go:build unix

// Command fleet simulates a fleet of programs that send their metrics to a real receiver. It measures
// the programs, the receiver and the bytes on the wire, and what an outage does.
//
//	go run ./fleet -programs 1000 -receiver victoriametrics
//	go run ./fleet -programs 1000 -receiver prometheus -mode scrape
//	go run ./fleet -programs 200 -interval 5s -scenario restart -down 1m
//	go run ./fleet -all                    # the tables of docs/fleet.md, in about 15 minutes
//
// Each program has a registry, a pusher, a transport and a clock of its own. All programs are in one
// process, so a measured processor time contains their share of the collector of memory. The receiver is
// a process that fleet starts and ends. Everything is on 127.0.0.1, without TLS.
//
// The flags -victoriametrics, -prometheus and -vmagent are the paths of the servers.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Limits of the flags.
const (
	maxPrograms = 20_000
	maxPerProg  = 5_000
	maxTime     = 30 * time.Minute
)

func main() {
	log.SetFlags(0)
	c := &config{}
	flag.StringVar(&c.scenario, "scenario", steady, "steady, restart, kill, hang, busy, skew or twins")
	flag.StringVar(&c.receiver, "receiver", victoria, "victoriametrics or prometheus")
	flag.StringVar(&c.via, "via", "", "agent (Prometheus) or vmagent: the programs push to this agent")
	flag.StringVar(&c.mode, "mode", modeWrite, "write (remote write), text (text format, VictoriaMetrics) or scrape (Prometheus)")
	flag.IntVar(&c.programs, "programs", 100, "number of programs")
	flag.IntVar(&c.series, "series", 500, "series of a program")
	flag.DurationVar(&c.interval, "interval", 15*time.Second, "time between two pushes or scrapes of a program")
	flag.DurationVar(&c.warm, "warm", 0, "time before the measurement (default 1.5 intervals)")
	flag.DurationVar(&c.measured, "time", 0, "measured time (default 2 intervals)")
	flag.DurationVar(&c.down, "down", time.Minute, "duration of an outage (restart, kill, hang)")
	flag.Float64Var(&c.capacity, "capacity", 0.5, "part of the pushes that the receiver admits (busy)")
	flag.DurationVar(&c.after, "retry-after", 0, "Retry-After of the responses with the status 429 (busy)")
	flag.DurationVar(&c.skew, "skew", 10*time.Minute, "error of the clocks (skew)")
	flag.IntVar(&c.skewedPrograms, "skewed", 1, "number of programs with another clock (skew)")
	flag.DurationVar(&c.window, "window", 0, "out-of-order time window of Prometheus")
	flag.IntVar(&c.connections, "connections", 0, "--web.max-connections of Prometheus (default that of Prometheus, 512)")
	flag.DurationVar(&c.queue, "queue", 0, "-insert.maxQueueDuration of VictoriaMetrics (default that of VictoriaMetrics, 1m)")
	flag.BoolVar(&c.shared, "shared", false, "one transport for all programs")
	flag.StringVar(&c.victoriaPath, "victoriametrics", "victoria-metrics", "path of VictoriaMetrics")
	flag.StringVar(&c.prometheusPath, "prometheus", "prometheus", "path of Prometheus")
	flag.StringVar(&c.vmagentPath, "vmagent", "vmagent", "path of vmagent")
	asJSON := flag.Bool("json", false, "write JSON instead of Markdown")
	every := flag.Bool("all", false, "run all scenarios of docs/fleet.md, each in a process of its own")
	only := flag.String("only", "", "regular expression: run a part of -all")
	from := flag.String("from", "", "file with the output of -json: print its tables and run nothing")
	large := flag.Int("large", 10_000, "programs of the largest run of -all")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var results []*result
	var err error
	switch {
	case *from != "":
		*every = true
		results, err = load(*from)
	case *every:
		results, err = all(ctx, c, *only, *large)
	default:
		results, err = one(ctx, c)
	}
	if *asJSON {
		json.NewEncoder(os.Stdout).Encode(results)
	} else {
		write(os.Stdout, tables(results))
		if *every {
			sizing(os.Stdout, results)
		}
	}
	if err != nil {
		cancel()
		log.Fatal(err)
	}
}

// one checks the flags and runs one scenario.
func one(ctx context.Context, c *config) ([]*result, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.setDefaults()
	if err := c.allowFiles(); err != nil {
		return nil, err
	}
	r, err := run(ctx, c)
	if err != nil {
		return nil, err
	}
	return []*result{r}, nil
}

// check checks the flags.
func (c *config) check() error {
	known := map[string]bool{victoria: true, prometheus: true, modeWrite: true, modeText: true, modeScrape: true,
		steady: true, restart: true, kill: true, hang: true, busy: true, skewed: true, twins: true}
	switch {
	case flag.NArg() > 0 || !known[c.receiver] || !known[c.mode] || !known[c.scenario]:
		return fmt.Errorf("fleet: unknown argument, receiver, mode or scenario; see -help")
	case c.via != "" && (c.via != agent && c.via != vmagent || c.mode != modeWrite):
		return fmt.Errorf("fleet: -via must be agent or vmagent, with -mode write")
	case c.programs < 1 || c.programs > maxPrograms:
		return fmt.Errorf("fleet: -programs must be 1 to %d", maxPrograms)
	case c.series < minSeries || c.series > maxPerProg:
		return fmt.Errorf("fleet: -series must be %d to %d", minSeries, maxPerProg)
	case c.interval < time.Second || c.interval > 5*time.Minute:
		return fmt.Errorf("fleet: -interval must be 1s to 5m")
	case c.warm < 0 || c.measured < 0 || c.down < time.Second || c.warm > maxTime || c.measured > maxTime || c.down > maxTime:
		return fmt.Errorf("fleet: -warm and -time must be 0 to %v, and -down 1s to %v", maxTime, maxTime)
	case c.mode == modeScrape && (c.receiver != prometheus || c.scenario == busy || c.scenario == skewed):
		return fmt.Errorf("fleet: -mode scrape needs -receiver prometheus, and not -scenario busy or skew")
	case c.mode == modeText && (c.receiver != victoria || c.scenario == skewed):
		return fmt.Errorf("fleet: -mode text needs -receiver victoriametrics, and not -scenario skew")
	case c.capacity <= 0 || c.capacity > 1 || c.after < 0 || c.after > time.Hour || c.skew.Abs() > 48*time.Hour || c.window < 0 || c.connections < 0 || c.queue < 0:
		return fmt.Errorf("fleet: -capacity must be in (0, 1], -retry-after at most 1h, -skew at most 48h, the others not negative")
	}
	return nil
}

// setDefaults sets the times that are 0, and removes the settings of other scenarios.
func (c *config) setDefaults() {
	if c.scenario != skewed {
		c.skew, c.skewedPrograms = 0, 0
	}
	if c.scenario == steady || c.scenario == busy || c.scenario == skewed || c.scenario == twins {
		c.down = 0
	}
	if c.warm == 0 {
		c.warm = c.interval * 3 / 2
	}
	if c.measured == 0 {
		c.measured = 2 * c.interval
	}
}

// allowFiles raises the limit of open files. If the programs need more files than possible, it returns an error.
func (c *config) allowFiles() error {
	// A program has one connection, and two while the pusher opens a new one. A proxy doubles them.
	need := uint64(c.programs + 500)
	if c.scenario == busy {
		need = uint64(2*c.programs + 500)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(limit.Max) < need {
		return fmt.Errorf("fleet: %d programs need %d open files, and the limit is %d; see ulimit -n", c.programs, need, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
