//go:build !tacho_nohttp

// Package push sends the metrics of a registry to a server, for jobs that end
// before anybody scrapes them and for fleets that one Prometheus cannot scrape.
//
// A [Target] says where to: a [Pushgateway], the import of [VictoriaMetrics], or
// [RemoteWrite], which every backend that scales out takes: Prometheus, Mimir,
// Thanos, Cortex, VictoriaMetrics and its cluster, and hosted ones. A job pushes
// once, when it is done:
//
//	p, err := push.New(push.Pushgateway{URL: "http://127.0.0.1:9091", Job: "backup"}, push.Config{})
//	...
//	err = p.Push(ctx)
//
// A server pushes for as long as it runs, and once more at its end:
//
//	go p.Run(ctx)
//	...
//	err = p.Shutdown(ctx)
//
// # What is sent
//
// A Pushgateway and VictoriaMetrics get what [tacho.Registry.WriteText] writes.
// Remote write gets what [tacho.Registry.WriteOpenMetrics] writes, sample by
// sample, which is what Prometheus would have scraped: a counter's name ends in
// _total and bounds are floats, le="1.0". Names outside the legacy set are escaped
// by underscores. Nothing is sent that an exposition would not show.
//
// # Why remote write
//
// Of the two protocols that most backends take, OTLP in JSON would need no
// encoder, but VictoriaMetrics refuses that encoding and receivers rename metrics
// on the way in, each by its own settings. Remote write 1.0 is taken by all of
// them, keeps names, and is small: four protocol buffer messages and Snappy's block
// format.
//
// # Failures
//
// What may pass (no answer, the statuses 408, 429 and 5xx) is tried again after a
// time that doubles, at random between half and all of it, or after what the
// server's Retry-After asks for, if that is more. Other refusals are final. A push
// is never larger than [Config.MaxBytes], in memory neither.
//
// # The pusher's own metrics
//
//	push_attempts_total{target,result}              counter
//	push_duration_seconds{target}                   histogram
//	push_body_bytes{target}                         gauge
//	push_last_success_timestamp_seconds{target}     gauge
//
// The target is the host of the URL. A result is "success", "failed" (it may pass),
// "refused" (it will not) or "unsent" (the metrics were too large). A duration is that
// of one attempt, with buckets from 5 ms to 10 s. The size is that of the latest push
// as it was sent, compressed. Pushers with the same host share them in a registry.
package push
