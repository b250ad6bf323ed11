package tacho_test

import (
	"fmt"

	"github.com/tachikoma/tacho"
)

// This program lists its metrics, for example for its documentation.
func ExampleRegistry_Families() {
	reg := tacho.NewRegistry()
	reg.CounterVec("jobs_total", "Jobs, by result.", []string{"queue", "result"}).With("mail", "ok").Inc()
	reg.Histogram("job_duration_seconds", "Time of a job.", nil, tacho.WithUnit("seconds"))
	for f := range reg.Families() {
		fmt.Println(f.Name, f.Type, f.Labels, f.Series)
	}
	// Output:
	// job_duration_seconds histogram [] 1
	// jobs_total counter [queue result] 1
	// tacho_errors_total counter [metric reason] 0
	// tacho_series_overflow_total counter [metric] 0
}
