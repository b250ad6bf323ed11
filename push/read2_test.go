//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/wire"
)

// A v2Series is a TimeSeries of remote write 2.0.
type v2Series struct {
	labels    string
	lines     []string // as those of readRequest
	starts    []int64  // of the samples and histograms
	exemplars []string // {a="b"} value time
	metadata  string   // type, help and unit
	counts    [3]int   // see sampleCount
}

// name returns the value of the label __name__, which must be the first label.
func (s *v2Series) name() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(s.labels, `{__name__="`), `"`)
	return name
}

// A reader2 reads a Request of remote write 2.0.
type reader2 struct {
	*testing.T
	symbols []string
	used    map[uint64]bool // references
}

// readVersion2 reads a Request of remote write 2.0, and checks the rules of the specification.
func readVersion2(t *testing.T, request string) (all []v2Series) {
	t.Helper()
	r := &reader2{T: t, used: map[uint64]bool{0: true}}
	seen := map[string]bool{}
	fields(t, []byte(request), func(number int, _ uint64, part []byte) {
		switch number {
		case 4:
			if len(all) > 0 {
				t.Errorf("the symbol %q is after a series", part)
			}
			if seen[string(part)] {
				t.Errorf("the symbol %q occurs twice", part)
			}
			seen[string(part)] = true
			r.symbols = append(r.symbols, string(part))
		case 5:
			all = append(all, r.series(part))
		default:
			t.Errorf("Request has field %d", number)
		}
	})
	if len(r.symbols) == 0 || r.symbols[0] != "" {
		t.Fatalf("the symbols are %q, want an empty one first", r.symbols)
	}
	for i, text := range r.symbols {
		if !r.used[uint64(i)] {
			t.Errorf("the symbol %q is not used", text)
		}
	}
	return all
}

// symbol returns the symbol with this reference.
func (r *reader2) symbol(ref uint64) string {
	if ref >= uint64(len(r.symbols)) {
		r.Fatalf("reference %d of %d symbols", ref, len(r.symbols))
	}
	r.used[ref] = true
	return r.symbols[ref]
}

// labels returns packed references as labels.
func (r *reader2) labels(refs []byte) string {
	var texts, names, pairs []string
	for len(refs) > 0 {
		ref, n := binary.Uvarint(refs)
		if n <= 0 {
			r.Fatalf("malformed references %x", refs)
		}
		texts, refs = append(texts, r.symbol(ref)), refs[n:]
	}
	for i := 0; i+1 < len(texts); i += 2 {
		if texts[i] == "" || texts[i+1] == "" {
			r.Errorf("empty label in %q", texts)
		}
		names = append(names, texts[i])
		pairs = append(pairs, fmt.Sprintf("%s=%q", texts[i], texts[i+1]))
	}
	if len(texts)%2 != 0 || !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) < len(names) {
		r.Errorf("labels %q, want pairs with different names in order", texts)
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// series returns a TimeSeries. Its labels must be the first field.
func (r *reader2) series(message []byte) (s v2Series) {
	fields(r.T, message, func(number int, _ uint64, part []byte) {
		switch number {
		case 1:
			s.labels = r.labels(part)
		case 2:
			value, at, start := r.sample(part)
			s.lines = append(s.lines, fmt.Sprintf("%s %v %d", s.labels, value, at))
			s.starts = append(s.starts, start)
			s.counts[sampleCount]++
		case 3:
			text, at, start := r.histogram(part)
			s.lines = append(s.lines, fmt.Sprintf("%s %s %d", s.labels, text, at))
			s.starts = append(s.starts, start)
			s.counts[histogramCount]++
		case 4:
			s.exemplars = append(s.exemplars, r.exemplar(part))
			s.counts[exemplarCount]++
		case 5:
			s.metadata = r.metadata(part)
		default:
			r.Errorf("TimeSeries has field %d", number)
		}
	})
	if s.labels == "" || (s.counts[sampleCount] > 0) == (s.counts[histogramCount] > 0) {
		r.Errorf("series %q has %d samples and %d histograms, want either", s.labels, s.counts[sampleCount], s.counts[histogramCount])
	}
	return s
}

// sample returns a Sample. The value of a stale marker is "stale".
func (r *reader2) sample(message []byte) (value any, at, start int64) {
	value = 0.0
	fields(r.T, message, func(number int, v uint64, _ []byte) {
		switch {
		case number == 1 && v == expo.StaleMarker:
			value = "stale"
		case number == 1:
			value = math.Float64frombits(v)
		case number == 2:
			at = int64(v)
		case number == 3:
			start = int64(v)
		default:
			r.Errorf("Sample has field %d", number)
		}
	})
	return value, at, start
}

// histogram returns a Histogram as readHistogram does, and its start time.
func (r *reader2) histogram(message []byte) (text string, at, start int64) {
	var old []byte // without the start time
	for rest := message; len(rest) > 0; {
		f, after, ok := cutField(rest)
		if !ok {
			r.Fatalf("malformed histogram %x", message)
		}
		if f.tag == wire.WriteStart {
			start = int64(f.value)
		} else {
			old = append(old, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
	text, at = readHistogram(r.T, old)
	return text, at, start
}

func (r *reader2) exemplar(message []byte) string {
	labels := "{}"
	var value float64
	var at int64
	fields(r.T, message, func(number int, v uint64, refs []byte) {
		switch number {
		case 1:
			labels = r.labels(refs)
		case 2:
			value = math.Float64frombits(v)
		case 3:
			at = int64(v)
		default:
			r.Errorf("Exemplar has field %d", number)
		}
	})
	return fmt.Sprintf("%s %v %d", labels, value, at)
}

func (r *reader2) metadata(message []byte) string {
	var kind, help, unit uint64
	fields(r.T, message, func(number int, v uint64, _ []byte) {
		switch number {
		case 1:
			kind = v
		case 3:
			help = v
		case 4:
			unit = v
		default:
			r.Errorf("Metadata has field %d", number)
		}
	})
	return fmt.Sprintf("%d %q %q", kind, r.symbol(help), r.symbol(unit))
}
