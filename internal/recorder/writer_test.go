package recorder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// A calls lists the calls that reach an original writer, and has their results.
type calls struct {
	list   []string
	header http.Header
	err    error
	conn   net.Conn
	rw     *bufio.ReadWriter
}

func (c *calls) add(call string) { c.list = append(c.list, call) }

// Each type is an original writer with exactly the optional interfaces of its letters:
// Flusher, Hijacker, ReaderFrom, Pusher, StringWriter. A base has no optional interface.
type (
	base   struct{ *calls }
	wF     struct{ base }
	wH     struct{ base }
	wFH    struct{ wF }
	wR     struct{ base }
	wFR    struct{ wF }
	wHR    struct{ wH }
	wFHR   struct{ wFH }
	wP     struct{ base }
	wFP    struct{ wF }
	wHP    struct{ wH }
	wFHP   struct{ wFH }
	wRP    struct{ wR }
	wFRP   struct{ wFR }
	wHRP   struct{ wHR }
	wFHRP  struct{ wFHR }
	wS     struct{ base }
	wFS    struct{ wF }
	wHS    struct{ wH }
	wFHS   struct{ wFH }
	wRS    struct{ wR }
	wFRS   struct{ wFR }
	wHRS   struct{ wHR }
	wFHRS  struct{ wFHR }
	wPS    struct{ wP }
	wFPS   struct{ wFP }
	wHPS   struct{ wHP }
	wFHPS  struct{ wFHP }
	wRPS   struct{ wRP }
	wFRPS  struct{ wFRP }
	wHRPS  struct{ wHRP }
	wFHRPS struct{ wFHRP }
)

func (o *base) use(c *calls)        { o.calls = c }
func (o *base) Header() http.Header { o.add("Header"); return o.header }
func (o *base) WriteHeader(s int)   { o.add(fmt.Sprint("WriteHeader ", s)) }
func (o *base) Write(p []byte) (int, error) {
	o.add("Write " + string(p))
	return len(p), o.err
}
func (o *base) flush() { o.add("Flush") }
func (o *base) hijack() (net.Conn, *bufio.ReadWriter, error) {
	o.add("Hijack")
	return o.conn, o.rw, o.err
}
func (o *base) readFrom(src io.Reader) (int64, error) {
	b, _ := io.ReadAll(src)
	o.add("ReadFrom " + string(b))
	return int64(len(b)), o.err
}
func (o *base) push(target string, opts *http.PushOptions) error {
	o.add("Push " + target + " " + opts.Method)
	return o.err
}
func (o *base) writeString(s string) (int, error) {
	o.add("WriteString " + s)
	return len(s), o.err
}

func (o *wF) Flush()                                             { o.flush() }
func (o *wH) Hijack() (net.Conn, *bufio.ReadWriter, error)       { return o.hijack() }
func (o *wFH) Hijack() (net.Conn, *bufio.ReadWriter, error)      { return o.hijack() }
func (o *wR) ReadFrom(src io.Reader) (int64, error)              { return o.readFrom(src) }
func (o *wFR) ReadFrom(src io.Reader) (int64, error)             { return o.readFrom(src) }
func (o *wHR) ReadFrom(src io.Reader) (int64, error)             { return o.readFrom(src) }
func (o *wFHR) ReadFrom(src io.Reader) (int64, error)            { return o.readFrom(src) }
func (o *wP) Push(target string, opts *http.PushOptions) error   { return o.push(target, opts) }
func (o *wFP) Push(target string, opts *http.PushOptions) error  { return o.push(target, opts) }
func (o *wHP) Push(target string, opts *http.PushOptions) error  { return o.push(target, opts) }
func (o *wFHP) Push(target string, opts *http.PushOptions) error { return o.push(target, opts) }
func (o *wRP) Push(target string, opts *http.PushOptions) error  { return o.push(target, opts) }
func (o *wFRP) Push(target string, opts *http.PushOptions) error { return o.push(target, opts) }
func (o *wHRP) Push(target string, opts *http.PushOptions) error { return o.push(target, opts) }
func (o *wFHRP) Push(target string, opts *http.PushOptions) error {
	return o.push(target, opts)
}
func (o *wS) WriteString(s string) (int, error)     { return o.writeString(s) }
func (o *wFS) WriteString(s string) (int, error)    { return o.writeString(s) }
func (o *wHS) WriteString(s string) (int, error)    { return o.writeString(s) }
func (o *wFHS) WriteString(s string) (int, error)   { return o.writeString(s) }
func (o *wRS) WriteString(s string) (int, error)    { return o.writeString(s) }
func (o *wFRS) WriteString(s string) (int, error)   { return o.writeString(s) }
func (o *wHRS) WriteString(s string) (int, error)   { return o.writeString(s) }
func (o *wFHRS) WriteString(s string) (int, error)  { return o.writeString(s) }
func (o *wPS) WriteString(s string) (int, error)    { return o.writeString(s) }
func (o *wFPS) WriteString(s string) (int, error)   { return o.writeString(s) }
func (o *wHPS) WriteString(s string) (int, error)   { return o.writeString(s) }
func (o *wFHPS) WriteString(s string) (int, error)  { return o.writeString(s) }
func (o *wRPS) WriteString(s string) (int, error)   { return o.writeString(s) }
func (o *wFRPS) WriteString(s string) (int, error)  { return o.writeString(s) }
func (o *wHRPS) WriteString(s string) (int, error)  { return o.writeString(s) }
func (o *wFHRPS) WriteString(s string) (int, error) { return o.writeString(s) }

// originals makes a writer for each set of optional interfaces. The bits of the index are
// the letters of the type, as in the constants below.
var originals = [32]func(*calls) http.ResponseWriter{
	build[base], build[wF], build[wH], build[wFH], build[wR], build[wFR], build[wHR], build[wFHR],
	build[wP], build[wFP], build[wHP], build[wFHP], build[wRP], build[wFRP], build[wHRP], build[wFHRP],
	build[wS], build[wFS], build[wHS], build[wFHS], build[wRS], build[wFRS], build[wHRS], build[wFHRS],
	build[wPS], build[wFPS], build[wHPS], build[wFHPS], build[wRPS], build[wFRPS], build[wHRPS], build[wFHRPS],
}

func build[T any, P interface {
	*T
	http.ResponseWriter
	use(*calls)
}](c *calls) http.ResponseWriter {
	o := P(new(T))
	o.use(c)
	return o
}

// The bits of a set of optional interfaces.
const (
	hasFlusher = 1 << iota
	hasHijacker
	hasReaderFrom
	hasPusher
	hasStringWriter
)

// optional returns the optional interfaces of w.
func optional(w http.ResponseWriter) (set int) {
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

// useAll calls every method of w and checks the results, which are those of c. It returns
// the calls that reached the original.
func useAll(t *testing.T, w http.ResponseWriter, c *calls) []string {
	t.Helper()
	check := func(method string, n, want int, err error) {
		t.Helper()
		if n != want || err != c.err {
			t.Errorf("%s returned %d and error %v, want %d and %v", method, n, err, want, c.err)
		}
	}
	w.Header().Set("X-Seen", "1")
	w.WriteHeader(201)
	n, err := w.Write([]byte("abc"))
	check("Write", n, 3, err)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	if h, ok := w.(http.Hijacker); ok {
		conn, rw, err := h.Hijack()
		check("Hijack", 0, 0, err)
		if conn != c.conn || rw != c.rw {
			t.Errorf("Hijack returned %v and %v, want %v and %v", conn, rw, c.conn, c.rw)
		}
	}
	if r, ok := w.(io.ReaderFrom); ok {
		n, err := r.ReadFrom(strings.NewReader("defg"))
		check("ReadFrom", int(n), 4, err)
	}
	if p, ok := w.(http.Pusher); ok {
		check("Push", 0, 0, p.Push("/x", &http.PushOptions{Method: "HEAD"}))
	}
	if s, ok := w.(io.StringWriter); ok {
		n, err := s.WriteString("hi")
		check("WriteString", n, 2, err)
	}
	return c.list
}

// TestWriterInterfaces: a writer has the Flusher, Hijacker and Pusher of the original, and
// no other. It always has the rest. All calls reach the original.
func TestWriterInterfaces(t *testing.T) {
	conn, other := net.Pipe()
	defer conn.Close()
	defer other.Close()
	for set, original := range originals {
		for _, fail := range []error{nil, errors.New("failed")} {
			c := &calls{header: http.Header{}, err: fail, conn: conn, rw: new(bufio.ReadWriter)}
			o := original(c)
			if got := optional(o); got != set {
				t.Fatalf("original %05b has %05b", set, got)
			}
			rec := New(context.Background(), o)
			w := Writer(rec)
			if got, want := optional(w), set|hasReaderFrom|hasStringWriter; got != want {
				t.Errorf("%05b: the writer has %05b, want %05b", set, got, want)
			}
			u, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok || u.Unwrap() != o {
				t.Errorf("%05b: Unwrap does not return the original", set)
			}
			want := []string{"Header", "WriteHeader 201", "Write abc"}
			for i, call := range [][2]string{ // without the interface, and with the interface
				{"", "Flush"}, {"", "Hijack"}, {"Write defg", "ReadFrom defg"}, {"", "Push /x HEAD"}, {"Write hi", "WriteString hi"},
			} {
				if call := call[set>>i&1]; call != "" {
					want = append(want, call)
				}
			}
			if got := useAll(t, w, c); !slices.Equal(got, want) {
				t.Errorf("%05b: %q reached the original, want %q", set, got, want)
			}
			if c.header.Get("X-Seen") != "1" {
				t.Errorf("%05b: Header is not that of the original", set)
			}
			if Bytes(rec) != 3+4+2 || Status(rec) != 201 {
				t.Errorf("%05b: %d bytes and status %d, want 9 and 201", set, Bytes(rec), Status(rec))
			}
		}
	}
}

// Originals with CloseNotify too.
type (
	baseN struct{ base }
	wFN   struct{ wF }
	wHN   struct{ wH }
	wFHN  struct{ wFH }
	wPN   struct{ wP }
	wFPN  struct{ wFP }
	wHPN  struct{ wHP }
	wFHPN struct{ wFHP }
)

var closed = make(chan bool)

func (*baseN) CloseNotify() <-chan bool { return closed }
func (*wFN) CloseNotify() <-chan bool   { return closed }
func (*wHN) CloseNotify() <-chan bool   { return closed }
func (*wFHN) CloseNotify() <-chan bool  { return closed }
func (*wPN) CloseNotify() <-chan bool   { return closed }
func (*wFPN) CloseNotify() <-chan bool  { return closed }
func (*wHPN) CloseNotify() <-chan bool  { return closed }
func (*wFHPN) CloseNotify() <-chan bool { return closed }

// TestCloseNotifier: a writer has CloseNotify exactly if the original has CloseNotify and
// Flush. The rest of its interfaces is that of the original.
func TestCloseNotifier(t *testing.T) {
	for set, original := range []func(*calls) http.ResponseWriter{
		build[baseN], build[wFN], build[wHN], build[wFHN], build[wPN], build[wFPN], build[wHPN], build[wFHPN],
	} {
		o := original(&calls{})
		for range 2 { // the set is known the second time
			w := Writer(New(context.Background(), o))
			if got, want := optional(w), optional(o)|hasReaderFrom|hasStringWriter; got != want {
				t.Errorf("%03b: the writer has %05b, want %05b", set, got, want)
			}
			//lint:ignore SA1019 it is passed on for old handlers
			n, ok := w.(http.CloseNotifier)
			if want := set&1 != 0; ok != want {
				t.Errorf("%03b: the writer has CloseNotify: %v, want %v", set, ok, want)
			}
			if ok && n.CloseNotify() != closed {
				t.Errorf("%03b: CloseNotify is not that of the original", set)
			}
		}
	}
	for set, original := range originals {
		if w := Writer(New(context.Background(), original(&calls{}))); reflect.TypeOf(w).Implements(reflect.TypeFor[interface{ CloseNotify() <-chan bool }]()) {
			t.Errorf("%05b: the writer has CloseNotify and the original has not", set)
		}
	}
}

// TestKnownSets: more types than known has entries, each with its own set, also if entries
// are filled at the same time.
func TestKnownSets(t *testing.T) {
	testkit.Hammer(200, func(int) {
		for set, original := range originals {
			want := uint64(set&(hasFlusher|hasHijacker)) | uint64(set&hasPusher)/hasPusher*push
			if got := interfaces(original(&calls{})); got != want {
				t.Errorf("%05b: the set is %04b, want %04b", set, got, want)
			}
		}
	})
}

// TestSetsAreKnown: the set of a type is found once, and then read from known. Types use
// different entries, and an entry does not change.
func TestSetsAreKnown(t *testing.T) {
	var old [len(known)]uint64
	for i := range known {
		old[i] = known[i].Swap(0)
	}
	defer func() {
		for i := range known {
			known[i].Store(old[i])
		}
	}()
	used := 0
	for set, original := range originals {
		o := original(&calls{})
		want := interfaces(o)
		for i := range known {
			e := known[i].Load()
			if e%(1<<setBits) != want || e>>setBits != uint64(uintptr((*[2]unsafe.Pointer)(unsafe.Pointer(&o))[0])) {
				continue
			}
			used++
			// Another set in the entry shows that the entry is read.
			known[i].Store(e ^ push)
			if got := interfaces(o); got != want^push {
				t.Errorf("%05b: the set %04b is found again, want %04b", set, got, want^push)
			}
			known[i].Store(e)
		}
		if set == 0 && used != 1 {
			t.Errorf("the first type is in %d entries", used)
		}
	}
	if used < len(known)/2 {
		t.Errorf("%d of %d entries are used", used, len(known))
	}
	var before [len(known)]uint64
	for i := range known {
		before[i] = known[i].Load()
	}
	for set, original := range originals {
		interfaces(original(&calls{}))
		for i := range known {
			if known[i].Load() != before[i] {
				t.Fatalf("%05b: entry %d changes", set, i)
			}
		}
	}
}

// TestWriterMethods: a handler finds no other methods by type assertion.
func TestWriterMethods(t *testing.T) {
	for set, original := range originals {
		want := []string{"Header", "ReadFrom", "Unwrap", "Write", "WriteHeader", "WriteString"}
		if set&hasFlusher != 0 {
			want = append(want, "Flush", "FlushError")
		}
		if set&hasHijacker != 0 {
			want = append(want, "Hijack")
		}
		if set&hasPusher != 0 {
			want = append(want, "Push")
		}
		slices.Sort(want)
		var got []string
		for typ, i := reflect.TypeOf(Writer(New(context.Background(), original(&calls{})))), 0; i < typ.NumMethod(); i++ {
			got = append(got, typ.Method(i).Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%05b: methods %q, want %q", set, got, want)
		}
	}
}

// TestWriterSizes: Writer converts a pointer to a Recorder, so the types must be alike.
func TestWriterSizes(t *testing.T) {
	want := unsafe.Sizeof(Recorder{})
	for name, got := range map[string]uintptr{
		"flusher":               unsafe.Sizeof(flusher{}),
		"hijacker":              unsafe.Sizeof(hijacker{}),
		"pusher":                unsafe.Sizeof(pusher{}),
		"flusherHijacker":       unsafe.Sizeof(flusherHijacker{}),
		"flusherPusher":         unsafe.Sizeof(flusherPusher{}),
		"hijackerPusher":        unsafe.Sizeof(hijackerPusher{}),
		"flusherHijackerPusher": unsafe.Sizeof(flusherHijackerPusher{}),

		"flusherNotifier":               unsafe.Sizeof(flusherNotifier{}),
		"flusherHijackerNotifier":       unsafe.Sizeof(flusherHijackerNotifier{}),
		"flusherPusherNotifier":         unsafe.Sizeof(flusherPusherNotifier{}),
		"flusherHijackerPusherNotifier": unsafe.Sizeof(flusherHijackerPusherNotifier{}),
	} {
		if got != want {
			t.Errorf("a %s has %d bytes, a Recorder %d", name, got, want)
		}
	}
}

// TestFlushError: http.ResponseController calls FlushError if a writer has FlushError. A
// writer must not have FlushError if the original cannot flush.
func TestFlushError(t *testing.T) {
	for set, original := range originals {
		c := &calls{header: http.Header{}}
		rec := New(context.Background(), original(c))
		err := http.NewResponseController(Writer(rec)).Flush()
		if set&hasFlusher == 0 {
			if !errors.Is(err, http.ErrNotSupported) || len(c.list) != 0 || Status(rec) != 0 {
				t.Errorf("%05b: error %v, calls %q, status %d", set, err, c.list, Status(rec))
			}
			continue
		}
		if err != nil || !slices.Equal(c.list, []string{"Flush"}) || Status(rec) != 200 {
			t.Errorf("%05b: error %v, calls %q, status %d", set, err, c.list, Status(rec))
		}
	}
}

// errorFlusher has FlushError, as the writers of the server have.
type errorFlusher struct{ wF }

func (o *errorFlusher) FlushError() error { return o.err }

func TestFlushErrorReachesOriginal(t *testing.T) {
	c := &calls{err: errors.New("connection closed")}
	rec := New(context.Background(), build[errorFlusher](c))
	if err := http.NewResponseController(Writer(rec)).Flush(); err != c.err {
		t.Errorf("Flush returned %v, want %v", err, c.err)
	}
	if len(c.list) != 0 || Status(rec) != 200 {
		t.Errorf("calls %q, status %d", c.list, Status(rec))
	}
}

func TestHijackIs101(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{{nil, 101}, {errors.New("not now"), 0}} {
		rec := New(context.Background(), build[wH](&calls{err: c.err}))
		if _, _, err := Writer(rec).(http.Hijacker).Hijack(); err != c.err {
			t.Errorf("error %v, want %v", err, c.err)
		}
		if Status(rec) != c.want || Bytes(rec) != 0 {
			t.Errorf("error %v: status %d and %d bytes, want %d and 0", c.err, Status(rec), Bytes(rec), c.want)
		}
	}
}

func TestWriterAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for set, original := range originals {
		o := original(&calls{})
		if n := testing.AllocsPerRun(1000, func() { kept = Writer(New(context.Background(), o)) }); n != 1 {
			t.Errorf("%05b: %v allocations, want 1", set, n)
		}
	}
}

var kept http.ResponseWriter // so that a Recorder is on the heap, as in the middleware
