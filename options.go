package tacho

import (
	"slices"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
)

// An Option configures a registry, a metric or the HTTP middleware. Each option documents
// where it applies. A definition with any other option, or with a nil Option, panics with a
// *[DefinitionError] that names the option.
type Option func(*options)

// A place is a set of the places where an option can be given. A metric is at the place of its
// kind, and at onVec too if it has labels. An alias is smaller; see internal/SIZE.md.
type place = uint8

const (
	onRegistry place = 1 << iota // NewRegistry
	onSub                        // Registry.Sub
	onHTTP                       // NewHTTPMetrics
	onVec

	onCounter   = onVec << (1 + expo.Counter)
	onGauge     = onVec << (1 + expo.Gauge)
	onHistogram = onVec << (1 + expo.Histogram)

	onMetric   = onCounter | onGauge | onHistogram
	everywhere = onRegistry | onSub | onHTTP | onMetric
)

// Options of a registry have no family, and options of other places than metrics have one of
// these families. This is smaller than a field for the place; see internal/SIZE.md.
var inSub, inHTTP family

// inherited has the options of a registry that its sub-registries and its metrics have too, unless
// they have such an option of their own.
type inherited struct {
	consts    []label.Label
	limit     limit          // of vectors
	context   unsafe.Pointer // *contextHook, or nil; see WithContextExemplars and internal/SIZE.md
	badConsts bool           // WithConstLabels had a name without a value
	created   bool           // series have a time of creation
}

type options struct {
	fam *family // of the metric, nil, &inSub or &inHTTP

	inherited
	unit      string
	checkUnit func(*family) string // set with unit
	expiry    unsafe.Pointer       // *expiry
	native    unsafe.Pointer       // *nativeDef
	utf8      *expo.UTF8Rules
	prefix    string
	rename    func(r *Registry, f *family) *Registry // set with prefix
	//lint:ignore U1000 the build without HTTP does not read it
	httpOptions // for the HTTP middleware
}

// makeOptions returns the options that were given for f, and those of r, which may be nil; see options.
// It is not inlined: three callers would have the loop.
//
//go:noinline
func makeOptions(r *Registry, f *family, opts []Option) *options {
	o := &options{fam: f}
	if r != nil {
		o.inherited = r.inherited
		o.consts = slices.Clip(o.consts)
	}
	for _, opt := range opts {
		if opt == nil {
			refuse("", "an option is nil", "")
		}
		opt(o)
	}
	return o
}

// only refuses an option that does not apply at the place of o. Each option except WithNative
// calls only first. So a program without options does not contain this code.
//
//go:noinline
func (o *options) only(places place, option string) {
	at, metric, what, without := onRegistry, "", "registry", ""
	switch f := o.fam; f {
	case nil:
	case &inSub:
		at, what = onSub, "sub-registry"
	case &inHTTP:
		at, what = onHTTP, "middleware"
	default:
		at, metric, what = onVec<<(1+f.Kind), f.Name, f.Kind.TextName()
		switch {
		case f.metric == nil:
			what = "function"
		case len(f.labels) > 0:
			at |= onVec
		case places&onVec != 0:
			without = " without labels"
		}
	}
	if places&at == 0 {
		refuse(metric, option+" does not apply to a "+what+without, "")
	}
}

// WithConstLabels adds the labels, given as name, value, name, value, to every series of a
// registry or a metric. They come before the variable labels, and the labels of the
// registry come first. Invalid UTF-8 in a value is replaced by U+FFFD. A definition is
// refused if a name is bad or already used, or the number of strings is odd. The option applies
// to [NewRegistry], [Registry.Sub], [NewHTTPMetrics], metrics and functions.
func WithConstLabels(pairs ...string) Option {
	return func(o *options) {
		o.only(everywhere, "WithConstLabels")
		o.badConsts = o.badConsts || len(pairs)%2 != 0
		for i := 0; i+1 < len(pairs); i += 2 {
			o.consts = append(o.consts, label.Label{Name: pairs[i], Value: escape.Valid(pairs[i+1])})
		}
	}
}

// WithMaxSeries limits a vector to n series. If a vector is full, new combinations of label
// values are recorded in one more series. Its values are all "other", and
// tacho_series_overflow_total{metric} counts. If n is 0 or less there is no limit, which is the
// default. The option applies to [NewRegistry], [Registry.Sub] and metrics with labels. The limit
// of a registry is for every vector without a limit of its own.
func WithMaxSeries(n int) Option {
	return func(o *options) {
		o.only(onRegistry|onSub|onVec, "WithMaxSeries")
		o.limit = limit{n, (*vec).overflowLocked}
	}
}

// WithIdleExpiry makes each scrape remove the series of a vector that have not changed for
// d or longer. A later change, through [Vec.With] or through a pointer that the program
// kept, brings a series back. Its value continues if the metric is still in memory, and
// starts from zero otherwise. To set a gauge to its current value, or to add 0, is no
// change. If d is 0 or less there is no expiry, which is the default. The option applies to
// metrics with labels and to [NewHTTPMetrics].
//
// The idle time is monotonic and begins at the first scrape that sees the series. A scrape
// removes at most 16,384 series of a vector, and the following scrapes remove the others. If
// a vector has more than 32,768 removed series that are still in memory, a change through a
// kept pointer is seen by one of the next four scrapes.
//
// In Prometheus a removed series becomes stale. rate() and increase() over its samples
// stay right. If a counter restarts from zero, they treat it as a reset. The increase up
// to the first scrape after the return is lost, as for every new counter.
func WithIdleExpiry(d time.Duration) Option {
	var e *expiry
	if d > 0 {
		e = newExpiry(d)
	}
	return func(o *options) {
		o.only(onHTTP|onVec, "WithIdleExpiry")
		o.expiry = unsafe.Pointer(e)
	}
}

// WithUnit sets the unit of a metric, as the name ends in it: "seconds" for
// request_duration_seconds, "bytes" for sent_bytes_total. OpenMetrics shows the unit
// (OpenMetrics 1.0, "Unit"). A definition is refused if its name does not end in an underscore
// and the unit, before the suffix _total of a counter. The option applies to metrics and
// functions.
func WithUnit(unit string) Option {
	return func(o *options) {
		o.only(onMetric, "WithUnit")
		o.unit, o.checkUnit = unit, (*family).checkUnit
	}
}

// WithCreated makes a registry store the time of creation of each series of its counters
// and histograms. OpenMetrics 1.0 shows the time in Unix seconds, as a sample whose name ends
// in _created (section "Counter"). A counter whose name does not end in _total has no such
// sample. In OpenMetrics 2.0 the time is a part of the line. The protobuf format, OTLP and
// remote write 2.0 have a field for it. The time distinguishes a counter that restarted from a
// counter that was not scraped before. Functions and collectors have no such time.
//
// The option applies to [NewRegistry] and [Registry.Sub]. The default is off: each series takes
// 8 bytes more, and has one sample more in OpenMetrics 1.0 and remote write 1.0.
func WithCreated() Option {
	return func(o *options) {
		o.only(onRegistry|onSub, "WithCreated")
		o.created = true
	}
}

// WithUTF8Names allows the metrics and labels of a registry to have any name that is valid
// UTF-8 without NUL and does not begin with "U__", as Prometheus 3 does. Without it, names
// are of the legacy set: letters, digits, underscores and, for metrics, colons. The labels of
// exemplars are of the legacy set in any case.
//
// Clients that accept UTF-8 names get the other names in quotes, {"a.b",x="y"}. Other
// clients get them escaped by the scheme that they ask for, and otherwise by underscores
// (prometheus.io, "UTF-8 metric and label name escaping schemes"). If a scheme gives two
// metrics the same name, both are escaped by the scheme "values". If it gives two labels
// of one metric the same name, the definition is refused.
//
// The option applies to [NewRegistry].
func WithUTF8Names() Option {
	return func(o *options) {
		o.only(onRegistry, "WithUTF8Names")
		o.utf8 = &expo.UTF8
	}
}

// WithPrefix puts the prefix, such as "myapp_", before the names of all metrics of a registry or of
// an [HTTPMetrics]. Names that collectors emit begin with the prefix too. The prefix of a
// sub-registry or an HTTPMetrics comes behind the prefix of its registry. Names that begin with
// tacho_ have no prefix. A prefix with which no name would be valid is refused.
// Of several prefixes the last applies. The option applies to [NewRegistry], [Registry.Sub] and
// [NewHTTPMetrics].
func WithPrefix(prefix string) Option {
	return func(o *options) {
		o.only(onRegistry|onSub|onHTTP, "WithPrefix")
		o.prefix, o.rename = prefix, renamed
	}
}
