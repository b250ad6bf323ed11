package otelbridge

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/tachikoma/tacho"
)

const (
	traceID = "0102030405060708090a0b0c0d0e0f10"
	spanID  = "a1a2a3a4a5a6a7a8"
)

// spanContext returns a context with a span.
func spanContext(t testing.TB, flags trace.TraceFlags) context.Context {
	t.Helper()
	tid, err := trace.TraceIDFromHex(traceID)
	if err != nil {
		t.Fatal(err)
	}
	sid, err := trace.SpanIDFromHex(spanID)
	if err != nil {
		t.Fatal(err)
	}
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid, TraceFlags: flags}))
}

func TestTraceExemplar(t *testing.T) {
	noSpan := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, TraceFlags: trace.FlagsSampled}))
	for _, c := range []struct {
		name string
		ctx  context.Context
		want []string
	}{
		{"sampled", spanContext(t, trace.FlagsSampled), []string{"trace_id", traceID, "span_id", spanID}},
		{"not sampled", spanContext(t, 0), nil},
		{"no span", context.Background(), nil},
		{"bad span ID", noSpan, nil},
	} {
		if got := TraceExemplar(c.ctx); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestExemplars: IDs are decoded, and other labels are attributes.
func TestExemplars(t *testing.T) {
	bytesOf := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name       string
		labels     []string
		trace      string
		span       string
		attributes []string
	}{
		{"both", []string{"trace_id", traceID, "span_id", spanID}, traceID, spanID, nil},
		{"upper case", []string{"trace_id", strings.ToUpper(traceID)}, traceID, "", nil},
		{"others", []string{"user", "é", "span_id", spanID, "empty", ""}, "", spanID, []string{"user", "é", "empty", ""}},
		{"short", []string{"trace_id", traceID[2:], "span_id", spanID[2:]}, "", "", []string{"trace_id", traceID[2:], "span_id", spanID[2:]}},
		{"long", []string{"trace_id", traceID + "00"}, "", "", []string{"trace_id", traceID + "00"}},
		{"not hexadecimal", []string{"trace_id", "g" + traceID[1:]}, "", "", []string{"trace_id", "g" + traceID[1:]}},
		{"zeros", []string{"trace_id", strings.Repeat("0", 32)}, "", "", []string{"trace_id", strings.Repeat("0", 32)}},
		{"empty", []string{"trace_id", ""}, "", "", []string{"trace_id", ""}},
	} {
		before := time.Now().Truncate(time.Millisecond)
		reg := tacho.NewRegistry()
		reg.Counter("a_total", "").AddExemplar(3, c.labels...)
		reg.Histogram("b", "", []float64{1, 2}).ObserveExemplar(5, c.labels...) // in the bucket +Inf
		reg.Histogram("c", "", []float64{1, 2}).ObserveExemplar(1, c.labels...)
		all := produce(t, NewProducer(reg))
		after := time.Now()
		if all["tacho_errors_total"].Name != "" {
			t.Fatalf("%s: the registry refuses the labels", c.name)
		}
		for name, v := range map[string]float64{"a_total": 3, "b": 5, "c": 1} {
			var list []metricdata.Exemplar[float64]
			switch d := all[name].Data.(type) {
			case metricdata.Sum[float64]:
				list = d.DataPoints[0].Exemplars
			case metricdata.Histogram[float64]:
				list = d.DataPoints[0].Exemplars
				if p := d.DataPoints[0]; len(p.Bounds) != 2 || len(p.BucketCounts) != 3 || p.Count != 1 {
					t.Errorf("%s: %+v", c.name, p)
				}
			}
			if len(list) != 1 {
				t.Fatalf("%s: %s has %d exemplars", c.name, name, len(list))
			}
			x := list[0]
			var attributes []string
			for _, kv := range x.FilteredAttributes {
				attributes = append(attributes, string(kv.Key), kv.Value.AsString())
				if kv.Value.Type() != attribute.STRING {
					t.Errorf("%s: attribute %v", c.name, kv)
				}
			}
			if !bytes.Equal(x.TraceID, bytesOf(c.trace)) || !bytes.Equal(x.SpanID, bytesOf(c.span)) || !slices.Equal(attributes, c.attributes) {
				t.Errorf("%s: %s has %x %x %q", c.name, name, x.TraceID, x.SpanID, attributes)
			}
			if x.Value != v || x.Time.Before(before) || x.Time.After(after) {
				t.Errorf("%s: %s has the value %v at %v", c.name, name, x.Value, x.Time)
			}
		}
	}
}
