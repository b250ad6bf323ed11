package conformance

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var programs = flag.Bool("programs", false, "run the tests that need python3 with prometheus_client, gzip, pigz and 7zz")

// needPrograms skips a test unless the flag -programs is set. With the flag, a missing
// program fails the test.
func needPrograms(t *testing.T) {
	t.Helper()
	if !*programs {
		t.Skip("needs the flag -programs and the programs that .ci/oracles downloads")
	}
}

// A pythonClient is a Python process that parses scrapes with prometheus_client.
type pythonClient struct {
	requests  *json.Encoder
	responses *json.Decoder
}

// newPythonClient starts Python. The process ends with the test.
func newPythonClient(t *testing.T) *pythonClient {
	t.Helper()
	needPrograms(t)
	cmd := exec.Command("python3", filepath.Join("testdata", "client_python.py"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python3: %v", err)
		}
	})
	return &pythonClient{json.NewEncoder(in), json.NewDecoder(out)}
}

// read parses a scrape. The error is that of the parser.
func (p *pythonClient) read(t *testing.T, data []byte, contentType string) (*exposition, error) {
	t.Helper()
	type pythonExemplar struct {
		Labels [][2]string
		Value  string
		At     *float64 // milliseconds
	}
	var response struct {
		Error    string
		Families []struct {
			Name, Kind, Help, Unit string
			Samples                []struct {
				pythonExemplar
				Name     string
				Exemplar *pythonExemplar
			}
		}
	}
	if err := p.requests.Encode(map[string]any{"scrape": string(data), "openMetrics": contentType == typeOpenMetrics}); err != nil {
		t.Fatal(err)
	}
	if err := p.responses.Decode(&response); err != nil {
		t.Fatal(err)
	}
	if response.Error != "" {
		return nil, errors.New(response.Error)
	}
	number := func(hexadecimal string) float64 {
		v, err := strconv.ParseFloat(hexadecimal, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	labels := func(pairs [][2]string) (list []label) {
		for _, l := range pairs {
			list = append(list, label{l[0], l[1]})
		}
		return list
	}
	e := newExposition()
	for _, in := range response.Families {
		if in.Kind == "counter" && contentType == typeText {
			in.Name += "_total" // as in the scrape
		}
		f, err := e.add(in.Name)
		if err != nil {
			return nil, err
		}
		f.kind, f.help, f.unit = in.Kind, in.Help, in.Unit
		for _, in := range in.Samples {
			s := &sample{name: in.Name, labels: labels(in.Labels), value: number(in.Value)}
			if in.At != nil {
				ms := int64(*in.At + 0.5)
				s.at = &ms
			}
			if x := in.Exemplar; x != nil {
				read := exemplar{labels: labels(x.Labels), value: number(x.Value)}
				if x.At != nil {
					at := *x.At / 1e3
					read.at = &at
				}
				s.exemplar = []exemplar{read}
			}
			if err := f.add(s); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// pythonText converts the expected content of the text format to that of prometheus_client,
// whose counters all have the suffix _total. The result is nil if two counters then have the
// same name, or if the rest of a name is empty: prometheus_client has no such objects.
func (e *exposition) pythonText() *exposition {
	converted := newExposition()
	for _, f := range e.families {
		f.help = strings.TrimFunc(f.help, pythonSpace)
		if f.kind == "counter" {
			f.name = strings.TrimSuffix(f.name, "_total") + "_total"
			samples := f.samples
			f.samples = map[string]*sample{}
			for _, s := range samples {
				s.name = f.name
				f.samples[s.key()] = s
			}
		}
		if f.name == "_total" || converted.families[f.name] != nil {
			return nil
		}
		converted.families[f.name] = f
	}
	return converted
}

// pythonSpace reports whether the text parser drops r at the ends of a help text. A newline
// is escaped there.
func pythonSpace(r rune) bool {
	return r != '\n' && strings.ContainsRune("\t\v\f\r \x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000", r) || '\u2000' <= r && r <= '\u200a'
}
