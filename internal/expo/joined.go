package expo

import (
	"slices"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/sortkeys"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// NoDefinitions is the reason for which a joined registry refuses definitions.
const NoDefinitions = "a joined registry has no definitions of its own"

// Joined returns a family with the samples of families that have the same name and kind, sorted by
// their labels. A series that several families have is in the result once, with the first sample.
// repeated is called with the index of the family of each further sample. If sum is true, the values
// of such samples are added to the first, and repeated is not called.
//
// An exposition reads all samples of a joined family before it writes the first. So the memory grows
// with their number.
func Joined(families []*Family, sum bool, repeated func(family int)) *Family {
	j := &Family{Name: families[0].Name, Help: families[0].Help, Unit: families[0].Unit, Kind: families[0].Kind, Quoted: families[0].Quoted}
	for _, f := range families {
		j.QuotedLabels = j.QuotedLabels || f.QuotedLabels
	}
	j.Encode = func(e *Encoder) {
		rows := capture(e, families)
		first := map[string]int{}
		keep := make([]*captured, 0, len(rows))
		for _, i := range sortkeys.Strings(len(rows), func(i uint32) string { return rows[i].key }) {
			first[rows[i].key] = len(keep)
			keep = append(keep, rows[i])
			rows[i].first = true
		}
		for _, r := range rows {
			switch {
			case r.first:
			case sum:
				keep[first[r.key]].whole += r.whole
			default:
				repeated(r.family)
			}
		}
		if len(keep) == 0 {
			return
		}
		// Some parsers refuse an info whose samples have a time only in part; see Family.MixedTimes.
		head := *j
		for _, r := range keep {
			head.MixedTimes = head.MixedTimes || j.Kind == Info && r.timed() != keep[0].timed()
		}
		e.Begin(&head)
		for _, r := range keep {
			if !r.pass(e) {
				return
			}
		}
	}
	return j
}

// A captured is a sample, with copies of the memory that its family uses again.
type captured struct {
	family  int // index of the family
	first   bool
	key     string
	block   string
	pass    func(e *Encoder) bool
	whole   uint64
	details *Details
}

func (r *captured) timed() bool { return r.details != nil && r.details.Timed }

// A captures has the samples that an Encoder of capture has read.
type captures struct {
	rows   []*captured
	family int
	text   []byte
}

// capture returns the samples that families pass to e.
func capture(e *Encoder, families []*Family) []*captured {
	more := &moreFormat{summary: captureSummaries{}}
	if m := (*moreFormat)(e.format.more); m != nil {
		more.native = m.native
	}
	c := new(captures)
	format := &Format{
		id:        e.format.id, // some families pass other samples to some formats
		begin:     func(*Encoder, *Family) {},
		whole:     captureWhole,
		float:     captureFloat,
		histogram: captureHistogram,
		more:      unsafe.Pointer(more),
	}
	reader := &Encoder{format: format, scheme: e.scheme, proto: unsafe.Pointer(c)}
	for i, f := range families {
		c.family, reader.current = i, f
		f.Encode(reader)
	}
	return c.rows
}

func (e *Encoder) captured(block string, d *Details) *captured {
	c := (*captures)(e.proto)
	c.text = appendSeriesKey(c.text[:0], e, block)
	r := &captured{family: c.family, key: string(c.text), block: block}
	if d != nil {
		r.details = d.copied()
	}
	c.rows = append(c.rows, r)
	return r
}

func captureWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	r := e.captured(block, d)
	r.whole = v
	r.pass = func(e *Encoder) bool { return e.Whole(block, r.whole, negative, r.details) }
	return true
}

func captureFloat(e *Encoder, block string, v float64, d *Details) bool {
	r := e.captured(block, d)
	r.pass = func(e *Encoder) bool { return e.Float(block, v, r.details) }
	return true
}

func captureHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	r, own := e.captured(block, d), slices.Clone(counts)
	r.pass = func(e *Encoder) bool { return e.Histogram(block, bounds, own, sum, r.details) }
	return true
}

// captureSummaries captures summaries; see moreFormat.
type captureSummaries struct{}

func (captureSummaries) encodeSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	r := e.captured(block, d)
	r.pass = func(e *Encoder) bool { return e.Summary(block, s, r.details) } // s is of a collector and does not change
	return true
}

// copied returns a copy of d that stays as it is when the family passes its next sample.
func (d *Details) copied() *Details {
	own := *d
	n := d.Native()
	if n == nil {
		return &own
	}
	m := *n
	s := *n.Snapshot
	s.Positive, s.Negative = slices.Clone(s.Positive), slices.Clone(s.Negative)
	m.Snapshot = &s
	own.SetNative(&m)
	if n.Exemplars != nil { // the classic bucket has a copy of one of these exemplars
		own.Buckets = make([]exemplar.Slot, len(d.Buckets))
		for i := range own.Buckets {
			own.Buckets[i].Copy(&d.Buckets[i])
		}
	}
	return &own
}

// appendSeriesKey appends a text that is the same for label blocks of the same series in e:
// Prometheus ignores the order of labels, and a label with an empty value.
func appendSeriesKey(b []byte, e *Encoder, block string) []byte {
	if e.current.QuotedLabels && e.scheme != names.AllowUTF8 {
		block = string(appendEscapedBlock(nil, block, e.scheme))
	}
	var buf [16]string
	pairs := buf[:0]
	for block = block[1:]; block != ""; block = block[1:] {
		start := block
		if block[0] == '"' {
			_, block, _ = escape.Unquote(block[1:])
		} else {
			block = block[stringslite.IndexByte(block, '='):]
		}
		value := block[len(`="`):]
		_, block, _ = escape.Unquote(value)
		if value[0] != '"' {
			pairs = append(pairs, start[:len(start)-len(block)])
		}
		if block == "} " {
			break
		}
	}
	slices.Sort(pairs)
	for _, pair := range pairs {
		b = append(append(b, pair...), sortkeys.Sep)
	}
	return b
}
