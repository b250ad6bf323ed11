// Package migrating contains the programs of MIGRATING.md. The same metrics are defined
// with client_golang, with VictoriaMetrics/metrics and with tacho. A test records the
// same values with each library and compares the expositions.
//
// The files before.go and after.go have a service with HTTP, gRPC, SQL and libraries that use
// client_golang, before and after its move to tacho. TestService compares the two versions
// series by series. The differences are in changes.go and in MIGRATING.md.
package migrating
