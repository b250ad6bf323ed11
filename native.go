package tacho

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/stripe"
)

// A NativeConfig configures native buckets; see [WithNative]. A field that is 0 has the default value.
type NativeConfig struct {
	// Factor is the largest factor from one bound to the next. It must be above 1 and finite. The
	// default is 1.1.
	//
	// The factor in use is 2^(2^-s), for a schema s from -4 to 8 (prometheus.io, "Native
	// Histograms", section "Schema"). The schema is the lowest whose factor is not above Factor, or
	// 8, whose factor is 1.0027. The default selects schema 3, whose factor is 1.0905.
	Factor float64

	// MaxBuckets is the largest number of populated buckets of a series, without the zero bucket. It
	// must be from 1 to 65,000. The default is 160.
	MaxBuckets int

	// ZeroThreshold is the bound of the zero bucket. This bucket counts the values from
	// -ZeroThreshold to ZeroThreshold. ZeroThreshold must be finite and not negative. The default is
	// 2^-128.
	ZeroThreshold float64
}

// maxNativeBuckets is the maximum of NativeConfig.MaxBuckets. A reader merges buckets in time that
// is proportional to their number.
const maxNativeBuckets = 65_000

// WithNative gives a histogram native buckets: exponential buckets that exist only if they have
// observations (prometheus.io, "Native Histograms"). If the buckets of the definition are nil, the
// histogram has native buckets alone. Otherwise the histogram has native and classic buckets.
//
// WithNative applies to histograms, to [NewRegistry] and to [NewHTTPMetrics]. It is the default of
// the histograms of a registry. The histograms of NewHTTPMetrics keep their classic buckets.
// At most one config can be given. A definition with a bad config is refused.
//
// The protobuf format, OpenMetrics 2.0 and the JSON view show native buckets. [Registry.Handler] serves
// protobuf and OpenMetrics 2.0 to scrapers that prefer them. The other text formats show _sum, _count and
// the classic buckets. +Inf is a classic bucket of every histogram.
//
// If a series has more buckets than MaxBuckets, its resolution is halved: two neighboring buckets
// become one. No observation is lost. At least an hour later, an exposition in protobuf or OpenMetrics 2.0
// restarts the series at the configured resolution, as a push with native buckets does. That exposition
// contains all earlier observations.
// The next exposition starts from 0, with a new time of creation (see [WithCreated]). So rate() and
// increase() miss no observation in the scrapes of one scraper. If the resolution has fallen again
// by the next exposition, the restart is undone. docs/native.md describes the effect on a second
// scraper.
func WithNative(config ...NativeConfig) Option {
	n := &nativeDef{define: defineNative, observe: observeNative, count: countNative, code: nativeCode{}}
	n.factor, n.buckets, n.threshold = 1.1, 160, 0x1p-128
	for _, c := range config {
		if c.Factor != 0 {
			n.factor = c.Factor
		}
		if c.MaxBuckets != 0 {
			n.buckets = c.MaxBuckets
		}
		if c.ZeroThreshold != 0 {
			n.threshold = c.ZeroThreshold
		}
	}
	reason := "" // one store is smaller than four; see internal/SIZE.md
	switch {
	case len(config) > 1:
		reason = "more than one NativeConfig"
	case !(n.factor > 1 && n.factor <= math.MaxFloat64):
		reason = "Factor must be above 1 and finite"
	case n.buckets < 1 || n.buckets > maxNativeBuckets:
		reason = "MaxBuckets must be from 1 to 65000"
	case !(n.threshold >= 0 && n.threshold <= math.MaxFloat64):
		reason = "ZeroThreshold must be finite and not negative"
	}
	n.reason = reason
	p := unsafe.Pointer(n)
	return func(o *options) { o.native = p } // defineNative checks the place; see internal/SIZE.md
}

// A nativeDef is a WithNative option, or the part of a definition that the native buckets of all
// series share. One type for both is smaller; see internal/SIZE.md. The code of native histograms
// is function values of the option, so that a program without WithNative does not contain the code.
type nativeDef struct {
	_       [0]func() // no ==; see internal/SIZE.md
	observe func(h *Histogram, n *nativeDef, v float64) int
	stride  int // of histogramDef
	classic int // number of finite bounds of classic buckets
	rules   native.Config

	// define gives f native buckets, or refuses f if f is no histogram. If f is nil, define makes
	// n the default of r.
	define func(r *Registry, n *nativeDef, f *family)
	count  func(h *Histogram, counts []uint64) (sum float64)
	code   expo.NativeSource // nativeCode
	reason string            // of a bad config, or ""

	factor, threshold float64 // of the NativeConfig
	buckets           int
}

// nativeCode has the code that only programs with native histograms and another feature need. The
// linker keeps a method if a function of the program calls the method through an interface. The
// interfaces are [expo.NativeSource], nativeSnapshotter, nativeExpirer and nativeEmitter. See
// internal/SIZE.md.
type nativeCode struct{}

// ProtobufFormat returns &expo.Protobuf.
func (nativeCode) ProtobufFormat() unsafe.Pointer { return unsafe.Pointer(&expo.Protobuf) }

func defineNative(r *Registry, n *nativeDef, f *family) {
	name := ""
	if f != nil {
		name = f.Name
	}
	if n.reason != "" {
		refuse(name, n.reason, "")
	}
	r.offer.Store((*byte)(unsafe.Pointer(n)))
	if f == nil {
		r.native = unsafe.Pointer(n)
		return
	}
	d := f.hist
	if d == nil {
		refuse(name, "WithNative does not apply to a "+f.Kind.TextName(), "")
	}
	if !d.given {
		d = newHistogramDef(nil)
	}
	def := &nativeDef{observe: n.observe, count: n.count, code: n.code, stride: d.stride, classic: len(d.Upper)}
	d.schema, d.buckets, d.threshold = native.SchemaOf(n.factor), n.buckets, n.threshold
	def.rules.Init(d.schema, d.buckets, d.threshold)
	d.native = unsafe.Pointer(def)
	f.metric, f.hist = &nativeHistograms, d
}

// nativeExemplars is the number of exemplars of a series without classic buckets.
const nativeExemplars = 10

// A nativeHistogram is a Histogram with native buckets. A row has the same words as a row of other
// histograms. The word of +Inf counts the zero bucket instead.
type nativeHistogram struct {
	histogram Histogram            // not embedded: the type would have its methods; see internal/SIZE.md
	buckets   atomic.Pointer[byte] // native.Buckets, without its methods; see internal/SIZE.md
	restart   unsafe.Pointer       // *restart, or nil; needs the lock of nativeRules; see internal/SIZE.md
}

var nativeHistograms = metricType{expo.Histogram, false, unsafe.Sizeof(nativeHistogram{}), newNativeHistogram, encodeNativeHistograms}

func nativeOf(h *Histogram) *nativeHistogram { return (*nativeHistogram)(unsafe.Pointer(h)) }

func bucketsOf(h *Histogram) *native.Buckets {
	return (*native.Buckets)(unsafe.Pointer(&nativeOf(h).buckets))
}

func nativeRules(h *Histogram) *native.Config { return &(*nativeDef)(h.def.native).rules }

func newNativeHistogram(f *family, n int, apart bool, _ string) unsafe.Pointer {
	words := 1 + len(f.hist.Upper) + 1
	if apart {
		words = stripe.WholeLines(words)
	}
	list, rows := make([]nativeHistogram, n), make([]atomic.Uint64, n*words)
	for i := range list {
		h := &list[i].histogram
		h.def, h.row = f.hist, &rows[i*words]
		bucketsOf(h).Init(nativeRules(h))
	}
	return unsafe.Pointer(&list[0])
}
