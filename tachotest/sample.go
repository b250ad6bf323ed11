package tachotest

import (
	"errors"
	"sort"
	"strconv"
	"strings"
)

// A sample is one line of the text format (prometheus.io, "Exposition formats"),
// taken apart.
type sample struct {
	name   string
	labels [][2]string
	value  float64
	time   string
}

var errSyntax = errors.New("no sample")

// parseSample reads a line such as name{label="value"} 1.5.
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

// parseLabels reads a label block after its brace and returns what follows it.
func (s *sample) parseLabels(line string) (string, error) {
	for {
		line = strings.TrimLeft(line, " ,")
		if rest, ok := strings.CutPrefix(line, "}"); ok {
			return rest, nil
		}
		name, rest, ok := strings.Cut(line, "=")
		rest = strings.TrimLeft(rest, " ")
		if !ok || name == "" || !strings.HasPrefix(rest, `"`) {
			return "", errSyntax
		}
		value, rest, err := quoted(rest[1:])
		if err != nil {
			return "", err
		}
		s.labels = append(s.labels, [2]string{strings.TrimSpace(name), value})
		line = rest
	}
}

// quoted reads a label value up to its closing quote.
func quoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", errSyntax
			}
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case '\\', '"':
				b.WriteByte(s[i])
			default:
				return "", "", errSyntax
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errSyntax
}

// series returns name and labels in one form: sorted, without empty labels, which
// are none to Prometheus.
func (s sample) series() string {
	var pairs []string
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for _, l := range s.labels {
		if l[1] != "" {
			pairs = append(pairs, l[0]+`="`+escape.Replace(l[1])+`"`)
		}
	}
	if pairs == nil {
		return s.name
	}
	sort.Strings(pairs)
	return s.name + "{" + strings.Join(pairs, ",") + "}"
}

// canonicalLine returns a line in the one form in which equal lines are equal.
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
