//go:build !tacho_nohttp

package ops_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The dashboards are described here, in rows of panels. "go test ./ops -update" writes the
// files.
var dashboards = map[string]dashboard{
	"grafana.json": {
		uid: "tacho", title: "tacho",
		description: "HTTP, Go, process, SQL, gRPC, HTTP client and push metrics of programs that use tacho.",
		rows:        []row{overview, anyHTTPRow, goRow, processRow, sqlRow, grpcRow, clientRow, pushRow, tachoRow},
	},
	"grafana-tachikoma.json": {
		uid: "tachikoma", title: "Tachikoma",
		description: "HTTP, Tachikoma, Go and process metrics of servers that use tacho.",
		rows:        []row{overview, httpRow, tachikomaRow, goRow, processRow, tachoRow},
	},
}

type dashboard struct {
	uid, title, description string
	rows                    []row
}

// A row is collapsed if many programs lack its metrics. Grafana sends the queries of a
// collapsed row when a person opens it.
type row struct {
	title     string
	collapsed bool
	panels    []panel
}

// A panel is a time series unless kind is set. A query of buckets becomes two queries: the
// classic histogram and the native histogram.
type panel struct {
	kind               string // "timeseries", "stat" or "heatmap"
	title, description string
	unit               string // of Grafana, "short" if empty
	width, height      int    // in columns, of 24, and in rows; 8 and 8 if 0
	queries            []query
	stacked            bool
	exemplars          bool
	// steps are thresholds. The color of a value below the first step is green.
	steps []step
	max   float64 // of the axis, if not 0
}

// A query selects series by the variables of the dashboard: "@" stands for the matchers.
type query struct{ expr, legend string }

type step struct {
	from  float64
	color string
}

const (
	matchers = `namespace=~"$namespace",job=~"$job",instance=~"$instance"`
	// anyProgram selects a series of each program. A program that pushes its metrics has no
	// series up.
	anyProgram  = `__name__=~"up|push_attempts_total"`
	nativeLines = `Lines with "native" are those of native histograms. A bucket of schema 3 is 9 % wide.`
)

// Thresholds of several panels. The objectives of rules.yml are 99.9 % of requests without
// 5xx, and 99 % of requests within 1 second.
var (
	errorSteps   = []step{{0.001, "orange"}, {0.01, "red"}}
	latencySteps = []step{{0.5, "orange"}, {1, "red"}}
	fullSteps    = []step{{0.8, "orange"}, {0.95, "red"}}
	anySteps     = []step{{1, "orange"}}
)

// quantiles returns the queries of the 50th, 90th and 99th percentile of a histogram.
func quantiles(histogram string) (list []query) {
	for _, p := range []int{50, 90, 99} {
		list = append(list, query{
			fmt.Sprintf("histogram_quantile(%g, sum by (le) (rate(%s_bucket{@}[$__rate_interval])))", float64(p)/100, histogram), fmt.Sprintf("p%d", p),
		})
	}
	return list
}

// slowest returns the query of the 10 greatest 90th percentiles by a label.
func slowest(histogram, label string) []query {
	return []query{{
		fmt.Sprintf("topk(10, histogram_quantile(0.9, sum by (%s, le) (rate(%s_bucket{@}[$__rate_interval]))))", label, histogram), "{{" + label + "}}",
	}}
}

// distribution returns the query of a heatmap.
func distribution(histogram string) []query {
	return []query{{fmt.Sprintf("sum by (le) (increase(%s_bucket{@}[$__rate_interval]))", histogram), "{{le}}"}}
}

// ratio returns the query of the part of a counter's increments that match. The part is 0 if
// no series matches.
func ratio(counter, match string) string { return part("sum", counter, match) }

// ratioBy is like ratio, and returns the 10 greatest parts by a label.
func ratioBy(counter, match, label string) string {
	return "topk(10, " + part("sum by ("+label+") ", counter, match) + ")"
}

func part(sum, counter, match string) string {
	all := sum + "(rate(" + counter + "{@}[$__rate_interval]))"
	matching := sum + "(rate(" + counter + "{@," + match + "}[$__rate_interval]))"
	return "(" + matching + " or 0 * " + all + ") / (" + all + " > 0)"
}

// newAnd returns the query of the increase of a counter whose series begin above zero.
func newAnd(counter, by string) string {
	return "sum by (" + by + ") ((" + counter + "{@} unless " + counter + "{@} offset $__rate_interval) or increase(" + counter + "{@}[$__rate_interval])) or vector(0)"
}

// total returns the query of the sum of a counter's values, or 0 if there is no series.
func total(counter string) string { return "sum(" + counter + "{@}) or vector(0)" }

const (
	failed = `status=~"5.."`
	// failedCalls matches the codes of errors of a gRPC server. The other codes are errors of
	// the caller. OpenTelemetry's conventions have the same list.
	failedCalls = `grpc_code=~"Unknown|DeadlineExceeded|Unimplemented|Internal|Unavailable|DataLoss"`
)

func stat(title, description, unit, expr string, steps ...step) panel {
	return panel{kind: "stat", title: title, description: description, unit: unit, width: 3, height: 4, queries: []query{{expr, ""}}, steps: steps}
}

var overview = row{title: "Overview", panels: []panel{
	stat("Targets up", "The number of targets whose latest scrape succeeded. A program that pushes is no target.", "short", "sum(up{@})"),
	stat("Targets down", "The number of targets whose latest scrape failed.", "short", "count(up{@} == 0) or vector(0)", step{1, "red"}),
	stat("Restarts", "In the time range of the dashboard. A process with a new instance label is no restart.", "short",
		"sum(changes(process_start_time_seconds{@}[$__range]))", step{1, "orange"}, step{3, "red"}),
	stat("HTTP requests", "", "reqps", "sum(rate(http_requests_total{@}[$__rate_interval]))"),
	stat("HTTP errors", "The part of the requests with status 5xx.", "percentunit", ratio("http_requests_total", failed), errorSteps...),
	stat("Processor", "Cores in use.", "short", "sum(rate(process_cpu_seconds_total{@}[$__rate_interval]))"),
	stat("Memory", "Resident memory.", "bytes", "sum(process_resident_memory_bytes{@})"),
	stat("Refused recordings", "Since the start of the programs. A refused recording is a mistake in the program.", "short", total("tacho_errors_total"), anySteps...),
}}

// httpPanels are the panels of HTTP that each dashboard has.
var httpPanels = []panel{
	{title: "Requests by status", unit: "reqps", stacked: true, queries: []query{{"sum by (status) (rate(http_requests_total{@}[$__rate_interval]))", "{{status}}"}}},
	{
		title: "Errors", description: "The part of all requests.", unit: "percentunit", steps: errorSteps,
		queries: []query{{ratio("http_requests_total", failed), "5xx"}, {ratio("http_requests_total", `status=~"4.."`), "4xx"}},
	},
	{title: "In flight", queries: []query{{"sum by (instance) (http_requests_in_flight{@})", "{{instance}}"}}},
	{title: "Duration", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps, queries: quantiles("http_request_duration_seconds")},
	{kind: "heatmap", title: "Duration, all requests", unit: "s", exemplars: true, queries: distribution("http_request_duration_seconds")},
	{
		title: "Bytes sent", unit: "Bps",
		queries: []query{{"sum by (path) (rate(http_response_size_bytes_sum{@}[$__rate_interval]) or histogram_sum(rate(http_response_size_bytes{@}[$__rate_interval])))", "{{path}}"}},
	},
	{title: "Busiest routes", unit: "reqps", queries: []query{{"topk(10, sum by (method, path) (rate(http_requests_total{@}[$__rate_interval])))", "{{method}} {{path}}"}}},
	{title: "Slowest routes, p90", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps, queries: slowest("http_request_duration_seconds", "path")},
	{
		title: "Errors by route", description: "The part of the requests of a route with status 5xx.", unit: "percentunit", steps: errorSteps,
		queries: []query{{ratioBy("http_requests_total", failed, "method, path"), "{{method}} {{path}}"}},
	},
}

var httpRow = row{title: "HTTP", panels: slices.Concat(httpPanels, []panel{
	{title: "Connections", width: 24, height: 6, stacked: true, queries: []query{{"sum by (state) (http_connections{@})", "{{state}}"}}},
})}

// anyHTTPRow also has the metrics of options of tacho.NewHTTPMetrics.
var anyHTTPRow = row{title: "HTTP", panels: slices.Concat(httpPanels, []panel{
	{title: "Connections", stacked: true, queries: []query{{"sum by (state) (http_connections{@})", "{{state}}"}}},
	{
		title: "Time to first byte, p90", description: "Needs tacho.WithTimeToFirstByte. " + nativeLines, unit: "s", steps: latencySteps,
		queries: slowest("http_time_to_first_byte_seconds", "path"),
	},
	{
		title: "Bytes received", description: "Needs tacho.WithRequestSize.", unit: "Bps",
		queries: []query{{"sum by (path) (rate(http_request_size_bytes_sum{@}[$__rate_interval]) or histogram_sum(rate(http_request_size_bytes{@}[$__rate_interval])))", "{{path}}"}},
	},
})}

var tachikomaRow = row{title: "Tachikoma", panels: []panel{
	{title: "Missions created", unit: "ops", queries: []query{{"sum by (status) (rate(tachikoma_missions_total{@}[$__rate_interval]))", "{{status}}"}}},
	{title: "Active", queries: []query{
		{"sum(tachikoma_missions_active{@})", "missions"},
		{"sum(tachikoma_forge_sessions_active{@})", "forge sessions"},
	}},
	{title: "Forge sessions", unit: "ops", queries: []query{{"sum by (status) (rate(tachikoma_forge_sessions_total{@}[$__rate_interval]))", "{{status}}"}}},
	{title: "Tokens", description: "A second.", queries: []query{{"sum by (model, type) (rate(tachikoma_tokens_used_total{@}[$__rate_interval]))", "{{model}} {{type}}"}}},
	{
		title: "Cost of an hour", unit: "currencyUSD", stacked: true,
		queries: []query{{"3600 * sum by (model) (rate(tachikoma_tokens_cost_dollars{@}[$__rate_interval]))", "{{model}}"}},
	},
	{
		title: "Cache hits", unit: "percentunit", max: 1,
		queries: []query{{"sum(rate(cache_hits_total{@}[$__rate_interval])) / (sum(rate(cache_hits_total{@}[$__rate_interval])) + sum(rate(cache_misses_total{@}[$__rate_interval])))", "hit ratio"}},
	},
	{title: "Database connections", width: 12, stacked: true, queries: []query{
		{"sum(db_connections_active{@})", "active"},
		{"sum(db_connections_idle{@})", "idle"},
	}},
	{
		title: "Database queries, p95", description: nativeLines, unit: "s", width: 12, exemplars: true, steps: latencySteps,
		queries: []query{{"histogram_quantile(0.95, sum by (query_type, le) (rate(db_query_duration_seconds_bucket{@}[$__rate_interval])))", "{{query_type}}"}},
	},
}}

var goRow = row{title: "Go", panels: []panel{
	{title: "Goroutines and threads", queries: []query{
		{"go_goroutines{@}", "goroutines {{instance}}"},
		{"go_threads{@}", "threads {{instance}}"},
	}},
	{title: "Heap", unit: "bytes", queries: []query{
		{"go_memstats_heap_alloc_bytes{@}", "allocated {{instance}}"},
		{"go_memstats_heap_inuse_bytes{@}", "in use {{instance}}"},
		{"go_memstats_next_gc_bytes{@}", "next collection {{instance}}"},
	}},
	{title: "Allocation", unit: "Bps", queries: []query{{"rate(go_memstats_alloc_bytes_total{@}[$__rate_interval])", "{{instance}}"}}},
	{title: "Pauses of the collector", unit: "s", queries: []query{{"go_gc_duration_seconds{@}", "quantile {{quantile}} {{instance}}"}}},
	{title: "Collections", unit: "ops", queries: []query{{"rate(go_gc_duration_seconds_count{@}[$__rate_interval])", "{{instance}}"}}},
	{title: "Instances by Go release", stacked: true, queries: []query{{"count by (version) (go_info{@})", "{{version}}"}}},
}}

var processRow = row{title: "Process", panels: []panel{
	{title: "Processor", description: "Cores in use.", queries: []query{{"rate(process_cpu_seconds_total{@}[$__rate_interval])", "{{instance}}"}}},
	{title: "Memory", unit: "bytes", queries: []query{{"process_resident_memory_bytes{@}", "resident {{instance}}"}}},
	{
		title: "Open files", description: "The part of the limit. At 100 % the process accepts no connection and opens no file.", unit: "percentunit", steps: fullSteps,
		queries: []query{{"process_open_fds{@} / process_max_fds{@}", "{{instance}}"}},
	},
	{title: "Network", description: "IPv4 traffic of the network namespace of the process.", unit: "Bps", width: 12, queries: []query{
		{"rate(process_network_receive_bytes_total{@}[$__rate_interval])", "received {{instance}}"},
		{"rate(process_network_transmit_bytes_total{@}[$__rate_interval])", "sent {{instance}}"},
	}},
	{title: "Up for", unit: "s", width: 12, queries: []query{{"time() - process_start_time_seconds{@}", "{{instance}}"}}},
}}

// The pools of package sqlstats have the label db. Those of client_golang's collector have
// the label db_name.
var sqlRow = row{title: "SQL", collapsed: true, panels: []panel{
	{title: "Connections", stacked: true, queries: []query{
		{"sum by (db, db_name) (db_connections_active{@} or go_sql_in_use_connections{@})", "active {{db}}{{db_name}}"},
		{"sum by (db, db_name) (db_connections_idle{@} or go_sql_idle_connections{@})", "idle {{db}}{{db_name}}"},
	}},
	{
		title: "Pool in use", description: "The part of the limit of open connections. A pool without a limit has no line.", unit: "percentunit", steps: fullSteps,
		queries: []query{{
			"(db_connections_active{@} / (db_connections_max_open{@} > 0)) or (go_sql_in_use_connections{@} / (go_sql_max_open_connections{@} > 0))",
			"{{db}}{{db_name}} {{instance}}",
		}},
	},
	{title: "Waits for a connection", unit: "ops", queries: []query{{
		"sum by (db, db_name) (rate(db_connections_wait_count_total{@}[$__rate_interval]) or rate(go_sql_wait_count_total{@}[$__rate_interval]))", "{{db}}{{db_name}}",
	}}},
	{title: "Mean wait", unit: "s", steps: latencySteps, queries: []query{{
		"sum by (db, db_name) (rate(db_connections_wait_seconds_total{@}[$__rate_interval]) or rate(go_sql_wait_duration_seconds_total{@}[$__rate_interval]))" +
			" / (sum by (db, db_name) (rate(db_connections_wait_count_total{@}[$__rate_interval]) or rate(go_sql_wait_count_total{@}[$__rate_interval])) > 0)",
		"{{db}}{{db_name}}",
	}}},
	{title: "Connections closed by a limit", unit: "ops", queries: []query{
		{"sum by (db, reason) (rate(db_connections_closed_total{@}[$__rate_interval]))", "{{db}} {{reason}}"},
		{"sum by (db_name) (rate(go_sql_max_idle_closed_total{@}[$__rate_interval]))", "{{db_name}} max_idle"},
		{"sum by (db_name) (rate(go_sql_max_idle_time_closed_total{@}[$__rate_interval]))", "{{db_name}} max_idle_time"},
		{"sum by (db_name) (rate(go_sql_max_lifetime_closed_total{@}[$__rate_interval]))", "{{db_name}} max_lifetime"},
	}},
	{
		title: "Queries, p95", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps,
		queries: []query{{"histogram_quantile(0.95, sum by (query_type, le) (rate(db_query_duration_seconds_bucket{@}[$__rate_interval])))", "{{query_type}}"}},
	},
}}

// The names are those of the provider for Prometheus of go-grpc-middleware.
var grpcRow = row{title: "gRPC", collapsed: true, panels: []panel{
	{title: "Calls by code, server", unit: "reqps", stacked: true, queries: []query{{"sum by (grpc_code) (rate(grpc_server_handled_total{@}[$__rate_interval]))", "{{grpc_code}}"}}},
	{
		title: "Errors, server", description: "The part of all calls: codes that are errors of the server.", unit: "percentunit", steps: errorSteps,
		queries: []query{{ratio("grpc_server_handled_total", failedCalls), "errors"}},
	},
	{title: "In flight, server", queries: []query{{"sum by (grpc_type) (grpc_server_started_total{@}) - sum by (grpc_type) (grpc_server_handled_total{@})", "{{grpc_type}}"}}},
	{title: "Duration, server", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps, queries: quantiles("grpc_server_handling_seconds")},
	{
		title: "Slowest methods, server, p90", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps,
		queries: []query{{
			"topk(10, histogram_quantile(0.9, sum by (grpc_service, grpc_method, le) (rate(grpc_server_handling_seconds_bucket{@}[$__rate_interval]))))", "{{grpc_service}}/{{grpc_method}}",
		}},
	},
	{
		title: "Errors by method, server", unit: "percentunit", steps: errorSteps,
		queries: []query{{ratioBy("grpc_server_handled_total", failedCalls, "grpc_service, grpc_method"), "{{grpc_service}}/{{grpc_method}}"}},
	},
	{title: "Busiest methods, server", unit: "reqps", width: 12, queries: []query{{
		"topk(10, sum by (grpc_service, grpc_method) (rate(grpc_server_started_total{@}[$__rate_interval])))", "{{grpc_service}}/{{grpc_method}}",
	}}},
	{title: "Messages, server", unit: "ops", width: 12, queries: []query{
		{"sum by (grpc_type) (rate(grpc_server_msg_received_total{@}[$__rate_interval]))", "received {{grpc_type}}"},
		{"sum by (grpc_type) (rate(grpc_server_msg_sent_total{@}[$__rate_interval]))", "sent {{grpc_type}}"},
	}},
	{title: "Calls by code, client", unit: "reqps", stacked: true, queries: []query{{"sum by (grpc_code) (rate(grpc_client_handled_total{@}[$__rate_interval]))", "{{grpc_code}}"}}},
	{
		title: "Errors by method, client", description: "Codes that are errors of the server.", unit: "percentunit", steps: errorSteps,
		queries: []query{{ratioBy("grpc_client_handled_total", failedCalls, "grpc_service, grpc_method"), "{{grpc_service}}/{{grpc_method}}"}},
	},
	{title: "Duration, client", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps, queries: quantiles("grpc_client_handling_seconds")},
}}

const failedRequests = `status=~"5..|error|timeout"`

var clientRow = row{title: "HTTP client", collapsed: true, panels: []panel{
	{title: "Requests by status", unit: "reqps", stacked: true, queries: []query{{"sum by (status) (rate(http_client_requests_total{@}[$__rate_interval]))", "{{status}}"}}},
	{
		title: "Errors by host", description: "The part of the requests with status 5xx, or without a response.", unit: "percentunit", steps: errorSteps,
		queries: []query{{ratioBy("http_client_requests_total", failedRequests, "host"), "{{host}}"}},
	},
	{
		title: "In flight", description: "A constantly rising line is a sign of bodies without Close.",
		queries: []query{{"sum by (instance) (http_client_requests_in_flight{@})", "{{instance}}"}},
	},
	{title: "Duration", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps, queries: quantiles("http_client_request_duration_seconds")},
	{title: "Slowest hosts, p90", description: nativeLines, unit: "s", exemplars: true, steps: latencySteps, queries: slowest("http_client_request_duration_seconds", "host")},
	{
		title: "Phases, p90", description: nativeLines + " The program enables the phases.", unit: "s",
		queries: []query{{"histogram_quantile(0.9, sum by (phase, le) (rate(http_client_phase_duration_seconds_bucket{@}[$__rate_interval])))", "{{phase}}"}},
	},
}}

var pushRow = row{title: "Push", collapsed: true, panels: []panel{
	{title: "Attempts by result", unit: "ops", stacked: true, queries: []query{{"sum by (target, result) (rate(push_attempts_total{@}[$__rate_interval]))", "{{target}} {{result}}"}}},
	{
		title: "Time since the latest success", unit: "s", steps: []step{{120, "orange"}, {600, "red"}},
		queries: []query{{"time() - push_last_success_timestamp_seconds{@}", "{{target}} {{instance}}"}},
	},
	{title: "Samples dropped", unit: "ops", queries: []query{{"sum by (target, reason) (rate(push_samples_dropped_total{@}[$__rate_interval]))", "{{target}} {{reason}}"}}},
	{
		title: "Duration, p90", description: nativeLines, unit: "s", width: 12, exemplars: true, steps: []step{{5, "orange"}, {10, "red"}},
		queries: []query{{"histogram_quantile(0.9, sum by (target, le) (rate(push_duration_seconds_bucket{@}[$__rate_interval])))", "{{target}}"}},
	},
	{title: "Size of a push", unit: "bytes", width: 12, queries: []query{{"push_body_bytes{@}", "{{target}} {{instance}}"}}},
}}

var tachoRow = row{title: "tacho", panels: []panel{
	{
		title: "Refused recordings", description: "A refused recording changes no series. docs/errors.md lists the reasons.", width: 12, steps: anySteps,
		queries: []query{{newAnd("tacho_errors_total", "metric, reason"), "{{metric}} {{reason}}"}},
	},
	{
		title: "Lookups past a vector's limit", description: `The series "other" counts them.`, width: 12, steps: anySteps,
		queries: []query{{newAnd("tacho_series_overflow_total", "metric"), "{{metric}}"}},
	},
	{title: "Duration of a scrape", unit: "s", queries: []query{{"scrape_duration_seconds{@}", "{{instance}}"}}, steps: []step{{5, "orange"}, {10, "red"}}},
	{title: "Samples of a scrape", queries: []query{{"scrape_samples_scraped{@}", "{{instance}}"}}},
	{title: "New series of a scrape", description: "A constantly high line is a sign of labels with many values.", queries: []query{{"scrape_series_added{@}", "{{instance}}"}}},
}}

type object = map[string]any

var source = object{"type": "prometheus", "uid": "${datasource}"}

func (d dashboard) object() object {
	variables := []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": object{"text": "default", "value": "default"}}}
	selected := anyProgram
	for _, label := range []string{"namespace", "job", "instance"} {
		values := "label_values({" + selected + "}, " + label + ")"
		variables = append(variables, object{
			"name": label, "label": strings.ToUpper(label[:1]) + label[1:], "type": "query", "datasource": source,
			"query": object{"query": values, "refId": label}, "definition": values, "refresh": 2, "sort": 1,
			// A program outside Kubernetes has no label namespace. ".*" matches the missing label.
			"includeAll": true, "multi": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"},
		})
		selected += fmt.Sprintf(`,%s=~"$%s"`, label, label)
	}
	panels := []object{}
	id, y := 0, 0
	for _, r := range d.rows {
		id++
		line := object{"id": id, "type": "row", "title": r.title, "collapsed": r.collapsed, "gridPos": position(0, y, 24, 1), "panels": []object{}}
		panels = append(panels, line)
		y++
		var inner []object
		x, at, high := 0, y, 0
		for _, p := range r.panels {
			if p.width == 0 {
				p.width = 8
			}
			if p.height == 0 {
				p.height = 8
			}
			if x+p.width > 24 {
				x, at, high = 0, at+high, 0
			}
			id++
			inner = append(inner, p.object(id, position(x, at, p.width, p.height)))
			x, high = x+p.width, max(high, p.height)
		}
		if r.collapsed {
			line["panels"] = inner
			continue
		}
		panels = append(panels, inner...)
		y = at + high
	}
	return object{
		"uid": d.uid, "title": d.title, "description": d.description, "tags": []string{"tacho"},
		"schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
		"time": object{"from": "now-1h", "to": "now"}, "templating": object{"list": variables}, "panels": panels,
		"annotations": object{"list": []object{{
			// The value of the series is the time of the annotation, in milliseconds. Grafana asks
			// for the series at each step. A process that ended within a step has no annotation.
			"name": "Starts", "datasource": source, "enable": true, "iconColor": "purple", "step": "60s", "useValueForTime": true,
			"expr": "process_start_time_seconds{" + matchers + "} * 1000 >= $__from", "titleFormat": "Start of {{instance}}", "textFormat": "{{job}}", "tagKeys": "namespace",
		}}},
		"links": []object{{
			"type": "dashboards", "title": "tacho", "tags": []string{"tacho"}, "asDropdown": true, "includeVars": true, "keepTime": true,
			"icon": "external link", "targetBlank": false, "tooltip": "", "url": "",
		}},
	}
}

func position(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

func (p panel) object(id int, at object) object {
	if p.kind == "" {
		p.kind = "timeseries"
	}
	if p.unit == "" {
		p.unit = "short"
	}
	var classic, native []object
	for _, q := range p.queries {
		target := object{"datasource": source, "expr": q.expr, "legendFormat": q.legend}
		if p.exemplars {
			target["exemplar"] = true
		}
		if p.kind == "heatmap" {
			target["format"] = "heatmap"
		}
		if p.kind == "stat" {
			target["instant"], target["range"] = true, false
		}
		classic = append(classic, target)
		if strings.Contains(q.expr, "_bucket{") {
			other := object{}
			for k, v := range target {
				other[k] = v
			}
			other["expr"], other["legendFormat"] = nativeForm(q.expr), q.legend+" native"
			if p.kind == "heatmap" {
				other["legendFormat"] = "native"
			}
			native = append(native, other)
		}
	}
	targets := append(classic, native...)
	for i, t := range targets {
		t["refId"] = string(rune('A' + i))
		t["expr"] = strings.ReplaceAll(t["expr"].(string), "@", matchers)
	}

	steps := []object{{"color": "green", "value": nil}}
	for _, s := range p.steps {
		steps = append(steps, object{"color": s.color, "value": s.from})
	}
	defaults := object{"unit": p.unit, "thresholds": object{"mode": "absolute", "steps": steps}}
	options := object{}
	switch p.kind {
	case "timeseries":
		custom := object{"fillOpacity": 10, "showPoints": "never", "stacking": object{"mode": "none"}}
		if p.stacked {
			custom["stacking"] = object{"mode": "normal"}
		}
		if p.steps != nil {
			custom["thresholdsStyle"] = object{"mode": "dashed"}
		}
		defaults["custom"], defaults["min"] = custom, 0
		if p.max != 0 {
			defaults["max"] = p.max
		}
		options["legend"] = object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}}
		options["tooltip"] = object{"mode": "multi", "sort": "desc"}
	case "stat":
		defaults["color"] = object{"mode": "thresholds"}
		options["colorMode"], options["graphMode"], options["textMode"] = "value", "none", "auto"
		options["justifyMode"], options["orientation"], options["wideLayout"] = "auto", "auto", true
		options["showPercentChange"], options["percentChangeColorMode"] = false, "standard"
		options["reduceOptions"] = object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	case "heatmap":
		p.description = "Grafana shows the native histogram if Prometheus stores one, and the classic histogram otherwise."
		defaults = object{"unit": "short"}
		options["calculate"], options["yAxis"] = false, object{"unit": p.unit}
		options["color"] = object{"mode": "scheme", "scheme": "Blues", "steps": 64, "fill": "dark-orange", "exponent": 0.5, "reverse": false}
		options["showValue"], options["legend"] = "never", object{"show": true}
		options["tooltip"] = object{"mode": "single"}
		options["exemplars"] = object{"color": "rgba(255,0,255,0.7)"}
	}
	return object{
		"id": id, "type": p.kind, "title": p.title, "description": p.description, "datasource": source, "gridPos": at, "targets": targets,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}}, "options": options,
	}
}

// TestDashboards compares the files with the descriptions above.
func TestDashboards(t *testing.T) {
	for name, d := range dashboards {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(d.object()); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if read(t, name) != b.String() {
			t.Errorf("%s is not as described in dashboards_test.go (go test ./ops -update writes the file)", name)
		}
	}
}

type (
	gotSource struct{ Type, UID string }
	gotTarget struct {
		Datasource                        gotSource
		RefID, Expr, LegendFormat, Format string
		Exemplar, Instant, Range          bool
	}
	gotPanel struct {
		ID                       int
		Type, Title, Description string
		Collapsed                bool
		Datasource               gotSource
		GridPos                  struct{ X, Y, W, H int }
		Targets                  []gotTarget
		FieldConfig              struct {
			Defaults struct {
				Unit       string
				Thresholds struct{ Steps []struct{ Value *float64 } }
			}
		}
		Panels []gotPanel
	}
	gotDashboard struct {
		UID, Title    string
		SchemaVersion int
		Panels        []gotPanel
		Templating    struct {
			List []struct {
				Name, Definition string
				Datasource       gotSource
			}
		}
		Annotations struct {
			List []struct {
				Name, Expr      string
				Datasource      gotSource
				UseValueForTime bool
			}
		}
	}
)

// decode returns a dashboard, and its panels with those of collapsed rows.
func decode(t *testing.T, name string) (d gotDashboard, all []gotPanel) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, name)), &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, p := range d.Panels {
		all = append(append(all, p), p.Panels...)
	}
	return d, all
}

// allPanels returns the panels of all dashboards.
func allPanels(t *testing.T) (all []gotPanel) {
	t.Helper()
	for name := range dashboards {
		_, panels := decode(t, name)
		all = append(all, panels...)
	}
	return all
}

// TestDashboardStructure checks what Grafana needs to show a file as described: different
// identifiers, panels that do not overlap, and the data source of the variable everywhere.
func TestDashboardStructure(t *testing.T) {
	seenUID := map[string]bool{}
	for name := range dashboards {
		d, all := decode(t, name)
		if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || seenUID[d.UID] {
			t.Errorf("%s: uid %q, title %q, schemaVersion %d", name, d.UID, d.Title, d.SchemaVersion)
		}
		seenUID[d.UID] = true
		ids := map[int]bool{}
		for _, p := range all {
			if p.ID <= 0 || ids[p.ID] || p.Title == "" {
				t.Errorf("%s: panel %q has the id %d", name, p.Title, p.ID)
			}
			ids[p.ID] = true
			if p.Type == "row" {
				if p.Collapsed != (len(p.Panels) > 0) {
					t.Errorf("%s: row %q: collapsed is %t with %d panels", name, p.Title, p.Collapsed, len(p.Panels))
				}
				continue
			}
			if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: panel %q has %d queries of the data source %q", name, p.Title, len(p.Targets), p.Datasource.UID)
			}
			latency := false
			for _, q := range p.Targets {
				if q.Datasource.UID != "${datasource}" {
					t.Errorf("%s: panel %q has a query of the data source %q", name, p.Title, q.Datasource.UID)
				}
				latency = latency || strings.Contains(q.Expr, "histogram_quantile(") && !strings.Contains(q.Expr, "_phase_")
			}
			for _, q := range p.Targets {
				hasExemplars := !strings.Contains(q.Expr, "_first_byte_") // the metric has none
				if latency && (q.Exemplar != hasExemplars || len(p.FieldConfig.Defaults.Thresholds.Steps) < 2) {
					t.Errorf("%s: panel %q: exemplars %t, or no thresholds", name, p.Title, q.Exemplar)
				}
				if q.Instant != (p.Type == "stat") || q.Range {
					t.Errorf("%s: panel %q: instant %t, range %t", name, p.Title, q.Instant, q.Range)
				}
			}
		}
		// The panels of a collapsed row are below the row only after a person opens it.
		for _, problem := range overlaps(d.Panels) {
			t.Errorf("%s: %s", name, problem)
		}
		for _, p := range d.Panels {
			for _, problem := range overlaps(p.Panels) {
				t.Errorf("%s: %s", name, problem)
			}
		}

		var names []string
		for _, v := range d.Templating.List {
			names = append(names, v.Name)
			if v.Name != "datasource" && (v.Datasource.UID != "${datasource}" || !strings.HasPrefix(v.Definition, "label_values({"+anyProgram)) {
				t.Errorf("%s: the variable %s has the values %s of %s", name, v.Name, v.Definition, v.Datasource.UID)
			}
		}
		if got := strings.Join(names, " "); got != "datasource namespace job instance" {
			t.Errorf("%s: variables %s", name, got)
		}
		if len(d.Annotations.List) != 1 || !strings.HasPrefix(d.Annotations.List[0].Expr, "process_start_time_seconds{"+matchers+"} * 1000") ||
			d.Annotations.List[0].Datasource.UID != "${datasource}" || !d.Annotations.List[0].UseValueForTime {
			t.Errorf("%s: annotations %v", name, d.Annotations.List)
		}
	}
}

// overlaps returns the panels that leave the 24 columns or share a cell.
func overlaps(panels []gotPanel) (problems []string) {
	cells := map[[2]int]string{}
	for _, p := range panels {
		at := p.GridPos
		if at.X < 0 || at.Y < 0 || at.W < 1 || at.H < 1 || at.X+at.W > 24 {
			problems = append(problems, fmt.Sprintf("panel %q has the position %v", p.Title, at))
			continue
		}
	cells:
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					problems = append(problems, fmt.Sprintf("panels %q and %q overlap", other, p.Title))
					break cells
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
	return problems
}

// TestOverlapsFails checks that overlaps finds two panels in a cell and a panel outside.
func TestOverlapsFails(t *testing.T) {
	panels := make([]gotPanel, 3)
	for i, at := range [][4]int{{0, 0, 8, 8}, {7, 7, 8, 8}, {20, 0, 8, 8}} {
		p := &panels[i]
		p.Title = fmt.Sprint(i)
		p.GridPos.X, p.GridPos.Y, p.GridPos.W, p.GridPos.H = at[0], at[1], at[2], at[3]
	}
	if got := overlaps(panels); len(got) != 2 {
		t.Errorf("problems %q, want 2", got)
	}
}

// TestQueriesSelectByVariables fails if a query would show series of other programs.
func TestQueriesSelectByVariables(t *testing.T) {
	for _, p := range allPanels(t) {
		for _, q := range p.Targets {
			if n := strings.Count(q.Expr, "{"); n == 0 || strings.Count(q.Expr, "{"+matchers) != n {
				t.Errorf("%s: %s", p.Title, q.Expr)
			}
		}
	}
}

// TestDashboardHasNativeQueries checks that each query of a classic histogram has a query of
// the native histogram in the same panel, or selects both.
func TestDashboardHasNativeQueries(t *testing.T) {
	natives := 0
	for _, p := range allPanels(t) {
		var native, want []gotTarget
		seen := map[string]bool{}
		for _, q := range p.Targets {
			if seen[q.RefID] {
				t.Errorf("%s: two queries have the refId %s", p.Title, q.RefID)
			}
			seen[q.RefID] = true
			for name := range histograms(t) {
				if strings.Contains(q.Expr, name+"_sum{") && !strings.Contains(q.Expr, " or histogram_sum(rate("+name+"{") {
					t.Errorf("%s: no native form in %s", p.Title, q.Expr)
				}
				if strings.Contains(q.Expr, name+"_count{") && !strings.Contains(q.Expr, " or histogram_count(rate("+name+"{") {
					t.Errorf("%s: no native form in %s", p.Title, q.Expr)
				}
			}
			q.RefID, q.Datasource = "", gotSource{}
			switch {
			case strings.HasSuffix(q.LegendFormat, "native"):
				native = append(native, q)
			case strings.Contains(q.Expr, "_bucket{"):
				q.Expr, q.LegendFormat = nativeForm(q.Expr), q.LegendFormat+" native"
				if q.Format == "heatmap" {
					q.LegendFormat = "native"
				}
				want = append(want, q)
			}
		}
		if !slices.Equal(native, want) {
			t.Errorf("%s: native queries\n%v\nwant\n%v", p.Title, native, want)
		}
		natives += len(native)
	}
	if natives < 20 {
		t.Errorf("%d native queries, want at least 20", natives)
	}
}
