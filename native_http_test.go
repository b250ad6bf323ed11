//go:build !tacho_nohttp

package tacho

import "testing"

// TestNativeHTTPMetrics: the histograms of NewHTTPMetrics keep their classic buckets.
func TestNativeHTTPMetrics(t *testing.T) {
	coarse := WithNative(NativeConfig{Factor: 2})
	for what, m := range map[string]*HTTPMetrics{
		"option of the metrics":  NewHTTPMetrics(NewRegistry(), coarse),
		"option of the registry": NewHTTPMetrics(NewRegistry(coarse)),
	} {
		for _, c := range []struct {
			h       *Histogram
			classic int
		}{
			{m.duration.With("GET", "/"), len(durationBuckets) + 1},
			{m.size.With("GET", "/"), len(sizeBuckets) + 1},
		} {
			c.h.Observe(0.5)
			s := c.h.Snapshot()
			if len(s.Buckets) != c.classic || s.Native == nil || s.Native.Schema != 0 || s.Count != 1 || nativeCount(s.Native) != 1 {
				t.Errorf("%s: %+v, native %+v", what, s, s.Native)
			}
		}
	}
	err := refused(t, func(r *Registry) { NewHTTPMetrics(r, WithNative(NativeConfig{Factor: 1})) })
	if err == nil || err.Metric != "http_request_duration_seconds" {
		t.Errorf("a bad config: %v", err)
	}
}
