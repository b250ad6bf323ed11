// Package migrating holds the examples of MIGRATING.md: the same metrics with
// client_golang, with VictoriaMetrics/metrics, and with tacho. A test records the
// same in each and compares what they serve.
package migrating
