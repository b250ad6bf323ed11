package tacho_test

import (
	"fmt"
	"os"

	"github.com/tachikoma/tacho"
)

func ExampleVec_With() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs done.", []string{"queue", "result"})
	jobs.With("mail", "ok").Inc()
	failed := jobs.With("mail", "failed") // keep the pointer to save the lookup
	failed.Add(2)
	jobs.Delete("mail", "ok")
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP jobs_total Jobs done.
	// # TYPE jobs_total counter
	// jobs_total{queue="mail",result="failed"} 2
}

func ExampleVec_Delete() {
	up := tacho.NewRegistry().GaugeVec("peer_up", "Whether a peer answers.", []string{"peer"})
	up.With("a").Set(1)
	fmt.Println(up.Delete("a"), up.Delete("a"), up.Len())
	// Output: true false 0
}

func ExampleVec_DeleteFunc() {
	jobs := tacho.NewRegistry().CounterVec("jobs_total", "Jobs done.", []string{"queue", "result"})
	jobs.With("mail", "ok").Inc()
	jobs.With("mail", "failed").Inc()
	jobs.With("print", "ok").Inc()
	fmt.Println(jobs.DeleteFunc(func(values []string) bool { return values[0] == "mail" }), jobs.Len())
	// Output: 2 1
}

func ExampleVec_Replace() {
	reg := tacho.NewRegistry()
	depth := reg.GaugeVec("queue_depth", "Jobs waiting.", []string{"queue"})
	depth.With("closed").Set(1)
	list := map[string]int64{"mail": 3, "print": 0} // from the queue server
	depth.Replace(func(set *tacho.GaugeVec) {
		for name, n := range list {
			set.With(name).Set(n)
		}
	})
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP queue_depth Jobs waiting.
	// # TYPE queue_depth gauge
	// queue_depth{queue="mail"} 3
	// queue_depth{queue="print"} 0
}

func ExampleWithMaxSeries() {
	reg := tacho.NewRegistry()
	byUser := reg.CounterVec("logins_total", "Logins.", []string{"user"}, tacho.WithMaxSeries(2))
	for _, user := range []string{"a", "b", "c", "d"} {
		byUser.With(user).Inc()
	}
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP logins_total Logins.
	// # TYPE logins_total counter
	// logins_total{user="a"} 1
	// logins_total{user="b"} 1
	// logins_total{user="other"} 2
	// # HELP tacho_series_overflow_total Lookups beyond a limit of series.
	// # TYPE tacho_series_overflow_total counter
	// tacho_series_overflow_total{metric="logins_total"} 2
}

func ExampleWithConstLabels() {
	reg := tacho.NewRegistry(tacho.WithConstLabels("region", "eu"))
	reg.Gauge("up", "Whether it is up.", tacho.WithConstLabels("tier", "web")).Set(1)
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP up Whether it is up.
	// # TYPE up gauge
	// up{region="eu",tier="web"} 1
}

// Queue and Result are the types of two labels.
type (
	Queue  string
	Result string
)

func (Queue) LabelName() string  { return "queue" }
func (Result) LabelName() string { return "result" }

func ExampleTyped2() {
	reg := tacho.NewRegistry()
	jobs := tacho.Typed2[Queue, Result](reg.CounterVec("jobs_total", "Jobs done.", []string{"queue", "result"}))
	queue, result := Queue("mail"), Result("ok")
	jobs.With(queue, result).Inc() // jobs.With(result, queue) does not compile
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP jobs_total Jobs done.
	// # TYPE jobs_total counter
	// jobs_total{queue="mail",result="ok"} 1
}

func ExampleTyped2_swapped() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs done.", []string{"result", "queue"})
	_, err := tacho.Try(func() int { tacho.Typed2[Queue, Result](jobs); return 0 })
	fmt.Println(err.(*tacho.DefinitionError).Reason)
	// Output: label 1 is "result", and its type is for the label "queue"
}

func ExampleVec_Curry() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs done.", []string{"queue", "result"})
	mail := jobs.Curry("mail")
	mail.With("ok").Add(3)
	mail.With("failed").Inc()
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP jobs_total Jobs done.
	// # TYPE jobs_total counter
	// jobs_total{queue="mail",result="failed"} 1
	// jobs_total{queue="mail",result="ok"} 3
}
