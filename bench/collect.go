package bench

import (
	"math/rand/v2"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tachikoma/tacho"
)

// collectedPath returns the path of a scrape of a collector that computes all samples anew:
// Emitter.Counter in tacho, MustNewConstMetric in client_golang. VictoriaMetrics has no such
// collector, and OpenTelemetry aggregates what a callback observes.
func collectedPath(s Sizes, order string, random bool) Path {
	n := s.Counters[len(s.Counters)-1]
	return Path{
		Name: "WriteText, " + Count(n) + " samples of a collector, " + order, Bare: text.bare,
		Unit: "line", Units: n, Alone: true, Settle: true, Heavy: n >= s.Heavy,
		Sides: func() []Side {
			list := make([]int, n)
			for i := range list {
				list[i] = i
			}
			if random {
				list = rand.New(rand.NewPCG(1, 2)).Perm(n)
			}
			values := make([]string, n)
			for i, k := range list {
				values[i] = pathValue(k)
			}
			return []Side{
				scrapeSide(Tacho, collected(values).WriteText),
				scrapeSide(Bare, bareScrapeOf(collected(values), text)),
				scrapeSide(Client, gather(clientCollected(values), textFormat)),
			}
		},
	}
}

func collected(values []string) *tacho.Registry {
	r := tacho.NewRegistry()
	r.Collect(func(e *tacho.Emitter) {
		for i, v := range values {
			e.Counter(counterName, "Requests.", float64(i), threeLabels[0], method, threeLabels[1], v, threeLabels[2], status)
		}
	})
	return r
}

// A clientCollector is a collector of client_golang.
type clientCollector struct {
	desc   *prometheus.Desc
	values []string
}

func (c *clientCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c *clientCollector) Collect(ch chan<- prometheus.Metric) {
	for i, v := range c.values {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(i), method, v, status)
	}
}

func clientCollected(values []string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(&clientCollector{prometheus.NewDesc(counterName, "Requests.", threeLabels, nil), values})
	return reg
}
