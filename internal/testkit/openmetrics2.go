package testkit

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Patterns of the grammar of OpenMetrics 2.0 ("ABNF").
var (
	open2Real    = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]+)?$`)
	open2Number  = regexp.MustCompile(`^(?i:[-+]?(inf|infinity)|nan)$`)
	open2Integer = regexp.MustCompile(`^[-+]?[0-9]+$`)
	open2Name    = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	open2Label   = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
	open2Unit    = regexp.MustCompile(`^[a-zA-Z0-9_:]+$`)
)

// An open2Parser parses OpenMetrics 2.0.
type open2Parser struct {
	testing.TB
	line string // the current line
	rest string // the part of line that is not parsed
}

// ParseOpenMetrics2 parses OpenMetrics 2.0, also with quoted names. It fails the test if the scrape
// violates the grammar or a rule of the specification. A composite value is returned as the samples
// of the text format. A histogram without classic buckets has the bucket +Inf.
func ParseOpenMetrics2(t testing.TB, s string) (samples []Sample) {
	t.Helper()
	p := &open2Parser{TB: t}
	s, ok := strings.CutSuffix(s, "# EOF\n")
	if !ok || !utf8.ValidString(s) || strings.Contains(s, "\r\n") {
		t.Fatalf("no # EOF, invalid UTF-8, or a line ends in a carriage return: %q", s[max(0, len(s)-100):])
	}
	families, seen := map[string]bool{}, map[string]bool{}
	family, kind, unit, state := "", "", "", 0 // state: 1 after TYPE, 2 after UNIT, 3 after HELP, 4 after a sample
	for line := range strings.Lines(s) {
		if p.line, ok = strings.CutSuffix(line, "\n"); !ok {
			t.Fatalf("no newline after %q", line)
		}
		p.rest = p.line
		if p.skip("# ") {
			word, rest, _ := strings.Cut(p.rest, " ")
			p.rest = rest
			name := p.name()
			p.want(" ")
			switch {
			case word == "TYPE" && !families[name]:
				family, kind, unit, state = name, p.rest, "", 1
				families[name] = true
				if !slices.Contains([]string{"counter", "gauge", "histogram", "info", "summary", "unknown"}, kind) || kind == "info" && !strings.HasSuffix(name, "_info") {
					p.fail("type")
				}
			case word == "UNIT" && name == family && state == 1 && kind != "info":
				if unit, state = p.rest, 2; !open2Unit.MatchString(unit) {
					p.fail("unit")
				}
			case word == "HELP" && name == family && state < 3:
				state = 3
				if p.text(); p.rest != "" {
					p.fail("help")
				}
			default:
				p.fail("metadata")
			}
			continue
		}
		list := p.sample(family, kind)
		state = 4
		for _, sample := range list {
			if seen[sample.Key()] {
				p.fail("series twice")
			}
			seen[sample.Key()] = true
		}
		samples = append(samples, list...)
	}
	return samples
}

func (p *open2Parser) fail(what string) {
	p.Helper()
	p.Fatalf("%s: %q at %q", what, p.line, p.rest)
}

func (p *open2Parser) skip(s string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, s)
	return ok
}

func (p *open2Parser) want(s string) {
	p.Helper()
	if !p.skip(s) {
		p.fail("want " + strconv.Quote(s))
	}
}

// text parses an escaped string up to a double quote or the end of the line.
func (p *open2Parser) text() string {
	p.Helper()
	var b strings.Builder
	for p.rest != "" && p.rest[0] != '"' {
		c := p.rest[0]
		if p.rest = p.rest[1:]; c == '\\' {
			if p.rest == "" || !strings.ContainsRune(`n"\`, rune(p.rest[0])) {
				p.fail("escape")
			}
			if c = p.rest[0]; c == 'n' {
				c = '\n'
			}
			p.rest = p.rest[1:]
		}
		b.WriteByte(c)
	}
	return b.String()
}

func (p *open2Parser) quoted() string {
	p.Helper()
	p.want(`"`)
	s := p.text()
	p.want(`"`)
	return s
}

// word parses a name by its pattern, or a quoted name that is not empty.
func (p *open2Parser) word(pattern *regexp.Regexp) string {
	p.Helper()
	s := pattern.FindString(p.rest)
	if p.rest = p.rest[len(s):]; s == "" {
		s = p.quoted()
	}
	if s == "" {
		p.fail("no name")
	}
	return s
}

func (p *open2Parser) name() string { p.Helper(); return p.word(open2Name) }

// until parses up to one of the bytes of end, or the end of the line.
func (p *open2Parser) until(end string) string {
	n := strings.IndexAny(p.rest, end)
	if n < 0 {
		n = len(p.rest)
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func (p *open2Parser) number(end string) (v float64, text string) {
	p.Helper()
	if text = p.until(end); !open2Real.MatchString(text) && !open2Number.MatchString(text) {
		p.fail("number " + text)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		p.fail(err.Error())
	}
	return v, text
}

func (p *open2Parser) real(end string) (v float64, text string) {
	p.Helper()
	v, text = p.number(end)
	if !open2Real.MatchString(text) {
		p.fail("real number " + text)
	}
	return v, text
}

// count parses a count, an integer that is not negative.
func (p *open2Parser) count(end string) (v uint64) {
	p.Helper()
	text := p.until(end)
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		p.fail(err.Error())
	}
	return v
}

// labels parses labels up to the closing brace. more reports whether something precedes them.
func (p *open2Parser) labels(more bool) (list []Label) {
	p.Helper()
	for !p.skip("}") {
		if more || len(list) > 0 {
			p.want(",")
		}
		l := Label{Name: p.word(open2Label)}
		p.want("=")
		l.Value = p.quoted()
		for _, other := range list {
			if other.Name == l.Name {
				p.fail("label twice")
			}
		}
		list = append(list, l)
	}
	return list
}

// sample parses a sample of a family.
func (p *open2Parser) sample(family, kind string) (list []Sample) {
	p.Helper()
	s := Sample{}
	if p.skip("{") {
		s.Name = p.quoted()
		s.Labels = p.labels(true)
	} else if s.Name = p.name(); p.skip("{") {
		s.Labels = p.labels(false)
	}
	if s.Name != family {
		p.fail("sample of " + family)
	}
	p.want(" ")
	composite := p.skip("{")
	switch {
	case composite != (kind == "histogram" || kind == "summary"):
		p.fail("value of a " + kind)
	case kind == "histogram":
		list = p.histogram(s)
	case kind == "summary":
		list = p.summary(s)
	default:
		if s.Value, s.Text = p.number(" "); kind == "info" && s.Value != 1 || kind == "counter" && !(s.Value >= 0) {
			p.fail("value of a " + kind)
		}
		list = append(list, s)
	}
	if p.rest != "" && !strings.HasPrefix(p.rest, " st@") && !strings.HasPrefix(p.rest, " # ") {
		p.want(" ")
		_, at := p.real(" ")
		for i := range list {
			list[i].Time = at
		}
	}
	if p.skip(" st@") {
		if p.real(" "); kind != "counter" && !composite {
			p.fail("start of a " + kind)
		}
	}
	for p.rest != "" {
		p.want(" # {")
		if p.labels(false); kind != "counter" && kind != "histogram" {
			p.fail("exemplar of a " + kind)
		}
		p.want(" ")
		p.number(" ")
		p.want(" ")
		p.real(" ")
	}
	return list
}

// with returns a sample of a composite value.
func (s Sample) with(suffix string, v float64, more ...Label) Sample {
	return Sample{Name: s.Name + suffix, Labels: append(slices.Clone(s.Labels), more...), Value: v, Text: shortest(v)}
}

func (p *open2Parser) summary(s Sample) (list []Sample) {
	p.Helper()
	p.want("count:")
	count := p.count(",")
	p.want(",sum:")
	sum, _ := p.number(",")
	if !(sum >= 0) {
		p.fail("sum")
	}
	p.want(",quantile:[")
	last := -1.0
	for !p.skip("]") {
		if last >= 0 {
			p.want(",")
		}
		q, _ := p.real(":")
		p.want(":")
		v, _ := p.number(",]")
		if !(q >= 0 && q <= 1 && q > last) || v < 0 || slices.ContainsFunc(s.Labels, func(l Label) bool { return l.Name == "quantile" }) {
			p.fail("quantile")
		}
		last = q
		list = append(list, s.with("", v, Label{"quantile", shortest(q)}))
	}
	p.want("}")
	return append(list, s.with("_sum", sum), s.with("_count", float64(count)))
}

func (p *open2Parser) histogram(s Sample) (list []Sample) {
	p.Helper()
	p.want("count:")
	count := p.count(",")
	p.want(",sum:")
	sum, _ := p.number(",")
	native := p.skip(",schema:")
	if native {
		schema := p.until(",")
		if n, err := strconv.Atoi(schema); err != nil || n < -4 || n > 8 {
			p.fail("schema")
		}
		p.want(",zero_threshold:")
		if threshold, _ := p.real(","); threshold < 0 {
			p.fail("threshold")
		}
		p.want(",zero_count:")
		total := p.count(",}")
		total += p.buckets(",negative") + p.buckets(",positive")
		if total != count && !(total < count && math.IsNaN(sum)) {
			p.fail("count of native buckets")
		}
	}
	bucket := func(bound float64, n uint64) {
		list = append(list, s.with("_bucket", float64(n), Label{"le", shortest(bound)}))
	}
	if native && p.rest[0] == '}' {
		bucket(math.Inf(1), count)
	} else {
		p.want(",bucket:[")
		last, below := math.Inf(-1), uint64(0)
		for {
			var bound float64
			if p.skip("+Inf") {
				bound = math.Inf(1)
			} else {
				bound, _ = p.real(":")
			}
			p.want(":")
			n := p.count(",]")
			if bound <= last || n < below || slices.ContainsFunc(s.Labels, func(l Label) bool { return l.Name == "le" }) {
				p.fail("bucket")
			}
			bucket(bound, n)
			if last, below = bound, n; p.skip("]") {
				break
			}
			p.want(",")
		}
		if !math.IsInf(last, 1) || below != count {
			p.fail("last bucket")
		}
	}
	p.want("}")
	return append(list, s.with("_sum", sum), s.with("_count", float64(count)))
}

// buckets parses the native buckets of one side, and returns the number of their observations.
func (p *open2Parser) buckets(side string) (total uint64) {
	p.Helper()
	if !p.skip(side + "_spans:[") {
		return 0
	}
	length := uint64(0)
	for first := true; first || p.skip(","); first = false {
		offset := p.until(":")
		if !open2Integer.MatchString(offset) || !first && offset[0] == '-' {
			p.fail("offset")
		}
		p.want(":")
		length += p.count(",]")
	}
	p.want("]" + side + "_buckets:[")
	for first := true; first || p.skip(","); first = false {
		total += p.count(",]")
		length--
	}
	if p.want("]"); length != 0 {
		p.fail("spans and buckets")
	}
	return total
}
