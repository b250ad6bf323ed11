// Package conformance has no code of its own. Its tests read what tacho writes with
// the parsers of Prometheus and client_golang, let Prometheus' own scrape loop,
// storage and query engine have it, and compare both with what was recorded; see
// README.md.
package conformance
