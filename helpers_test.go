package tacho

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/store"
	"github.com/tachikoma/tacho/internal/testkit"
)

// write returns the output of f, which is a method of a registry such as WriteText.
func write(t testing.TB, f func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// text returns a scrape in the text format.
func text(t testing.TB, r *Registry) string {
	t.Helper()
	return write(t, r.WriteText)
}

// open returns a scrape in OpenMetrics.
func open(t testing.TB, r *Registry) string {
	t.Helper()
	return write(t, r.WriteOpenMetrics)
}

// open2 returns a scrape in OpenMetrics 2.0.
func open2(t testing.TB, r *Registry) string {
	t.Helper()
	return write(t, r.WriteOpenMetrics2)
}

// jsonText returns a scrape in the JSON format.
func jsonText(t testing.TB, r *Registry) string {
	t.Helper()
	return write(t, r.WriteJSON)
}

// protobufText returns a scrape in the protobuf format as text, one line for each message.
func protobufText(t testing.TB, r *Registry) string {
	t.Helper()
	lines, err := testkit.ReadProtobuf([]byte(write(t, r.WriteProtobuf)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

// writers returns the methods that write a scrape, by the names of testkit.Parsers.
func writers(r *Registry) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{"text": r.WriteText, "OpenMetrics": r.WriteOpenMetrics, "OpenMetrics 2.0": r.WriteOpenMetrics2, "JSON": r.WriteJSON}
}

// each passes the block and the metric of each series of an order.
func each(o *store.Order) func(yield func(block string, m unsafe.Pointer) bool) {
	return func(yield func(string, unsafe.Pointer) bool) {
		var c store.Cursor
		for c.Start(o); c.Next(); {
			for i, m := range c.Metrics[:c.N] {
				if !yield(c.Block(i), m) {
					return
				}
			}
		}
	}
}

// listed returns the label values of the series of an order.
func listed(v *vec, o *store.Order) (list [][]string) {
	for block := range each(o) {
		list = append(list, v.store.AppendValues(nil, block))
	}
	return list
}

// metrics returns the metrics of the series of an order.
func metrics(o *store.Order) (list []unsafe.Pointer) {
	for _, m := range each(o) {
		list = append(list, m)
	}
	return list
}

// A failingWriter returns an error for each write after the first n.
type failingWriter struct{ n, calls int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.calls++; w.calls > w.n {
		return 0, errors.New("gone")
	}
	return len(p), nil
}

// refused returns the error that a definition in a new registry panics with, or nil.
func refused(t *testing.T, define func(*Registry)) *DefinitionError {
	t.Helper()
	return refusedIn(t, NewRegistry(), define)
}

// refusedIn returns the error that a definition in r panics with, or nil.
func refusedIn(t *testing.T, r *Registry, define func(*Registry)) *DefinitionError {
	t.Helper()
	_, err := Try(func() int { define(r); return 0 })
	if err == nil {
		return nil
	}
	var d *DefinitionError
	if !errors.As(err, &d) {
		t.Fatalf("a %T: %v", err, err)
	}
	return d
}

// isInside reports whether s is in the memory of text.
func isInside(s, text string) bool {
	return uintptr(unsafe.Pointer(unsafe.StringData(s)))-uintptr(unsafe.Pointer(unsafe.StringData(text))) < uintptr(len(text))
}
