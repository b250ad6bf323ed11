package history

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/native"
)

var update = flag.Bool("update", false, "write the fixture for the tests of the dashboard")

const fixture = "../../dashboard/browser/testdata/history"

// A fixtureStep is a clientStep in JSON. Values is sorted by its texts. JSON has no infinite numbers, so
// bounds are texts.
type fixtureStep struct {
	Number uint64         `json:"number"`
	Time   uint64         `json:"time"`
	Values []fixtureValue `json:"values"`
}

type fixtureValue struct {
	Family string  `json:"family"`
	Labels string  `json:"labels"`
	Type   string  `json:"type"`
	Left   string  `json:"left"`
	Right  string  `json:"right"`
	Value  float64 `json:"value"`
}

func fixtureSteps(c *client) (steps []fixtureStep) {
	for _, s := range c.steps {
		step := fixtureStep{Number: s.number, Time: s.at, Values: []fixtureValue{}}
		for name, v := range s.values {
			step.Values = append(step.Values, fixtureValueOf(name, v))
		}
		slices.SortFunc(step.Values, func(a, b fixtureValue) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		steps = append(steps, step)
	}
	return steps
}

// fixtureValueOf splits a result of slotName.
func fixtureValueOf(name string, v float64) fixtureValue {
	family, rest, _ := strings.Cut(name, "{")
	end := strings.LastIndex(rest, "} ")
	var kind int
	var left, right string
	if _, err := fmt.Sscan(rest[end+2:], &kind, &left, &right); err != nil {
		panic(err)
	}
	types := []string{"value", "sum", "count", "bucket", "quantile", "native"}
	return fixtureValue{family, rest[:end], types[kind], left, right, v}
}

// TestFixture compares two responses with those that the dashboard's tests read. The ring of the full
// response has dropped a step. The increment has a new family, a series that ended, and a new native
// bucket.
func TestFixture(t *testing.T) {
	r := New(Config{Range: 15 * time.Second, Step: 5 * time.Second, MaxBytes: 1 << 20})
	r.id = 0x0123456789abcdef
	start := time.UnixMilli(1_700_000_000_000)
	bounds := expo.NewBounds([]float64{0.1, 1})
	block := func(pairs ...string) string {
		var labels []label.Label
		for i := 0; i < len(pairs); i += 2 {
			labels = append(labels, label.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return string(label.AppendBlock(nil, labels))
	}
	sample := func(n int, more bool) {
		err := r.Sample(start.Add(time.Duration(n)*5*time.Second), func(w io.Writer) error {
			to := w.(expo.Reader)
			to.Begin(&expo.Family{Name: "http_requests_total", Help: "Requests.", Kind: expo.Counter}, nil)
			to.Float(block("path", "/a", "status", "200"), float64(10*n))
			if !more {
				to.Float(block("path", "/b\"\\\n", "status", "500"), 7)
			}
			to.Begin(&expo.Family{Name: "latency_seconds", Unit: "seconds", Kind: expo.Histogram}, nil)
			to.Histogram(block("path", "/a"), &bounds, []uint64{uint64(n), 2, uint64(n * n)}, 1.5*float64(n), nil)
			s := &native.Snapshot{Schema: 1, ZeroThreshold: 0.001, Zero: 1, Positive: []native.Bucket{{Key: 2, Count: uint64(n + 1)}}}
			if more {
				s.Negative = []native.Bucket{{Key: 0, Count: 3}}
			}
			to.Histogram(block("path", "/native"), &bounds, []uint64{0, 1, uint64(n)}, 3, s)
			to.Begin(&expo.Family{Name: "rpc_seconds", Kind: expo.Summary}, nil)
			to.Summary(" ", &expo.Distribution{Count: uint64(n), Sum: 0.25, Quantiles: []expo.Quantile{{Quantile: 0.5, Value: 0.125}, {Quantile: 0.99, Value: float64(n)}}})
			to.Begin(&expo.Family{Name: "temperature.celsius", Unit: "celsius", Help: "Grüße", Kind: expo.Gauge}, nil)
			to.Float(" ", -float64(n)-0.5)
			if more {
				to.Begin(&expo.Family{Name: "up", Kind: expo.Untyped}, nil)
				to.Float(" ", 1)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 5 {
		sample(n, false)
	}
	var c client
	content := struct {
		Ring      string        `json:"ring"`
		Now       uint64        `json:"now"`
		Step      uint64        `json:"step"`
		Range     uint64        `json:"range"`
		Families  []any         `json:"families"`
		Full      []fixtureStep `json:"full"`      // the steps of history.bin
		Increment string        `json:"increment"` // a response that follows, in base64
		After     []fixtureStep `json:"after"`     // the steps of both
	}{}
	full := r.Append(nil, c.position, start.Add(21*time.Second))
	if err := c.read(full); err != nil {
		t.Fatal(err)
	}
	content.Full = fixtureSteps(&c)
	sample(5, true)
	increment := r.Append(nil, c.position, start.Add(26*time.Second))
	content.Increment = base64.StdEncoding.EncodeToString(increment)
	if err := c.read(increment); err != nil {
		t.Fatal(err)
	}
	content.After = fixtureSteps(&c)
	content.Ring, content.Now, content.Step, content.Range = fmt.Sprintf("%x", c.position.Ring), c.now, c.step, c.span
	kinds := []string{"counter", "gauge", "histogram", "unknown", "info", "summary"}
	for id := range uint64(len(c.families)) {
		f := c.families[id]
		content.Families = append(content.Families, map[string]string{"name": f.name, "kind": kinds[f.kind], "unit": f.unit, "help": f.help})
	}
	text, err := json.MarshalIndent(content, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{fixture + ".bin": full, fixture + ".json": append(text, '\n')} {
		if *update {
			if err := os.WriteFile(name, want, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs (%v); -update writes it", name, err)
		}
	}
}
