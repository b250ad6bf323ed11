package migrating

// A change is a difference between the two versions of the service.
type change struct {
	before   string // the series; the tests have the syntax
	after    string // the new name and labels; empty if the series is gone
	property string // the property of the series that changes, if not the name or the labels
	why      string
}

// changes are the differences that MIGRATING.md lists.
var changes = []change{
	{before: `http_*{method="get"}`, after: `http_*{method="GET"}`,
		why: "tacho has the name of the method as HTTP has it. promhttp has the name in lower case."},
	{before: `http_*{method="post"}`, after: `http_*{method="POST"}`,
		why: "The row above is the reason for each method."},
	{before: `http_request_duration_seconds{code}`, after: `http_request_duration_seconds`,
		why: "The histogram of tacho has no label for the status. Its values are the sums over all statuses."},
	{before: `http_time_to_write_header_seconds`, after: `http_time_to_first_byte_seconds`,
		why: "The program chose the name for promhttp. tacho has this name."},
	{before: `shop_order_value_euros_bucket{le="0.30000000000000004"}`, after: `shop_order_value_euros_bucket{le="0.3"}`,
		why: "`LinearBuckets` and `ExponentialBuckets` of tacho return decimals."},
	{before: `promhttp_metric_handler_*`,
		why: "tacho does not count scrapes. Prometheus has `up` and `scrape_duration_seconds`."},
	{before: `http_request_size_bytes`, property: "value",
		why: "tacho counts the bytes of the body that the handler read. promhttp adds the estimated bytes of the header."},
	{before: `http_*`, property: "help", why: "tacho has help texts of its own."},
	{before: `go_*`, property: "help", why: "tacho has help texts of its own."},
	{before: `process_*`, property: "help", why: "tacho has help texts of its own."},
	{before: `go_memstats_alloc_bytes_total`, property: "type",
		why: "In OpenMetrics the type is `unknown`. This counter and the gauge `go_memstats_alloc_bytes` would be two families with one name, as in client_golang."},
	{before: `*`, property: "time of creation",
		why: "Only the protobuf format of promhttp has it. `tacho.WithCreated` and `prombridge.WithCreated` keep it. OpenMetrics then has more series, `_created`."},
}

// An addition is a family that only the version with tacho has.
type addition struct{ series, why string }

// added are the additions that MIGRATING.md lists.
var added = []addition{
	{`http_*{handler="/unknown"}`, "The middleware measures requests without a route too. `WithSkip` leaves out requests, before they are routed."},
}
