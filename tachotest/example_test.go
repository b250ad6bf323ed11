package tachotest_test

import (
	"testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

func Example() {
	TestJobs := func(t *testing.T) {
		reg := tacho.NewRegistry()
		jobs := reg.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"})
		jobs.With("ok").Add(2) // done by the program under test
		if got := tachotest.Value(t, reg, "jobs_total", "result", "ok"); got != 2 {
			t.Errorf("%v jobs", got)
		}
		tachotest.Compare(t, reg, `
			jobs_total{result="ok"} 2
		`)
		for _, problem := range tachotest.Lint(t, reg) {
			t.Error(problem)
		}
	}
	testing.RunTests(func(pat, str string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "TestJobs", F: TestJobs}})
	// Output:
}
