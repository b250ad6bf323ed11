//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A server is a receiver that fleet started. Its data are in a temporary folder.
type server struct {
	kind   string // one of the values of -receiver and -via
	binary string
	args   []string
	url    string
	dir    string
	log    *os.File
	cmd    *exec.Cmd
	exited chan struct{} // closed after the end of the process
	past   time.Duration // processor time of the processes that ended
}

// startServer starts a receiver, or an agent that sends to the receiver with the URL next.
func startServer(ctx context.Context, c *config, kind, next string) (*server, error) {
	s, err := newServer(c, kind, next)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// newServer prepares a server for the method start.
func newServer(c *config, kind, next string) (s *server, err error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s = &server{kind: kind, url: "http://" + address}
	if s.dir, err = os.MkdirTemp("", "fleet"); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err == nil {
		err = s.configure(c, address, next)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// configure sets the program and its arguments, and writes its configuration.
func (s *server) configure(c *config, address, next string) error {
	data := filepath.Join(s.dir, "data")
	switch s.kind {
	case victoria:
		s.binary = c.victoriaPath
		s.args = []string{"-storageDataPath=" + data, "-httpListenAddr=" + address,
			"-retentionPeriod=1d", "-search.latencyOffset=0s", "-search.maxUniqueTimeseries=10000000", "-search.maxQueryDuration=5m", "-loggerLevel=WARN"}
		if c.queue > 0 {
			s.args = append(s.args, "-insert.maxQueueDuration="+c.queue.String())
		}
	case prometheus:
		s.binary = c.prometheusPath
		s.args = []string{"--storage.tsdb.path=" + data, "--web.listen-address=" + address,
			"--config.file=" + s.config(), "--web.enable-remote-write-receiver", "--query.lookback-delta=1m", "--query.timeout=5m", "--log.level=warn"}
		if c.connections > 0 {
			s.args = append(s.args, fmt.Sprintf("--web.max-connections=%d", c.connections))
		}
		text := "global: {scrape_interval: " + c.interval.String() + ", scrape_timeout: " + min(c.interval, 10*time.Second).String() + "}\n"
		if c.mode == modeScrape {
			text += "scrape_configs:\n- job_name: fleet\n  file_sd_configs: [{files: [" + s.targets() + "]}]\n"
		}
		if c.window > 0 {
			text += "storage: {tsdb: {out_of_order_time_window: " + c.window.String() + "}}\n"
		}
		return os.WriteFile(s.config(), []byte(text), 0o600)
	case agent:
		s.binary = c.prometheusPath
		s.args = []string{"--enable-feature=agent", "--storage.agent.path=" + data, "--web.listen-address=" + address,
			"--config.file=" + s.config(), "--web.enable-remote-write-receiver", "--log.level=error"}
		if c.connections > 0 {
			s.args = append(s.args, fmt.Sprintf("--web.max-connections=%d", c.connections))
		}
		text := "remote_write: [{url: " + next + "/api/v1/write}]\n"
		return os.WriteFile(s.config(), []byte(text), 0o600)
	case vmagent:
		s.binary = c.vmagentPath
		s.args = []string{"-httpListenAddr=" + address, "-remoteWrite.url=" + next + "/api/v1/write",
			"-remoteWrite.tmpDataPath=" + data, "-loggerLevel=ERROR"}
	}
	return nil
}

func (s *server) config() string  { return filepath.Join(s.dir, "prometheus.yml") }
func (s *server) targets() string { return filepath.Join(s.dir, "targets.json") }

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start starts the process and waits until it responds.
func (s *server) start(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.binary, s.args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("fleet: %w (a flag sets the path of the binary)", err)
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go func() { cmd.Wait(); close(exited) }()
	probe := s.url + "/health"
	if s.kind == prometheus || s.kind == agent {
		probe = s.url + "/-/ready"
	}
	for range 600 {
		if resp, err := http.Get(probe); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-exited:
			text, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("fleet: %s ended: %.1000s", s.kind, text)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("fleet: %s is not ready after a minute", s.kind)
}

// stop sends a signal and waits for the end of the process.
func (s *server) stop(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	used, _ := s.usage()
	s.past = used
	s.cmd.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		s.cmd.Process.Kill()
		<-s.exited
	}
	s.cmd = nil
}

// close stops the process and removes its data.
func (s *server) close() {
	s.stop(syscall.SIGTERM)
	s.log.Close()
	os.RemoveAll(s.dir)
}

// usage returns the processor time of all processes of the server, and the resident memory in bytes.
func (s *server) usage() (cpu time.Duration, memory float64) {
	if s.cmd == nil {
		return s.past, 0
	}
	dir := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	stat, _ := os.ReadFile(dir + "stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); len(f) > 12 {
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		cpu = time.Duration(user+system) * (time.Second / 100) // USER_HZ is 100 on Linux
	}
	statm, _ := os.ReadFile(dir + "statm")
	if f := strings.Fields(string(statm)); len(f) > 1 {
		pages, _ := strconv.Atoi(f[1])
		memory = float64(pages * os.Getpagesize())
	}
	return s.past + cpu, memory
}

// stored returns the number of samples that the server stored since it started.
func (s *server) stored(ctx context.Context) float64 {
	name := "prometheus_tsdb_head_samples_appended_total"
	if s.kind == victoria {
		name = `vm_rows_inserted_total{type="prom`
	}
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0
	}
	sum := 0.0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name) {
			f := strings.Fields(line)
			v, _ := strconv.ParseFloat(f[len(f)-1], 64)
			sum += v
		}
	}
	return sum
}

func (s *server) get(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("fleet: %s: %s: %.200s", path, resp.Status, body)
	}
	return string(body), err
}

// query returns the value of a PromQL expression with one result, and 0 without a result.
func (s *server) query(ctx context.Context, expr string, at time.Time) (float64, error) {
	text, err := s.get(ctx, fmt.Sprintf("/api/v1/query?query=%s&time=%.3f", url.QueryEscape(expr), float64(at.UnixMilli())/1e3))
	if err != nil {
		return 0, err
	}
	var response struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.Unmarshal([]byte(text), &response); err != nil {
		return 0, err
	}
	if len(response.Data.Result) == 0 {
		return 0, nil
	}
	return strconv.ParseFloat(fmt.Sprint(response.Data.Result[0].Value[1]), 64)
}
