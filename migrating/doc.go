// Package migrating contains the examples for MIGRATING.md. The same metrics are defined
// with client_golang, with VictoriaMetrics/metrics and with tacho. A test records the
// same values with each library and compares the expositions.
package migrating
