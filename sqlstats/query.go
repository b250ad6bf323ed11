package sqlstats

import "github.com/tachikoma/tacho"

// QueryDuration defines the histogram db_query_duration_seconds{query_type} in reg and
// returns it. If reg already has the same definition, QueryDuration returns the existing
// histogram. The histogram observes durations of queries in seconds. The program chooses
// the values of query_type, for example "select".
//
// This line times the rest of a function, including failed queries:
//
//	defer queries.With("select").ObserveSince(time.Now())
//
// QueryDuration panics with a *[tacho.DefinitionError] if reg has a different metric of
// the same name. QueryDuration is safe for concurrent use.
func QueryDuration(reg *tacho.Registry) *tacho.HistogramVec {
	return reg.HistogramVec("db_query_duration_seconds", "Database query duration in seconds",
		[]float64{.001, .005, .01, .025, .05, .1, .25, .5, 1}, []string{"query_type"})
}
