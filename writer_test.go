//go:build !tacho_nohttp

package tacho

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// httpLog notes which methods of an original writer were reached.
type httpLog struct {
	calls  []string
	header http.Header
	flaw   error
}

func (l *httpLog) note(call string) { l.calls = append(l.calls, call) }

// One type for each interface; a struct that embeds some of them has exactly
// their methods.
type (
	httpW struct{ l *httpLog }
	httpF struct{ l *httpLog }
	httpH struct{ l *httpLog }
	httpR struct{ l *httpLog }
	httpP struct{ l *httpLog }
	httpS struct{ l *httpLog }
)

func (w httpW) Header() http.Header { w.l.note("Header"); return w.l.header }
func (w httpW) WriteHeader(s int)   { w.l.note(fmt.Sprint("WriteHeader ", s)) }
func (w httpW) Write(p []byte) (int, error) {
	w.l.note("Write " + string(p))
	return len(p), w.l.flaw
}
func (w httpF) Flush() { w.l.note("Flush") }
func (w httpH) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.l.note("Hijack")
	return nil, nil, w.l.flaw
}
func (w httpR) ReadFrom(src io.Reader) (int64, error) {
	b, _ := io.ReadAll(src)
	w.l.note("ReadFrom " + string(b))
	return int64(len(b)), w.l.flaw
}
func (w httpP) Push(target string, _ *http.PushOptions) error {
	w.l.note("Push " + target)
	return w.l.flaw
}
func (w httpS) WriteString(s string) (int, error) {
	w.l.note("WriteString " + s)
	return len(s), w.l.flaw
}

// httpOriginals makes a writer for each set of interfaces; the bits of the
// index are Flusher, Hijacker, ReaderFrom, Pusher, StringWriter.
var httpOriginals = [32]func(l *httpLog) http.ResponseWriter{
	func(l *httpLog) http.ResponseWriter { return httpW{l} },
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
		}{httpW{l}, httpF{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
		}{httpW{l}, httpH{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
		}{httpW{l}, httpF{l}, httpH{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpR
		}{httpW{l}, httpR{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpR
		}{httpW{l}, httpF{l}, httpR{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
			httpR
		}{httpW{l}, httpH{l}, httpR{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
			httpR
		}{httpW{l}, httpF{l}, httpH{l}, httpR{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpP
		}{httpW{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpP
		}{httpW{l}, httpF{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
			httpP
		}{httpW{l}, httpH{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
			httpP
		}{httpW{l}, httpF{l}, httpH{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpR
			httpP
		}{httpW{l}, httpR{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpR
			httpP
		}{httpW{l}, httpF{l}, httpR{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
			httpR
			httpP
		}{httpW{l}, httpH{l}, httpR{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
			httpR
			httpP
		}{httpW{l}, httpF{l}, httpH{l}, httpR{l}, httpP{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpS
		}{httpW{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpS
		}{httpW{l}, httpF{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
			httpS
		}{httpW{l}, httpH{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
			httpS
		}{httpW{l}, httpF{l}, httpH{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpR
			httpS
		}{httpW{l}, httpR{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpR
			httpS
		}{httpW{l}, httpF{l}, httpR{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
			httpR
			httpS
		}{httpW{l}, httpH{l}, httpR{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
			httpR
			httpS
		}{httpW{l}, httpF{l}, httpH{l}, httpR{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpP
			httpS
		}{httpW{l}, httpP{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpP
			httpS
		}{httpW{l}, httpF{l}, httpP{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
			httpP
			httpS
		}{httpW{l}, httpH{l}, httpP{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
			httpP
			httpS
		}{httpW{l}, httpF{l}, httpH{l}, httpP{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpR
			httpP
			httpS
		}{httpW{l}, httpR{l}, httpP{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpR
			httpP
			httpS
		}{httpW{l}, httpF{l}, httpR{l}, httpP{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpH
			httpR
			httpP
			httpS
		}{httpW{l}, httpH{l}, httpR{l}, httpP{l}, httpS{l}}
	},
	func(l *httpLog) http.ResponseWriter {
		return struct {
			httpW
			httpF
			httpH
			httpR
			httpP
			httpS
		}{httpW{l}, httpF{l}, httpH{l}, httpR{l}, httpP{l}, httpS{l}}
	},
}

// httpFeatures returns the optional interfaces of w as bits.
func httpFeatures(w http.ResponseWriter) (set int) {
	_, f := w.(http.Flusher)
	_, h := w.(http.Hijacker)
	_, r := w.(io.ReaderFrom)
	_, p := w.(http.Pusher)
	_, s := w.(io.StringWriter)
	for i, has := range []bool{f, h, r, p, s} {
		if has {
			set |= 1 << i
		}
	}
	return set
}

// httpUse calls every method that w has and returns what the original noted.
func httpUse(t *testing.T, w http.ResponseWriter, l *httpLog) []string {
	t.Helper()
	check := func(method string, err error) {
		t.Helper()
		if err != l.flaw {
			t.Errorf("%s returned error %v, want %v", method, err, l.flaw)
		}
	}
	w.Header().Set("X-Seen", "1")
	w.WriteHeader(201)
	n, err := w.Write([]byte("abc"))
	check("Write", err)
	if n != 3 {
		t.Errorf("Write returned %d", n)
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	if h, ok := w.(http.Hijacker); ok {
		_, _, err := h.Hijack()
		check("Hijack", err)
	}
	if r, ok := w.(io.ReaderFrom); ok {
		n, err := r.ReadFrom(strings.NewReader("defg"))
		check("ReadFrom", err)
		if n != 4 {
			t.Errorf("ReadFrom returned %d", n)
		}
	}
	if p, ok := w.(http.Pusher); ok {
		check("Push", p.Push("/x", nil))
	}
	if s, ok := w.(io.StringWriter); ok {
		n, err := s.WriteString("hi")
		check("WriteString", err)
		if n != 2 {
			t.Errorf("WriteString returned %d", n)
		}
	}
	return l.calls
}

// Handlers choose by type assertion, so a method too many breaks them as much
// as one too few.
func TestWriterInterfaces(t *testing.T) {
	for set, build := range httpOriginals {
		for _, flaw := range []error{nil, errors.New("flaw")} {
			plain := &httpLog{header: http.Header{}, flaw: flaw}
			if got := httpFeatures(build(plain)); got != set {
				t.Fatalf("original %05b has %05b", set, got)
			}
			want := httpUse(t, build(plain), plain)

			l := &httpLog{header: http.Header{}, flaw: flaw}
			orig := build(l)
			rec := newRecorder(orig)
			w := rec.wrap()
			if got := httpFeatures(w); got != set {
				t.Errorf("wrapper of %05b has %05b", set, got)
			}
			u, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok || u.Unwrap() != orig {
				t.Errorf("%05b: Unwrap does not return the original", set)
			}
			if got := httpUse(t, w, l); !slices.Equal(got, want) {
				t.Errorf("%05b: original saw %q, want %q", set, got, want)
			}
			if l.header.Get("X-Seen") != "1" {
				t.Errorf("%05b: Header is not the original's", set)
			}
			size := int64(3)
			if set&4 != 0 {
				size += 4
			}
			if set&16 != 0 {
				size += 2
			}
			if got := rec.bytes.Load(); got != size {
				t.Errorf("%05b: counted %d bytes, want %d", set, got, size)
			}
			if got := rec.status.Load(); got != 201 {
				t.Errorf("%05b: status %d, want 201", set, got)
			}
		}
	}
}

// http.ResponseController prefers FlushError; a wrapper that has it must not
// claim a flush that the original cannot do.
func TestWriterFlushError(t *testing.T) {
	for set, build := range httpOriginals {
		l := &httpLog{header: http.Header{}}
		rec := newRecorder(build(l))
		err := http.NewResponseController(rec.wrap()).Flush()
		if set&1 == 0 {
			if !errors.Is(err, http.ErrNotSupported) || len(l.calls) != 0 || rec.status.Load() != 0 {
				t.Errorf("%05b: Flush gives %v, calls %q, status %d", set, err, l.calls, rec.status.Load())
			}
			continue
		}
		if err != nil || !slices.Equal(l.calls, []string{"Flush"}) || rec.status.Load() != 200 {
			t.Errorf("%05b: Flush gives %v, calls %q, status %d", set, err, l.calls, rec.status.Load())
		}
	}
}

// httpFlushErr is a writer that has FlushError, as the server's have.
type httpFlushErr struct {
	httpW
	httpF
}

func (w httpFlushErr) FlushError() error { return w.httpW.l.flaw }

func TestWriterFlushErrorReachesOriginal(t *testing.T) {
	l := &httpLog{header: http.Header{}, flaw: errors.New("gone")}
	w := newRecorder(httpFlushErr{httpW{l}, httpF{l}}).wrap()
	if err := http.NewResponseController(w).Flush(); err != l.flaw {
		t.Errorf("Flush gives %v, want %v", err, l.flaw)
	}
}

func TestWriterFailedHijackIsNot101(t *testing.T) {
	l := &httpLog{flaw: errors.New("no")}
	rec := newRecorder(httpOriginals[2](l))
	if _, _, err := rec.wrap().(http.Hijacker).Hijack(); err == nil {
		t.Error("no error")
	}
	if got := rec.status.Load(); got != 0 {
		t.Errorf("status %d after a hijack that failed", got)
	}
}

func TestWriterWrapAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for set, build := range httpOriginals {
		orig := build(&httpLog{})
		if n := testing.AllocsPerRun(1000, func() { newRecorder(orig).wrap() }); n != 0 {
			t.Errorf("%05b: %v allocations", set, n)
		}
	}
}
