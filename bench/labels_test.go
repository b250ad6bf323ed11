package bench

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tachikoma/tacho"
)

type (
	methodLabel string
	pathLabel   string
	statusLabel string
)

func (methodLabel) LabelName() string { return threeLabels[0] }
func (pathLabel) LabelName() string   { return threeLabels[1] }
func (statusLabel) LabelName() string { return threeLabels[2] }

// BenchmarkLabelsByName compares the forms in which tacho and client_golang take the values of three
// labels. client_golang's With takes a map from names to values.
func BenchmarkLabelsByName(b *testing.B) {
	const n = 64
	ours := tacho.NewRegistry().CounterVec(counterName, "", threeLabels)
	client := prometheus.NewCounterVec(prometheus.CounterOpts{Name: counterName}, threeLabels)
	created(n, func(_ int, path string) {
		ours.With(method, path, status)
		client.WithLabelValues(method, path, status)
	})
	paths := requested(n)
	typed := tacho.Typed3[methodLabel, pathLabel, statusLabel](ours)
	curried := ours.Curry(method)
	clientCurried := client.MustCurryWith(prometheus.Labels{threeLabels[0]: method})
	for name, inc := range map[string]func(path string){
		"tacho/With":                    func(path string) { ours.With(method, path, status).Inc() },
		"tacho/Typed3":                  func(path string) { typed.With(method, pathLabel(path), status).Inc() },
		"tacho/Curry":                   func(path string) { curried.With(path, status).Inc() },
		"client_golang/WithLabelValues": func(path string) { client.WithLabelValues(method, path, status).Inc() },
		"client_golang/With": func(path string) {
			client.With(prometheus.Labels{threeLabels[0]: method, threeLabels[1]: path, threeLabels[2]: status}).Inc()
		},
		"client_golang/CurryWith": func(path string) { clientCurried.WithLabelValues(path, status).Inc() },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				inc(paths[i%n])
			}
		})
	}
}
