package conformance

import (
	"bytes"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tachikoma/tacho"
)

// A readout is a scrape by name of family, read by the parser of client libraries.
type readout map[string]*dto.MetricFamily

// ofTacho reads what tacho writes.
func ofTacho(t *testing.T, reg *tacho.Registry) readout {
	t.Helper()
	var b bytes.Buffer
	if err := reg.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	families, err := decode(b.Bytes(), "text/plain; version=0.0.4; charset=utf-8")
	if err != nil {
		t.Fatal(err)
	}
	return byName(families)
}

// ofClient reads what client_golang gathers.
func ofClient(t *testing.T, reg *prometheus.Registry) readout {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return byName(families)
}

func byName(families []*dto.MetricFamily) readout {
	r := readout{}
	for _, f := range families {
		r[f.GetName()] = f
	}
	return r
}

// names returns the families, sorted.
func (r readout) names() []string {
	names := []string{}
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// value returns the value of a family that has one series.
func (r readout) value(name string) float64 {
	m := r[name].GetMetric()[0]
	if c := m.GetCounter(); c != nil {
		return c.GetValue()
	}
	return m.GetGauge().GetValue()
}

// labels returns the labels of a family that has one series, by name.
func (r readout) labels(name string) map[string]string {
	labels := map[string]string{}
	for _, l := range r[name].GetMetric()[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// sameFamilies compares names, types and what help says: it is in tacho's words, but
// must be there and say that a value comes from the same metrics of runtime/metrics.
func sameFamilies(t *testing.T, tacho, client readout) {
	t.Helper()
	if got, want := tacho.names(), client.names(); !slices.Equal(got, want) {
		t.Fatalf("families\n%q, client_golang has\n%q", got, want)
	}
	for name, f := range tacho {
		if f.GetType() != client[name].GetType() {
			t.Errorf("%s is a %v, of client_golang's a %v", name, f.GetType(), client[name].GetType())
		}
		if len(f.GetMetric()) != 1 || len(client[name].GetMetric()) != 1 {
			t.Errorf("%s: %d series, of client_golang's %d", name, len(f.GetMetric()), len(client[name].GetMetric()))
		}
		got, want := sources(f.GetHelp()), sources(client[name].GetHelp())
		if f.GetHelp() == "" || !slices.Equal(got, want) {
			t.Errorf("%s: help %q, client_golang's %q", name, f.GetHelp(), client[name].GetHelp())
		}
	}
}

var source = regexp.MustCompile(`/[a-z-]+(?:/[a-z-]+)*:[a-z-]+`)

// sources returns the names in package runtime/metrics that a help text has, sorted.
func sources(help string) []string {
	found := source.FindAllString(help, -1)
	for i, name := range found {
		if name == "/memory/classes/total:byte" { // in the help of go_memstats_sys_bytes, a slip
			found[i] = "/memory/classes/total:bytes"
		}
	}
	slices.Sort(found)
	return found
}

// agree compares a value with client_golang's before and after it was read.
func agree(name string, before, now, after readout) bool {
	a, v, b := before.value(name), now.value(name), after.value(name)
	return min(a, b) <= v && v <= max(a, b)
}
