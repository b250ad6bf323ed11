package process

import (
	"bytes"
	"encoding/binary"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestListFDs checks that countFDs and listFDs return the same number. On a kernel
// before Linux 6.2 both methods read the directory.
func TestListFDs(t *testing.T) {
	if f, err := os.Open(os.DevNull); err == nil { // the first Open makes descriptors for the runtime
		f.Close()
	}
	r := new(procReader)
	want, ok := r.countFDs()
	if !ok {
		t.Skip("no /proc")
	}
	for range 1000 { // the directory needs several reads
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if got, ok := r.countFDs(); !ok || got != want+1000 {
		t.Errorf("countFDs: got %d, %t, want %d", got, ok, want+1000)
	}
	if got, ok := r.listFDs(); !ok || got != want+1000 {
		t.Errorf("listFDs: got %d, %t, want %d", got, ok, want+1000)
	}
}

// TestCountEntries: an entry that is not complete does not count, and no read is past the end.
func TestCountEntries(t *testing.T) {
	const at = int(unsafe.Offsetof(syscall.Dirent{}.Reclen))
	entry := func(size, length int) []byte {
		b := make([]byte, length)
		binary.NativeEndian.PutUint16(b[at:], uint16(size))
		return b
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want int
	}{
		{"nothing", nil, 0},
		{"two entries", append(entry(24, 24), entry(300, 300)...), 2},
		{"too long for its buffer", append(entry(24, 24), entry(25, 24)...), 1},
		{"smaller than its size field", entry(at, 24), 0},
		{"size 0", entry(0, 24), 0},
		{"shortest", entry(at+1, at+2), 1},
		{"without its size", append(entry(24, 24), make([]byte, at+1)...), 1},
	} {
		if got := countEntries(tt.b); got != tt.want {
			t.Errorf("%s: %d entries, want %d", tt.name, got, tt.want)
		}
	}
}

// TestReadersCloseFiles checks that no method leaves a descriptor open.
func TestReadersCloseFiles(t *testing.T) {
	r := new(procReader)
	before, ok := r.listFDs()
	if !ok {
		t.Skip("no /proc")
	}
	for range 20 {
		r.listFDs()
		r.countFDs()
		r.file("/proc/self/stat")
		r.file("/")         // a directory cannot be read
		r.file("/dev/zero") // has no end
	}
	if after, _ := r.listFDs(); after != before {
		t.Errorf("%d open descriptors, want %d as before", after, before)
	}
}

// TestBuffer checks that the buffer holds usual files at once, and that its growth keeps
// the contents.
func TestBuffer(t *testing.T) {
	r := new(procReader)
	r.file(os.DevNull)
	if len(r.buf) != 16<<10 {
		t.Errorf("buffer of %d bytes, want 16 KiB", len(r.buf))
	}
	want := make([]byte, 50<<10)
	for i := range want {
		want[i] = byte(i >> 3)
	}
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := r.file(path); !bytes.Equal(got, want) {
		t.Error("the contents of a long file differ")
	}
	for range 3 {
		if r.file("/dev/zero"); len(r.buf) > maxFile {
			t.Errorf("buffer of %d bytes after a file without end, want at most %d", len(r.buf), maxFile)
		}
	}
}

func TestFile(t *testing.T) {
	r := new(procReader)
	for _, size := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 200 << 10, maxFile - 1} {
		path := t.TempDir() + "/file"
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if b := r.file(path); b == nil || len(b) != size {
			t.Errorf("got %d bytes, want %d", len(b), size)
		}
	}
	for _, path := range []string{"/dev/zero", "/nowhere", "/", "a\x00b"} { // endless, missing, a directory, not a path
		if b := r.file(path); b != nil {
			t.Errorf("%q: got %d bytes, want nil", path, len(b))
		}
	}
}

// FuzzCountEntries checks that countEntries ends for any bytes.
func FuzzCountEntries(f *testing.F) {
	entry := append(make([]byte, 16), 24, 0, 4, '5', 0, 0, 0, 0) // little endian
	f.Add(entry)
	f.Add(append(entry, entry...))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := countEntries(b); n < 0 || n > len(b)/17 {
			t.Errorf("%d entries in %d bytes", n, len(b))
		}
	})
}

// TestNoReadOutsideEntries: countEntries reads no byte before or behind the entries, also if
// the last entry is cut.
func TestNoReadOutsideEntries(t *testing.T) {
	g := testkit.NewGuarded(t)
	var entries []byte
	for _, size := range []int{24, 32, 24, 280} {
		entry := make([]byte, size)
		binary.NativeEndian.PutUint16(entry[16:], uint16(size))
		entries = append(entries, entry...)
	}
	for n := 0; n <= len(entries); n += 8 { // the kernel writes whole words, and some processors need aligned ones
		want := countEntries(entries[:n:n])
		testkit.CheckSlice(g, entries[:n], func(b []byte) {
			if got := countEntries(b); got != want {
				t.Errorf("%d entries in %d bytes, want %d", got, n, want)
			}
		})
	}
	if got := countEntries(entries); got != 4 {
		t.Errorf("%d entries, want 4", got)
	}
}
