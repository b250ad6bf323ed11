package tacho

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// What tacho may add to a stripped program, in bytes, on the machines that the limits were
// measured on; the programs are in testdata/size. The goals are 100,000 without HTTP,
// which holds, and 120,000 for a server with the middleware and both handlers, which
// does not: its limit is what was reached, so that it grows no further unnoticed. Files
// grow in pages of 4,096 bytes.
func TestBinarySize(t *testing.T) {
	if testing.Short() {
		t.Skip("builds four programs")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" || !strings.HasPrefix(runtime.Version(), "go1.26") {
		t.Skip("the limits are for linux/amd64 and Go 1.26")
	}
	if raceEnabled {
		t.Skip("the limits are for programs without the race detector, which the other runs build")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command: ", err)
	}
	for _, c := range []struct {
		name, tags, bare, with string
		limit                  int64
	}{
		{"without HTTP", "tacho_nohttp", "bare", "tacho", 100_000},
		{"server", "", "barehttp", "tachohttp", 242_000},
	} {
		bare, with := binarySize(t, c.bare, c.tags), binarySize(t, c.with, c.tags)
		t.Logf("%s: %d bytes, %d with tacho: %d more", c.name, bare, with, with-bare)
		if with-bare > c.limit {
			t.Errorf("%s: tacho adds %d bytes, more than %d", c.name, with-bare, c.limit)
		}
	}
}

// binarySize builds a program of testdata/size as people build small ones.
func binarySize(t *testing.T, program, tags string) int64 {
	t.Helper()
	out := filepath.Join(t.TempDir(), program)
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags="+tags, "-o", out, "./testdata/size/"+program)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
