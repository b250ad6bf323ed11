package conformance

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tachikoma/tacho"
)

// familiesByName maps the names of families to the families of a scrape.
type familiesByName map[string]*dto.MetricFamily

// tachoFamilies scrapes reg and parses the scrape with expfmt.
func tachoFamilies(t *testing.T, reg *tacho.Registry) familiesByName {
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

// clientFamilies gathers the families of a client_golang registry.
func clientFamilies(t *testing.T, reg *prometheus.Registry) familiesByName {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return byName(families)
}

func byName(families []*dto.MetricFamily) familiesByName {
	r := familiesByName{}
	for _, f := range families {
		r[f.GetName()] = f
	}
	return r
}

// names returns the sorted names of the families.
func (r familiesByName) names() []string {
	names := []string{}
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// value returns the value of a family with a single series.
func (r familiesByName) value(name string) float64 {
	m := r[name].GetMetric()[0]
	if c := m.GetCounter(); c != nil {
		return c.GetValue()
	}
	return m.GetGauge().GetValue()
}

// labels returns the labels of a family with a single series, by name.
func (r familiesByName) labels(name string) map[string]string {
	labels := map[string]string{}
	for _, l := range r[name].GetMetric()[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// compareFamilies compares names, types and help texts. A help text of tacho must not
// be empty and must mention the same metrics of package runtime/metrics as the help
// text of client_golang. The rest of the help text may differ.
func compareFamilies(t *testing.T, tacho, client familiesByName) {
	t.Helper()
	if got, want := tacho.names(), client.names(); !slices.Equal(got, want) {
		t.Fatalf("families\n%q, want the families of client_golang\n%q", got, want)
	}
	for name, f := range tacho {
		if f.GetType() != client[name].GetType() {
			t.Errorf("%s has type %v, want %v as in client_golang", name, f.GetType(), client[name].GetType())
		}
		if len(f.GetMetric()) != 1 || len(client[name].GetMetric()) != 1 {
			t.Errorf("%s has %d series and %d in client_golang, want 1 each", name, len(f.GetMetric()), len(client[name].GetMetric()))
		}
		got, want := sources(f.GetHelp()), sources(client[name].GetHelp())
		if f.GetHelp() == "" || !slices.Equal(got, want) {
			t.Errorf("%s: help %q, want the runtime/metrics names of client_golang's help %q", name, f.GetHelp(), client[name].GetHelp())
		}
	}
}

var source = regexp.MustCompile(`/[a-z-]+(?:/[a-z-]+)*:[a-z-]+`)

// sources returns the runtime/metrics names in a help text, sorted. The description of the
// runtime, before the sentence "Sourced from", can have names of other metrics.
func sources(help string) []string {
	if _, own, ok := strings.Cut(help, "Sourced from "); ok {
		help = own
	}
	found := source.FindAllString(help, -1)
	for i, name := range found {
		if name == "/memory/classes/total:byte" { // a mistake in client_golang's help of go_memstats_sys_bytes
			found[i] = "/memory/classes/total:bytes"
		}
	}
	slices.Sort(found)
	return found
}

// isBetween reports whether the value of tacho lies between two values of
// client_golang: a value read before and a value read after.
func isBetween(name string, before, now, after familiesByName) bool {
	a, v, b := before.value(name), now.value(name), after.value(name)
	return min(a, b) <= v && v <= max(a, b)
}
