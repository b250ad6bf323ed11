//go:build !tacho_nohttp

// Package push sends the metrics of a registry to a server. Push metrics if a job
// ends before a scrape, or if one Prometheus server cannot scrape the whole fleet.
//
// A [Target] describes the server. A [Pushgateway] keeps the last push of a job, and
// Prometheus scrapes the Pushgateway. [VictoriaMetrics] imports the text format.
// [RemoteWrite] is the protocol of Prometheus, Mimir, Thanos, Cortex, VictoriaMetrics
// and its cluster, and hosted services.
//
// A job pushes once at its end:
//
//	p, err := push.New(push.Pushgateway{URL: "http://127.0.0.1:9091", Job: "backup"}, push.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	...
//	if err := p.Push(ctx); err != nil {
//		log.Print(err)
//	}
//
// A server pushes periodically, and a last time at shutdown:
//
//	go p.Run(ctx)
//	...
//	if err := p.Shutdown(ctx); err != nil {
//		log.Print(err)
//	}
//
// # Formats
//
// A push to a Pushgateway or to VictoriaMetrics contains the output of
// [tacho.Registry.WriteText]. A push by remote write contains the samples of
// [tacho.Registry.WriteOpenMetrics]. Prometheus scrapes the same samples: bounds
// are floats, such as le="1.0", and names are those of the text format. Names outside
// the legacy character set are escaped with underscores. A push contains no sample
// beyond the exposition.
//
// # Choice of remote write
//
// Most backends accept two protocols: OTLP and remote write. OTLP in JSON would need
// no encoder, but VictoriaMetrics refuses the JSON encoding. Receivers of OTLP also
// rename metrics, each by its own settings. All these backends accept remote write
// 1.0, and remote write keeps the names. The protocol is small: four protocol buffer
// messages and Snappy's block format.
//
// # Failures
//
// A request is retried if the server does not respond, or responds with the status
// 408, 429 or 5xx. The delay before a retry doubles each time. The actual wait is
// random, between half the delay and the full delay. If Retry-After asks for a longer
// wait, the pusher waits for the time in Retry-After. Every other failure status is
// final. [Config.MaxBytes] limits the size of a push, also in memory.
//
// # Metrics of the pusher
//
//	push_attempts_total{target,result}              counter
//	push_duration_seconds{target}                   histogram
//	push_body_bytes{target}                         gauge
//	push_last_success_timestamp_seconds{target}     gauge
//
// The label target is the host of the URL. The label result is "success", "failed",
// "refused" or "unsent". After "failed", a retry may succeed. After "refused", a
// retry would fail again. The result "unsent" counts pushes without a request,
// because the metrics exceeded MaxBytes or could not be encoded.
//
// The histogram push_duration_seconds observes each attempt, with buckets from 5 ms
// to 10 s. The gauge push_body_bytes is the compressed size of the latest push.
// Pushers with the same host share their metrics if the registry is the same.
package push
