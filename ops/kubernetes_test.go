//go:build !tacho_nohttp

package ops_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const ruleHeader = `# The rules of ../rules.yml for Prometheus Operator. "go test ./ops -update" writes this file.
# docs/runbook.md has a section for each alert.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tachikoma
  labels:
    app.kubernetes.io/name: tachikoma
spec:
`

// TestPrometheusRule compares kubernetes/prometheusrule.yml with rules.yml.
func TestPrometheusRule(t *testing.T) {
	rules := read(t, "rules.yml")
	at := strings.Index(rules, "\ngroups:\n")
	if at < 0 {
		t.Fatal("rules.yml has no groups")
	}
	var b strings.Builder
	b.WriteString(ruleHeader)
	for line := range strings.Lines(rules[at+1:]) {
		if line != "\n" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	path := filepath.Join("kubernetes", "prometheusrule.yml")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path) != b.String() {
		t.Errorf("%s has other rules than rules.yml (go test ./ops -update writes the file)", path)
	}
}
