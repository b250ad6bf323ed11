package tacho

// An Option changes what a registry, a metric or the HTTP middleware is made
// with. Each says where it applies; elsewhere it does nothing.
type Option func(*options)

type options struct {
	consts    []label
	badConsts bool // WithConstLabels had a name without a value
	maxSeries int
	maxSet    bool
	//lint:ignore U1000 a build without HTTP has no reader
	httpOptions // what only the HTTP middleware reads
}

func makeOptions(opts []Option) (o options) {
	for _, opt := range opts {
		opt(&o)
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
			o.consts = append(o.consts, label{pairs[i], string(appendValid(nil, pairs[i+1]))})
		}
	}
}

// WithMaxSeries limits a vector to n series, or every vector of a registry that
// does not say otherwise. Past the limit every new combination of label values
// is recorded in one more series, whose values are all "other", and counted in
// tacho_series_overflow_total{metric}. 0 or less means no limit, the default.
func WithMaxSeries(n int) Option {
	return func(o *options) { o.maxSeries, o.maxSet = n, true }
}
