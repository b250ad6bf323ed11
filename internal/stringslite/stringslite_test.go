package stringslite

import (
	"strings"
	"testing"
)

// TestFunctions compares all functions with package strings.
func TestFunctions(t *testing.T) {
	list := []string{"", "a", "b", "aa", "ab", "ba", "aba", "aab", "a\x00", "\x00", "é", "\xc3", "\xff", "日本", "_total", "x_total", "_tota", "x_totals"}
	for _, s := range list {
		for _, part := range list {
			if got, want := HasPrefix(s, part), strings.HasPrefix(s, part); got != want {
				t.Errorf("HasPrefix(%q, %q) = %v", s, part, got)
			}
			if got, want := HasSuffix(s, part), strings.HasSuffix(s, part); got != want {
				t.Errorf("HasSuffix(%q, %q) = %v", s, part, got)
			}
			if got, want := TrimSuffix(s, part), strings.TrimSuffix(s, part); got != want {
				t.Errorf("TrimSuffix(%q, %q) = %q, want %q", s, part, got, want)
			}
		}
		for c := range 256 {
			if got, want := IndexByte(s, byte(c)), strings.IndexByte(s, byte(c)); got != want {
				t.Errorf("IndexByte(%q, %#x) = %d, want %d", s, c, got, want)
			}
		}
	}
}
