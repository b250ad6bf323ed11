package testkit

import (
	"slices"
	"testing"
)

// TestReadOTLP reads messages that are written by hand.
func TestReadOTLP(t *testing.T) {
	for _, c := range []struct {
		data string
		want []string // nil for an error
	}{
		{"\x12\x03\x0a\x01x", []string{`name:"x"`}},
		{"\x12\x03\x0a\x01x\x12\x03\x0a\x01y", []string{`name:"x"`, `name:"y"`}},
		{"\x12\x0d\x2a\x0b\x0a\x09\x21\x00\x00\x00\x00\x00\x00\xf0\x3f", []string{`gauge:{point:{double:1}}`}},
		{"\x12\x0e\x4a\x0c\x0a\x0a\x32\x08\x07\x00\x00\x00\x00\x00\x00\x00", []string{`histogram:{point:{counts:[7]}}`}},
		{"\x12\x0a\x52\x08\x0a\x06\x42\x04\x12\x02\x01\x02", []string{`exponential:{point:{positive:{counts:[1 2]}}}`}},
		{"\x12\x83\x00\x0a\x01x", nil}, // a padded length
		{"\x12\x04\x0a\x01x", nil},     // a length beyond the end
		{"\x12\x02\x2a\x01x", nil},     // a message beyond the end
		{"\x12\x02\x38\x00", nil},      // a wrong wire type
		{"\x12\x02\x78\x00", nil},      // an unknown field
		{"\x0a\x03\x0a\x01x", nil},     // not a Metric
	} {
		lines, err := ReadOTLP([]byte(c.data))
		if (err != nil) != (c.want == nil) || err == nil && !slices.Equal(lines, c.want) {
			t.Errorf("%q: %q, error %v, want %q", c.data, lines, err, c.want)
		}
	}
	const request = `resource_metrics:{scope_metrics:{scope:{name:"s"} metric:{name:"x"}}}`
	if got, err := ReadOTLPRequest([]byte("\x0a\x0c\x12\x0a\x0a\x03\x0a\x01s\x12\x03\x0a\x01x")); got != request || err != nil {
		t.Errorf("%s, error %v", got, err)
	}
	if _, err := ReadOTLPRequest([]byte("\x0a\x0c\x12\x0a")); err == nil {
		t.Error("a message beyond the end is accepted")
	}
}
