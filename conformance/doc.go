// Package conformance contains only tests. The tests read the output of tacho with
// the parsers of Prometheus and client_golang. The scrape loop, the storage and the
// query engine of Prometheus read the output too. The tests compare the results
// with the recorded values. README.md describes the tests.
package conformance
