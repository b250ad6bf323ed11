package tacho

// An Option changes what a registry, a metric or the HTTP middleware is made
// with. Each says where it applies; elsewhere it does nothing.
type Option func(*options)

type options struct {
	consts    []label
	badConsts bool // WithConstLabels had a name without a value
	limit     limit
	limited   bool // by WithMaxSeries, which may say that there is no limit
	unit      string
	checkUnit func(*family) string // set with unit
	expiry    *expiry
	created   func() *trackedSeries
	utf8      *utf8Rules
	//lint:ignore U1000 a build without HTTP has no reader
	httpOptions // what only the HTTP middleware reads
}

// makeOptions is not inlined, which would be a loop in each of three callers.
//
//go:noinline
func makeOptions(opts []Option) *options {
	o := new(options)
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// WithConstLabels puts the labels, given as name, value, name, value, on every
// series of a registry or a metric. They stand before the variable labels, the
// registry's first. Invalid UTF-8 in a value is replaced by U+FFFD; a bad name,
// an odd number of strings, or a name that a metric uses already is refused
// when a metric is defined.
func WithConstLabels(pairs ...string) Option {
	return func(o *options) {
		o.badConsts = o.badConsts || len(pairs)%2 != 0
		for i := 0; i+1 < len(pairs); i += 2 {
			o.consts = append(o.consts, label{name: pairs[i], value: string(appendValid(nil, pairs[i+1]))})
		}
	}
}

// WithMaxSeries limits a vector to n series, or every vector of a registry that
// does not say otherwise. Past the limit every new combination of label values
// is recorded in one more series, whose values are all "other", and counted in
// tacho_series_overflow_total{metric}. 0 or less means no limit, the default.
func WithMaxSeries(n int) Option {
	return func(o *options) { o.limit, o.limited = limit{n, (*vec).overflows}, true }
}

// WithUnit says in what unit a metric counts, in the singular or plural that its
// name ends in: "seconds" for request_duration_seconds, "bytes" for
// sent_bytes_total. OpenMetrics shows it ("Unit" there). A name that does not end
// in an underscore and the unit, before _total for a counter, is refused.
func WithUnit(unit string) Option {
	return func(o *options) { o.unit, o.checkUnit = unit, (*family).checkUnit }
}

// WithCreated makes a registry remember when each series of a counter or
// histogram was made and show it in OpenMetrics, as a sample whose name ends in
// _created, in Unix seconds (OpenMetrics 1.0, "Counter"). It tells a counter that
// began anew from one that nobody saw before, and costs a sample and 8 bytes a
// series, so it is off by default. Functions and collectors have no such time.
func WithCreated() Option { return func(o *options) { o.created = newTracked } }

// WithUTF8Names lets the names of a registry's metrics and labels be any UTF-8
// text, as in Prometheus 3, but for those that begin with "U__" or have a NUL.
// Without it they are of the legacy set: letters, digits, underscores and, for
// metrics, colons. A client that accepts UTF-8 names gets the others in quotes,
// {"a.b",x="y"}; the rest get them escaped as they ask for, by underscores if they
// do not (prometheus.io, "UTF-8 metric and label name escaping schemes"). Two
// metrics that become one so are escaped by the scheme "values"; two labels of one
// metric are refused.
func WithUTF8Names() Option { return func(o *options) { o.utf8 = &utf8Names } }
