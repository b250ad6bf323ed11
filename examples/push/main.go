//go:build !tacho_nohttp

// Push is a batch job that ends before a scrape. The job walks a directory, pushes its
// metrics to a Pushgateway and ends. If the push fails, Push writes the error to standard
// error and exits with status 1.
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
	url := flag.String("url", "http://127.0.0.1:9091", "`URL` of the Pushgateway, with an optional user and password")
	dir := flag.String("dir", ".", "`directory` to walk")
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
		Add:      true, // a failed job must not delete the time of the latest success
	}, push.Config{Retries: 2})
	if err != nil {
		return err
	}
	backupErr := backup(dir)
	// A failed job pushes its metrics too, so an alert can detect the failure.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.Push(ctx); err != nil {
		return err
	}
	return backupErr
}

// backup does the work of the job. This example only counts files and bytes.
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
		// The gauge is defined here, because otherwise a failed job would push 0.
		tacho.Default.FloatGauge("backup_last_success_timestamp_seconds",
			"Time of the latest backup that succeeded, in Unix seconds.", tacho.WithUnit("seconds")).SetToCurrentTime()
	}
	return err
}
