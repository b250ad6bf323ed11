//go:build !tacho_nohttp

package tacho

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// optionPlaces has each option and the places where it applies.
var optionPlaces = map[string]struct {
	opt    Option
	places string
}{
	"WithConstLabels":      {WithConstLabels("k", "v"), "registry sub single vec histogram function http"},
	"WithMaxSeries":        {WithMaxSeries(1), "registry sub vec"},
	"WithIdleExpiry":       {WithIdleExpiry(time.Hour), "vec http"},
	"WithUnit":             {WithUnit("seconds"), "single vec histogram function"},
	"WithContextExemplars": {WithContextExemplars(nil), "registry sub"},
	"WithCreated":          {WithCreated(), "registry sub"},
	"WithUTF8Names":        {WithUTF8Names(), "registry"},
	"WithNative":           {WithNative(), "registry sub histogram http"},
	"WithDurationBuckets":  {WithDurationBuckets(nil), "http"},
	"WithSizeBuckets":      {WithSizeBuckets(nil), "http"},
	"WithPathLabel":        {WithPathLabel(nil), "http"},
	"WithExemplar":         {WithExemplar(nil), "http"},
	"WithMaxPaths":         {WithMaxPaths(1), "http"},
	"WithSkip":             {WithSkip(nil), "http"},
	"WithStream":           {WithStream(nil), "http"},
	"WithSetRoute":         {WithSetRoute(), "http"},
	"WithTimeToFirstByte":  {WithTimeToFirstByte(), "http"},
	"WithRequestSize":      {WithRequestSize(), "http"},
	"WithLabelName":        {WithLabelName("status", "code"), "http"},
	"WithPrefix":           {WithPrefix("app_"), "registry sub http"},
}

// TestOptionPlaces gives each option at each place. A place where the option does not apply
// refuses the definition, and the error names the option, the metric and the place.
func TestOptionPlaces(t *testing.T) {
	one := func() float64 { return 1 }
	l := []string{"l"}
	places := []struct {
		name   string // of each word: an option of any of these places applies
		metric string
		what   string // in the error
		define func(*Registry, ...Option)
		kind   string // of a function, in the error of WithNative
	}{
		{"registry", "", "a registry", func(_ *Registry, o ...Option) { NewRegistry(o...) }, ""},
		{"sub", "", "a sub-registry", func(_ *Registry, o ...Option) { makeOptions(nil, &inSub, o) }, ""},
		{"http", "", "a middleware", func(r *Registry, o ...Option) { NewHTTPMetrics(r, o...) }, ""},
		{"single", "a_seconds", "a counter", func(r *Registry, o ...Option) { r.Counter("a_seconds", "", o...) }, ""},
		{"single", "a_seconds", "a counter", func(r *Registry, o ...Option) { r.FloatCounter("a_seconds", "", o...) }, ""},
		{"single", "a_seconds", "a gauge", func(r *Registry, o ...Option) { r.Gauge("a_seconds", "", o...) }, ""},
		{"single", "a_seconds", "a gauge", func(r *Registry, o ...Option) { r.FloatGauge("a_seconds", "", o...) }, ""},
		{"single", "a_seconds", "a gauge", func(r *Registry, o ...Option) { r.FloatGaugeVec("a_seconds", "", nil, o...) }, ""},
		{"single histogram", "a_seconds", "a histogram", func(r *Registry, o ...Option) { r.Histogram("a_seconds", "", nil, o...) }, ""},
		{"vec", "a_seconds", "a counter", func(r *Registry, o ...Option) { r.CounterVec("a_seconds", "", l, o...) }, ""},
		{"vec", "a_seconds", "a counter", func(r *Registry, o ...Option) { r.FloatCounterVec("a_seconds", "", l, o...) }, ""},
		{"vec", "a_seconds", "a gauge", func(r *Registry, o ...Option) { r.GaugeVec("a_seconds", "", l, o...) }, ""},
		{"vec", "a_seconds", "a gauge", func(r *Registry, o ...Option) { r.FloatGaugeVec("a_seconds", "", l, o...) }, ""},
		{"vec histogram", "a_seconds", "a histogram", func(r *Registry, o ...Option) { r.HistogramVec("a_seconds", "", nil, l, o...) }, ""},
		{"function", "a_seconds", "a function", func(r *Registry, o ...Option) { r.CounterFunc("a_seconds", "", one, o...) }, "a counter"},
		{"function", "a_seconds", "a function", func(r *Registry, o ...Option) { r.GaugeFunc("a_seconds", "", one, o...) }, "a gauge"},
	}
	for _, name := range exportedOptions(t) {
		c, ok := optionPlaces[name]
		if !ok {
			t.Errorf("the table of this test lacks the option %s", name)
			continue
		}
		applies := strings.Fields(c.places)
		for _, p := range places {
			_, err := Try(func() int { p.define(NewRegistry(), c.opt); return 0 })
			if slices.ContainsFunc(strings.Fields(p.name), func(s string) bool { return slices.Contains(applies, s) }) {
				if err != nil {
					t.Errorf("%s for %s: %v", name, p.what, err)
				}
				continue
			}
			want := DefinitionError{Metric: p.metric, Reason: name + " does not apply to " + p.what}
			if name == "WithNative" && p.name == "function" {
				want.Reason = name + " does not apply to " + p.kind
			}
			if strings.HasPrefix(p.name, "single") && slices.Contains(applies, "vec") {
				want.Reason += " without labels"
			}
			if got, _ := err.(*DefinitionError); got == nil || *got != want {
				t.Errorf("%s for %s: error %v, want %v", name, p.name, err, want.Error())
			}
		}
	}
}

// exportedOptions returns the names of the exported functions of the package that return an
// Option.
func exportedOptions(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() || fn.Recv != nil || fn.Type.Results == nil {
				continue
			}
			if result, ok := fn.Type.Results.List[0].Type.(*ast.Ident); ok && result.Name == "Option" {
				names = append(names, fn.Name.Name)
			}
		}
	}
	if len(names) < len(optionPlaces) {
		t.Errorf("the package has the options %q, and the test has %d", names, len(optionPlaces))
	}
	return names
}

// TestRefusedOptionDefinesNothing: a definition with an option that does not apply leaves the
// registry as it was.
func TestRefusedOptionDefinesNothing(t *testing.T) {
	r := NewRegistry()
	for _, define := range []func(){
		func() { r.Counter("x_total", "", WithUnit(""), WithNative()) },
		func() { NewHTTPMetrics(r, WithMaxPaths(2), WithUnit("seconds")) },
	} {
		if _, err := Try(func() int { define(); return 0 }); err == nil {
			t.Error("an option that does not apply was accepted")
		}
	}
	r.Gauge("x_total", "")
	NewHTTPMetrics(r, WithConstLabels("k", "v"))
	if got := text(t, r); !strings.Contains(got, "x_total 0\n") {
		t.Errorf("the scrape lacks the second definition:\n%s", got)
	}
}
