//go:build !tacho_nohttp

package push

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// memories has the memory of OTLP requests, as *[]byte. The garbage collector empties it, so a program that pushes
// rarely keeps no memory between two pushes.
var memories sync.Pool

// maxKept is the size of the largest memory in memories. A request is larger only if one Metric is larger.
const maxKept = 2 * maxRequest

// memoryOf returns empty memory with the capacity size or more.
func memoryOf(size int) []byte {
	if b, ok := memories.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, size)
}

// keepMemory adds b to memories. The caller must not use b any more.
func keepMemory(b []byte) {
	if cap(b) > 0 && cap(b) <= maxKept {
		memories.Put(&b)
	}
}

// A lease counts the open readers of the bodies of a push. The memory of the bodies can have other content only after
// the transport closed all readers: a transport may read a body after the response ([http.RoundTripper]).
type lease struct {
	mu    sync.Mutex
	open  int
	ended bool
}

// A lender is a sender that uses the memory of bodies again. Only programs with such a sender contain leases.
type lender interface {
	// lend replaces the body of a request by a reader of the lease of the push.
	lend(req *http.Request)
}

func (s *otlpSender) lend(req *http.Request) { s.lease.begin(req) }

var errEnded = errors.New("tacho: push: the body is closed")

// begin replaces the body of a request by a reader of the lease.
func (l *lease) begin(req *http.Request) {
	get := req.GetBody
	req.GetBody = func() (io.ReadCloser, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ended {
			return nil, errEnded
		}
		r, err := get()
		if err == nil {
			l.open++
			r = &leased{lease: l, r: r}
		}
		return r, err
	}
	req.Body, _ = req.GetBody() // the lease has not ended, and a bytes.Reader returns no error
}

// end ends the lease, and reports whether no reader is open.
func (l *lease) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = l.open == 0
	return l.ended
}

// A leased is a reader of a body. After Close, Read does not read the body.
type leased struct {
	lease *lease
	mu    sync.Mutex // held while the memory of the body is read
	r     io.Reader  // nil after Close
}

// Read implements [io.Reader].
func (b *leased) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errEnded
	}
	return b.r.Read(p)
}

// Close implements [io.Closer].
func (b *leased) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r != nil {
		b.r = nil
		b.lease.mu.Lock()
		b.lease.open--
		b.lease.mu.Unlock()
	}
	return nil
}
