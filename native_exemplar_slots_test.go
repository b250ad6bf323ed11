package tacho_test

import (
	"bytes"
	"testing"

	"github.com/tachikoma/tacho"
)

// TestNativeExemplarsOfDistantValues leaves two exemplars, of a fast and a slow request. A series without classic buckets
// has up to 10 exemplars, so both are kept, as client_golang does.
func TestNativeExemplarsOfDistantValues(t *testing.T) {
	reg := tacho.NewRegistry()
	h := reg.Histogram("latency_seconds", "", nil, tacho.WithNative())
	h.ObserveExemplar(1.1, "trace_id", "slow-request")
	h.ObserveExemplar(0.001, "trace_id", "fast-request")
	var b bytes.Buffer
	if err := reg.WriteProtobuf(&b); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"slow-request", "fast-request"} {
		if !bytes.Contains(b.Bytes(), []byte(id)) {
			t.Errorf("the exemplar %q is missing", id)
		}
	}
}
