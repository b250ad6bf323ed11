package testkit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// A protoField describes a field of a message. Exactly one of message and format is set.
type protoField struct {
	name    string
	message protoMessage          // of a field that is a message
	format  func(v uint64) string // of a number; nil for a string
	double  bool                  // the number has 64 bits
	packed  bool                  // a list of numbers
}

// A protoMessage has the fields of a message by number.
type protoMessage map[uint64]*protoField

func protoString(name string) *protoField { return &protoField{name: name} }

func protoUint(name string) *protoField {
	return &protoField{name: name, format: func(v uint64) string { return strconv.FormatUint(v, 10) }}
}

func protoInt(name string) *protoField {
	return &protoField{name: name, format: func(v uint64) string { return strconv.FormatInt(int64(v), 10) }}
}

func protoSint(name string) *protoField {
	return &protoField{name: name, format: func(v uint64) string { return strconv.FormatInt(int64(v>>1)^-int64(v&1), 10) }}
}

func protoDeltas(name string) *protoField {
	f := protoSint(name)
	f.packed = true
	return f
}

func protoDouble(name string) *protoField {
	return &protoField{name: name, double: true, format: func(v uint64) string {
		return strconv.FormatFloat(math.Float64frombits(v), 'g', -1, 64)
	}}
}

func protoType(name string) *protoField {
	return &protoField{name: name, format: func(v uint64) string {
		return []string{"COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM"}[v]
	}}
}

// metricFamily is io.prometheus.client.MetricFamily.
var metricFamily = func() protoMessage {
	nested := func(name string, m protoMessage) *protoField { return &protoField{name: name, message: m} }
	label := protoMessage{1: protoString("name"), 2: protoString("value")}
	timestamp := protoMessage{1: protoInt("seconds"), 2: protoInt("nanos")}
	exemplar := protoMessage{1: nested("label", label), 2: protoDouble("value"), 3: nested("timestamp", timestamp)}
	span := protoMessage{1: protoSint("offset"), 2: protoUint("length")}
	bucket := protoMessage{1: protoUint("cumulative_count"), 2: protoDouble("upper_bound"), 3: nested("exemplar", exemplar)}
	metric := protoMessage{
		1: nested("label", label),
		2: nested("gauge", protoMessage{1: protoDouble("value")}),
		3: nested("counter", protoMessage{1: protoDouble("value"), 2: nested("exemplar", exemplar), 3: nested("created", timestamp)}),
		4: nested("summary", protoMessage{1: protoUint("count"), 2: protoDouble("sum"),
			3: nested("quantile", protoMessage{1: protoDouble("quantile"), 2: protoDouble("value")}),
			4: nested("created", timestamp)}),
		5: nested("untyped", protoMessage{1: protoDouble("value")}),
		6: protoInt("timestamp_ms"),
		7: nested("histogram", protoMessage{1: protoUint("count"), 2: protoDouble("sum"), 3: nested("bucket", bucket),
			5: protoSint("schema"), 6: protoDouble("zero_threshold"), 7: protoUint("zero_count"),
			9: nested("negative_span", span), 10: protoDeltas("negative_delta"),
			12: nested("positive_span", span), 13: protoDeltas("positive_delta"),
			15: nested("created", timestamp), 16: nested("exemplar", exemplar)}),
	}
	return protoMessage{1: protoString("name"), 2: protoString("help"), 3: protoType("type"), 4: nested("metric", metric), 5: protoString("unit")}
}()

// ReadProtobuf returns the messages of the protobuf format as text, one line for each message.
// It is stricter than a protobuf parser. Fields must be known. They must be in the order of their
// numbers, except the unit of a family. Varints must have the shortest form.
func ReadProtobuf(data []byte) (lines []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v in message %d", r, len(lines))
		}
	}()
	for len(data) > 0 {
		var message []byte
		message, data = protoBytes(data)
		var b strings.Builder
		readMessage(&b, message, metricFamily, true)
		lines = append(lines, b.String())
	}
	return lines, nil
}

// readMessage writes a message as text. If ordered is true, it panics unless fields are in the order of their
// numbers.
func readMessage(b *strings.Builder, data []byte, fields protoMessage, ordered bool) {
	before := uint64(0)
	for n := 0; len(data) > 0; n++ {
		if n > 0 {
			b.WriteByte(' ')
		}
		var tag, v uint64
		tag, data = protoVarint(data)
		number, wire := tag>>3, tag&7
		f := fields[number]
		if f == nil {
			panic(fmt.Sprintf("unknown field %d", number))
		}
		if ordered && number < before && f.name != "metric" {
			panic("field " + f.name + " is out of order")
		}
		before = number
		want := uint64(0)
		switch {
		case f.format == nil || f.packed:
			want = 2
		case f.double:
			want = 1
		}
		if wire != want {
			panic(fmt.Sprintf("field %s has wire type %d", f.name, wire))
		}
		b.WriteString(f.name + ":")
		switch {
		case f.packed:
			var list []byte
			list, data = protoBytes(data)
			b.WriteByte('[')
			for sep := ""; len(list) > 0; sep = " " {
				if f.double {
					v, list = binary.LittleEndian.Uint64(list), list[8:]
				} else {
					v, list = protoVarint(list)
				}
				b.WriteString(sep + f.format(v))
			}
			b.WriteByte(']')
		case f.double:
			b.WriteString(f.format(binary.LittleEndian.Uint64(data)))
			data = data[8:]
		case f.format != nil:
			v, data = protoVarint(data)
			b.WriteString(f.format(v))
		default:
			var value []byte
			value, data = protoBytes(data)
			if f.message == nil {
				b.WriteString(strconv.Quote(string(value)))
				break
			}
			b.WriteByte('{')
			readMessage(b, value, f.message, ordered)
			b.WriteByte('}')
		}
	}
}

var errVarint = errors.New("varint is not in its shortest form")

func protoVarint(data []byte) (v uint64, rest []byte) {
	v, n := binary.Uvarint(data)
	if n <= 0 || n != max(1, (bits.Len64(v)+6)/7) {
		panic(errVarint)
	}
	return v, data[n:]
}

func protoBytes(data []byte) (b, rest []byte) {
	n, data := protoVarint(data)
	return data[:n], data[n:]
}
