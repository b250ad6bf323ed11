package conformance

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

func opsFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "ops"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manifest decodes an object of Kubernetes or of Prometheus Operator. An unknown field or kind
// is an error.
func manifest(text string) (any, error) {
	var kind meta.TypeMeta
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return nil, err
	}
	objects := map[string]any{
		"apps/v1 Deployment":                      &apps.Deployment{},
		"v1 Service":                              &core.Service{},
		"monitoring.coreos.com/v1 PodMonitor":     &monitoring.PodMonitor{},
		"monitoring.coreos.com/v1 ServiceMonitor": &monitoring.ServiceMonitor{},
		"monitoring.coreos.com/v1 PrometheusRule": &monitoring.PrometheusRule{},
	}
	object := objects[kind.APIVersion+" "+kind.Kind]
	if object == nil {
		return nil, fmt.Errorf("unknown kind %s of %s", kind.Kind, kind.APIVersion)
	}
	return object, yaml.UnmarshalStrict([]byte(text), object)
}

// TestOpsKubernetes decodes the manifests of ../ops/kubernetes and checks that they select each
// other: labels, ports, and the job of the rules.
func TestOpsKubernetes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "ops", "kubernetes", "*.yml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("files %v, %v", files, err)
	}
	var (
		deployment     *apps.Deployment
		service        *core.Service
		podMonitor     *monitoring.PodMonitor
		serviceMonitor *monitoring.ServiceMonitor
		rule           *monitoring.PrometheusRule
	)
	for _, file := range files {
		for _, text := range strings.Split(opsFile(t, "kubernetes", filepath.Base(file)), "\n---\n") {
			object, err := manifest(text)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			switch object := object.(type) {
			case *apps.Deployment:
				deployment = object
			case *core.Service:
				service = object
			case *monitoring.PodMonitor:
				podMonitor = object
			case *monitoring.ServiceMonitor:
				serviceMonitor = object
			case *monitoring.PrometheusRule:
				rule = object
			}
			if _, err := manifest(text + "\nscrapeNativeHistogram: true\n"); err == nil {
				t.Errorf("%s: an unknown field is no error", file)
			}
		}
	}
	if deployment == nil || service == nil || podMonitor == nil || serviceMonitor == nil || rule == nil {
		t.Fatal("a manifest is missing")
	}

	pod := deployment.Spec.Template
	for name, selector := range map[string]*meta.LabelSelector{
		"Deployment": deployment.Spec.Selector, "Service": {MatchLabels: service.Spec.Selector}, "PodMonitor": &podMonitor.Spec.Selector,
	} {
		checkSelects(t, name, selector, pod.Labels)
	}
	checkSelects(t, "ServiceMonitor", &serviceMonitor.Spec.Selector, service.Labels)

	ports := map[string]int32{}
	for _, p := range pod.Spec.Containers[0].Ports {
		ports[p.Name] = p.ContainerPort
	}
	servicePorts := map[string]bool{}
	for _, p := range service.Spec.Ports {
		servicePorts[p.Name] = true
		if ports[p.TargetPort.StrVal] == 0 {
			t.Errorf("the service's port %s has the target %v, which is no port of the pod", p.Name, p.TargetPort)
		}
	}
	fromPod, fromService := podMonitor.Spec.PodMetricsEndpoints[0], serviceMonitor.Spec.Endpoints[0]
	if *fromPod.Port != "metrics" || ports[*fromPod.Port] == 0 || ports["metrics"] == ports["http"] {
		t.Errorf("the PodMonitor selects the port %s of %v", *fromPod.Port, ports)
	}
	if fromService.Port != "metrics" || !servicePorts[fromService.Port] {
		t.Errorf("the ServiceMonitor selects the port %s of %v", fromService.Port, servicePorts)
	}
	want := map[string]string{
		"prometheus.io/scrape": "true", "prometheus.io/path": fromPod.Path, "prometheus.io/port": strconv.Itoa(int(ports["metrics"])),
	}
	if !reflect.DeepEqual(pod.Annotations, want) || fromService.Path != fromPod.Path {
		t.Errorf("annotations %v, want %v", pod.Annotations, want)
	}
	for name, config := range map[string]monitoring.NativeHistogramConfig{
		"PodMonitor": podMonitor.Spec.NativeHistogramConfig, "ServiceMonitor": serviceMonitor.Spec.NativeHistogramConfig,
	} {
		if config.ScrapeNativeHistograms == nil || !*config.ScrapeNativeHistograms || config.ScrapeClassicHistograms == nil {
			t.Errorf("%s has the settings %v", name, config)
		}
	}
	for _, d := range []monitoring.Duration{fromPod.Interval, fromPod.ScrapeTimeout, fromService.Interval, fromService.ScrapeTimeout} {
		if _, err := model.ParseDuration(string(d)); err != nil {
			t.Error(err)
		}
	}

	// Both monitors result in the job that the rules select.
	for name, job := range map[string]string{"PodMonitor": pod.Labels[podMonitor.Spec.JobLabel], "ServiceMonitor": service.Labels[serviceMonitor.Spec.JobLabel]} {
		if !strings.Contains(opsFile(t, "rules.yml"), `{job="`+job+`"`) {
			t.Errorf("%s has the job %q, which no rule selects", name, job)
		}
	}
}

func checkSelects(t *testing.T, name string, selector *meta.LabelSelector, of labels.Set) {
	t.Helper()
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil || s.Empty() || !s.Matches(of) {
		t.Errorf("%s selects %v, %v: no match of %v", name, s, err, of)
	}
}

// TestOpsPrometheusRule compares the rules of the PrometheusRule with ../ops/rules.yml. The
// parser of Prometheus reads both, as "promtool check rules" does.
func TestOpsPrometheusRule(t *testing.T) {
	object, err := manifest(opsFile(t, "kubernetes", "prometheusrule.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var want monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(opsFile(t, "rules.yml")), &want); err != nil {
		t.Fatal(err)
	}
	got := object.(*monitoring.PrometheusRule).Spec
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the rules differ from those of rules.yml")
	}
	spec, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(spec, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rules := 0
	for _, g := range groups.Groups {
		rules += len(g.Rules)
	}
	if rules < 30 {
		t.Errorf("%d rules, want at least 30", rules)
	}
	wrong := strings.Replace(string(spec), "sum by (job)", "sum by (job", 1)
	if _, errs := rulefmt.Parse([]byte(wrong), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler)); len(errs) == 0 {
		t.Error("a rule with a wrong expression is no error")
	}
}
