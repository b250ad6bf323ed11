package tacho

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"
)

// TestShortLines compares lines that are put together with those that the formats
// append part by part, around every length at which the way changes.
func TestShortLines(t *testing.T) {
	values := []uint64{0, 1, 9, 10, 99, 100, 12345, 1234567, maxShort - 1, maxShort, 1<<64 - 1}
	formats := map[string]*encoding{"text": &textFormat, "OpenMetrics": &openFormat, "JSON": &jsonFormat}
	for _, size := range []int{1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100} {
		r := NewRegistry()
		v := r.GaugeVec(strings.Repeat("n", size), "", []string{"l"})
		for name, format := range formats {
			for label := range 40 {
				block := v.create(0, strings.Repeat("v", label)+string([]byte{keySep})).block()
				for _, value := range values {
					for _, negative := range []bool{false, true} {
						line := func(whole func(e *encoder) bool) string {
							e := &encoder{format: format, w: io.Discard, buf: make([]byte, 0, maxPooled)}
							e.begin(v.fam)
							if !whole(e) {
								t.Fatal("stopped")
							}
							return string(e.buf)
						}
						got := line(func(e *encoder) bool { return e.whole(block, value, negative, nil) })
						want := line(func(e *encoder) bool { return e.format.whole(e, block, value, negative, nil) })
						if got != want {
							t.Fatalf("%s: %q, want %q", name, got, want)
						}
					}
				}
			}
		}
	}
}

// TestShortLinesFit: near the end of the buffer a line has no room to be put together
// in, nothing is stored behind that, and at the length at which the buffer is written it
// is written.
func TestShortLinesFit(t *testing.T) {
	r := NewRegistry()
	for _, size := range []int{1, 16, 31, 33, 64} {
		name := strings.Repeat("n", size)
		r.GaugeVec(name, "", []string{"l"})
		for _, block := range []string{`{l="123456789"} `, `{l="some value"} `} {
			for _, value := range []string{"0", "12345", "99999999"} {
				line := name + block + value + "\n"
				v, _ := strconv.ParseUint(value, 10, 64)
				for room := range 140 {
					var out strings.Builder
					memory := bytes.Repeat([]byte("."), flushAt+1000)
					behind := memory[flushAt+room:]
					e := &encoder{format: &textFormat, w: &out, buf: memory[: flushAt-len(line) : flushAt+room]}
					e.enter(r.families[name], name, name, '\n')
					e.whole(block, v, false, nil)
					if got := out.String(); len(e.buf) != 0 || len(got) != flushAt || !strings.HasSuffix(got, "."+line) {
						t.Fatalf("%d bytes of room for %q: %d left, %d written: %q", room, line, len(e.buf), len(got), got[max(0, len(got)-40):])
					}
					if len(bytes.Trim(behind, ".")) > 0 {
						t.Fatalf("%d bytes of room for %q: wrote behind it: %q", room, line, behind[:100])
					}
				}
			}
		}
	}
}

// TestShortLinesChange: a family whose lines are not put together does not take the
// name of the one before it.
func TestShortLinesChange(t *testing.T) {
	r := NewRegistry(WithUTF8Names())
	long := strings.Repeat("c", 65)
	for i, name := range []string{"a", "b.c", long} {
		r.GaugeVec(name, "", []string{"l"}).With("some value").Set(int64(i + 1))
	}
	var out strings.Builder
	if err := r.write(&out, &textFormat, escapeNone); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`a{l="some value"} 1`, `{"b.c",l="some value"} 2`, long + `{l="some value"} 3`} {
		if !strings.Contains(out.String(), "\n"+want+"\n") {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
