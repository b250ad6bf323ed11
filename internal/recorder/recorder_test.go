package recorder

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestStatus: the first final status is recorded.
func TestStatus(t *testing.T) {
	header := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status) }
	}
	write := func(w http.ResponseWriter) { w.Write([]byte("x")) }
	writeNothing := func(w http.ResponseWriter) { w.Write(nil) }
	writeEmptyString := func(w http.ResponseWriter) { io.WriteString(w, "") }
	flush := func(w http.ResponseWriter) { w.(http.Flusher).Flush() }
	for i, c := range []struct {
		steps []func(http.ResponseWriter)
		want  int
	}{
		{nil, 0},
		{[]func(http.ResponseWriter){header(204)}, 204},
		{[]func(http.ResponseWriter){header(404), header(200)}, 404},
		{[]func(http.ResponseWriter){header(999), write}, 999},
		{[]func(http.ResponseWriter){header(100)}, 0},
		{[]func(http.ResponseWriter){header(103), header(199)}, 0},
		{[]func(http.ResponseWriter){header(103), header(500)}, 500},
		{[]func(http.ResponseWriter){header(103), write}, 200},
		{[]func(http.ResponseWriter){header(101)}, 101},
		{[]func(http.ResponseWriter){header(101), header(200)}, 101},
		{[]func(http.ResponseWriter){write, header(500)}, 200},
		{[]func(http.ResponseWriter){writeNothing, header(500)}, 200},
		{[]func(http.ResponseWriter){writeEmptyString, header(500)}, 200},
		{[]func(http.ResponseWriter){flush, header(500)}, 200},
		{[]func(http.ResponseWriter){header(500), flush, write}, 500},
	} {
		rec := New(context.Background(), build[wF](&calls{}))
		for _, step := range c.steps {
			step(Writer(rec))
		}
		if got := Status(rec); got != c.want {
			t.Errorf("case %d: status %d, want %d", i, got, c.want)
		}
	}
}

// strictBase panics for an invalid status, as the writers of net/http do.
type strictBase struct{ base }

func (o *strictBase) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("invalid status")
	}
}

func TestInvalidStatusIsNotRecorded(t *testing.T) {
	rec := New(context.Background(), build[strictBase](&calls{}))
	for _, status := range []int{-1, 0, 99, 1000} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("status %d: no panic", status)
				}
			}()
			Writer(rec).WriteHeader(status)
		}()
	}
	if Status(rec) != 0 {
		t.Errorf("status %d", Status(rec))
	}
	if Writer(rec).WriteHeader(404); Status(rec) != 404 {
		t.Errorf("status %d, want 404", Status(rec))
	}
}

func TestSetStatus(t *testing.T) {
	rec := New(context.Background(), build[base](&calls{}))
	if SetStatus(rec, 500); Status(rec) != 500 {
		t.Errorf("status %d, want 500", Status(rec))
	}
	if SetStatus(rec, 200); Status(rec) != 500 {
		t.Errorf("status %d, want 500", Status(rec))
	}
}

// writeResult is an original whose Write and WriteString return n and an error.
type writeResult struct {
	base
	n int
}

func (o *writeResult) Write([]byte) (int, error)       { return o.n, errors.ErrUnsupported }
func (o *writeResult) WriteString(string) (int, error) { return o.n, errors.ErrUnsupported }

// TestAcceptedBytes: only the bytes that the original accepted are counted.
func TestAcceptedBytes(t *testing.T) {
	for n, want := range map[int]int64{6: 6, 3: 3, 0: 0, -1: 0} {
		for method, write := range map[string]func(http.ResponseWriter) (int, error){
			"Write":       func(w http.ResponseWriter) (int, error) { return w.Write([]byte("abcdef")) },
			"WriteString": func(w http.ResponseWriter) (int, error) { return io.WriteString(w, "abcdef") },
		} {
			rec := New(context.Background(), &writeResult{n: n})
			if got, err := write(Writer(rec)); got != n || err != errors.ErrUnsupported {
				t.Errorf("%s returned %d and %v, want %d and %v", method, got, err, n, errors.ErrUnsupported)
			}
			if Bytes(rec) != want || Status(rec) != 200 {
				t.Errorf("%s returned %d: %d bytes and status %d, want %d and 200", method, n, Bytes(rec), Status(rec), want)
			}
		}
	}
}

// panicking is an original that sends a status and then panics.
type panicking struct{ wF }

func (*panicking) Write([]byte) (int, error)       { panic("write") }
func (*panicking) WriteString(string) (int, error) { panic("write") }
func (*panicking) Flush()                          { panic("write") }

// TestStatusOfPanickingWrite: a Write sends the status 200, even if the Write panics.
func TestStatusOfPanickingWrite(t *testing.T) {
	for method, write := range map[string]func(http.ResponseWriter){
		"Write":       func(w http.ResponseWriter) { w.Write([]byte("x")) },
		"WriteString": func(w http.ResponseWriter) { io.WriteString(w, "x") },
		"Flush":       func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"FlushError":  func(w http.ResponseWriter) { http.NewResponseController(w).Flush() },
		"ReadFrom":    func(w http.ResponseWriter) { io.Copy(w, struct{ io.Reader }{strings.NewReader("x")}) },
	} {
		rec := New(context.Background(), new(panicking))
		func() {
			defer func() {
				if p := recover(); p != "write" {
					t.Errorf("%s: the panic became %v", method, p)
				}
			}()
			write(Writer(rec))
		}()
		if Status(rec) != 200 || Bytes(rec) != 0 {
			t.Errorf("%s: status %d and %d bytes, want 200 and 0", method, Status(rec), Bytes(rec))
		}
	}
}

func TestConcurrentWrites(t *testing.T) {
	rec := New(context.Background(), &sink{room: 1 << 30})
	total := testkit.Hammer(500, func(int) {
		w := Writer(rec)
		w.Write([]byte("abc"))
		io.WriteString(w, "de")
		w.WriteHeader(404)
	})
	if Bytes(rec) != 5*int64(total) || Status(rec) != 200 {
		t.Errorf("%d bytes and status %d, want %d and 200", Bytes(rec), Status(rec), 5*total)
	}
}

// TestElapsed: the duration ends at the first final status for Time, at a hijack, and
// otherwise at the call of Elapsed.
func TestElapsed(t *testing.T) {
	status := func(r *Recorder) { Writer(r).WriteHeader(200) }
	write := func(r *Recorder) { Writer(r).Write(nil) }
	flush := func(r *Recorder) { Writer(r).(http.Flusher).Flush() }
	informational := func(r *Recorder) { Writer(r).WriteHeader(103) }
	hijack := func(r *Recorder) { Writer(r).(http.Hijacker).Hijack() }
	switching := func(r *Recorder) { Writer(r).WriteHeader(101) }
	for i, c := range []struct {
		time  bool
		steps []func(*Recorder)
		ends  bool
	}{
		{true, []func(*Recorder){status}, true},
		{true, []func(*Recorder){write}, true},
		{true, []func(*Recorder){flush, status}, true},
		{true, []func(*Recorder){informational}, false},
		{true, nil, false},
		{false, []func(*Recorder){status, write, flush}, false},
		{false, []func(*Recorder){hijack}, true},
		{false, []func(*Recorder){switching}, false},
		{false, []func(*Recorder){switching, hijack}, true},
		{true, []func(*Recorder){hijack}, true},
	} {
		for _, start := range []time.Duration{Uptime(), Uptime() - time.Hour, Uptime() - 70*time.Hour} {
			rec := New(context.Background(), build[wFH](&calls{}))
			if c.time {
				Time(rec)
			}
			before := Uptime() - start
			for _, step := range c.steps {
				step(rec)
			}
			first, last := Elapsed(rec, start), Uptime()-start
			for Uptime()-start == last { // some clocks are coarse
				runtime.Gosched()
			}
			second := Elapsed(rec, start)
			if first < before || first > last || (second == first) != c.ends || second < first {
				t.Errorf("case %d: durations %v and %v, want from %v to %v, equal: %v", i, first, second, before, last, c.ends)
			}
		}
	}
}

// TestCoarseClock: a duration ends also if the clock has not advanced since the start of
// the program.
func TestCoarseClock(t *testing.T) {
	defer func(start time.Time) { programStart = start }(programStart)
	programStart = time.Now().Add(time.Hour)
	for method, end := range map[string]func(*Recorder){
		"WriteHeader": func(r *Recorder) { Writer(r).WriteHeader(200) },
		"Hijack":      func(r *Recorder) { Writer(r).(http.Hijacker).Hijack() },
	} {
		rec := New(context.Background(), build[wH](&calls{}))
		Time(rec)
		end(rec)
		if got := Elapsed(rec, 0); got != 1 {
			t.Errorf("%s: the duration is %v, want 1 ns", method, got)
		}
	}
}

// TestLargeStatus: a status that does not fit is as invalid as the largest that does.
func TestLargeStatus(t *testing.T) {
	for _, c := range [][2]int{{999, 999}, {1000, 1000}, {statusBits, statusBits}, {statusBits + 1, statusBits}, {1<<31 - 1, statusBits}} {
		rec := New(context.Background(), build[base](&calls{}))
		if SetStatus(rec, c[0]); Status(rec) != c[1] {
			t.Errorf("status %d is recorded as %d, want %d", c[0], Status(rec), c[1])
		}
	}
}

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Recorder](), reflect.TypeFor[countingReader]()} {
		if typ.Comparable() || typ.Field(0).Type.Size() != 0 {
			t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
		}
	}
}
