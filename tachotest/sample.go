package tachotest

import (
	"errors"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"github.com/tachikoma/tacho/internal/escape"
)

// A sample is one parsed line of the text format (prometheus.io, "Exposition formats").
type sample struct {
	name   string
	labels [][2]string
	value  float64
	time   string
}

var errSyntax = errors.New("bad sample syntax")

// The line is, for example, name{label="value"} 1.5.
func parseSample(line string) (s sample, err error) {
	if strings.HasPrefix(line, "#") {
		return s, errSyntax
	}
	end := strings.IndexAny(line, "{ \t")
	if end <= 0 {
		return s, errSyntax
	}
	s.name, line = line[:end], line[end:]
	if line[0] == '{' {
		if line, err = s.parseLabels(line[1:]); err != nil {
			return s, err
		}
	}
	fields := strings.Fields(line)
	if len(fields) == 0 || len(fields) > 2 {
		return s, errSyntax
	}
	if len(fields) == 2 {
		s.time = fields[1]
	}
	s.value, err = strconv.ParseFloat(fields[0], 64)
	return s, err
}

// The line begins after the opening brace of a label block. The result is the rest of
// line after the label block.
func (s *sample) parseLabels(line string) (string, error) {
	for {
		line = strings.TrimLeftFunc(line, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		if rest, ok := strings.CutPrefix(line, "}"); ok {
			return rest, nil
		}
		name, rest, ok := strings.Cut(line, "=")
		name, rest = strings.TrimSpace(name), strings.TrimLeft(rest, " ")
		if !ok || name == "" || !strings.HasPrefix(rest, `"`) {
			return "", errSyntax
		}
		value, rest, ok := escape.Unquote(rest[1:])
		if !ok {
			return "", errSyntax
		}
		s.labels = append(s.labels, [2]string{name, value})
		line = rest
	}
}

// series returns the name with the sorted labels. Empty labels are left out, because
// Prometheus treats an empty label as a missing label.
func (s sample) series() string {
	var pairs []string
	escaper := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for _, l := range s.labels {
		if l[1] != "" {
			pairs = append(pairs, l[0]+`="`+escaper.Replace(l[1])+`"`)
		}
	}
	if pairs == nil {
		return s.name
	}
	sort.Strings(pairs)
	return s.name + "{" + strings.Join(pairs, ",") + "}"
}

// Lines with the same meaning have the same canonical form.
func canonicalLine(line string) (string, error) {
	if strings.HasPrefix(line, "#") {
		return strings.Join(strings.Fields(line), " "), nil
	}
	s, err := parseSample(line)
	if err != nil {
		return "", err
	}
	canonical := s.series() + " " + strconv.FormatFloat(s.value, 'g', -1, 64)
	if s.time != "" {
		canonical += " " + s.time
	}
	return canonical, nil
}
