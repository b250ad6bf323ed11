package recorder

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
	"unsafe"
)

// The bits of a set of optional interfaces.
const (
	flush = 1 << iota
	hijack
	push
	closeNotify
	setBits = iota
)

// Writer returns r as a response writer for handlers. Handlers choose by type assertion, so
// the result has [http.Flusher], [http.Hijacker] and [http.Pusher] exactly if the writer of
// [New] has them. It has [http.CloseNotifier] exactly if that writer has both
// CloseNotifier and Flusher, as all writers of net/http with CloseNotifier do. It always
// has [io.StringWriter] and [io.ReaderFrom], which need no more than Write. Writer
// allocates nothing.
//
// CloseNotifier without Flusher would need four more types; see internal/SIZE.md.
func Writer(r *Recorder) http.ResponseWriter {
	p := unsafe.Pointer(r) // each type below is a Recorder and nothing more
	switch interfaces(r.w) {
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
	case closeNotify | flush:
		return (*flusherNotifier)(p)
	case closeNotify | flush | hijack:
		return (*flusherHijackerNotifier)(p)
	case closeNotify | flush | push:
		return (*flusherPusherNotifier)(p)
	case closeNotify | flush | hijack | push:
		return (*flusherHijackerPusherNotifier)(p)
	}
	return r
}

// known has sets of interfaces that were found before. A server has few types of writers,
// and four type assertions take longer than the rest of Writer. An entry is the address of
// an interface table, which never moves, and the set. Entries do not change: two types that
// map to the same entry would overwrite it with each request.
var known [8]atomic.Uint64

// interfaces returns the set of optional interfaces of w.
func interfaces(w http.ResponseWriter) uint64 {
	table := uint64(uintptr((*[2]unsafe.Pointer)(unsafe.Pointer(&w))[0]))
	entry := &known[table>>5%uint64(len(known))]
	if e := entry.Load(); e>>setBits == table {
		return e % (1 << setBits)
	}
	return assert(w, table, entry)
}

//go:noinline
func assert(w http.ResponseWriter, table uint64, entry *atomic.Uint64) (set uint64) {
	if _, ok := w.(http.Flusher); ok {
		set |= flush
	}
	if _, ok := w.(http.Hijacker); ok {
		set |= hijack
	}
	if _, ok := w.(http.Pusher); ok {
		set |= push
	}
	//lint:ignore SA1019 handlers such as gin's Stream still assert it
	if _, ok := w.(http.CloseNotifier); ok && set&flush != 0 {
		set |= closeNotify
	}
	entry.CompareAndSwap(0, table<<setBits|set)
	return set
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

	flusherNotifier               struct{ flusher }
	flusherHijackerNotifier       struct{ flusherHijacker }
	flusherPusherNotifier         struct{ flusherPusher }
	flusherHijackerPusherNotifier struct{ flusherHijackerPusher }
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

//go:noinline
func (w *flusherNotifier) CloseNotify() <-chan bool { return w.closeNotify() }

//go:noinline
func (w *flusherHijackerNotifier) CloseNotify() <-chan bool { return w.closeNotify() }

//go:noinline
func (w *flusherPusherNotifier) CloseNotify() <-chan bool { return w.closeNotify() }

//go:noinline
func (w *flusherHijackerPusherNotifier) CloseNotify() <-chan bool { return w.closeNotify() }
