package tacho

import (
	"io"
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
	c := r.CounterVec("n", "", []string{"l"}).With("some value")
	c.Add(12345)
	const line = "n{l=\"some value\"} 12345\n"
	for room := range 200 {
		var out strings.Builder
		memory := []byte(strings.Repeat(".", flushAt+1000))
		behind := memory[flushAt+room:]
		e := &encoder{format: &textFormat, w: &out, buf: memory[: flushAt-len(line) : flushAt+room]}
		e.enter(r.families["n"], "n", "n", '\n')
		e.whole(`{l="some value"} `, c.Value(), false, nil)
		if got := out.String(); len(e.buf) != 0 || len(got) != flushAt || !strings.HasSuffix(got, "."+line) {
			t.Fatalf("%d bytes of room: %d left, %d written: %q", room, len(e.buf), len(got), got[max(0, len(got)-40):])
		}
		if strings.Trim(string(behind), ".") != "" {
			t.Fatalf("%d bytes of room: wrote behind it: %q", room, behind[:100])
		}
	}
}
