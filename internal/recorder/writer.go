package recorder

import (
	"bufio"
	"net"
	"net/http"
	"unsafe"
)

// Writer returns r as a response writer for handlers. Handlers choose by type assertion, so
// the result has [http.Flusher], [http.Hijacker] and [http.Pusher] exactly if the writer of
// [New] has them. It always has [io.StringWriter] and [io.ReaderFrom], which need no more
// than Write. Writer allocates nothing.
func Writer(r *Recorder) http.ResponseWriter {
	const flush, hijack, push = 1, 2, 4
	set := 0
	if _, ok := r.w.(http.Flusher); ok {
		set |= flush
	}
	if _, ok := r.w.(http.Hijacker); ok {
		set |= hijack
	}
	if _, ok := r.w.(http.Pusher); ok {
		set |= push
	}
	p := unsafe.Pointer(r) // each type below is a Recorder and nothing more
	switch set {
	case flush:
		return (*flusher)(p)
	case hijack:
		return (*hijacker)(p)
	case flush | hijack:
		return (*flusherHijacker)(p)
	case push:
		return (*pusher)(p)
	case flush | push:
		return (*flusherPusher)(p)
	case hijack | push:
		return (*hijackerPusher)(p)
	case flush | hijack | push:
		return (*flusherHijackerPusher)(p)
	}
	return r
}

// A type for each set of interfaces: Go has no other way to give a value exactly some
// methods. The embedded type has the rest of the set. Methods that are not inlined are one
// jump each in the types that inherit them.
type (
	flusher               struct{ Recorder }
	hijacker              struct{ Recorder }
	pusher                struct{ Recorder }
	flusherHijacker       struct{ flusher }
	flusherPusher         struct{ flusher }
	hijackerPusher        struct{ hijacker }
	flusherHijackerPusher struct{ flusherHijacker }
)

//go:noinline
func (w *flusher) Flush() { w.flush() }

//go:noinline
func (w *flusher) FlushError() error { return w.flushError() }

//go:noinline
func (w *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

//go:noinline
func (w *flusherHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

//go:noinline
func (w *pusher) Push(target string, opts *http.PushOptions) error { return w.push(target, opts) }

//go:noinline
func (w *flusherPusher) Push(target string, opts *http.PushOptions) error {
	return w.push(target, opts)
}

//go:noinline
func (w *hijackerPusher) Push(target string, opts *http.PushOptions) error {
	return w.push(target, opts)
}

//go:noinline
func (w *flusherHijackerPusher) Push(target string, opts *http.PushOptions) error {
	return w.push(target, opts)
}
