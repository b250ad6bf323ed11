package tinyhttp

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/expo"
)

// ErrServerClosed is the error of [Server.Serve] and [Server.ListenAndServe] after [Server.Close]
// or [Server.Shutdown].
var ErrServerClosed = errors.New("tacho: tinyhttp: the server is closed")

// A Server serves the metrics of a registry. The zero value serves [tacho.Default] at /metrics.
// The fields must not change after the first call of a method. A number or time of 0 or less means
// the default. All methods are safe for concurrent use.
type Server struct {
	// Registry has the metrics. If Registry is nil, each scrape reads [tacho.Default].
	Registry *tacho.Registry

	// Path is the path of the metrics, without percent-encoding. The default is /metrics.
	// Other paths get status 404. Path must begin with a slash. Otherwise each request gets 404.
	Path string

	// MaxConns limits the connections. The default is 32. If all are in use, a further connection
	// replaces the connection that has waited longest for a request. If all connections have a
	// request, the further connection gets status 503 and is closed.
	MaxConns int

	// MaxHeaderBytes limits the request line and the header of a request. The default is 8 KiB. A
	// larger request gets status 414 or 431.
	MaxHeaderBytes int

	// ReadTimeout limits the time from the first byte of a request to the end of its header. For
	// the first request of a connection the time begins with the connection. The default is 5
	// seconds.
	ReadTimeout time.Duration

	// WriteTimeout limits the time of a response, with the functions of the registry. The
	// default is 30 seconds. Functions have nine tenths of WriteTimeout and of the time in the
	// header X-Prometheus-Scrape-Timeout-Seconds. Without the header they have 5 seconds at most.
	WriteTimeout time.Duration

	// IdleTimeout limits the time between two requests of a connection. The default is 3 minutes,
	// because Prometheus keeps a connection between scrapes.
	IdleTimeout time.Duration

	// ConnTimeout limits the time of a connection. The default is an hour. A response that has
	// begun is completed.
	ConnTimeout time.Duration

	jsonPath string
	json     func(metadata bool) *expo.Format // the format of jsonPath; nil without HandleJSON

	mu        sync.Mutex
	listeners map[*net.Listener]struct{}
	conns     map[*conn]struct{}
	serving   int           // of conns, without those that get status 503 or that were replaced
	refused   int           // of conns, those that get status 503
	closing   bool          // Close or Shutdown was called
	closed    chan struct{} // closed with closing
	ended     chan struct{} // closed if closing is true and conns is empty
}

// HandleJSON also serves the output of [tacho.Registry.WriteJSON] at a path, such as
// /metrics/json. The query parameter metadata=1 adds types and help texts; see
// [tacho.Registry.JSONHandler]. If the path is that of the metrics, JSON replaces the other formats.
// A second call replaces the path of the first. HandleJSON must be called before Serve.
func (s *Server) HandleJSON(path string) {
	// A function value: other programs do not contain the formats.
	s.jsonPath, s.json = path, jsonFormat
}

func jsonFormat(metadata bool) *expo.Format {
	if metadata {
		return &expo.JSONMetadata
	}
	return &expo.JSON
}

func (s *Server) registry() *tacho.Registry {
	if s.Registry == nil {
		return tacho.Default
	}
	return s.Registry
}

func (s *Server) path() string {
	if s.Path == "" {
		return "/metrics"
	}
	return s.Path
}

func (s *Server) maxConns() int       { return positive(s.MaxConns, 32) }
func (s *Server) maxHeaderBytes() int { return positive(s.MaxHeaderBytes, 8<<10) }

func (s *Server) readTimeout() time.Duration  { return positive(s.ReadTimeout, 5*time.Second) }
func (s *Server) writeTimeout() time.Duration { return positive(s.WriteTimeout, 30*time.Second) }
func (s *Server) idleTimeout() time.Duration  { return positive(s.IdleTimeout, 3*time.Minute) }
func (s *Server) connTimeout() time.Duration  { return positive(s.ConnTimeout, time.Hour) }

func positive[T int | time.Duration](n, byDefault T) T {
	if n > 0 {
		return n
	}
	return byDefault
}

// ListenAndServe listens on a TCP address, such as 127.0.0.1:9100 or :9100, and calls
// [Server.Serve]. It returns the error of [net.Listen] if it cannot listen. An empty address is a
// port that the system chooses, on all addresses of the machine.
func (s *Server) ListenAndServe(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Serve serves the connections that l accepts, each in a goroutine. Serve closes l before it
// returns. Several calls can run at the same time, each with a listener: the limits apply to the
// Server.
//
// Serve returns [ErrServerClosed] after [Server.Close] or [Server.Shutdown], and otherwise the
// error of l. If l reports that an error is temporary, as it does without free file descriptors,
// Serve tries again after up to a second. A panic of l or of a connection does not end the program.
func (s *Server) Serve(l net.Listener) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("tacho: tinyhttp: the listener panicked")
		}
		s.mu.Lock()
		delete(s.listeners, &l)
		if s.closing {
			err = ErrServerClosed
		}
		s.mu.Unlock()
		closeQuietly(l)
	}()
	s.mu.Lock()
	s.initLocked()
	if s.closing {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[&l] = struct{}{}
	s.mu.Unlock()

	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.accept(nc)
			continue
		}
		if t, ok := err.(interface{ Temporary() bool }); !ok || !t.Temporary() {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		if s.closedWithin(pause) {
			return ErrServerClosed
		}
	}
}

// closedWithin waits for d. It returns true at once if Close or Shutdown is called.
func (s *Server) closedWithin(d time.Duration) bool {
	select {
	case <-time.After(d):
		return false
	case <-s.closed:
		return true
	}
}

func (s *Server) initLocked() {
	if s.conns == nil {
		s.listeners, s.conns = map[*net.Listener]struct{}{}, map[*conn]struct{}{}
		s.closed, s.ended = make(chan struct{}), make(chan struct{})
	}
}

// accept starts the goroutine of a connection.
func (s *Server) accept(nc net.Conn) {
	now := time.Now()
	c := &conn{s: s, nc: nc, end: now.Add(s.connTimeout()), since: now, gone: make(chan struct{})}
	if s.admit(c) {
		go c.serve()
	} else {
		go closeQuietly(nc) // a connection of TLS can wait here
	}
}

// admit adds c to the connections. It returns false if there are too many.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Replaced connections end at once. If they do not, further connections must not pile up.
	for tries := 0; len(s.conns)-s.refused >= 2*s.maxConns(); tries++ {
		if tries == 10 || s.closing {
			return false
		}
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		s.mu.Lock()
	}
	switch {
	case s.closing:
		return false
	case s.serving < s.maxConns() || s.replaceLocked():
		c.counted = true
		s.serving++
	case s.refused < s.maxConns():
		c.refused = true
		s.refused++
	default:
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// replaceLocked ends the connection that has waited longest for a request. It returns false if no
// connection waits.
func (s *Server) replaceLocked() bool {
	var oldest *conn
	for c := range s.conns {
		if c.counted && !c.busy && (oldest == nil || c.since.Before(oldest.since)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	oldest.counted = false
	s.serving--
	oldest.stop()
	return true
}

// remove is called at the end of a connection.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.counted {
		s.serving--
	}
	if c.refused {
		s.refused--
	}
	if s.closing && len(s.conns) == 0 {
		close(s.ended)
	}
}

// beginClose closes the listeners, and the connections of which stops returns true.
func (s *Server) beginClose(stops func(*conn) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.initLocked()
	if !s.closing {
		s.closing = true
		close(s.closed)
		if len(s.conns) == 0 {
			close(s.ended)
		}
	}
	for l := range s.listeners {
		closeQuietly(*l)
	}
	for c := range s.conns {
		if stops(c) {
			c.stop()
		}
	}
}

// Close closes the listeners and all connections. It returns when their goroutines have ended. A
// function of the registry that does not return is not waited for. Close always returns nil.
func (s *Server) Close() error {
	s.beginClose(func(*conn) bool { return true })
	<-s.ended
	return nil
}

// Shutdown closes the listeners and all connections without a request. It waits until the
// responses that have begun are complete. If ctx ends before that, Shutdown closes the other
// connections as [Server.Close] does, and returns the cause of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginClose(func(c *conn) bool { return !c.busy })
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		_ = s.Close()
		return context.Cause(ctx)
	}
}

// closeQuietly closes c. A panic of c is ignored.
func closeQuietly(c interface{ Close() error }) {
	defer func() { _ = recover() }()
	_ = c.Close()
}
