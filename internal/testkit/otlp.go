package testkit

import (
	"fmt"
	"strings"
)

func protoFixed(name string) *protoField {
	f := protoUint(name)
	f.double = true
	return f
}

func packed(f *protoField) *protoField {
	f.packed = true
	return f
}

// otlpRequest is opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest, and otlpMetrics the
// field metrics of its ScopeMetrics.
var otlpRequest, otlpMetrics = func() (request, metrics protoMessage) {
	nested := func(name string, m protoMessage) *protoField { return &protoField{name: name, message: m} }
	keyValue := protoMessage{1: protoString("key"), 2: nested("value", protoMessage{1: protoString("string")})}
	exemplar := protoMessage{2: protoFixed("time"), 3: protoDouble("double"), 4: protoString("span"), 5: protoString("trace"), 7: nested("attribute", keyValue)}
	buckets := protoMessage{1: protoSint("offset"), 2: packed(protoUint("counts"))}
	number := nested("point", protoMessage{2: protoFixed("start"), 3: protoFixed("time"), 4: protoDouble("double"), 5: nested("exemplar", exemplar), 7: nested("attribute", keyValue)})
	classic := nested("point", protoMessage{2: protoFixed("start"), 3: protoFixed("time"), 4: protoFixed("count"), 5: protoDouble("sum"),
		6: packed(protoFixed("counts")), 7: packed(protoDouble("bounds")), 8: nested("exemplar", exemplar), 9: nested("attribute", keyValue)})
	exponential := nested("point", protoMessage{1: nested("attribute", keyValue), 2: protoFixed("start"), 3: protoFixed("time"), 4: protoFixed("count"), 5: protoDouble("sum"),
		6: protoSint("scale"), 7: protoFixed("zero_count"), 8: nested("positive", buckets), 9: nested("negative", buckets), 11: nested("exemplar", exemplar), 14: protoDouble("zero_threshold")})
	summary := nested("point", protoMessage{2: protoFixed("start"), 3: protoFixed("time"), 4: protoFixed("count"), 5: protoDouble("sum"),
		6: nested("quantile", protoMessage{1: protoDouble("quantile"), 2: protoDouble("value")}), 7: nested("attribute", keyValue)})
	metrics = protoMessage{2: nested("metric", protoMessage{
		1: protoString("name"), 2: protoString("description"), 3: protoString("unit"),
		5:  nested("gauge", protoMessage{1: number}),
		7:  nested("sum", protoMessage{1: number, 2: protoUint("temporality"), 3: protoUint("monotonic")}),
		9:  nested("histogram", protoMessage{1: classic, 2: protoUint("temporality")}),
		10: nested("exponential", protoMessage{1: exponential, 2: protoUint("temporality")}),
		11: nested("summary", protoMessage{1: summary}),
		12: nested("metadata", keyValue),
	})}
	scope := protoMessage{1: nested("scope", protoMessage{1: protoString("name")}), 2: metrics[2]}
	request = protoMessage{1: nested("resource_metrics", protoMessage{
		1: nested("resource", protoMessage{1: nested("attribute", keyValue)}), 2: nested("scope_metrics", scope),
	})}
	return request, metrics
}()

// ReadOTLP returns the fields metrics of an OTLP ScopeMetrics as text, one line for each Metric. Fields must be
// known, and varints must have the shortest form.
func ReadOTLP(data []byte) (lines []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v in Metric %d", r, len(lines))
		}
	}()
	for len(data) > 0 {
		if data[0] != 2<<3|2 {
			panic("not a Metric")
		}
		var message []byte
		message, data = protoBytes(data[1:])
		var b strings.Builder
		readMessage(&b, message, otlpMetrics[2].message, false)
		lines = append(lines, b.String())
	}
	return lines, nil
}

// ReadOTLPRequest returns an OTLP ExportMetricsServiceRequest as text, with the rules of ReadOTLP.
func ReadOTLPRequest(data []byte) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	var b strings.Builder
	readMessage(&b, data, otlpRequest, false)
	return b.String(), nil
}
