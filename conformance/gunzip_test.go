package conformance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"testing"

	"github.com/tachikoma/tacho"
)

// gunzippers are programs that decompress gzip from the standard input. Each program has
// its own decoder of deflate.
var gunzippers = map[string][]string{
	"gzip":  {"gzip", "-dc"},
	"pigz":  {"pigz", "-dc"},
	"7-Zip": {"7zz", "e", "-tgzip", "-si", "-so"},
}

// gunzip returns the output of a program. Anything after the gzip stream, and a warning, is
// an error.
func gunzip(command []string, body []byte) ([]byte, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(body)
	var out, message bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &message
	err := cmd.Run()
	if err == nil && message.Len() > 0 {
		err = fmt.Errorf("%s", &message)
	}
	return out.Bytes(), err
}

// scrapeBody returns the body of a scrape.
func scrapeBody(t *testing.T, reg *tacho.Registry, encoding string) []byte {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	reg.Handler().ServeHTTP(w, r)
	if got := w.Header().Get("Content-Encoding"); got != map[string]string{"gzip": "gzip"}[encoding] {
		t.Fatalf("Content-Encoding %q for %q", got, encoding)
	}
	return w.Body.Bytes()
}

// TestGunzip decompresses the bodies of a handler with gzip, pigz and 7-Zip. The output
// must be the body without compression.
func TestGunzip(t *testing.T) {
	needPrograms(t)
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]rune, 1<<18)
	for i := range noise {
		noise[i] = rune(' ' + random.IntN(0xd000)) // not surrogates
	}
	long := func(n int) *tacho.Registry { // one line with n characters, which do not repeat
		reg := tacho.NewRegistry()
		reg.GaugeVec("g", "", []string{"l"}).With(string(noise[:n])).Set(1)
		return reg
	}
	lines := func(n int) *tacho.Registry { // n lines that repeat
		reg := tacho.NewRegistry()
		v := reg.CounterVec("requests_total", "Requests.", []string{"path", "status"})
		for i := range n {
			v.With("/missions/"+strconv.Itoa(i), strconv.Itoa(200+i%7)).Add(random.Uint64N(1 << 40))
		}
		return reg
	}
	same := func(n int) *tacho.Registry { // n characters that repeat
		reg := tacho.NewRegistry()
		reg.GaugeVec("g", "", []string{"l"}).With(string(bytes.Repeat([]byte("a"), n))).Set(1)
		return reg
	}
	registries := map[string]*tacho.Registry{
		"empty": tacho.NewRegistry(), "one line": lines(1), "80 lines": lines(80), "100,000 lines": lines(100_000),
		"incompressible": long(len(noise)),
	}
	// An exposition is written in parts of 32 KiB. The compressor reads chunks of 64 KiB,
	// and has blocks of up to 12,287 literals or 4096 repeats of at most 258 bytes.
	for _, boundary := range []int{258, 12_287, 32 << 10, 64 << 10, 128 << 10} {
		for _, n := range []int{boundary - 40, boundary - 1, boundary, boundary + 1} {
			registries[fmt.Sprint(n, " repeated characters")] = same(n)
			registries[fmt.Sprint(n/3, " random characters")] = long(n / 3) // of about three bytes
		}
	}
	for n := 4090; n <= 4100; n += 5 {
		registries[fmt.Sprint(n, " lines")] = lines(n)
	}
	largest := 0
	for name, reg := range registries {
		plain, compressed := scrapeBody(t, reg, "identity"), scrapeBody(t, reg, "gzip")
		largest = max(largest, len(plain))
		for program, command := range gunzippers {
			got, err := gunzip(command, compressed)
			if err != nil {
				t.Errorf("%s, %s: %v", name, program, err)
			} else if !bytes.Equal(got, plain) {
				t.Errorf("%s, %s: %d bytes differ from the %d bytes without compression", name, program, len(got), len(plain))
			}
		}
	}
	if largest < 5_000_000 {
		t.Errorf("the largest body has %d bytes, want 5 MB", largest)
	}

	// The programs check the sum and the length at the end, and that nothing follows.
	for program, command := range gunzippers {
		compressed := scrapeBody(t, registries["80 lines"], "gzip")
		end := len(compressed) - 8
		for fault, broken := range map[string][]byte{
			"a wrong sum":     append(append([]byte{}, compressed[:end]...), 0, 0, 0, 0, compressed[end+4], compressed[end+5], 0, 0),
			"a missing end":   compressed[:end+4],
			"a missing block": compressed[:end/2],
		} {
			if _, err := gunzip(command, broken); err == nil {
				t.Errorf("%s accepts %s", program, fault)
			}
		}
	}
}
