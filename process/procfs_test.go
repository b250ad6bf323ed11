package process

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

// afterName is the part of /proc/self/stat after the name of the program.
const afterName = " R 1 2 3 0 -1 4194304 99 0 0 0 7 8 0 0 20 0 1 0 353452 3133440 379 18446744073709551615 9 9 9\n"

func TestParseStat(t *testing.T) {
	want := stat{start: 353452, virtual: 3133440, resident: 379}
	for _, name := range []string{"cat", "", "a b", "a) R 1 (b", ")", "((", "a\nb", "\xff"} {
		if got, ok := parseStat([]byte("42 (" + name + ")" + afterName)); !ok || got != want {
			t.Errorf("%q: got %v, %t, want %v", name, got, ok, want)
		}
	}
	if got, ok := parseStat([]byte(")" + afterName)); !ok || got != want {
		t.Errorf("only a parenthesis before the fields: got %v, %t, want %v", got, ok, want)
	}
	for _, bad := range []string{
		"", "42", "42 (cat", "42 (cat)", "42 (cat) R 1 2 3",
		"42 (cat)" + strings.TrimSuffix(afterName, "379 18446744073709551615 9 9 9\n"),
		"42 (cat)" + strings.Replace(afterName, "379", "-379", 1),
		"42 (cat)" + strings.Replace(afterName, "3133440", "18446744073709551616", 1),
		"42 (cat)" + strings.Replace(afterName, "353452", "x", 1),
		"42 (cat)" + strings.Replace(afterName, "3133440", "0", 1),
	} {
		if got, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q: got %v, want a refusal", bad, got)
		}
	}
}

func TestParseBootTime(t *testing.T) {
	for text, want := range map[string]uint64{
		"cpu  1 2\ncpu0 1 2\nintr 7 0\nbtime 1795532980\nprocesses 5\n": 1795532980,
		"btime 5": 5,
	} {
		if got, ok := parseBootTime([]byte(text)); !ok || got != want {
			t.Errorf("%q: got %d, %t, want %d", text, got, ok, want)
		}
	}
	for _, bad := range []string{"", "cpu 1\n", "btime \n", "btime x\n", "btime -1\n", "btime 99999999999999999999\n", "xbtime 1\n"} {
		if got, ok := parseBootTime([]byte(bad)); ok {
			t.Errorf("%q: got %d, want a refusal", bad, got)
		}
	}
}

func TestParseNetstat(t *testing.T) {
	for text, want := range map[string]traffic{
		"TcpExt: InOctets OutOctets\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets InMcastOctets\nIpExt: 0 968533226 552180759 4\nMPTcpExt: A\nMPTcpExt: 1\n": {968533226, 552180759},
		"IpExt: OutOctets InOctets\nIpExt: 2 1": {1, 2},
	} {
		if got, ok := parseNetstat([]byte(text)); !ok || got != want {
			t.Errorf("%q: got %v, %t, want %v", text, got, ok, want)
		}
	}
	for _, bad := range []string{
		"", "IpExt:\n", "IpExt:\nIpExt:\n", "IpExt: InOctets OutOctets\n", "IpExt: InOctets OutOctets\nIpExt: 1\n",
		"IpExt: InOctets\nIpExt: 1\n", "IpExt: InOctets OutOctets\nIpExt: 1 -2\n", "TcpExt: InOctets OutOctets\nTcpExt: 1 2\n",
	} {
		if got, ok := parseNetstat([]byte(bad)); ok || got != (traffic{}) {
			t.Errorf("%q: got %v, %t, want a refusal", bad, got, ok)
		}
	}
}

func TestParseUint(t *testing.T) {
	for _, text := range []string{"0", "7", "18446744073709551615", "18446744073709551616", "18446744073709551625", "99999999999999999999", "007", "", "-1", "+1", "1x", "1_0", " 1"} {
		want, err := strconv.ParseUint(text, 10, 64)
		if got, ok := parseUint([]byte(text)); ok != (err == nil) || ok && got != want {
			t.Errorf("%q: got %d, %t, want %d, error %v", text, got, ok, want, err)
		}
	}
}

// FuzzParse checks that the parsers end without a panic for any file. The name of a
// program must not change the fields after the name.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"cat", "a) b (", "IpExt: InOctets OutOctets\nIpExt: 1 2\n", "btime 1\n", "1 (x)" + afterName, "TcpExt:\nIpExt: InOctets\nIpExt:"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parseBootTime(b)
		parseNetstat(b)
		if s, ok := parseStat(b); ok && bytes.Count(b, []byte(")")) == 0 {
			t.Errorf("%q: got %v, want a refusal", b, s)
		}
		line := append(append([]byte("1 ("), b...), ")"+afterName...)
		if s, ok := parseStat(line); !ok || s != (stat{353452, 3133440, 379}) {
			t.Errorf("%q: got %v, %t, want the fields of afterName", line, s, ok)
		}
		word, rest := cutWord(b)
		if len(word)+len(rest) > len(b) || bytes.ContainsAny(word, " \n") {
			t.Errorf("%q: bad word %q or rest %q", b, word, rest)
		}
		n, ok := parseUint(word)
		if want, err := strconv.ParseUint(string(word), 10, 64); ok != (err == nil) || ok && n != want {
			t.Errorf("%q: got %d, %t, want %d, error %v", word, n, ok, want, err)
		}
	})
}
