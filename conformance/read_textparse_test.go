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

// readTextparse parses a scrape with textparse, the parser of the scrape loop of
// Prometheus.
func readTextparse(data []byte, contentType string) (*exposition, error) {
	p, err := textparse.New(data, contentType, labels.NewSymbolTable(), textparse.ParserOptions{EnableOpenMetrics2: true})
	if err != nil {
		return nil, err
	}
	e := newExposition()
	var f *family // current family
	has := map[string]bool{}
	meta := func(keyword string, name []byte) error {
		n := unescape(name)
		if contentType == typeProtobuf {
			n = string(name)
		}
		if f == nil || f.name != n {
			var err error
			if f, err = e.add(n); err != nil {
				return err
			}
			clear(has)
		}
		if contentType == typeProtobuf {
			return nil // a family may have several messages
		}
		if has[keyword] || len(f.samples) > 0 {
			return fmt.Errorf("%s line of %q is a duplicate, or follows a sample", keyword, f.name)
		}
		has[keyword] = true
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
				return nil, errors.New("sample before the first family")
			}
			err = f.add(readSample(p))
		default:
			return nil, fmt.Errorf("unexpected entry type %d", entry)
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
			if _, ok := p.(*textparse.OpenMetricsParser); !ok {
				break
			}
			// The parser of OpenMetrics 1.0 returns label values of exemplars with escapes.
			pairs[i].value = unescape([]byte(pairs[i].value))
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

// unescape replaces escape sequences in names of HELP, TYPE and UNIT lines and in label
// values of exemplars. The parser returns both with escapes.
func unescape(name []byte) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(string(name))
}

// startTimes parses the scrape again and returns the start time of each series in
// Prometheus, in seconds, by key. The start time is NaN if Prometheus finds none.
func startTimes(data []byte, contentType string) (map[string]float64, error) {
	var p textparse.Parser = textparse.NewOpenMetricsParser(data, labels.NewSymbolTable(), textparse.WithOMParserSTSeriesSkipped())
	if contentType != typeOpenMetrics {
		var err error
		if p, err = textparse.New(data, contentType, labels.NewSymbolTable(), textparse.ParserOptions{EnableOpenMetrics2: true}); err != nil {
			return nil, err
		}
	}
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
		s.normalize(kind)
		if st := p.StartTimestamp(); st != 0 {
			starts[s.key()] = float64(st) / 1e3
		} else {
			starts[s.key()] = math.NaN()
		}
	}
}
