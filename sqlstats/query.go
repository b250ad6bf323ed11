package sqlstats

import "github.com/tachikoma/tacho"

// QueryDuration defines db_query_duration_seconds{query_type} in reg, or finds it:
// the time of queries in seconds, by a kind that the program gives them, such as
// "select"; each kind is a histogram. One line times the rest of a function, whatever
// comes of it:
//
//	defer queries.With("select").ObserveSince(time.Now())
//
// It panics with a *[tacho.DefinitionError] if another metric of reg has the name.
func QueryDuration(reg *tacho.Registry) *tacho.HistogramVec {
	return reg.HistogramVec("db_query_duration_seconds", "Database query duration in seconds",
		[]float64{.001, .005, .01, .025, .05, .1, .25, .5, 1}, []string{"query_type"})
}
