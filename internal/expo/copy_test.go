package expo

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/label"
)

// elements returns what f writes for a counter and one sample for each block.
func elements(f *Family, blocks []string, room int) string {
	var out bytes.Buffer
	e := &Encoder{format: &JSON, names: &Names{UTF8: &UTF8}, w: &out, buf: make([]byte, 0, room)}
	e.Begin(f)
	for i, block := range blocks {
		e.Whole(block, uint64(i)*123457, i%5 == 4, nil)
		e.Float(block, float64(i)+0.5, nil)
	}
	jsonFinish(e)
	e.flush()
	return out.String()
}

// TestMembersAreCopied compares the JSON of families whose series have the same label names
// with the JSON of the same series in a family without that promise.
func TestMembersAreCopied(t *testing.T) {
	r := &source{Rand: rand.New(rand.NewPCG(1, 2))}
	for range 3000 {
		r.utf8 = r.oneIn(4)
		labels := make([]label.Label, r.IntN(maxMembers+2))
		longest := []int{4, 20, 40}[r.IntN(3)]
		f := &Family{Name: "f"}
		for i := range labels {
			labels[i].Name = string(rune('a'+i)) + strings.Repeat("n", r.IntN(longest))
			if r.utf8 && r.oneIn(3) {
				labels[i].Name += []string{".", "é", "\"", "\\", "\n", "="}[r.IntN(6)]
				f.QuotedLabels = true
			}
		}
		var blocks []string
		for range 1 + r.IntN(6) {
			for i := range labels {
				switch labels[i].Value = strings.Repeat("v", r.IntN(20)); {
				case r.oneIn(5):
					labels[i].Value = r.text()
				case r.oneIn(10): // like the text between values
					labels[i].Value = ""
					for range r.IntN(12) {
						labels[i].Value += []string{`"`, `,`, `=`, `,b="`, `",b="`, "b", "\n"}[r.IntN(7)]
					}
				case r.oneIn(5):
					labels[i].Value += []string{"\"", "\\", "\n", "\x00", "\x1f", " ", "\x7f", "é", "#\"", "\xff"}[r.IntN(10)] + strings.Repeat("w", r.IntN(9))
				}
			}
			blocks = append(blocks, string(label.AppendBlock(nil, labels)))
		}
		want := elements(f, blocks, 1<<16)
		if !json.Valid([]byte(want)) {
			t.Fatalf("not JSON: %q", want)
		}
		f.SameLabels = true
		for _, room := range []int{1 << 16, 700, 100} {
			if got := elements(f, blocks, room); got != want {
				t.Fatalf("a buffer of %d bytes:\n%q\nwant\n%q", room, got, want)
			}
		}
	}
}

// TestMembersAreSet: jsonFast copies the members of a family if all their names are short
// enough, and of no other family.
func TestMembersAreSet(t *testing.T) {
	name := strings.Repeat("n", memberSize-len(`,"":"`))
	eight := `{a="",b="",c="",d="",e="",f="",g="",h=""} `
	for _, c := range []struct {
		block        string
		same, quoted bool
		n            int
	}{
		{`{a="1"} `, true, false, 1},
		{`{a="1",` + name + `="\""} `, true, false, 2},
		{`{a="1",` + name + `n="2"} `, true, false, 0},
		{eight, true, false, 8},
		{eight[:len(eight)-2] + `,i=""} `, true, false, 0},
		{` `, true, false, 0},
		{`{a="1"} `, false, false, 0},
		{`{"a.b"="1"} `, true, true, 0},
	} {
		e := &Encoder{format: &JSON, names: &Names{UTF8: &UTF8}, w: io.Discard}
		e.Begin(&Family{Name: "before", SameLabels: true})
		e.Whole(`{x="1"} `, 1, false, nil)
		e.Begin(&Family{Name: "f", SameLabels: c.same, QuotedLabels: c.quoted})
		e.Whole(c.block, 1, false, nil)
		j, n := (*jsonState)(e.json), 0
		for i := range j.member {
			if j.last == &j.member[i] {
				n = i + 1
			}
		}
		if n != c.n {
			t.Errorf("%s: %d members, want %d", c.block, n, c.n)
		}
	}
}

// TestBucketsAreCopied compares the lines of a histogram that are copied with the lines that
// the format appends part by part: it does that for samples with details.
func TestBucketsAreCopied(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, format := range []*Format{&Text, &OpenMetrics} {
		for size := range 100 {
			block := `{l="` + strings.Repeat("abcdefghij", 10)[:size] + `"} `
			if size == 0 {
				block = " "
			}
			for range 20 {
				upper := make([]float64, r.IntN(20))
				for i := range upper {
					upper[i] = []float64{float64(i), float64(i) + 0.125, float64(i) + 1.0/3}[r.IntN(3)]
				}
				bounds := NewBounds(upper)
				counts := make([]uint64, len(upper)+1)
				for i := range counts {
					counts[i] = r.Uint64N(1 << r.IntN(24))
				}
				switch i := r.IntN(len(counts)); r.IntN(4) {
				case 0:
					counts[i] = decimal.MaxShort - r.Uint64N(2)
				case 1:
					counts[i] = 1<<64 - 1 // the sum wraps
				}
				write := func(room int, d *Details) string {
					var out bytes.Buffer
					e := &Encoder{format: format, names: new(Names), w: &out, buf: make([]byte, 0, room)}
					e.enter(&Family{}, "h", "h", '\n')
					e.Histogram(block, &bounds, counts, 1.5, d)
					e.Histogram(block, &bounds, counts, 2, d)
					e.flush()
					return out.String()
				}
				want := write(0, new(Details))
				for _, room := range []int{8192, r.IntN(8192), 0} {
					if got := write(room, nil); got != want {
						t.Fatalf("a buffer of %d bytes:\n%s\nwant\n%s", room, got, want)
					}
				}
			}
		}
	}
}

// TestCopiesFit: copied lines and members store nothing behind the capacity of the buffer,
// however little room is left.
func TestCopiesFit(t *testing.T) {
	bounds := NewBounds([]float64{0.005, 1, 1.0 / 3})
	for name, format := range formats {
		for _, block := range []string{`{a=""} `, `{l="123456789",m="` + strings.Repeat("v", 50) + `"} `} {
			for room := range 1000 {
				memory := bytes.Repeat([]byte("."), 2000)
				e := &Encoder{format: format, names: new(Names), w: io.Discard}
				e.Begin(&Family{Name: "h", Kind: Histogram, SameLabels: true})
				e.Whole(block, 1, false, nil)
				e.buf = memory[:0:room]
				e.Whole(block, 99999999, false, nil)
				if n := len(e.buf); cap(e.buf) == room {
					e.buf = memory[n:n:room]
				}
				e.Histogram(block, &bounds, []uint64{1, 2, 3, 4}, 0.5, nil)
				if len(bytes.Trim(memory[room:], ".")) > 0 {
					t.Fatalf("%s, %d bytes of room for %q: stored behind the capacity: %q", name, room, block, memory[room:][:100])
				}
			}
		}
	}
}

// TestBucketLinesAreCopied: copyBuckets itself writes all lines with a short number that
// have room. Lines that it leaves to the format take longer.
func TestBucketLinesAreCopied(t *testing.T) {
	bounds := NewBounds([]float64{1, 2, 3})
	counts := []uint64{1, 2, 3, decimal.MaxShort}
	head := "h_bucket{"
	for lines := range 5 {
		size, want := 0, ""
		for i, total := range []uint64{1, 3, 6}[:min(lines, 3)] {
			want += head + bounds.labels[2*i] + strconv.FormatUint(total, 10) + "\n"
			if i < lines-1 {
				size = len(want)
			}
		}
		room := size + len(head) + bucketRoom
		if lines == 0 {
			room--
		}
		memory := append([]byte("before "+head), make([]byte, room)...)
		n, i, _ := copyBuckets(memory[len("before "):][:len(head):room], bounds.labels, counts)
		if got := string(memory[len("before "):][:n]); i != min(lines, 3) || got != want {
			t.Errorf("%d bytes of room: %d lines %q, want %q", room, i, got, want)
		}
	}
}
