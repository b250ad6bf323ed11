//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// runs are the runs of -all. LARGE is the flag -large.
var runs = []string{
	// Sizes.
	"-programs 10 -interval 5s -time 30s",
	"-programs 100 -interval 5s -time 20s",
	"-programs 1000",
	"-programs 1000 -mode text",
	"-programs 1000 -receiver prometheus -connections 20000",
	"-programs 1000 -receiver prometheus", // more programs than connections
	"-programs 1000 -receiver prometheus -mode scrape",
	"-programs LARGE -interval 1m -time 1m",
	// Outages.
	"-programs 200 -interval 5s -scenario restart -down 20s",
	"-programs 200 -interval 5s -scenario restart -down 20s -receiver prometheus",
	"-programs 200 -interval 5s -scenario kill -down 20s -receiver prometheus",
	"-programs 200 -interval 5s -scenario hang -down 20s",
	"-programs 200 -interval 5s -scenario restart -down 20s -via agent",
	"-programs 200 -interval 5s -scenario restart -down 20s -via vmagent",
	// A receiver without capacity for all.
	"-programs 200 -interval 5s -time 20s -scenario busy",
	"-programs 200 -interval 5s -time 20s -scenario busy -retry-after 4s",
	// Clocks: one program of ten.
	"-programs 10 -interval 2s -time 8s -scenario skew -skew -10m -receiver prometheus",
	"-programs 10 -interval 2s -time 8s -scenario skew -skew 10m -receiver prometheus",
	"-programs 10 -interval 2s -time 8s -scenario skew -skew -3h -receiver prometheus",
	"-programs 10 -interval 2s -time 8s -scenario skew -skew 3h -receiver prometheus",
	"-programs 10 -interval 2s -time 8s -scenario skew -skew 3h",
	// Labels.
	"-programs 10 -interval 2s -time 8s -scenario twins -receiver prometheus",
	"-programs 10 -interval 2s -time 8s -scenario twins",
}

// load reads the output of -json.
func load(name string) (results []*result, err error) {
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &results)
	}
	return results, err
}

// all runs every element of runs that matches only in a process of its own, because the processor time and the memory
// are those of the process.
func all(ctx context.Context, c *config, only string, large int) (results []*result, err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, args := range runs {
		args = strings.ReplaceAll(args, "LARGE", strconv.Itoa(large))
		if !match.MatchString(args) {
			continue
		}
		start := time.Now()
		cmd := exec.CommandContext(ctx, self, append(strings.Fields(args), "-json", "-victoriametrics", c.victoriaPath, "-prometheus", c.prometheusPath, "-vmagent", c.vmagentPath)...)
		cmd.Stderr = os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // the run stops its receiver
		cmd.WaitDelay = time.Minute
		text, err := cmd.Output()
		if err != nil {
			return results, fmt.Errorf("fleet: %s: %w", args, err)
		}
		var r []*result
		if err := json.Unmarshal(text, &r); err != nil {
			return results, fmt.Errorf("fleet: %s: %w", args, err)
		}
		results = append(results, r...)
		log.Printf("%4.0f s  %s", time.Since(start).Seconds(), args)
	}
	return results, nil
}
