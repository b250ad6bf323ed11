// Package recorder has the response writer that the HTTP middleware passes to handlers.
// It records the status and the number of bytes that the server's writer accepted.
package recorder

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A Recorder records the response to one request. A handler may keep its writer after it
// returned, so no Recorder is used for a second request. Handlers may write from several
// goroutines.
//
// Code outside the package uses the functions [Status] and so on. Methods would be visible
// to handlers by type assertion.
type Recorder struct {
	_     [0]func() // no == for each writer type; see internal/SIZE.md
	w     http.ResponseWriter
	ctx   context.Context // of the request
	state atomic.Uint64   // statusBits, goesOn, timed, and the time of the status above timeShift
	bytes atomic.Int64
}

// The parts of a state. A status is at most statusBits: a larger one is as invalid. A time
// is an [Uptime] in nanoseconds, modulo 78 hours. The time is not 0 if the duration has ended. With
// goesOn the time is not 0 if the first final status is known.
const (
	statusBits = 1<<14 - 1
	goesOn     = 1 << 14 // the duration does not end at the time
	timed      = 1 << 15 // the first final status has a time, which ends the duration
	timeShift  = 16
)

var programStart = time.Now()

// Uptime returns the time since the start of the program. It reads only the monotonic
// clock; time.Now reads the wall clock too, and takes twice as long.
func Uptime() time.Duration { return time.Since(programStart) }

// New returns a Recorder of a response that is written to w. ctx is the context of the
// request.
func New(ctx context.Context, w http.ResponseWriter) *Recorder { return &Recorder{w: w, ctx: ctx} }

// StatusClientGone is recorded if the client left before a status was written, as nginx
// does.
const StatusClientGone = 499

// Gone reports whether the client has left. A deadline of the context is the program's own.
//
//go:noinline
func Gone(r *Recorder) bool { return r.ctx.Err() == context.Canceled }

// Time makes the duration of the response end at the first final status. It must be called
// before the response is written.
func Time(r *Recorder) { r.state.Store(timed) }

// TimeFirst is like [Time], except that the duration goes on. It has no effect after Time.
func TimeFirst(r *Recorder) { r.state.CompareAndSwap(0, timed|goesOn) }

// Untime undoes [Time] and [TimeFirst]. It has no effect if the first final status is known.
//
//go:noinline
func Untime(r *Recorder) {
	if s := r.state.Load(); s&statusBits == 0 {
		r.state.CompareAndSwap(s, 0)
	}
}

// FirstByte returns the time from start, an [Uptime], to the first final status. The result ok is
// false if there is no final status. It is also false if the status was set without [Time] and
// [TimeFirst].
func FirstByte(r *Recorder, start time.Duration) (d time.Duration, ok bool) {
	first := r.state.Load() >> timeShift
	return since(first, start), first != 0
}

// since returns the time from start to the time of a state.
func since(t uint64, start time.Duration) time.Duration {
	return time.Duration((t - uint64(start)) << timeShift >> timeShift)
}

// Elapsed returns the duration of the response since start, an [Uptime]. The duration has
// ended if the connection was hijacked, or for Time. Otherwise it ends now.
func Elapsed(r *Recorder, start time.Duration) time.Duration {
	if s := r.state.Load(); s>>timeShift != 0 && s&goesOn == 0 {
		return since(s>>timeShift, start)
	}
	return Uptime() - start
}

// Status returns the first final status, or 0.
func Status(r *Recorder) int { return int(r.state.Load() & statusBits) }

// Bytes returns the number of bytes that the writer of [New] accepted.
func Bytes(r *Recorder) int64 { return r.bytes.Load() }

// SetStatus records a final status unless there is one.
//
//go:noinline
func SetStatus(r *Recorder, status int) {
	if s := r.state.Load(); s&statusBits == 0 {
		next := s | uint64(min(status, statusBits))
		if s&timed != 0 {
			next |= now()
		}
		r.state.CompareAndSwap(s, next)
	}
}

// now returns the time as the part of a state.
func now() uint64 { return uint64(max(Uptime(), 1)) << timeShift }

// wrote records n bytes. Writing sets the status 200 if there is none.
//
//go:noinline
func (r *Recorder) wrote(n int64) {
	SetStatus(r, http.StatusOK)
	if n > 0 {
		r.bytes.Add(n)
	}
}

// Unwrap returns the writer of [New], for [http.ResponseController].
//
//go:noinline
func (r *Recorder) Unwrap() http.ResponseWriter { return r.w }

// Header implements [http.ResponseWriter].
//
//go:noinline
func (r *Recorder) Header() http.Header { return r.w.Header() }

// WriteHeader implements [http.ResponseWriter]. Informational statuses are not final.
// Status 101 is final: after it the connection has another protocol (RFC 9110, section
// 15.2). The server panics for an invalid status, so the status is recorded afterwards.
func (r *Recorder) WriteHeader(status int) {
	recorded := status
	if status >= 500 && Gone(r) {
		recorded = StatusClientGone // httputil.ReverseProxy writes 502
	}
	r.w.WriteHeader(status)
	if status >= 200 || status == http.StatusSwitchingProtocols {
		SetStatus(r, recorded)
	}
}

// Write implements [http.ResponseWriter].
func (r *Recorder) Write(p []byte) (int, error) {
	SetStatus(r, http.StatusOK) // the server sends 200 for an empty p too
	n, err := r.w.Write(p)
	r.wrote(int64(n))
	return n, err
}

// WriteString implements [io.StringWriter].
func (r *Recorder) WriteString(s string) (int, error) {
	SetStatus(r, http.StatusOK)
	n, err := io.WriteString(r.w, s)
	r.wrote(int64(n))
	return n, err
}

func (r *Recorder) flush() {
	SetStatus(r, http.StatusOK)
	r.w.(http.Flusher).Flush()
}

func (r *Recorder) flushError() error {
	SetStatus(r, http.StatusOK)
	return http.NewResponseController(r.w).Flush()
}

func (r *Recorder) hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := r.w.(http.Hijacker).Hijack()
	if err == nil {
		SetStatus(r, http.StatusSwitchingProtocols)
		if s := r.state.Load(); s>>timeShift == 0 || s&goesOn != 0 {
			r.state.CompareAndSwap(s, s&(statusBits|timed)|now())
		}
	}
	return c, rw, err
}

func (r *Recorder) push(target string, opts *http.PushOptions) error {
	return r.w.(http.Pusher).Push(target, opts)
}

func (r *Recorder) closeNotify() <-chan bool {
	//lint:ignore SA1019 see assert
	return r.w.(http.CloseNotifier).CloseNotify()
}
