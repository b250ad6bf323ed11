package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestSidesAgree shows that the comparison is honest: after the same calls, alone
// and from two goroutines, every side has recorded the same.
func TestSidesAgree(t *testing.T) {
	for _, p := range Paths(Small) {
		t.Run(p.Name, func(t *testing.T) {
			for _, parallel := range []int{1, 2} {
				if parallel > 1 && p.Alone {
					continue
				}
				agree(t, p, parallel)
			}
		})
	}
}

func agree(t *testing.T, p Path, parallel int) {
	n := 3000
	if p.Batch > 0 {
		n = p.Batch
	}
	if p.Group == Scraping {
		n = 2
	}
	var first facts
	for i, s := range p.Sides() {
		if s.Reset != nil {
			s.Reset()
		}
		run(s.Run, parallel, n)
		if s.Scrape == nil {
			if s.Peer != Bare {
				t.Errorf("%s shows nothing", s.Peer)
			}
			continue
		}
		got := read(t, p, bodyOf(s.Scrape))
		switch {
		case i == 0:
			first = got
			if got.samples == 0 || got.total == 0 || got.series == 0 {
				t.Errorf("%s did nothing: %+v", s.Peer, got)
			}
			if p.Group != Scraping && p.Name != "FloatCounter.Add" && p.Name != "Gauge.Set" && got.total != float64(n) {
				t.Errorf("%s recorded %v calls of %d", s.Peer, got.total, n)
			}
		case p.Name == "Gauge.Set" && parallel > 1: // the last to set it may be any
		case s.Peer == Bare && p.Group != Scraping, p.Group == Middleware:
			// What is shown has another form; how much was done has not.
			if got.total != first.total {
				t.Errorf("%s recorded %v, tacho %v", s.Peer, got.total, first.total)
			}
		case got.samples != first.samples || got.series != first.series || math.Abs(got.total-first.total) > 1e-9*first.total:
			t.Errorf("%s shows %+v, tacho %+v", s.Peer, got, first)
		}
		if strings.HasSuffix(p.Name, "Exemplar") && s.Peer != Bare && got.exemplars == 0 {
			t.Errorf("%s keeps no exemplar", s.Peer)
		}
	}
}

// facts are what a scrape says.
type facts struct {
	samples   int
	series    int     // that have a path
	total     float64 // of what was recorded; of all samples of a path that scrapes
	exemplars int
}

func read(t *testing.T, p Path, body []byte) facts {
	t.Helper()
	if strings.HasPrefix(p.Name, asked.name) || strings.HasPrefix(p.Name, gzipHandler.name) {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasPrefix(p.Name, jsonView.name) {
		// The JSON of two libraries has nothing in common but its series.
		if !json.Valid(body) {
			t.Errorf("no JSON: %.200s", body)
		}
		n := bytes.Count(body, []byte(`"/api/`))
		return facts{samples: n, series: n, total: 1}
	}
	var f facts
	paths := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line, _, exemplar := strings.Cut(strings.TrimSuffix(line, "\n"), " # ")
		if exemplar {
			f.exemplars++
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Errorf("bad line %q: %v", line, err)
		}
		f.samples++
		paths[pathIn(line)] = true
		if p.Group == Scraping || recorded(p, line) {
			f.total += value
		}
	}
	f.series = len(paths)
	return f
}

func pathIn(line string) string {
	_, rest, _ := strings.Cut(line, `path="`)
	path, _, _ := strings.Cut(rest, `"`)
	return path
}

// recorded says whether a line counts calls of the path.
func recorded(p Path, line string) bool {
	name := line[:strings.IndexAny(line, "{ ")]
	if p.Group == Middleware {
		return name == "http_requests_total" || name == "http_server_request_duration_seconds_count"
	}
	return !strings.HasSuffix(name, "_bucket") && !strings.HasSuffix(name, "_sum")
}
