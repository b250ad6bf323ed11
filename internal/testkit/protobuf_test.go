package testkit

import "testing"

// TestReadProtobuf reads messages that are written by hand.
func TestReadProtobuf(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"", ""},
		{"\x03\x0a\x01x", `name:"x"`},
		{"\x02\x18\x01", `type:GAUGE`},
		{"\x0f\x22\x0d\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f", ""}, // too short
		{"\x0f\x22\x0d\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x10", ""},
		{"\x0d\x22\x0b\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f", `metric:{gauge:{value:1}}`},
		{"\x0a\x22\x08\x3a\x06\x28\x07\x6a\x02\x02\x01", `metric:{histogram:{schema:-4 positive_delta:[1 -1]}}`},
		{"\x83\x00\x0a\x01x", ""},     // a padded length
		{"\x02\x1a\x00", ""},          // a wrong wire type
		{"\x02\x38\x00", ""},          // an unknown field
		{"\x05\x18\x01\x0a\x01x", ""}, // out of order
		{"\x04\x0a\x01x", ""},         // a length beyond the end
	} {
		lines, err := ReadProtobuf([]byte(c.data))
		got := ""
		if len(lines) == 1 {
			got = lines[0]
		}
		if got != c.want || (err != nil) != (c.want == "" && c.data != "") {
			t.Errorf("%q: %q, error %v, want %q", c.data, lines, err, c.want)
		}
	}
}
