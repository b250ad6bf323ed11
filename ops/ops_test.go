//go:build !tacho_nohttp

// Package ops_test checks the files of this folder against scrapes of real registries.
package ops_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/process"
	"github.com/tachikoma/tacho/tachikoma"
)

var (
	update     = flag.Bool("update", false, "rewrite the input series of rules_test.yml, the dashboards and prometheusrule.yml")
	rulesTests = flag.Bool("promtool", false, "run the tests of rules_test.yml and rules_native_test.yml")
)

// target has the labels that Prometheus adds to each sample of the server.
const target = `job="tachikoma",instance="fuchikoma:8080"`

// A server is the program that a scenario scrapes. The scenario counts in minutes.
type server struct {
	*tachikoma.AppMetrics
	down bool // if set, the scrape fails
	jobs *tacho.CounterVec
}

// start starts a server at a minute. Package process would show the time of the machine, so
// a gauge shows the time of the scenario.
func start(minute int) *server {
	s := &server{AppMetrics: tachikoma.New()}
	s.Registry.Gauge("process_start_time_seconds", "Start.").Set(60 * int64(minute))
	s.jobs = s.Registry.CounterVec("jobs_total", "Jobs.", []string{"kind"}, tacho.WithMaxSeries(1))
	return s
}

// requests records n requests of one status that take d each.
func (s *server) requests(n, status int, d time.Duration) {
	for range n {
		s.HTTP.Record("GET", "/missions", status, d, 100)
	}
}

func (s *server) lookups(hits, misses uint64) {
	s.CacheHitsTotal.Add(hits)
	s.CacheMissesTotal.Add(misses)
}

// A scenario is one test of rules_test.yml. minute runs before the scrape of each minute.
// minute may replace the server.
type scenario struct {
	minutes int
	minute  func(s **server, minute int)
}

const quick, slow = 10 * time.Millisecond, 3 * time.Second

var scenarios = map[string]scenario{
	"no errors": {120, func(s **server, _ int) { (*s).requests(90, 200, quick) }},
	"a tenth of the requests fails": {60, func(s **server, _ int) {
		(*s).requests(90, 200, quick)
		(*s).requests(10, 500, quick)
	}},
	"a status appears with 100 requests": {180, func(s **server, minute int) {
		(*s).requests(90, 200, quick)
		if minute == 40 {
			(*s).requests(100, 503, quick)
		}
	}},
	"one request in 600 fails for 8 hours": {500, func(s **server, _ int) {
		(*s).requests(599, 200, quick)
		(*s).requests(1, 500, quick)
	}},
	"few requests, all fail": {120, func(s **server, minute int) {
		if minute%20 == 10 {
			(*s).requests(1, 500, slow)
		}
	}},
	"Prometheus is new, the server had errors": {120, func(s **server, minute int) {
		if minute == 0 {
			*s = start(-1000)
			(*s).requests(5000, 500, slow)
			(*s).requests(100000, 200, quick)
		}
		(*s).down = minute < 10
		(*s).requests(90, 200, quick)
	}},
	"the server restarts": {120, func(s **server, minute int) {
		if minute == 30 {
			*s = start(minute)
		}
		(*s).requests(90, 200, quick)
		if minute != 30 {
			(*s).requests(10, 500, quick)
		}
	}},
	"a fifth of the requests is slow": {60, func(s **server, _ int) {
		(*s).requests(80, 200, quick)
		(*s).requests(20, 200, slow)
	}},
	"a path appears with slow requests": {180, func(s **server, minute int) {
		(*s).requests(90, 200, quick)
		if minute == 40 {
			for range 1000 {
				(*s).HTTP.Record("GET", "/report", 200, slow, 100)
			}
		}
	}},
	"one request in 50 is slow for 8 hours": {500, func(s **server, _ int) {
		(*s).requests(98, 200, quick)
		(*s).requests(2, 200, slow)
	}},
	"tokens, cache and database": {240, func(s **server, _ int) {
		(*s).RecordTokens("large", 1000, 100, 1)
		(*s).lookups(1, 19)
		for i := range 10 {
			(*s).DBQueryDurationSeconds.With("select").Observe(0.3 + float64(min(i, 1))/2)
		}
	}},
	"a model appears with its cost": {240, func(s **server, minute int) {
		if minute == 100 {
			(*s).RecordTokens("large", 1000, 100, 60)
		}
	}},
	"few lookups and queries": {240, func(s **server, _ int) {
		(*s).lookups(0, 1)
		(*s).DBQueryDurationSeconds.With("select").Observe(0.8)
	}},
	"refused recordings and overflow": {120, func(s **server, minute int) {
		for range map[int]int{10: 5, 60: 2}[minute] {
			(*s).jobs.With("a", "b").Inc()
		}
		if minute >= 20 && minute < 23 {
			(*s).jobs.With(strconv.Itoa(minute)).Inc()
		}
	}},
	"refused recordings at the start": {60, func(s **server, minute int) {
		if minute == 0 {
			for range 5 {
				(*s).jobs.With("a", "b").Inc()
			}
		}
	}},
	"refused recordings after a restart": {60, func(s **server, minute int) {
		if minute == 30 {
			*s = start(minute)
		}
		if minute == 0 || minute == 40 {
			(*s).jobs.With("a", "b").Inc()
		}
	}},
}

// scrape returns the samples of an OpenMetrics scrape by series, with the labels of target.
func scrape(t *testing.T, reg *tacho.Registry) map[string]float64 {
	t.Helper()
	var b strings.Builder
	if err := reg.WriteOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if err != nil {
			t.Fatal(err)
		}
		name, labels, labelled := strings.Cut(strings.TrimSuffix(line[:at], "}"), "{")
		if labelled {
			labels = "," + labels
		}
		samples[name+"{"+target+labels+"}"] = v
	}
	return samples
}

// record runs a scenario and returns the input series in the notation of promtool. Only
// metrics in names are recorded.
func (sc scenario) record(t *testing.T, names []string) string {
	t.Helper()
	const up = "up{" + target + "}"
	none := math.NaN()
	series := map[string][]float64{}
	s := start(0)
	for minute := range sc.minutes {
		sc.minute(&s, minute)
		got := map[string]float64{up: 0}
		if !s.down {
			got = scrape(t, s.Registry)
			got[up] = 1
		}
		for name, v := range got {
			if !slices.Contains(names, name[:strings.IndexByte(name, '{')]) {
				continue
			}
			for len(series[name]) < minute {
				series[name] = append(series[name], none)
			}
			series[name] = append(series[name], v)
		}
	}
	var b strings.Builder
	keys := make([]string, 0, len(series))
	for name := range series {
		keys = append(keys, name)
	}
	slices.Sort(keys)
	for _, name := range keys {
		values := series[name]
		for len(values) < sc.minutes {
			values = append(values, none)
		}
		fmt.Fprintf(&b, "      - series: '%s'\n        values: %s\n", name, notation(values))
	}
	return b.String()
}

// notation writes values as promtool reads them. NaN is a scrape without the sample: after
// a sample it becomes a stale marker, as Prometheus writes one.
func notation(values []float64) string {
	var words []string
	for i := 0; i < len(values); {
		n := 1
		if math.IsNaN(values[i]) {
			if i > 0 {
				words = append(words, "stale")
				i++
			}
			for n = 0; i+n < len(values) && math.IsNaN(values[i+n]); n++ {
			}
			if n > 0 {
				words = append(words, fmt.Sprintf("_x%d", n))
			}
			i += n
			continue
		}
		step := 0.0
		for i+n < len(values) {
			next := values[i+n] - values[i+n-1]
			if math.IsNaN(next) || n > 1 && math.Abs(next-step) > 1e-9*values[i+n] {
				break
			}
			if n == 1 {
				step = next
			}
			n++
		}
		value := strconv.FormatFloat(values[i], 'g', -1, 64)
		switch {
		case n == 1:
			words = append(words, value)
		case step == 0:
			words = append(words, fmt.Sprintf("%sx%d", value, n-1))
		default:
			words = append(words, fmt.Sprintf("%s%+gx%d", value, math.Round(step*1e9)/1e9, n-1))
		}
		i += n
	}
	return strings.Join(words, " ")
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var selector = regexp.MustCompile(`([a-z_:0-9]+)\{job="tachikoma"`)

// metrics returns the names of the metrics that rules.yml selects.
func metrics(t *testing.T) (names []string) {
	t.Helper()
	for _, found := range selector.FindAllStringSubmatch(read(t, "rules.yml"), -1) {
		if name := found[1]; !strings.Contains(name, ":") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

var (
	testName = regexp.MustCompile(`(?m)^  - name: (.*)$`)
	// inputs matches the input series of a test.
	inputs = regexp.MustCompile(`(?m)^    input_series:\n((?:      .*\n)*)`)
	series = regexp.MustCompile(`(?m)^      - series: '(.*)'$`)
)

// TestRulesTestHasRealSeries compares the input series of rules_test.yml with scrapes. A
// test of rules_test.yml without a scenario has series that are written by hand: a scrape
// must have the same names and labels.
func TestRulesTestHasRealSeries(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("package process needs /proc")
	}
	names := metrics(t)
	reg := tachikoma.New().Registry
	goruntime.Register(reg)
	process.Register(reg)
	real := scrape(t, reg)

	text := read(t, "rules_test.yml")
	var b strings.Builder
	seen := map[string]bool{}
	starts := testName.FindAllStringSubmatchIndex(text, -1)
	b.WriteString(text[:starts[0][0]])
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name, body := text[at[2]:at[3]], text[at[0]:end]
		in := inputs.FindStringSubmatchIndex(body)
		if in == nil {
			t.Fatalf("%s: no input_series", name)
		}
		sc, ok := scenarios[name]
		if !ok {
			for _, s := range series.FindAllStringSubmatch(body[in[2]:in[3]], -1) {
				// In an emulator, which runs the tests with -short, /proc lacks files.
				emulated := testing.Short() && strings.HasPrefix(s[1], "process_")
				if _, ok := real[s[1]]; !ok && !emulated && !strings.HasPrefix(s[1], "up{"+target) {
					t.Errorf("%s: a scrape has no series %s", name, s[1])
				}
			}
			b.WriteString(body)
			continue
		}
		seen[name] = true
		want := sc.record(t, names)
		if got := body[in[2]:in[3]]; got != want && !*update {
			t.Errorf("%s: got the series\n%swant those of the scrapes\n%s(go test ./ops -update writes them)", name, got, want)
		}
		b.WriteString(body[:in[2]] + want + body[in[3]:])
	}
	for name := range scenarios {
		if !seen[name] {
			t.Errorf("rules_test.yml has no test %q", name)
		}
	}
	inputs := b.String() + read(t, "rules_native_test.yml")
	for _, name := range names {
		if !strings.Contains(inputs, "- series: '"+name+"{") {
			t.Errorf("rules.yml selects %s, which no test has", name)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile("rules_test.yml", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var alertBlock = regexp.MustCompile(`(?m)^      - alert: (.*)\n((?:        .*\n)*)`)

// TestAlerts checks that each alert has a severity, annotations, a section of the runbook
// and a test that fires it.
func TestAlerts(t *testing.T) {
	rules, tests, runbook := read(t, "rules.yml"), read(t, "rules_test.yml"), read(t, filepath.Join("..", "docs", "runbook.md"))
	found := alertBlock.FindAllStringSubmatch(rules, -1)
	if len(found) < 12 {
		t.Fatalf("%d alerts, want at least 12", len(found))
	}
	known := map[string]bool{}
	for _, f := range found {
		name, body := f[1], f[2]
		known[name] = true
		for _, want := range []string{
			"\n          summary: \"", "\n          description: \"",
			"\n          runbook_url: https://github.com/tachikoma/tacho/blob/main/docs/runbook.md#" + strings.ToLower(name) + "\n",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%s has no %q", name, strings.TrimSpace(want))
			}
		}
		if !strings.Contains(body, "labels: { severity: critical }") && !strings.Contains(body, "labels: { severity: warning }") {
			t.Errorf("%s has no severity critical or warning", name)
		}
		if !strings.Contains(runbook, "\n## "+name+"\n") {
			t.Errorf("docs/runbook.md has no section %s", name)
		}
		if !strings.Contains(tests, "alertname: "+name+"\n        exp_alerts:\n") {
			t.Errorf("no test of rules_test.yml fires %s", name)
		}
	}
	for _, section := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(runbook, -1) {
		if !known[section[1]] {
			t.Errorf("docs/runbook.md has the section %s, which is no alert", section[1])
		}
	}
}

// notExpression matches lines of rules.yml that are no part of an expression.
var notExpression = regexp.MustCompile(`^ *(#|- record:|summary:|description:|runbook_url:)`)

// TestEverySelectorNamesTheJob fails if a rule would match series of other jobs.
func TestEverySelectorNamesTheJob(t *testing.T) {
	names := metrics(t)
	for _, line := range strings.Split(read(t, "rules.yml"), "\n") {
		if notExpression.MatchString(line) {
			continue
		}
		for _, found := range regexp.MustCompile(`\b[a-z_]+:[a-z_:0-9]+\b`).FindAllString(line, -1) {
			if strings.Contains(line, found+" ") || strings.HasSuffix(line, found) {
				t.Errorf("%s is selected without a job: %s", found, line)
			}
		}
		for _, name := range names {
			for _, at := range regexp.MustCompile(`\b`+name+`\b`).FindAllStringIndex(line, -1) {
				if !strings.HasPrefix(line[at[1]:], `{job="tachikoma"`) && !strings.HasPrefix(line[at[1]:], ":") && line[max(at[0]-1, 0)] != ':' {
					t.Errorf("%s is selected without a job: %s", name, line)
				}
			}
		}
	}
}

var (
	labelName = regexp.MustCompile(`([a-z_]+)="`)
	// aggregation matches a list of labels that ends in le.
	aggregation = regexp.MustCompile(`( by \((?:[a-z_, ]*, )?)le\)`)
)

// labelNames returns the names of the labels of a series, with commas. le is left out.
func labelNames(series string) string {
	var names []string
	for _, found := range labelName.FindAllStringSubmatch(series, -1) {
		if found[1] != "le" {
			names = append(names, found[1])
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// histograms returns the names of the histograms of package tachikoma with the names of
// their labels.
func histograms(t *testing.T) map[string]string {
	t.Helper()
	s := start(0)
	s.requests(1, 200, quick)
	s.DBQueryDurationSeconds.With("select").Observe(1)
	found := map[string]string{}
	for series := range scrape(t, s.Registry) {
		if name, ok := strings.CutSuffix(series[:strings.IndexByte(series, '{')], "_bucket"); ok {
			found[name] = labelNames(series)
		}
	}
	if len(found) < 3 {
		t.Fatalf("histograms %v, want at least 3", found)
	}
	return found
}

// nativeForm returns the query of a native histogram for a query that selects buckets.
func nativeForm(expr string) string {
	expr = strings.ReplaceAll(expr, "_bucket{", "{")
	expr = aggregation.ReplaceAllStringFunc(expr, func(by string) string {
		labels := strings.TrimSuffix(strings.TrimSuffix(by, "le)"), ", ")
		if labels == " by (" {
			return ""
		}
		return labels + ")"
	})
	return strings.ReplaceAll(expr, "sum (", "sum(")
}

// TestNativeForm checks the queries that the other tests compare with.
func TestNativeForm(t *testing.T) {
	for expr, want := range map[string]string{
		"histogram_quantile(0.5, sum by (le) (rate(x_bucket{}[5m])))":       "histogram_quantile(0.5, sum(rate(x{}[5m])))",
		"histogram_quantile(0.5, sum by (path, le) (rate(x_bucket{}[5m])))": "histogram_quantile(0.5, sum by (path) (rate(x{}[5m])))",
	} {
		if got := nativeForm(expr); got != want {
			t.Errorf("native form of %s is %s, want %s", expr, got, want)
		}
	}
}

// TestRunbookHasNativeQueries checks that the native form follows each query of buckets.
func TestRunbookHasNativeQueries(t *testing.T) {
	lines := strings.Split(read(t, filepath.Join("..", "docs", "runbook.md")), "\n")
	found := 0
	for i, line := range lines {
		if strings.Contains(line, "_bucket{") {
			found++
			if want := nativeForm(line); lines[i+1] != want {
				t.Errorf("after %s comes\n%s\nwant\n%s", line, lines[i+1], want)
			}
		}
	}
	if found == 0 {
		t.Error("docs/runbook.md has no query of buckets")
	}
}

// TestRulesSelectNativeHistograms checks that the rules and their tests have both forms of
// each histogram, and that each test has the labels of a scrape.
func TestRulesSelectNativeHistograms(t *testing.T) {
	rules, tests := read(t, "rules.yml"), read(t, "rules_native_test.yml")
	known := histograms(t)
	selected := 0
	for name := range known {
		if !strings.Contains(rules, name+"_bucket{") {
			continue
		}
		selected++
		if !strings.Contains(rules, name+"{") {
			t.Errorf("rules.yml selects %s_bucket, and no native histogram", name)
		}
		for _, form := range []string{name + "_bucket{", name + "_count{", name + "{"} {
			if !strings.Contains(tests, "- series: '"+form) {
				t.Errorf("no test of rules_native_test.yml has the series %s}", form)
			}
		}
	}
	if selected < 2 {
		t.Errorf("rules.yml selects %d histograms, want at least 2", selected)
	}
	for _, found := range series.FindAllStringSubmatch(tests, -1) {
		name := found[1][:strings.IndexByte(found[1], '{')]
		want := labelNames(target)
		for histogram, labels := range known {
			if strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count") == histogram {
				want = labels
			}
		}
		if got := labelNames(found[1]); got != want {
			t.Errorf("%s has the labels %s, want %s", found[1], got, want)
		}
		if bucket := strings.HasSuffix(name, "_bucket"); bucket != strings.Contains(found[1], `,le="`) {
			t.Errorf("%s: only buckets must have the label le", found[1])
		}
	}
	for _, alert := range []string{"HTTPSlow", "DatabaseSlow"} {
		for _, want := range []string{"exp_alerts:", "exp_alerts: []"} {
			if !strings.Contains(tests, "alertname: "+alert+"\n        "+want+"\n") {
				t.Errorf("no test of rules_native_test.yml has %s of %s", want, alert)
			}
		}
	}
}

// TestRenameCommand applies the sed command in the comment of rules.yml to the file.
func TestRenameCommand(t *testing.T) {
	rules := read(t, "rules.yml")
	command := regexp.MustCompile(`(?m)^#   sed 's/(.*)/(.*)/(.*)' rules\.yml$`).FindStringSubmatch(rules)
	if command == nil {
		t.Fatal("rules.yml has no sed command")
	}
	n := 1 // without the flag g, sed replaces once in a line
	if command[3] == "g" {
		n = -1
	}
	for line := range strings.Lines(rules) {
		if got := strings.Replace(line, command[1], command[2], n); strings.Contains(got, command[1]) {
			t.Fatalf("after the command, a rule still selects the old job: %s", got)
		}
	}
}

// TestPromtool checks the rules, if promtool is installed. With -promtool it also runs the
// tests of the rules, as .ci/prometheus does. These tests take some seconds. Only promtool 3
// runs the tests with native histograms; see also TestOpsRules of ../conformance.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip(err)
	}
	calls := [][]string{{"check", "rules", "rules.yml"}}
	if *rulesTests {
		calls = append(calls, []string{"test", "rules", "rules_test.yml"})
		version, err := exec.Command(promtool, "--version").CombinedOutput()
		if err != nil {
			t.Fatalf("promtool --version: %v\n%s", err, version)
		}
		if regexp.MustCompile(`(?m)^promtool, version [3-9]`).Match(version) {
			calls = append(calls, []string{"test", "rules", "rules_native_test.yml"})
		}
	}
	for _, args := range calls {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
