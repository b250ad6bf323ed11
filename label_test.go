package tacho

import (
	"strings"
	"testing"
)

// All strings of up to five bytes from those that begin, continue, cut short and break
// a rune in every way, and U+FFFD itself.
func TestAppendValid(t *testing.T) {
	alphabet := "a\x80\xbf\xc3\xe2\xed\xef\xf0\xff\xbd"
	var check func(prefix string, more int)
	check = func(prefix string, more int) {
		if got, want := string(appendValid([]byte("+"), prefix)), "+"+strings.ToValidUTF8(prefix, "\uFFFD"); got != want {
			t.Fatalf("%q becomes %q, want %q", prefix, got, want)
		}
		for i := 0; more > 0 && i < len(alphabet); i++ {
			check(prefix+alphabet[i:i+1], more-1)
		}
	}
	check("", 5)
	check("\uFFFD\xff\uFFFD", 2)
	check("\xff\uFFFD\uFFFD\xff", 2)
}
