package exemplar

import (
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

func TestBlock(t *testing.T) {
	long := strings.Repeat("é", maxRunes-1)
	for _, c := range []struct {
		pairs []string
		want  string // "" for refused
	}{
		{[]string{"trace_id", "abc"}, `{trace_id="abc"}`},
		{[]string{"a", "1", "b", ""}, `{a="1",b=""}`},
		{[]string{"a", "\\\"\n"}, `{a="\\\"\n"}`},
		{[]string{"a", "x\xff\xfey"}, "{a=\"x\uFFFDy\"}"},
		{[]string{"a", long}, `{a="` + long + `"}`},
		{[]string{"ab", long}, ""},
		{[]string{"a", long, "b", ""}, ""},
		{[]string{"a"}, ""},
		{[]string{"a", "1", "b"}, ""},
		{[]string{"", "1"}, ""},
		{[]string{"a.b", "1"}, ""},
		{[]string{"__a", "1"}, ""},
		{[]string{"a", "1", "a", "2"}, ""},
		{[]string{"a", "1", "b", "2", "a", "3"}, ""},
		{[]string{"a", strings.Repeat("x", 1<<20)}, ""},
		{[]string{"a", "x\x00"}, ""}, // Prometheus refuses the whole scrape
		{[]string{"a", "1", "b", "\x00"}, ""},
		{[]string{"a", strings.Repeat("😀", maxRunes-1)}, `{a="` + strings.Repeat("😀", maxRunes-1) + `"}`},
		{[]string{"a", strings.Repeat("😀", maxRunes)}, ""},
	} {
		block, ok := appendBlock(nil, c.pairs)
		if got := string(block); got != c.want || ok != (c.want != "") {
			t.Errorf("%.40q: %q %v, want %q", c.pairs, got, ok, c.want)
		}
	}
}

// FuzzBlock: labels are appended exactly if the specification and Prometheus' parser allow
// them, and values come back from the block.
func FuzzBlock(f *testing.F) {
	f.Add("trace_id", "abc", "span_id", "1")
	f.Add("a", "\\\"\n", "b", "\xff")
	f.Add("a", "1", "a", "2")
	f.Add("a", "x\x00", "__b", "é")
	f.Add("a", strings.Repeat("é", 63), "b", strings.Repeat("x", 63))
	f.Fuzz(func(t *testing.T, a, va, b, vb string) {
		validA, validB := escape.Valid(va), escape.Valid(vb)
		want := names.ValidLabel(a) && names.ValidLabel(b) && a != b && !strings.Contains(va+vb, "\x00") &&
			utf8.RuneCountInString(a+b+validA+validB) <= maxRunes
		block, ok := appendBlock([]byte("before"), []string{a, va, b, vb})
		if len(va) > maxRunes*utf8.UTFMax || len(vb) > maxRunes*utf8.UTFMax {
			want = false // long runs of invalid bytes count before they are repaired
		}
		if ok != want {
			t.Fatalf("%q: ok is %v, want %v", []string{a, va, b, vb}, ok, want)
		}
		if !ok {
			return
		}
		rest := string(block)
		for i, l := range [][2]string{{a, validA}, {b, validB}} {
			start := [...]string{`before{`, `,`}[i] + l[0] + `="`
			var value string
			if !strings.HasPrefix(rest, start) {
				t.Fatalf("%q does not begin with %q", rest, start)
			}
			if value, rest, ok = escape.Unquote(rest[len(start):]); !ok || value != l[1] {
				t.Fatalf("%s: value %q, want %q", block, value, l[1])
			}
		}
		if rest != "}" {
			t.Errorf("%s ends with %q", block, rest)
		}
	})
}

// TestZeroSlot: all methods of the slot of a metric without a registry do nothing.
func TestZeroSlot(t *testing.T) {
	var s Slot
	s.Record(1, []string{"id", "1"})
	s.Record(1, []string{"odd"})
	s.Fault("reason")
	if s.Load() != nil {
		t.Errorf("exemplar %+v", s.Load())
	}
	if s.Is(None(new(Origin))) {
		t.Error("a zero slot holds an Exemplar")
	}
}

func TestSlot(t *testing.T) {
	var faults []string
	none := None(&Origin{Fault: func(reason string) { faults = append(faults, reason) }})
	var s, other Slot
	s.Init(none)
	other.Init(none)
	if !s.Is(none) || s.Is(None(new(Origin))) || s.Load() != nil {
		t.Errorf("a new slot: Is(none) is %v, Load returns %+v", s.Is(none), s.Load())
	}

	before := time.Now().UnixMilli()
	s.Record(2.5, []string{"id", "1", "other", "x"})
	after := time.Now().UnixMilli()
	first := s.Load()
	if first == nil || first.Labels != `{id="1",other="x"}` || first.Value != 2.5 || first.At < before || first.At > after {
		t.Fatalf("exemplar %+v, recorded from %d to %d", first, before, after)
	}
	if s.Is(none) || !other.Is(none) || other.Load() != nil {
		t.Errorf("Is(none) is %v after Record, and %v in another slot", s.Is(none), other.Is(none))
	}

	// Bad labels leave the exemplar and are counted.
	for _, bad := range [][]string{{"odd"}, {"bad name", ""}, {"a", "1", "a", "2"}, {"id", strings.Repeat("x", 127)}} {
		s.Record(3, bad)
		if s.Load() != first {
			t.Errorf("labels %.40q replaced the exemplar by %+v", bad, s.Load())
		}
		if len(faults) != 1 || faults[0] != refused {
			t.Errorf("labels %.40q: faults %q, want %q", bad, faults, refused)
		}
		faults = nil
	}

	// A new Exemplar replaces the old one, which does not change, and keeps fault.
	s.Record(-1, []string{"id", "2"})
	if x := s.Load(); x == first || x.Labels != `{id="2"}` || x.Value != -1 || first.Labels != `{id="1",other="x"}` {
		t.Errorf("exemplar %+v, before it %+v", x, first)
	}
	s.Fault("nan")
	other.Fault("negative")
	if len(faults) != 2 || faults[0] != "nan" || faults[1] != "negative" {
		t.Errorf("faults %q", faults)
	}
	if s.Init(none); !s.Is(none) || s.Load() != nil {
		t.Errorf("exemplar %+v after Init", s.Load())
	}
}

// TestStringsAreCopied: the caller may reuse the memory of its strings. Labels are in the
// Exemplar itself or, if they do not fit, beside it.
func TestStringsAreCopied(t *testing.T) {
	for n := range 100 {
		var s Slot
		s.Init(None(new(Origin)))
		buf := []byte("id" + strings.Repeat("x", n))
		name, value := unsafe.String(&buf[0], 2), unsafe.String(unsafe.SliceData(buf[2:]), n)
		s.Record(1, []string{name, value})
		copy(buf, strings.Repeat("y", len(buf)))
		if want := `{id="` + strings.Repeat("x", n) + `"}`; s.Load() == nil || s.Load().Labels != want {
			t.Errorf("exemplar %+v, want %s", s.Load(), want)
		}
	}
}

// TestConcurrentRecords: a reader sees whole exemplars alone.
func TestConcurrentRecords(t *testing.T) {
	var s Slot
	var faults atomic.Int64
	s.Init(None(&Origin{Fault: func(string) { faults.Add(1) }}))
	labels := [4]string{"a", "bb", "ccc", "dddd"}
	total := testkit.Hammer(500, func(i int) {
		value := labels[i%4]
		s.Record(float64(len(value)), []string{"id", value})
		x := s.Load()
		if want := `{id="` + labels[int(x.Value)-1] + `"}`; x.Labels != want {
			t.Errorf("exemplar %s of value %v, want %s", x.Labels, x.Value, want)
		}
		s.Record(1, []string{"odd"})
	})
	if got := faults.Load(); got != int64(total) {
		t.Errorf("%d faults, want %d", got, total)
	}
}

// TestAllocations: the label of a trace is in the Exemplar. A longer label is beside it.
func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	var s Slot
	s.Init(None(new(Origin)))
	if size := unsafe.Sizeof(Exemplar{}); size > 96 { // a size class of the allocator
		t.Errorf("an Exemplar has %d bytes", size)
	}
	whole := strings.Repeat("x", len(Exemplar{}.own)-len(`{trace_id=""}`))
	if len(Exemplar{}.own) != 56 {
		t.Errorf("labels of %d bytes are in the Exemplar", len(Exemplar{}.own))
	}
	for value, want := range map[string]float64{strings.Repeat("0123456789abcdef", 2): 1, whole: 1, strings.Repeat("x", 100): 3} {
		labels := []string{"trace_id", value}
		if n := testing.AllocsPerRun(100, func() { s.Record(1, labels) }); n > want {
			t.Errorf("%v allocations for a value of %d bytes, want %v", n, len(value), want)
		}
	}
}

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Exemplar](), reflect.TypeFor[Slot](), reflect.TypeFor[Origin]()} {
		if typ.Comparable() || typ.Field(0).Type.Size() != 0 {
			t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
		}
	}
}
