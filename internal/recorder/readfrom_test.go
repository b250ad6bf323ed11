package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// A sink is an original without optional interfaces. It accepts room bytes.
type sink struct {
	mu   sync.Mutex
	body []byte
	room int
	err  error // of the Write for which room is too small, or nil for a short write
}

func (s *sink) Header() http.Header { return http.Header{} }
func (s *sink) WriteHeader(int)     {}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(p), s.room)
	s.room -= n
	s.body = append(s.body, p[:n]...)
	if n < len(p) {
		return n, s.err
	}
	return n, nil
}

// A readerFrom is a sink with ReadFrom.
type readerFrom struct {
	sink
	src io.Reader // of the last ReadFrom
}

func (r *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	r.mu.Lock()
	r.src = src
	r.mu.Unlock()
	return io.Copy(struct{ io.Writer }{&r.sink}, src)
}

// sinks makes originals with and without ReadFrom.
var sinks = map[string]func(room int, err error) (http.ResponseWriter, *sink){
	"with ReadFrom": func(room int, err error) (http.ResponseWriter, *sink) {
		r := &readerFrom{sink: sink{room: room, err: err}}
		return r, &r.sink
	},
	"without ReadFrom": func(room int, err error) (http.ResponseWriter, *sink) {
		s := &sink{room: room, err: err}
		return s, s
	},
}

// makeFile returns an open file with this content. The file is closed when the test ends.
func makeFile(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestFilesReachOriginal: the server can use sendfile only if its ReadFrom gets the file,
// or a LimitedReader of the file.
func TestFilesReachOriginal(t *testing.T) {
	const content = "0123456789"
	limited := &io.LimitedReader{N: 5}
	isLimited := func(src io.Reader, f *os.File) bool {
		l, ok := src.(*io.LimitedReader)
		return ok && l.R == io.Reader(f)
	}
	for _, c := range []struct {
		name  string
		copy  func(w http.ResponseWriter, f *os.File) (int64, error)
		as    func(src io.Reader, f *os.File) bool
		bytes int64
	}{
		{"ReadFrom", func(w http.ResponseWriter, f *os.File) (int64, error) {
			return w.(io.ReaderFrom).ReadFrom(f)
		}, func(src io.Reader, f *os.File) bool { return src == io.Reader(f) }, 10},
		{"ReadFrom, limited", func(w http.ResponseWriter, f *os.File) (int64, error) {
			limited.R = f
			return w.(io.ReaderFrom).ReadFrom(limited)
		}, func(src io.Reader, _ *os.File) bool { return src == io.Reader(limited) }, 5},
		{"io.CopyN", func(w http.ResponseWriter, f *os.File) (int64, error) {
			return io.CopyN(w, f, 7)
		}, isLimited, 7},
		// io.Copy calls File.WriteTo, which passes a type of its own with SyscallConn.
		{"io.Copy", func(w http.ResponseWriter, f *os.File) (int64, error) {
			return io.Copy(w, f)
		}, func(src io.Reader, _ *os.File) bool { _, ok := src.(syscall.Conn); return ok }, 10},
		{"http.ServeContent", func(w http.ResponseWriter, f *os.File) (int64, error) {
			info, err := f.Stat()
			http.ServeContent(w, httptest.NewRequest("GET", "/", nil), "file", info.ModTime(), f)
			return 10, err
		}, isLimited, 10},
		{"http.FileServer", func(w http.ResponseWriter, f *os.File) (int64, error) {
			dir, name := filepath.Split(f.Name())
			http.FileServer(http.Dir(dir)).ServeHTTP(w, httptest.NewRequest("GET", "/"+name, nil))
			return 10, nil
		}, func(src io.Reader, _ *os.File) bool {
			l, ok := src.(*io.LimitedReader)
			if !ok {
				return false
			}
			_, ok = l.R.(*os.File)
			return ok
		}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := makeFile(t, content)
			original := &readerFrom{sink: sink{room: 100}}
			rec := New(context.Background(), original)
			if n, err := c.copy(Writer(rec), f); n != c.bytes || err != nil {
				t.Errorf("%d bytes copied and error %v, want %d", n, err, c.bytes)
			}
			if !c.as(original.src, f) {
				t.Errorf("the original got a %T", original.src)
			}
			if string(original.body) != content[:c.bytes] || Bytes(rec) != c.bytes || Status(rec) != 200 {
				t.Errorf("%q written, %d bytes and status %d recorded", original.body, Bytes(rec), Status(rec))
			}
		})
	}
}

func TestIsFile(t *testing.T) {
	f := makeFile(t, "")
	for _, c := range []struct {
		src  io.Reader
		want bool
	}{
		{f, true},
		{struct{ *os.File }{f}, true},
		{&io.LimitedReader{R: f}, true},
		{new(net.TCPConn), true},
		{&io.LimitedReader{R: new(net.TCPConn)}, true},
		{strings.NewReader(""), false},
		{struct{ io.Reader }{f}, false},
		{&io.LimitedReader{R: strings.NewReader("")}, false},
		{&io.LimitedReader{R: &io.LimitedReader{R: f}}, false}, // package net takes off one LimitedReader
		{io.NewSectionReader(f, 0, 1), false},
		{&io.LimitedReader{}, false},
		{nil, false},
	} {
		if got := isFile(c.src); got != c.want {
			t.Errorf("isFile(%T) = %v", c.src, got)
		}
	}
}

// TestOtherSourcesAreCounted: the original reads other sources through a countingReader.
func TestOtherSourcesAreCounted(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 5000) // more than one buffer
	for i, reader := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r },
		func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
		func(r io.Reader) io.Reader { return io.LimitReader(r, 1<<20) },
		iotest.OneByteReader,
		iotest.HalfReader,
		iotest.DataErrReader,
	} {
		for name, original := range sinks {
			w, s := original(1<<20, nil)
			rec := New(context.Background(), w)
			n, err := rec.ReadFrom(reader(strings.NewReader(content)))
			if n != int64(len(content)) || err != nil || string(s.body) != content {
				t.Errorf("source %d, %s: %d bytes copied, %d written, error %v", i, name, n, len(s.body), err)
			}
			if Bytes(rec) != n || Status(rec) != 200 {
				t.Errorf("source %d, %s: %d bytes and status %d recorded", i, name, Bytes(rec), Status(rec))
			}
			if r, ok := w.(*readerFrom); ok {
				if _, ok := r.src.(*countingReader); !ok {
					t.Errorf("source %d: the original got a %T", i, r.src)
				}
			}
		}
	}
}

// zeroReads returns 0 bytes and no error twice, and then the end.
type zeroReads struct{ n int }

func (z *zeroReads) Read([]byte) (int, error) {
	if z.n++; z.n > 0 {
		return 0, io.EOF
	}
	return 0, nil
}

// emptySources makes sources without any bytes.
var emptySources = map[string]func(t *testing.T) io.Reader{
	"string":       func(*testing.T) io.Reader { return strings.NewReader("") },
	"reader":       func(*testing.T) io.Reader { return struct{ io.Reader }{strings.NewReader("")} },
	"zero reads":   func(*testing.T) io.Reader { return new(zeroReads) },
	"file":         func(t *testing.T) io.Reader { return makeFile(t, "") },
	"limited file": func(t *testing.T) io.Reader { return io.LimitReader(makeFile(t, "content"), 0) },
}

// TestEmptySource: a source without any bytes sets no status, so that the handler can
// still choose one.
func TestEmptySource(t *testing.T) {
	for source, src := range emptySources {
		for name, original := range sinks {
			w, _ := original(100, nil)
			rec := New(context.Background(), w)
			if n, err := rec.ReadFrom(src(t)); n != 0 || err != nil {
				t.Errorf("%s, %s: %d bytes copied, error %v", source, name, n, err)
			}
			if Status(rec) != 0 || Bytes(rec) != 0 {
				t.Errorf("%s, %s: status %d and %d bytes", source, name, Status(rec), Bytes(rec))
			}
			if Writer(rec).WriteHeader(404); Status(rec) != 404 {
				t.Errorf("%s, %s: status %d after WriteHeader(404)", source, name, Status(rec))
			}
		}
	}
}

// A response is a response as the client received it.
type response struct {
	status int
	body   string
	err    error
}

// serve serves one request by HTTP/1 or HTTP/2 and returns the Recorder of the request. h
// gets the writer of the server, too.
func serve(t *testing.T, http2 bool, h func(w, server http.ResponseWriter)) (*Recorder, response) {
	t.Helper()
	done := make(chan *Recorder, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(server http.ResponseWriter, _ *http.Request) {
		rec := New(context.Background(), server)
		defer func() {
			p := recover()
			done <- rec
			if p != nil {
				panic(http.ErrAbortHandler) // ends the response, as every panic does
			}
		}()
		h(Writer(rec), server)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	defer s.Close()
	r, err := s.Client().Get(s.URL)
	if err != nil {
		return <-done, response{err: err}
	}
	defer r.Body.Close()
	if got := r.ProtoMajor; got != 1 && !http2 || got != 2 && http2 {
		t.Errorf("the protocol is %s", r.Proto)
	}
	body, err := io.ReadAll(r.Body)
	return <-done, response{r.StatusCode, string(body), err}
}

var protocols = map[string]bool{"HTTP/1": false, "HTTP/2": true}

func TestEmptySourceServed(t *testing.T) {
	for protocol, http2 := range protocols {
		for source, src := range emptySources {
			t.Run(protocol+" "+source, func(t *testing.T) {
				rec, got := serve(t, http2, func(w, _ http.ResponseWriter) {
					if n, err := io.Copy(w, src(t)); n != 0 || err != nil {
						t.Errorf("%d bytes copied, error %v", n, err)
					}
					w.WriteHeader(404)
				})
				if got != (response{status: 404}) || Status(rec) != 404 || Bytes(rec) != 0 {
					t.Errorf("the client received %+v, status %d and %d bytes are recorded", got, Status(rec), Bytes(rec))
				}
			})
		}
	}
}

// TestCopySetsStatus: after a copy of one byte it is too late for another status.
func TestCopySetsStatus(t *testing.T) {
	for protocol, http2 := range protocols {
		for source, src := range map[string]func() io.Reader{
			"reader": func() io.Reader { return strings.NewReader("x") },
			"file":   func() io.Reader { return makeFile(t, "x") },
		} {
			t.Run(protocol+" "+source, func(t *testing.T) {
				rec, got := serve(t, http2, func(w, _ http.ResponseWriter) {
					io.Copy(w, src())
					w.WriteHeader(404)
				})
				if got != (response{200, "x", nil}) || Status(rec) != 200 || Bytes(rec) != 1 {
					t.Errorf("the client received %+v, status %d and %d bytes are recorded", got, Status(rec), Bytes(rec))
				}
			})
		}
	}
}

// An endingReader has n bytes. The Read after them calls end.
type endingReader struct {
	n   int
	end func()
}

func (r *endingReader) Read(p []byte) (int, error) {
	if r.n == 0 {
		r.end()
	}
	n := min(len(p), r.n, 1000)
	r.n -= n
	for i := range n {
		p[i] = 'x'
	}
	return n, nil
}

// TestPanickingSource: the bytes before a panic of the source are recorded. A panic before
// the first byte sets no status.
func TestPanickingSource(t *testing.T) {
	for name, original := range sinks {
		for _, size := range []int{0, 1, 512, 100_000} {
			for how, end := range map[string]func(){
				"panic":  func() { panic("source") },
				"Goexit": runtime.Goexit,
			} {
				w, s := original(1<<20, nil)
				rec := New(context.Background(), w)
				done := make(chan any)
				go func() {
					defer func() { done <- recover() }()
					io.Copy(Writer(rec), &endingReader{size, end})
				}()
				if p := <-done; p != "source" && how == "panic" {
					t.Errorf("%s: the panic became %v", name, p)
				}
				status := 200
				if size == 0 {
					status = 0
				}
				if len(s.body) != size || Bytes(rec) != int64(size) || Status(rec) != status {
					t.Errorf("%s, %s after %d bytes: %d written, %d bytes and status %d recorded", name, how, size, len(s.body), Bytes(rec), Status(rec))
				}
			}
		}
	}
}

// TestPanickingSourceServed: the client received the status and the number of bytes that
// are recorded.
func TestPanickingSourceServed(t *testing.T) {
	for protocol, http2 := range protocols {
		for _, size := range []int{1, 511, 512, 513, 5000, 100_000} {
			for _, length := range []bool{false, true} { // with a length, HTTP/1 copies to the connection
				t.Run(fmt.Sprint(protocol, " ", size, " bytes, length ", length), func(t *testing.T) {
					rec, got := serve(t, http2, func(w, server http.ResponseWriter) {
						if length {
							w.Header().Set("Content-Length", strconv.Itoa(2*size))
						}
						io.Copy(w, &endingReader{size, func() {
							server.(http.Flusher).Flush() // the server drops its buffers after a panic
							panic("source")
						}})
					})
					if got.status != 200 || len(got.body) != size || got.err == nil {
						t.Errorf("the client received status %d, %d bytes and error %v", got.status, len(got.body), got.err)
					}
					if Status(rec) != 200 || Bytes(rec) != int64(size) {
						t.Errorf("status %d and %d bytes are recorded", Status(rec), Bytes(rec))
					}
				})
			}
		}
	}
}

// TestReadFromErrors: the bytes before an error are recorded. Without any bytes the error
// sets no status.
func TestReadFromErrors(t *testing.T) {
	failed := errors.New("failed")
	text := strings.Repeat("x", 100_000)
	after := func(n int, err error) io.Reader {
		return io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(err))
	}
	for name, original := range sinks {
		for _, c := range []struct {
			name   string
			src    io.Reader
			room   int
			err    error // of the original
			n      int
			want   error
			status int
		}{
			{"source fails at once", after(0, failed), 1 << 20, nil, 0, failed, 0},
			{"source fails later", after(70_000, failed), 1 << 20, nil, 70_000, failed, 200},
			{"source ends early", after(3, io.ErrUnexpectedEOF), 1 << 20, nil, 3, io.ErrUnexpectedEOF, 200},
			{"original fails in the middle", after(100_000, io.EOF), 50_000, failed, 50_000, failed, 200},
			{"original writes too little", after(100_000, io.EOF), 50_000, nil, 50_000, io.ErrShortWrite, 200},
			{"original writes one byte", after(100_000, io.EOF), 1, nil, 1, io.ErrShortWrite, 200},
			{"file, original fails", makeFile(t, text), 50_000, failed, 50_000, failed, 200},
			{"file, original writes too little", makeFile(t, text), 50_000, nil, 50_000, io.ErrShortWrite, 200},
		} {
			w, s := original(c.room, c.err)
			rec := New(context.Background(), w)
			if n, err := rec.ReadFrom(c.src); n != int64(c.n) || err != c.want {
				t.Errorf("%s, %s: %d bytes copied and error %v, want %d and %v", name, c.name, n, err, c.n, c.want)
			}
			if len(s.body) != c.n || Bytes(rec) != int64(c.n) || Status(rec) != c.status {
				t.Errorf("%s, %s: %d bytes written, %d bytes and status %d recorded, want %d and %d",
					name, c.name, len(s.body), Bytes(rec), Status(rec), c.n, c.status)
			}
		}
	}
}

// readFromResult is an original whose ReadFrom returns n.
type readFromResult struct {
	sink
	n int64
}

func (r *readFromResult) ReadFrom(io.Reader) (int64, error) { return r.n, nil }

// TestReadFromResult: an original that reports a negative number of bytes does not lower
// the count.
func TestReadFromResult(t *testing.T) {
	f := makeFile(t, "abc")
	for _, src := range []io.Reader{f, strings.NewReader("abc")} {
		rec := New(context.Background(), &readFromResult{n: -1})
		if n, err := rec.ReadFrom(src); n != -1 || err != nil || Bytes(rec) != 0 || Status(rec) != 0 {
			t.Errorf("%T: %d returned, %d bytes and status %d recorded", src, n, Bytes(rec), Status(rec))
		}
	}
}

// TestCopyAllocations: a copy without the ReadFrom of the original uses a pooled buffer.
func TestCopyAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	rec := New(context.Background(), discard{})
	r := bytes.NewReader(make([]byte, 100_000))
	var src io.Reader = struct{ io.Reader }{r}
	if n := testing.AllocsPerRun(1000, func() {
		r.Seek(0, io.SeekStart)
		if n, err := rec.ReadFrom(src); n != 100_000 || err != nil {
			t.Fatal(n, err)
		}
	}); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

// discard is an original that keeps no bytes.
type discard struct{}

func (discard) Header() http.Header         { return nil }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// uniform fails a test if one Write has bytes of two sources.
type uniform struct {
	discard
	t *testing.T
}

func (u uniform) Write(p []byte) (int, error) {
	first := p[0]
	runtime.Gosched() // another goroutine may write to p if it has the same buffer
	if bytes.Count(p, []byte{first}) != len(p) {
		u.t.Error("one write has bytes of two sources")
	}
	return len(p), nil
}

// TestConcurrentCopies: a handler may copy from several goroutines.
func TestConcurrentCopies(t *testing.T) {
	const size = 40_000
	sources := [4]string{strings.Repeat("a", size), strings.Repeat("b", size), strings.Repeat("c", size), strings.Repeat("d", size)}
	for name, original := range map[string]http.ResponseWriter{
		"with ReadFrom":    &readerFrom{sink: sink{room: 1 << 30}},
		"without ReadFrom": uniform{t: t},
	} {
		rec := New(context.Background(), original)
		total := testkit.Hammer(20, func(i int) {
			src := struct{ io.Reader }{strings.NewReader(sources[i%4])}
			if n, err := io.Copy(Writer(rec), src); n != size || err != nil {
				t.Errorf("%s: %d bytes copied, error %v", name, n, err)
			}
		})
		if Bytes(rec) != int64(size*total) || Status(rec) != 200 {
			t.Errorf("%s: %d bytes and status %d recorded", name, Bytes(rec), Status(rec))
		}
	}
}

// TestRefusedCopy: net/http writes the header of a response before it refuses bytes past
// Content-Length. The client received status 200, as after a Write that is refused.
func TestRefusedCopy(t *testing.T) {
	for source, src := range map[string]io.Reader{
		"reader": strings.NewReader(strings.Repeat("x", 1000)),
		"file":   makeFile(t, strings.Repeat("x", 1000)),
	} {
		rec, got := serve(t, false, func(w, _ http.ResponseWriter) {
			w.Header().Set("Content-Length", "3")
			if n, err := w.(io.ReaderFrom).ReadFrom(src); n != 0 || !errors.Is(err, http.ErrContentLength) {
				t.Errorf("%s: %d bytes copied, error %v", source, n, err)
			}
			w.WriteHeader(500)
		})
		if got.status != 200 || Status(rec) != 200 {
			t.Errorf("%s: the client received status %d, status %d is recorded", source, got.status, Status(rec))
		}
	}
}
