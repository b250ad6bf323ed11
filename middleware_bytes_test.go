//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestResponseBytes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	size := strconv.Itoa(len(content))
	for _, c := range []struct {
		path, bytes string
		h           http.HandlerFunc
	}{
		{"/none", "0", func(http.ResponseWriter, *http.Request) {}},
		{"/write", "5", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("abc")); w.Write([]byte("de")) }},
		{"/string", "5", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "abcde") }},
		{"/copy", "7", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("ab"))
			io.Copy(w, io.LimitReader(strings.NewReader("cdefgh"), 5))
		}},
		{"/file", size, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }},
		{"/length", size, func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			w.Header().Set("Content-Length", size)
			if n, err := io.Copy(w, f); n != int64(len(content)) || err != nil {
				t.Errorf("Copy returned %d and error %v, want %s and no error", n, err, size)
			}
		}},
		{"/refused", "0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); w.Write([]byte("abc")) }},
		// The server accepts at most Content-Length bytes.
		{"/short", "3", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.Write([]byte("abc"))
			if _, err := w.Write([]byte("def")); err == nil {
				t.Error("the server accepted more than Content-Length bytes")
			}
		}},
	} {
		for proto, h2 := range protocols {
			if h2 && c.path == "/short" {
				continue // the HTTP/2 server accepts a write past Content-Length and drops the bytes later
			}
			t.Run(proto+c.path, func(t *testing.T) {
				srv := newTestServer(t, h2, c.h)
				_, body, err := srv.get(t, c.path)
				if err != nil || strconv.Itoa(len(body)) != c.bytes {
					t.Errorf("the client got %d bytes and error %v, want %s bytes", len(body), err, c.bytes)
				}
				if got := sumSamples(t, srv.reg, bytesSeries(c.path)); strconv.Itoa(int(got)) != c.bytes {
					t.Errorf("counted %v bytes, want %s", got, c.bytes)
				}
			})
		}
	}
}

// A readFromWriter is a response writer with ReadFrom, as the writer of the HTTP/1 server.
type readFromWriter struct {
	discardWriter
	read int64
	src  io.Reader // of the last call
}

func (w *readFromWriter) ReadFrom(src io.Reader) (n int64, err error) {
	w.src = src
	n, err = io.Copy(io.Discard, src)
	w.read += n
	return n, err
}

// TestReadFromReachesServer: ReadFrom of the server's writer gets the file itself. The
// server needs the file to use sendfile.
func TestReadFromReachesServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, make([]byte, 12345), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	w := &readFromWriter{discardWriter: discardWriter{http.Header{}}}
	serveOne(m, w, "GET", "/file", func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, f) })
	if w.read != 12345 {
		t.Errorf("ReadFrom of the server's writer read %d bytes, want 12345", w.read)
	}
	serveOne(m, w, "GET", "/direct", func(w http.ResponseWriter, _ *http.Request) { w.(io.ReaderFrom).ReadFrom(f) })
	if w.src != io.Reader(f) {
		t.Errorf("ReadFrom of the server's writer got a %T, want the file", w.src)
	}
	wantSamples(t, r, bytesSeries("/file"), "12345", bytesSeries("/direct"), "0", requestsSeries("GET", "/file", "200"), "1")
}

// A partialWriter is a response writer that accepts only a part of each write.
type partialWriter struct{ discardWriter }

func (partialWriter) Write(p []byte) (int, error)           { return len(p) / 2, io.ErrShortWrite }
func (partialWriter) WriteString(s string) (int, error)     { return len(s) / 2, io.ErrShortWrite }
func (partialWriter) ReadFrom(src io.Reader) (int64, error) { return 3, errors.New("closed") }

// A negativeWriter is a response writer that returns a negative count.
type negativeWriter struct{ discardWriter }

func (negativeWriter) Write([]byte) (int, error) { return -1, errors.New("invalid count") }

func TestOnlyAcceptedBytesCount(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	discard := discardWriter{http.Header{}}
	serveOne(m, partialWriter{discard}, "GET", "/w", func(w http.ResponseWriter, _ *http.Request) {
		if n, err := w.Write([]byte("abcdef")); n != 3 || err != io.ErrShortWrite {
			t.Errorf("Write returned %d and error %v, want 3 and %v", n, err, io.ErrShortWrite)
		}
	})
	serveOne(m, partialWriter{discard}, "GET", "/s", func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.WriteString(w, "abcd"); n != 2 || err != io.ErrShortWrite {
			t.Errorf("WriteString returned %d and error %v, want 2 and %v", n, err, io.ErrShortWrite)
		}
	})
	serveOne(m, partialWriter{discard}, "GET", "/r", func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.Copy(w, io.LimitReader(strings.NewReader("abcdefgh"), 8)); n != 3 || err == nil {
			t.Errorf("Copy returned %d and error %v, want 3 and an error", n, err)
		}
	})
	serveOne(m, negativeWriter{discard}, "GET", "/l", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("abc")) })
	wantSamples(t, r, bytesSeries("/w"), "3", bytesSeries("/s"), "2", bytesSeries("/r"), "3", bytesSeries("/l"), "0",
		requestsSeries("GET", "/r", "200"), "1")
}

// sniffLen is the number of bytes that ReadFrom of the HTTP/1 server sends before the
// rest of a source is copied.
const sniffLen = 512

// A panicSource is a source of left bytes that panics afterwards. The server does not log
// this panic.
type panicSource struct {
	left   int
	before func() // called before the panic
}

func (s *panicSource) Read(p []byte) (int, error) {
	if s.left == 0 {
		s.before()
		panic(http.ErrAbortHandler)
	}
	n := min(len(p), s.left)
	s.left -= n
	return n, nil
}

// TestPanicInCopy: if a source panics in io.Copy, the bytes before the panic were sent with
// the status 200. These bytes and this status are recorded.
func TestPanicInCopy(t *testing.T) {
	next := func(w http.ResponseWriter, r *http.Request) {
		before := func() {}
		if r.ProtoMajor == 2 {
			// The HTTP/2 server drops its buffer if the handler panics.
			before = func() { w.(http.Flusher).Flush() }
		}
		io.Copy(w, &panicSource{sniffLen, before})
		t.Error("Copy returned, want a panic")
	}
	forEachWriter(t, next, func(t *testing.T, reg *Registry, got response) {
		if got.status != 200 || len(got.body) != sniffLen || got.err == nil {
			t.Errorf("the client got status %d, %d bytes and error %v, want 200, %d bytes and an error",
				got.status, len(got.body), got.err, sniffLen)
		}
		wantSamples(t, reg, requestsSeries("GET", "/x", "200"), "1", requestsSeries("GET", "/x", "500"), "",
			bytesSeries("/x"), strconv.Itoa(sniffLen), "http_requests_in_flight", "0")
	})
}
