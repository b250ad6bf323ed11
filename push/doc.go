//go:build !tacho_nohttp

// Package push sends the metrics of a registry to a server. Push metrics if a job
// ends before a scrape, or if one Prometheus server cannot scrape the whole fleet.
//
// A [Target] describes the server. A [Pushgateway] keeps the last push of a job, and
// Prometheus scrapes the Pushgateway. [VictoriaMetrics] imports the text format.
// [RemoteWrite] is the protocol of Prometheus, Mimir, Thanos, Cortex, VictoriaMetrics
// and its cluster, and hosted services. [OTLP] is the protocol of OpenTelemetry Collectors.
// Many other servers accept OTLP too.
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
//	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
//	defer cancel()
//	if err := p.Shutdown(last); err != nil {
//		log.Print(err)
//	}
//
// The context of Shutdown is another one: if the context of Run ended, as after a signal, no last push
// would be sent with it.
//
// # Formats
//
// A push to VictoriaMetrics contains the output of [tacho.Registry.WriteTextContext]. So does
// a push to a Pushgateway, unless the registry has a native histogram (see [tacho.WithNative]).
// Then the push contains the output of [tacho.Registry.WriteProtobufContext], with each family
// in one message.
//
// A push by remote write contains the samples of [tacho.Registry.WriteOpenMetricsContext].
// Prometheus scrapes the same samples: bounds are floats, such as le="1.0", and names are those
// of the text format. The push also contains the sums, counts and quantiles that OpenMetrics
// leaves out because of a negative or NaN value or a negative bound.
//
// A push by OTLP contains the same metrics as data points (OpenTelemetry specification,
// "Prometheus and OpenMetrics Compatibility"). A counter is a monotonic sum, and an info is a sum
// that is not monotonic. A gauge or an untyped metric is a gauge. All values are of the type
// double, so counters above 2^53 are rounded. The unit is that of OpenTelemetry, for example s
// for seconds. A counter, a histogram and a summary have a start time if the series has a time
// of creation; see [tacho.WithCreated]. The labels trace_id and span_id of an exemplar become
// its trace ID and its span ID.
//
// Names outside the legacy character set are escaped with underscores in all pushes except those by OTLP.
//
// # Native histograms
//
// A push by remote write contains native histograms. A histogram without classic buckets becomes
// one series with the name of the histogram. A histogram with both kinds of buckets becomes the
// classic series and a native series, because the queries of the server can need either. If no
// query reads the classic series, remove the classic buckets from the definition.
//
//   - Prometheus needs --enable-feature=native-histograms before version 3.8. If the feature is
//     disabled, Prometheus 2.42 responds with status 500 to each request with a native
//     histogram, so no push succeeds. Set [RemoteWrite.NoNativeHistograms] for such a receiver.
//   - VictoriaMetrics ignores native histograms before version 1.143. Later versions store each
//     bucket as a series with the label vmrange, beside _sum and _count. The stale marker of a
//     native series sets _count to 0 there and does not end the buckets.
//   - A Pushgateway stores native histograms from version 1.9 on. A server with the API of a
//     Pushgateway may accept the text format alone, and then needs a registry without native
//     histograms.
//
// A push by OTLP contains native histograms as exponential histograms, unless
// [OTLP.NoNativeHistograms] is set. Empty buckets between others are part of an exponential
// histogram, and a data point has at most 4096 buckets of each sign. So buckets that are far
// apart lower the resolution.
//
//   - Prometheus makes native histograms of exponential histograms. Version 3.16 replaces the
//     zero threshold by 1e-128.
//   - VictoriaMetrics 1.151 stores each bucket as a series with the label vmrange. Version 1.79
//     does not accept OTLP. It responds with status 400.
//
// A push by remote write, by OTLP or in protobuf may restart a native histogram whose resolution fell; see
// [tacho.WithNative]. Only that push contains all observations up to the restart. The retries
// of the push have the same body. If all attempts fail, the receiver misses the observations
// since the push before. If a registry is also scraped, or pushed by several pushers, the other
// receivers miss the observations between their last exposition and the restart.
//
// # Remote write 2.0
//
// [RemoteWrite.Version2] sends io.prometheus.write.v2.Request, the message of remote write 2.0. It contains
// the type, help and unit of each series, start times and exemplars. Version 2.0 is experimental, as its
// specification is (prometheus.io, "Prometheus Remote-Write 2.0 specification", version 2.0-rc.4).
// Prometheus accepts it from version 2.54 on, and reads start times from version 3.8 on.
//
// A receiver that supports only version 1.0 responds with the status 415 or 400. Some of these
// receivers, for example VictoriaMetrics, respond with a success and store nothing. A receiver of version
// 2.0 responds with the header fields X-Prometheus-Remote-Write-Samples-Written, -Histograms-Written and
// -Exemplars-Written, and the other receivers do not. The pusher therefore falls back to version 1.0
// after one of these responses:
//
//   - the status 415
//   - the status 400 without such a field
//   - a success without such a field
//
// The pusher then sends the same samples in version 1.0 at once, so no sample is lost. The attempt by
// version 2.0 has the result "refused" in push_attempts_total. The pusher uses version 1.0 for an hour,
// and the next push after the hour uses version 2.0 again. If a receiver refuses version 1.0 with the
// status 415, the next push uses version 2.0.
//
// A proxy before the receiver must not remove the header fields. Otherwise the receiver gets the samples
// of one request in each hour twice, with the same times and values.
//
// The header fields also show how many samples the receiver wrote. It can refuse some samples of a
// request and write the others. The pusher counts the refused samples in push_samples_dropped_total and
// returns an error, and sends no further requests to find these samples. If the receiver wrote no sample
// of a request, the pusher looks for the refused samples as in version 1.0. A push succeeds if the receiver
// refused only exemplars, because a receiver refuses exemplars that it already has.
//
// The error of a push with Version2 contains the version of the request.
//
// # Choice of remote write
//
// Most backends accept two protocols: OTLP and remote write. Receivers of OTLP can rename
// metrics, by settings of their own. Prometheus also refuses all samples of an OTLP request
// because of one. Remote write keeps the names and has stale markers, and the pusher finds the
// refused samples. So prefer [RemoteWrite] for Prometheus, VictoriaMetrics, Mimir and Thanos.
// [OTLP] is for receivers without remote write, above all a Collector.
//
// # Stale markers
//
// The end of a series is part of remote write: the series gets a stale marker, and queries
// no longer return its last value. [RemoteWrite] describes the rules. A Pushgateway shows
// a series until the next push of its group or [Pusher.Delete]. The text format of
// VictoriaMetrics has no stale markers.
//
// # Failures
//
// A request is retried if the server does not respond, or responds with the status
// 408, 429 or 5xx. An OTLP request is retried only after 429, 502, 503 and 504, as the specification of
// OTLP says. The delay before a retry doubles each time. The actual wait is
// random, between half the delay and the full delay. If Retry-After asks for a
// wait, the pusher waits for both times. Every other failure status is
// final. [Config.MaxBytes] limits the size of a push, also in memory.
//
// While a server fails, [Pusher.Run] sends one request in each interval, without retries. A push
// of Run has retries only if the last request before the push needed none. A pusher keeps no
// samples of a failed push. Counters and histograms are cumulative, so the next accepted push
// contains their events, and a graph has a gap. If the gap matters, send to a local agent that
// keeps samples on disk, such as the agent of Prometheus or vmagent.
//
// The programs of a fleet do not push at the same time. The first push of Run starts at a random time
// within the interval. Each wait differs by up to a tenth. After a push that took longer than the
// interval, and after Retry-After, the wait is random over an interval.
//
// A retry in the text format contains the current values, because the server uses the
// time of receipt. A retry by remote write, by OTLP or in protobuf contains the same samples as the first
// attempt.
//
// If a remote write receiver refuses a request with the status 400, 409, 413 or 422, the
// pusher looks for the refused samples. It drops and counts these samples and sends the
// others. If the receiver refuses everything, as it does because of a wrong clock, few pushes
// look for samples. Version 2.0 differs, see the section "Remote write 2.0".
//
// An OTLP receiver can reject a part of a request (partial_success). Such a push returns an error
// with the message of the receiver. The pusher ignores a message without rejected data points,
// because the message is a warning.
//
// A function or collector of the registry that does not return delays a push by nine tenths
// of [Config.Timeout], or of the time until the deadline of its context. The push then
// contains all families but those of the function; see [tacho.Registry.WriteTextContext].
//
// # Labels of a program
//
// A scrape adds the labels job and instance, and a push has no such step. If two programs push the same
// series by remote write, the receiver stores the values of both in turn. Queries then show counter
// resets that did not happen. A receiver reports an error only if a sample has the time of an earlier
// one, or an older time. Set [RemoteWrite.Job] or [VictoriaMetrics.Job] to add both labels, and
// [OTLP.Service] for OTLP.
//
// # Secrets
//
// An error contains the URL without its user, password and query. The values of
// Authorization and similar fields of [Config.Header] are replaced in the text of a
// response. A redirect to another scheme, host or port carries no field of Config.Header
// and no password.
//
// # Metrics of the pusher
//
//	push_attempts_total{target,result}              counter
//	push_samples_dropped_total{target,reason}       counter
//	push_duration_seconds{target}                   histogram
//	push_body_bytes{target}                         gauge
//	push_last_success_timestamp_seconds{target}     gauge
//
// The label target is the host of the URL. The label result is "success", "failed",
// "refused" or "unsent". After "failed", a retry may succeed. After "refused", a
// retry would fail again. The result "unsent" counts pushes and retries without a request.
// The metrics exceeded MaxBytes, could not be encoded, or were not collected in time.
//
// The counter push_samples_dropped_total counts the samples that a remote write or OTLP receiver
// refused. A histogram in OTLP is one sample. The label reason is "out_of_order", "duplicate",
// "out_of_bounds", "label", "too_large" or "other".
//
// The histogram push_duration_seconds observes each attempt, with buckets from 5 ms
// to 10 s. The gauge push_body_bytes is the size of the latest push as it was sent.
// A push with dropped samples is not a success for push_last_success_timestamp_seconds.
// Pushers with the same host share their metrics if the registry is the same.
package push
