package tacho

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
)

// TestBinarySize limits the bytes that tacho adds to a stripped program: 140,000 without
// HTTP, and 295,000 for a server with the middleware and both handlers. To a program
// without HTTP, WithNative adds at most 32,768 bytes, and WriteProtobuf 16,384. To a program
// that serves its metrics by hand over package net, tinyhttp adds at most 168,000. The programs
// are in testdata/size. A file grows in pages of 4,096 bytes.
func TestBinarySize(t *testing.T) {
	if testing.Short() {
		t.Skip("builds eight programs")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" || !strings.HasPrefix(runtime.Version(), "go1.26") {
		t.Skip("the limits are for Go 1.26 on linux/amd64")
	}
	if race.Enabled {
		t.Skip("the programs are built without the race detector, so a run without it checks them")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command: ", err)
	}
	for _, c := range []struct {
		name, tags, bare, with string
		limit                  int64
	}{
		{"without HTTP", "tacho_nohttp", "bare", "tacho", 140_000},
		{"server", "", "barehttp", "tachohttp", 295_000},
		{"WithNative", "tacho_nohttp", "tacho", "tachonative", 32_768},
		{"WriteProtobuf", "tacho_nohttp", "tacho", "tachoprotobuf", 16_384},
		{"tinyhttp", "tacho_nohttp", "tachonet", "tachotiny", 168_000},
	} {
		bare, with := binarySize(t, c.bare, c.tags), binarySize(t, c.with, c.tags)
		t.Logf("%s: %d bytes, with it %d, a difference of %d", c.name, bare, with, with-bare)
		if with-bare > c.limit {
			t.Errorf("%s: adds %d bytes, more than %d", c.name, with-bare, c.limit)
		}
	}
}

// binarySize returns the size of a program of testdata/size, built with the flags that make
// small programs.
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
