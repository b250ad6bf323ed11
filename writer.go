//go:build !tacho_nohttp

package tacho

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

//go:generate go run writer_gen.go

// A recorder is the response writer that the middleware hands on. It notes the
// status and counts the bytes that the client's writer accepted. Its fields are
// atomic because a handler may write from several goroutines.
type recorder struct {
	_      incomparable // else there would be a == for each of the 32 types
	w      http.ResponseWriter
	status atomic.Int32 // the first final one; 0 before
	bytes  atomic.Int64
}

// recorders hands recorders out of blocks. Each is used for one request only:
// a handler that keeps its writer after it returned, as handlers with
// goroutines do, must not find another request's response behind it. That makes
// one allocation in 16 requests. A block lives as long as any of its recorders.
type recorderBlock struct {
	used int
	recs [16]recorder
}

var recorderBlocks = sync.Pool{New: func() any { return new(recorderBlock) }}

func newRecorder(w http.ResponseWriter) *recorder {
	block := recorderBlocks.Get().(*recorderBlock)
	rec := &block.recs[block.used]
	block.used++
	if block.used < len(block.recs) {
		recorderBlocks.Put(block)
	}
	rec.w = w
	return rec
}

// final notes a status unless an earlier one was final.
func (r *recorder) final(status int) {
	if r.status.Load() == 0 {
		r.status.CompareAndSwap(0, int32(status))
	}
}

// wrote counts what an operation says it wrote; writing means 200 by default.
func (r *recorder) wrote(n int64) {
	r.final(http.StatusOK)
	if n > 0 {
		r.bytes.Add(n)
	}
}

// Unwrap is for [http.ResponseController].
//
//go:noinline
func (r *recorder) Unwrap() http.ResponseWriter { return r.w }

// Header implements [http.ResponseWriter].
//
//go:noinline
func (r *recorder) Header() http.Header { return r.w.Header() }

// WriteHeader implements [http.ResponseWriter]. Informational statuses are not
// final, but for 101, after which the connection speaks another protocol (RFC
// 9110, section 15.2). The server panics for a status that is none: only what
// it took is noted.
func (r *recorder) WriteHeader(status int) {
	r.w.WriteHeader(status)
	if status >= 200 || status == http.StatusSwitchingProtocols {
		r.final(status)
	}
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	r.final(http.StatusOK)
	n, err := r.w.Write(p)
	r.wrote(int64(n))
	return n, err
}

func (r *recorder) writeString(s string) (int, error) {
	r.final(http.StatusOK)
	n, err := io.WriteString(r.w, s)
	r.wrote(int64(n))
	return n, err
}

// readFrom lets the client's writer pull, so that it can use sendfile.
func (r *recorder) readFrom(src io.Reader) (int64, error) {
	n, err := r.w.(io.ReaderFrom).ReadFrom(src)
	r.wrote(n)
	return n, err
}

func (r *recorder) flush() {
	r.final(http.StatusOK)
	r.w.(http.Flusher).Flush()
}

func (r *recorder) flushError() error {
	r.final(http.StatusOK)
	return http.NewResponseController(r.w).Flush()
}

func (r *recorder) hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := r.w.(http.Hijacker).Hijack()
	if err == nil {
		r.final(http.StatusSwitchingProtocols)
	}
	return c, rw, err
}

func (r *recorder) push(target string, opts *http.PushOptions) error {
	return r.w.(http.Pusher).Push(target, opts)
}
