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

// TestSidesAgree checks that all sides record the same values after the same calls,
// from one goroutine and from two goroutines.
func TestSidesAgree(t *testing.T) {
	for _, p := range Paths(Small) {
		if p.Group == Formats {
			continue // see TestFormatsAgree
		}
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
	if p.Group == Scraping || p.Units > 1 {
		n = 2
	}
	var first summary
	for i, s := range p.Sides() {
		if s.Reset != nil {
			s.Reset()
		}
		run(s.Run, parallel, n)
		if s.Scrape == nil {
			if s.Peer != Bare {
				t.Errorf("%s has no Scrape function", s.Peer)
			}
			continue
		}
		body := bodyOf(s.Scrape)
		var got summary
		if inProtobuf(p, s) {
			got = readProtobuf(t, body).summary()
		} else {
			got = read(t, p, body)
		}
		switch {
		case i == 0:
			first = got
			if got.samples == 0 || got.total == 0 || got.series == 0 {
				t.Errorf("%s: empty scrape: %+v", s.Peer, got)
			}
			if p.Group != Scraping && p.Units == 1 && p.Name != "FloatCounter.Add" && p.Name != "Gauge.Set" && got.total != float64(n) {
				t.Errorf("%s recorded %v calls, want %d", s.Peer, got.total, n)
			}
		case p.Name == "Gauge.Set" && parallel > 1: // the order of the last calls is random
		case s.Peer == Bare && p.Group != Scraping, s.Peer == Victoria && p.Group == Native, p.Group == Middleware:
			// The series of the two scrapes differ, but the number of calls must not.
			if got.total != first.total {
				t.Errorf("%s recorded %v, want %v as in tacho", s.Peer, got.total, first.total)
			}
		case got.samples != first.samples || got.series != first.series || math.Abs(got.total-first.total) > 1e-9*first.total:
			t.Errorf("%s: scrape %+v, want %+v as in tacho", s.Peer, got, first)
		}
		if strings.HasSuffix(p.Name, "Exemplar") && s.Peer != Bare && got.exemplars == 0 {
			t.Errorf("%s: no exemplar in the scrape", s.Peer)
		}
	}
}

// A summary is the part of a scrape that must be the same in all sides.
type summary struct {
	samples   int
	series    int     // number of values of the label "path"
	total     float64 // sum of the calls; for the group Scraping, sum of all samples
	exemplars int
}

func read(t *testing.T, p Path, body []byte) summary {
	t.Helper()
	if strings.HasPrefix(p.Name, negotiated.name) || strings.HasPrefix(p.Name, gzipHandler.name) {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasPrefix(p.Name, jsonView.name) {
		// The JSON formats of the libraries differ, except for the number of series.
		if !json.Valid(body) {
			t.Errorf("invalid JSON: %.200s", body)
		}
		n := bytes.Count(body, []byte(`"/api/`))
		return summary{samples: n, series: n, total: 1}
	}
	var f summary
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
			t.Errorf("invalid value in line %q: %v", line, err)
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

// recorded reports whether a line counts calls of the path.
func recorded(p Path, line string) bool {
	name := line[:strings.IndexAny(line, "{ ")]
	if p.Group == Middleware {
		return name == "http_requests_total" || name == "http_server_request_duration_seconds_count"
	}
	return !strings.HasSuffix(name, "_bucket") && !strings.HasSuffix(name, "_sum")
}
