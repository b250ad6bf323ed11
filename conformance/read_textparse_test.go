package conformance

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	promexemplar "github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

const (
	typeText        = "text/plain; version=0.0.4; charset=utf-8"
	typeOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

var contentTypes = []string{typeText, typeOpenMetrics}

// readTextparse reads a scrape as Prometheus' scrape loop does.
func readTextparse(data []byte, contentType string) (*exposition, error) {
	p, err := textparse.New(data, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, err
	}
	e := newExposition()
	var f *family // the one that the parser is in
	has := map[string]bool{}
	meta := func(what string, name []byte) error {
		if n := unquoted(name); f == nil || f.name != n {
			var err error
			if f, err = e.add(n); err != nil {
				return err
			}
			clear(has)
		}
		if has[what] || len(f.samples) > 0 {
			return fmt.Errorf("%s of %q stands twice, or after samples", what, f.name)
		}
		has[what] = true
		return nil
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return e, nil
		}
		if err != nil {
			return nil, err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			err = meta("TYPE", name)
			if err == nil {
				f.kind = string(kind)
			}
		case textparse.EntryHelp:
			name, help := p.Help()
			err = meta("HELP", name)
			if err == nil {
				f.help = string(help)
			}
		case textparse.EntryUnit:
			name, unit := p.Unit()
			err = meta("UNIT", name)
			if err == nil {
				f.unit = string(unit)
			}
		case textparse.EntrySeries:
			if f == nil {
				return nil, errors.New("a sample before any family")
			}
			err = f.add(readSample(p))
		default:
			return nil, fmt.Errorf("entry %d, which the engine does not write", entry)
		}
		if err != nil {
			return nil, err
		}
	}
}

func readSample(p textparse.Parser) *sample {
	var s sample
	var at *int64
	_, at, s.value = p.Series()
	if at != nil {
		ms := *at
		s.at = &ms
	}
	var ls labels.Labels
	p.Labels(&ls)
	s.name, s.labels = split(ls)
	var x promexemplar.Exemplar
	for p.Exemplar(&x) {
		_, pairs := split(x.Labels)
		for i := range pairs {
			// The parser hands the labels of exemplars out as they are written, escapes and all.
			pairs[i].value = unquoted([]byte(pairs[i].value))
		}
		read := exemplar{labels: pairs, value: x.Value}
		if x.HasTs {
			at := float64(x.Ts) / 1e3
			read.at = &at
		}
		s.exemplar = append(s.exemplar, read)
		x = promexemplar.Exemplar{}
	}
	return &s
}

func split(ls labels.Labels) (name string, pairs []label) {
	ls.Range(func(l labels.Label) {
		if l.Name == "__name__" {
			name = l.Value
		} else {
			pairs = append(pairs, label{l.Name, l.Value})
		}
	})
	return name, pairs
}

// unquoted undoes the escapes in names of HELP, TYPE and UNIT lines, which the
// parser returns as they are written.
func unquoted(name []byte) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(string(name))
}

// startTimes reads the scrape once more and returns the start time that
// Prometheus would give each series, in seconds, by key.
func startTimes(data []byte) (map[string]float64, error) {
	p := textparse.NewOpenMetricsParser(data, labels.NewSymbolTable(), textparse.WithOMParserSTSeriesSkipped())
	starts := map[string]float64{}
	kind := ""
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return starts, nil
		}
		if err != nil {
			return nil, err
		}
		if entry == textparse.EntryType {
			_, k := p.Type()
			kind = string(k)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		s := readSample(p)
		s.settle(kind)
		if st := p.StartTimestamp(); st != 0 {
			starts[s.key()] = float64(st) / 1e3
		} else {
			starts[s.key()] = math.NaN()
		}
	}
}
