//go:build !tacho_nohttp

// Push is a job that nobody could scrape: it does its work, pushes what it measured
// and ends. Without a Pushgateway it says so and exits with status 1.
//
//	go run ./examples/push -url http://127.0.0.1:9091
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
)

var (
	files    = tacho.Default.Counter("backup_files_total", "Files looked at.")
	bytes    = tacho.Default.Counter("backup_bytes_total", "Bytes looked at.", tacho.WithUnit("bytes"))
	duration = tacho.Default.FloatGauge("backup_duration_seconds", "Time that the backup took.", tacho.WithUnit("seconds"))
)

func main() {
	url := flag.String("url", "http://127.0.0.1:9091", "Pushgateway, which may have a user and password")
	dir := flag.String("dir", ".", "directory to look at")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *url, *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, dir string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	p, err := push.New(push.Pushgateway{
		URL:      url,
		Job:      "backup",
		Grouping: []string{"instance", host, "dir", dir},
		Add:      true, // a job that fails leaves the time of the latest success alone
	}, push.Config{Retries: 2})
	if err != nil {
		return err
	}
	backupErr := backup(dir)
	// Pushed either way: a job that failed is what somebody wants to know of.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.Push(ctx); err != nil {
		return err
	}
	return backupErr
}

// backup is the work; here it only looks at files.
func backup(dir string) error {
	start := time.Now()
	defer func() { duration.Set(time.Since(start).Seconds()) }()
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files.Inc()
		bytes.Add(uint64(info.Size()))
		return nil
	})
	if err == nil {
		// Defined no earlier: a job that fails would push 0.
		tacho.Default.FloatGauge("backup_last_success_timestamp_seconds",
			"Time of the latest backup that succeeded, in Unix seconds.", tacho.WithUnit("seconds")).SetToCurrentTime()
	}
	return err
}
