//go:build !tacho_nohttp

package main

import (
	"encoding/hex"
	"net/http"
	"strings"
)

// traceExemplar returns the labels trace_id and span_id for a request of a sampled trace,
// and nil for any other request. The trace is in the header traceparent of W3C Trace
// Context: version, trace, span and flags in hexadecimal.
func traceExemplar(r *http.Request) []string {
	fields := strings.Split(r.Header.Get("traceparent"), "-")
	if len(fields) != 4 || len(fields[0]) != 2 || len(fields[1]) != 32 || len(fields[2]) != 16 || len(fields[3]) != 2 {
		return nil
	}
	for _, f := range fields[1:3] {
		if _, err := hex.DecodeString(f); err != nil || strings.Trim(f, "0") == "" {
			return nil
		}
	}
	flags, err := hex.DecodeString(fields[3])
	if sampled := err == nil && flags[0]&1 != 0; !sampled {
		return nil
	}
	return []string{"trace_id", fields[1], "span_id", fields[2]}
}
