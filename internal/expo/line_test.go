package expo

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/decimal"
)

// formats are all formats by name.
var formats = map[string]*Format{"text": &Text, "OpenMetrics": &OpenMetrics, "OpenMetrics 2.0": &OpenMetrics2, "JSON": &JSON, "protobuf": &Protobuf, "OTLP": OTLP(1500, false)}

// line returns the output of f for one family and the sample that pass passes.
func line(t *testing.T, f *Format, family *Family, pass func(e *Encoder) bool) string {
	t.Helper()
	e := &Encoder{format: f, names: &Names{UTF8: &UTF8}, w: io.Discard, buf: make([]byte, 0, 2048)}
	e.Begin(family)
	if !pass(e) {
		t.Fatal("the sample stopped the exposition")
	}
	return string(e.buf)
}

// TestShortLines compares the lines that Whole copies with the lines that the format
// appends part by part, at each length at which Whole copies in another way.
func TestShortLines(t *testing.T) {
	// Letters that follow each other show a copy to a wrong place.
	letters := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 4)
	values := []uint64{0, 1, 9, 10, 99, 100, 12345, 1234567, decimal.MaxShort - 1, decimal.MaxShort, 1<<64 - 1}
	for _, size := range []int{1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 100} {
		for _, family := range []*Family{
			{Name: letters[:size], Kind: Gauge},
			{Name: letters[:size] + "_total", Kind: Counter},
			{Name: strings.Repeat(".", size), Kind: Gauge, Quoted: true},
			{Name: letters[:size], Kind: Gauge, QuotedLabels: true},
		} {
			for name, format := range formats {
				for length := range 40 {
					block := `{l="` + letters[:length] + `"} `
					for _, value := range values {
						for _, negative := range []bool{false, true} {
							got := line(t, format, family, func(e *Encoder) bool { return e.Whole(block, value, negative, nil) })
							want := line(t, format, family, func(e *Encoder) bool { return e.format.whole(e, block, value, negative, nil) })
							if got != want {
								t.Fatalf("%s: %q, want %q", name, got, want)
							}
						}
					}
				}
			}
		}
	}
}

// TestShortLinesAreCopied: Whole itself writes all lines with labels, a short name, a short
// number and enough room. Lines that it leaves to the format take longer.
func TestShortLinesAreCopied(t *testing.T) {
	calls := 0
	format := Text
	format.whole = func(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
		calls++
		return Text.whole(e, block, v, negative, d)
	}
	const long = 64 // the longest name
	for _, c := range []struct {
		name, block int
		v           uint64
		room        int // more than the longest name and the block
		copied      bool
	}{
		{1, 16, 0, 16, true}, {long, 16, 0, 16, true}, {long, 16, 99999999, 16, true}, {long, 100, 7, 16, true}, {5, 17, 5, 1000, true},
		{long + 1, 16, 0, 16, false}, {1, 15, 0, 16, false}, {1, 16, 100000000, 16, false}, {1, 16, 0, 15, false}, {5, 1, 0, 1000, false},
	} {
		block := " "
		if c.block > 1 {
			block = `{l="` + strings.Repeat("v", c.block-len(`{l=""} `)) + `"} `
		}
		f := &Family{Name: strings.Repeat("n", c.name), Kind: Gauge}
		e := &Encoder{format: &format, names: new(Names), w: io.Discard, buf: make([]byte, 0, 10+long+len(block)+c.room)}
		e.enter(f, f.Name, f.Name, '\n')
		e.buf = e.buf[:10]
		calls = 0
		e.Whole(block, c.v, false, nil)
		if got := string(e.buf[10:]); calls == 0 != c.copied || got != f.Name+block+strconv.FormatUint(c.v, 10)+"\n" {
			t.Errorf("%+v: %d lines are left to the format: %q", c, calls, got)
		}
	}
}

// TestShortLineWithDetails: Whole leaves lines with details, and lines without labels, to
// the format.
func TestShortLineWithDetails(t *testing.T) {
	family := &Family{Name: "x_total", Kind: Counter}
	for name, want := range map[string][2]string{
		"text":        {"x_total{l=\"some value\"} 7 1500\n", "x_total 7\n"},
		"OpenMetrics": {"x_total{l=\"some value\"} 7.0 1.5\nx_created{l=\"some value\"} 2.5\n", "x_total 7.0\n"},
		"JSON":        {`{"labels":{"l":"some value"},"value":7,"timestamp":1.5}`, `{"labels":{},"value":7}`},
	} {
		got := line(t, formats[name], family, func(e *Encoder) bool {
			d := e.Details()
			d.Timed, d.At, d.Created = true, 1500, 2500
			return e.Whole(`{l="some value"} `, 7, false, d)
		})
		if !strings.HasSuffix(got, want[0]) {
			t.Errorf("%s: %q does not end with %q", name, got, want[0])
		}
		got = line(t, formats[name], family, func(e *Encoder) bool { return e.Whole(" ", 7, false, nil) })
		if !strings.HasSuffix(got, want[1]) {
			t.Errorf("%s: %q does not end with %q", name, got, want[1])
		}
	}
}

// TestShortLinesFit: Whole stores nothing behind the capacity of the buffer, however
// little room is left. A buffer of flushAt bytes is written.
func TestShortLinesFit(t *testing.T) {
	for _, size := range []int{1, 16, 31, 33, 64} {
		name := strings.Repeat("n", size)
		for _, block := range []string{`{l="123456789"} `, `{l="some value"} `} {
			for _, value := range []string{"0", "12345", "99999999"} {
				line := name + block + value + "\n"
				v, _ := strconv.ParseUint(value, 10, 64)
				for room := range 140 {
					var out strings.Builder
					memory := bytes.Repeat([]byte("."), flushAt+1000)
					behind := memory[flushAt+room:]
					e := &Encoder{format: &Text, w: &out, buf: memory[: flushAt-len(line) : flushAt+room]}
					e.enter(&Family{Name: name}, name, name, '\n')
					e.Whole(block, v, false, nil)
					if got := out.String(); len(e.buf) != 0 || len(got) != flushAt || !strings.HasSuffix(got, "."+line) {
						t.Fatalf("%d bytes of room for %q: %d left, %d written: %q", room, line, len(e.buf), len(got), got[max(0, len(got)-40):])
					}
					if len(bytes.Trim(behind, ".")) > 0 {
						t.Fatalf("%d bytes of room for %q: stored behind the capacity: %q", room, line, behind[:100])
					}
				}
			}
		}
	}
}
