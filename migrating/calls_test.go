package migrating

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

const jobsText = `# HELP jobs_total Jobs.
# TYPE jobs_total counter
jobs_total{result="ok"} 2
`

// TestBefore has the calls of testutil that a test of the service before the move has.
func TestBefore(t *testing.T) {
	reg := prometheus.NewRegistry()
	jobs := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{Name: "jobs_total", Help: "Jobs."}, []string{"result"})
	jobs.WithLabelValues("ok").Add(2)

	if got := testutil.ToFloat64(jobs.WithLabelValues("ok")); got != 2 {
		t.Errorf("%v jobs", got)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(jobsText), "jobs_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// TestAfter has the calls of tachotest in their place.
func TestAfter(t *testing.T) {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs.", []string{"result"})
	jobs.With("ok").Add(2)

	if got := tachotest.Value(t, reg, "jobs_total", "result", "ok"); got != 2 {
		t.Errorf("%v jobs", got)
	}
	tachotest.Compare(t, reg, jobsText, "jobs_total")
	tachotest.Lint(t, reg)
}
