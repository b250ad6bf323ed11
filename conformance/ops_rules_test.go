package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

// A rulesFile is a file with tests of rules, in the format of "promtool test rules". It has
// the fields that the files of ../ops use. Another field is an error.
type rulesFile struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []rulesTest    `yaml:"tests"`
}

type rulesTest struct {
	Name        string         `yaml:"name"`
	Interval    model.Duration `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Exprs []struct {
		Expr       string         `yaml:"expr"`
		EvalTime   model.Duration `yaml:"eval_time"`
		ExpSamples []struct {
			Labels string  `yaml:"labels"`
			Value  float64 `yaml:"value"`
		} `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
	Alerts []struct {
		EvalTime  model.Duration `yaml:"eval_time"`
		Alertname string         `yaml:"alertname"`
		ExpAlerts []struct {
			Labels      map[string]string `yaml:"exp_labels"`
			Annotations map[string]string `yaml:"exp_annotations"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// TestOpsRules runs the tests of ../ops with the rules engine of Prometheus 3. Debian's
// promtool reads no native histograms. The program promtool of Prometheus 3 requires many more
// modules than the rules engine.
func TestOpsRules(t *testing.T) {
	for _, name := range []string{"rules_test.yml", "rules_native_test.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "ops", name))
		if err != nil {
			t.Fatal(err)
		}
		var file rulesFile
		if err := yaml.UnmarshalStrict(text, &file); err != nil {
			t.Fatal(err)
		}
		for i, path := range file.RuleFiles {
			file.RuleFiles[i] = filepath.Join("..", "ops", path)
		}
		if len(file.Tests) < 10 {
			t.Errorf("%s has %d tests, want at least 10", name, len(file.Tests))
		}
		for _, test := range file.Tests {
			t.Run(name+"/"+test.Name, func(t *testing.T) {
				t.Parallel()
				for _, problem := range test.run(t, time.Duration(file.EvaluationInterval), file.RuleFiles) {
					t.Error(problem)
				}
			})
		}
	}
}

// TestOpsRulesFails checks that the method run reports a wrong value and a wrong alert.
func TestOpsRulesFails(t *testing.T) {
	var test rulesTest
	if err := yaml.UnmarshalStrict([]byte(`
interval: 1m
input_series:
  - { series: 'up{job="tachikoma",instance="a"}', values: 0x20 }
promql_expr_test:
  - { expr: up, eval_time: 10m, exp_samples: [{ labels: 'up{job="tachikoma",instance="a"}', value: 1 }] }
  - { expr: up, eval_time: 10m }
  - { expr: up offset 1h, eval_time: 10m, exp_samples: [{ labels: 'up', value: 1 }] }
alert_rule_test:
  - { eval_time: 10m, alertname: TargetDown }
  - { eval_time: 10m, alertname: TargetMissing, exp_alerts: [{ exp_labels: { severity: critical } }] }
`), &test); err != nil {
		t.Fatal(err)
	}
	if problems := test.run(t, time.Minute, []string{filepath.Join("..", "ops", "rules.yml")}); len(problems) != 5 {
		t.Errorf("%d problems, want 5: %q", len(problems), problems)
	}
}

// run evaluates the rules from the start to the last eval_time and returns the differences
// from the expectation.
func (rt *rulesTest) run(t *testing.T, interval time.Duration, files []string) (problems []string) {
	t.Helper()
	var load strings.Builder
	fmt.Fprintf(&load, "load %v\n", rt.Interval)
	for _, s := range rt.InputSeries {
		fmt.Fprintf(&load, "  %s %s\n", s.Series, s.Values)
	}
	p := parser.NewParser(parser.Options{})
	loader, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true, Parser: p})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := loader.Close(); err != nil {
			t.Error(err)
		}
	}()
	loader.SubqueryInterval = interval

	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(loader.QueryEngine(), loader.Storage()),
		AppendableV2: loader.Storage(),
		Context:      context.Background(),
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		Logger:       slog.New(slog.DiscardHandler),
		Parser:       p,
	})
	loaded, errs := manager.LoadGroups(time.Duration(rt.Interval), labels.EmptyLabels(), "", nil, false, files...)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	groups := slices.Collect(maps.Values(loaded))
	for _, g := range groups {
		for _, r := range g.Rules() {
			if alert, ok := r.(*rules.AlertingRule); ok {
				alert.SetRestored(true) // otherwise the first evaluations wait for an earlier state
			}
		}
	}

	var last model.Duration
	for _, e := range rt.Exprs {
		last = max(last, e.EvalTime)
	}
	for _, a := range rt.Alerts {
		last = max(last, a.EvalTime)
	}
	for at := time.Duration(0); at <= time.Duration(last); at += interval {
		now := time.Unix(0, 0).UTC().Add(at)
		loader.WithSamplesTill(now, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				g.Eval(loader.Context(), now)
				for _, r := range g.Rules() {
					if err := r.LastError(); err != nil {
						t.Fatalf("%s at %v: %v", r.Name(), at, err)
					}
				}
			}
		})
		for _, a := range rt.Alerts {
			if time.Duration(a.EvalTime) != at {
				continue
			}
			var got, want []string
			for _, g := range groups {
				for _, r := range g.Rules() {
					if rule, ok := r.(*rules.AlertingRule); ok && rule.Name() == a.Alertname {
						for _, active := range rule.ActiveAlerts() {
							if active.State == rules.StateFiring {
								got = append(got, fmt.Sprint(active.Labels, active.Annotations))
							}
						}
					}
				}
			}
			for _, e := range a.ExpAlerts {
				all := maps.Clone(e.Labels)
				all[labels.AlertName] = a.Alertname
				want = append(want, fmt.Sprint(labels.FromMap(all), labels.FromMap(e.Annotations)))
			}
			problems = appendDifference(problems, a.Alertname, a.EvalTime, got, want)
		}
	}
	for _, e := range rt.Exprs {
		q, err := loader.QueryEngine().NewInstantQuery(loader.Context(), loader.Queryable(), nil, e.Expr, time.Unix(0, 0).UTC().Add(time.Duration(e.EvalTime)))
		if err != nil {
			t.Fatalf("%s: %v", e.Expr, err)
		}
		result := q.Exec(loader.Context())
		if result.Err != nil {
			t.Fatalf("%s: %v", e.Expr, result.Err)
		}
		var vector promql.Vector
		switch v := result.Value.(type) {
		case promql.Vector:
			vector = v
		case promql.Scalar:
			vector = promql.Vector{{F: v.V}}
		default:
			t.Fatalf("%s is a %s", e.Expr, v.Type())
		}
		var got, want []string
		for _, s := range vector {
			if s.H != nil {
				t.Fatalf("%s is a native histogram", e.Expr)
			}
			got = append(got, fmt.Sprint(s.Metric, s.F))
		}
		for _, s := range e.ExpSamples {
			metric, err := p.ParseMetric(s.Labels)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint(metric, s.Value))
		}
		problems = appendDifference(problems, e.Expr, e.EvalTime, got, want)
	}
	return problems
}

func appendDifference(problems []string, what string, at model.Duration, got, want []string) []string {
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return problems
	}
	return append(problems, fmt.Sprintf("%s at %v is\n%s\nwant\n%s", what, at, strings.Join(got, "\n"), strings.Join(want, "\n")))
}
