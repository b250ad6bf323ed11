//go:build !tacho_nohttp

package history

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// viewValues returns the values of the JSON view by the text of their slots. Labels are sorted.
func viewValues(t *testing.T, reg *tacho.Registry) map[string]float64 {
	t.Helper()
	var b bytes.Buffer
	if err := reg.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var view map[string][]struct {
		Labels  map[string]string
		Value   float64
		Count   *float64
		Buckets []struct {
			Le    *float64
			Count float64
		}
		Quantiles []struct{ Quantile, Value float64 }
	}
	if err := json.Unmarshal(b.Bytes(), &view); err != nil {
		t.Fatal(err)
	}
	m := map[string]float64{}
	for family, list := range view {
		for _, s := range list {
			var labels []string
			for name, value := range s.Labels {
				labels = append(labels, name+"="+value)
			}
			slices.Sort(labels)
			set := func(c column, v float64) { m[slotName(family, strings.Join(labels, ","), c)] = v }
			if s.Count == nil {
				set(column{kind: columnValue}, s.Value)
				continue
			}
			set(column{kind: columnSum}, s.Value)
			left, below := math.Inf(-1), 0.0
			for _, bucket := range s.Buckets {
				right := math.Inf(1)
				if bucket.Le != nil {
					right = *bucket.Le
				}
				set(column{columnBucket, left, right}, bucket.Count-below)
				left, below = right, bucket.Count
			}
			if s.Buckets == nil {
				set(column{kind: columnCount}, *s.Count)
			}
			for _, q := range s.Quantiles {
				set(column{kind: columnQuantile, left: q.Quantile}, q.Value)
			}
		}
	}
	return m
}

// sortedLabels returns values with the labels of each text sorted. The label values of the test contain no
// comma.
func sortedLabels(values map[string]float64) map[string]float64 {
	m := map[string]float64{}
	for name, v := range values {
		begin, end := strings.Index(name, "{"), strings.LastIndex(name, "} ")
		labels := strings.Split(name[begin+1:end], ",")
		slices.Sort(labels)
		m[name[:begin+1]+strings.Join(labels, ",")+name[end:]] = v
	}
	return m
}

// fill defines metrics of all types in a registry, and returns a function that changes all of them.
func fill(reg *tacho.Registry, prefix string) (change func(step int)) {
	requests := reg.CounterVec(prefix+"requests_total", "", []string{"path", "code"})
	depth := reg.FloatGauge(prefix+"depth", "")
	seconds := reg.HistogramVec(prefix+"seconds", "", []float64{0.1, 1}, []string{"path"})
	workers := reg.GaugeFuncVec(prefix+"workers", "", []string{"pool"})
	workers.Func(func() float64 { return 7 }, "io")
	reg.GaugeFunc(prefix+"ratio", "", func() float64 { return 0.5 })
	n := 0
	reg.Collect(func(e *tacho.Emitter) {
		e.Counter(prefix+"collected_total", "", float64(n), "shard", string(rune('a'+n%3)))
		e.Summary(prefix+"latency", "", tacho.SummarySnapshot{Count: uint64(n), Sum: 1.5, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: float64(n)}}})
		e.Info(prefix+"build_info", "", "version", "1")
	})
	return func(step int) {
		n = step
		path := string(rune('a' + step%4))
		requests.With("/"+path, "200").Add(uint64(step + 1))
		if step%5 == 4 {
			requests.Delete("/a", "200")
		}
		depth.Set(float64(step) - 2.25)
		seconds.With("/" + path).Observe(float64(step) / 8)
	}
}

// TestRegistries compares the steps of a ring with the JSON view of registries of all kinds: constant
// labels, names outside the legacy set, sub-registries that are closed, and joined registries.
func TestRegistries(t *testing.T) {
	plain := tacho.NewRegistry()
	labeled := tacho.NewRegistry(tacho.WithConstLabels("zone", `a"b\c`, "app", "x"))
	utf8 := tacho.NewRegistry(tacho.WithUTF8Names())
	parent := tacho.NewRegistry()
	sub, other := parent.Sub(tacho.WithConstLabels("tenant", "1")), parent.Sub(tacho.WithConstLabels("tenant", "2"))
	one, two := tacho.NewRegistry(tacho.WithConstLabels("part", "one")), tacho.NewRegistry(tacho.WithConstLabels("part", "two"))
	changes := map[string][]func(int){
		"plain":       {fill(plain, "app_")},
		"labels":      {fill(labeled, "app_")},
		"UTF-8 names": {fill(utf8, "app.größe/")},
		"sub-registries": {fill(sub, "app_"), fill(other, "app_"), fill(parent, "own_"), func(step int) { // in the order of the list
			if step == 12 {
				other.Close()
			}
		}},
		"joined": {fill(one, "app_"), fill(two, "app_"), fill(two, "more_")},
	}
	registries := map[string]*tacho.Registry{"plain": plain, "labels": labeled, "UTF-8 names": utf8, "sub-registries": parent, "joined": tacho.Join(one, two)}
	for name, reg := range registries {
		r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
		var c client
		for step := range 20 {
			for _, change := range changes[name] {
				change(step)
			}
			at := time.UnixMilli(int64(1000 * (step + 1)))
			if err := r.Sample(at, func(w io.Writer) error { return reg.WriteProtobufContext(context.Background(), w) }); err != nil {
				t.Fatal(name, err)
			}
			if err := c.read(r.Append(nil, c.position, at)); err != nil {
				t.Fatal(name, err)
			}
			got, want := sortedLabels(c.steps[len(c.steps)-1].values), viewValues(t, reg)
			if !maps.Equal(got, want) {
				t.Fatalf("%s, step %d:\n%v\nwant\n%v", name, step, got, want)
			}
			if len(want) < 10 {
				t.Fatalf("%s: %d values", name, len(want))
			}
		}
	}
}
