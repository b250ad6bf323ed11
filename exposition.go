package tacho

import (
	"io"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/sortkeys"
)

// WriteText writes all metrics to w in Prometheus' text format 0.0.4. It returns the first
// error of w, and writes nothing after that error. WriteText holds no lock while w writes,
// gathers at most a bounded buffer, and allocates nothing for a series. Names outside the
// legacy set (see [WithUTF8Names]) are escaped by underscores.
//
// The functions of a CounterFunc, a GaugeFunc and a collector are called before the first
// write. They have 5 seconds, and functions that take longer are left out. See
// WriteTextContext for another limit.
func (r *Registry) WriteText(w io.Writer) error { return r.write(w, &expo.Text, names.Underscores) }

// WriteOpenMetrics writes all metrics to w in the text format of OpenMetrics 1.0. It
// differs from [Registry.WriteText] in these points:
//
//   - The name of a counter's family has no suffix _total. The name of its sample keeps it.
//     A counter whose name has no such suffix has type unknown.
//   - Units (see [WithUnit]), exemplars and, with [WithCreated], times of creation are
//     shown.
//   - Values and bounds are floats, such as 1.0, and times are in seconds.
//   - A histogram with a negative bound has no _sum and no _count, since both must be
//     counters. The same holds for a histogram or summary with a negative or NaN sum.
//     Quantiles with a negative value are left out.
//   - A counter whose family's name belongs to another metric, as x_total beside a gauge x,
//     keeps its full name and has type unknown.
//   - A counter of type unknown has no exemplars and no time of creation.
//
// The names of all samples are those of the text format.
func (r *Registry) WriteOpenMetrics(w io.Writer) error {
	if req, ok := w.(*expo.Request); ok { // w is of package tinyhttp
		return respond(r, req)
	}
	return r.write(w, &expo.OpenMetrics, names.Underscores)
}

// WriteOpenMetrics2 writes all metrics to w in the text format of OpenMetrics 2.0.
// WriteOpenMetrics2 is experimental, as the specification is: it implements 2.0.0-rc0, and a
// later version of the specification can change the output. It differs from
// [Registry.WriteText] in these points:
//
//   - A histogram or summary is one line, with a composite value such as
//     {count:2,sum:0.5,bucket:[0.1:1,+Inf:2]}. The samples _bucket, _sum and _count do not
//     exist. Native histograms have their native buckets, before the classic ones.
//   - The name of a family is the name of its samples. A counter has type counter whether or
//     not its name ends in _total. An info whose name does not end in _info is a gauge.
//   - Units (see [WithUnit]) are shown. A HELP text that ends in a carriage return gets a space.
//   - Counters, histograms and summaries show their exemplars and, with [WithCreated], their
//     time of creation in the same line. A histogram shows all of its exemplars.
//   - Times are in seconds.
//   - A summary with a negative or NaN sum is left out, since the sum must be a counter.
//     Quantiles with a negative value are left out.
//   - Names outside the legacy set are written as defined, in quotes.
//
// WriteOpenMetrics2 may restart native histograms; see [WithNative]. [Registry.Handler] serves
// the format to clients that prefer application/openmetrics-text;version=2.0.0.
func (r *Registry) WriteOpenMetrics2(w io.Writer) error {
	return r.write(w, &expo.OpenMetrics2, names.AllowUTF8)
}

// WriteProtobuf writes all metrics to w in the protobuf format: messages
// io.prometheus.client.MetricFamily, each after its length. It differs from
// [Registry.WriteText] in these points:
//
//   - Native histograms have their native buckets.
//   - Units (see [WithUnit]), exemplars and, with [WithCreated], times of creation are
//     written.
//   - A large family is written as several messages with the same name. A series with
//     native buckets and exemplars is a message of its own. Prometheus reads these messages
//     as one family.
//   - Names outside the legacy set are written as defined. The format needs no quotes for
//     such names, and Prometheus accepts all names in UTF-8.
//
// WriteProtobuf may restart native histograms; see [WithNative].
//
// If the registry or one of its histograms was defined with [WithNative],
// [Registry.Handler] serves the format to clients that prefer it.
func (r *Registry) WriteProtobuf(w io.Writer) error {
	return r.write(w, &expo.Protobuf, names.AllowUTF8)
}

// write writes all metrics. It holds no lock while w writes: w may be a slow client.
func (r *Registry) write(w io.Writer, format *expo.Format, s names.Scheme) error {
	return expo.Write(w, format, s, r.scraped(), &spaceOf(r).names)
}

// scraped returns the families of a scrape, sorted by name. The list is never changed.
func (r *Registry) scraped() []*expo.Family {
	if r.branch != nil {
		return (*branch)(r.branch).scrape(nil)
	}
	if r.space == nil {
		return nil
	}
	r.mu.Lock()
	families, f := r.sortedLocked(), (*functions)(r.functions)
	r.mu.Unlock()
	if f != nil {
		families = f.gather(nil)
	}
	return families
}

// shownLocked returns the defined families that scrapes of r show, sorted by name.
func shownLocked(r *Registry) []*expo.Family {
	if b := (*branch)(r.branch); b != nil {
		return b.shown()
	}
	return r.sortedLocked()
}

// sortedLocked returns the defined families, sorted by name, and those with the same name by their
// constant labels.
func (r *Registry) sortedLocked() []*expo.Family {
	if r.sorted == nil {
		r.sorted = make([]*expo.Family, len(r.defined))
		order := sortkeys.Sort(len(r.defined), func(i uint32, at int) (uint64, bool) {
			f := r.defined[i]
			key := f.Name
			if f.member != nil {
				key = memberOf(f).order
			}
			return sortkeys.Part(key, at)
		})
		for i, n := range order {
			r.sorted[i] = &r.defined[n].Family
		}
	}
	return r.sorted
}
