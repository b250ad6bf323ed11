package expo

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
)

// discard is a RemoteRequests that keeps nothing.
type discard struct{}

func (discard) Write(p []byte) (int, error)                { return len(p), nil }
func (discard) Series(key []byte, native, timed bool) bool { return false }
func (discard) End([]byte, RemoteCounts, bool)             {}
func (discard) Missing(*RemoteWriter)                      {}

// TestRemoteRelease: a RemoteWriter that waits for the next push has no large buffer and no reference to
// a metric.
func TestRemoteRelease(t *testing.T) {
	long := strings.Repeat("n", 2*maxRemoteText)
	bounds := NewBounds([]float64{1})
	slots := make([]exemplar.Slot, 2)
	for i := range slots {
		slots[i].Init(exemplar.None(new(exemplar.Origin)))
		slots[i].Record(1, []string{"a", "b"})
	}
	for version := 1; version <= 2; version++ {
		w := &RemoteWriter{Version: version, Now: 5, Left: 1 << 30, Tracked: true, Requests: discard{}, Targets: []label.Label{{Name: "job", Value: long}}}
		var families []*Family
		for _, f := range []*Family{{Name: long, Help: long}, {Name: "short", Help: long}, {Name: "quoted." + long, Help: "h", Quoted: true, QuotedLabels: true}} {
			f.SameLabels = true
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				for range 3 {
					e.Whole(`{l="x",m="y"} `, 1, false, nil)
				}
				e.Whole(`{l="`+long+`",m="a\n"} `, 1, false, nil)
				e.Histogram(`{l="x"} `, &bounds, []uint64{1, 2}, 1, &Details{Buckets: slots})
				e.Summary(`{l="x"} `, &Distribution{1, 2, []Quantile{{.5, 3}}}, nil)
			}
			families = append(families, f)
		}
		if err := Write(discard{}, w.Format(), names.Underscores, families, &Names{UTF8: &UTF8}); err != nil {
			t.Fatal(err)
		}
		w.exemplars = append(w.exemplars, slots[0].Load()) // as a native histogram does
		w.Release()
		checkReleased(t, "RemoteWriter", reflect.ValueOf(w).Elem())
	}
}

// checkReleased reports byte slices that are large, and strings that are not empty.
func checkReleased(t *testing.T, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			checkReleased(t, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Array, reflect.Slice:
		if v.Kind() == reflect.Slice {
			if size := v.Cap() * int(v.Type().Elem().Size()); size > maxRemoteText {
				t.Errorf("%s has %d bytes", name, size)
			}
			v = v.Slice(0, v.Cap())
		}
		switch v.Type().Elem().Kind() {
		case reflect.String, reflect.Struct, reflect.Slice, reflect.Pointer:
			for i := range v.Len() {
				checkReleased(t, name, v.Index(i))
			}
		}
	case reflect.String:
		if v.Len() > 0 && name != "RemoteWriter.layouts.extra" {
			t.Errorf("%s is %.20q", name, v.String())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			t.Errorf("%s is set", name)
		}
	}
}

// apart is a RemoteRequests that sets all series apart and counts the ends of requests.
type apart struct {
	discard
	sizes [2][]int
	n     *RemoteWriter
}

func (*apart) Series(key []byte, native, timed bool) bool { return true }

func (a *apart) End(_ []byte, _ RemoteCounts, separate bool) {
	i := 0
	if separate {
		i = 1
	}
	a.sizes[i] = append(a.sizes[i], a.n.requests[i].series)
}

func (a *apart) Missing(w *RemoteWriter) {
	for range 5 {
		w.Marker([]byte("\x0a\x08\x0a\x01a\x12\x03bcd"), false, true)
	}
}

// TestRequestApart: also the request of the series that are set apart has at most MaxRemoteSeries series.
func TestRequestApart(t *testing.T) {
	for version := 1; version <= 2; version++ {
		for n, want := range map[int][2][]int{
			MaxRemoteSeries - 5: {nil, {MaxRemoteSeries}},
			MaxRemoteSeries - 4: {{1}, {MaxRemoteSeries}},
			MaxRemoteSeries + 3: {{8}, {MaxRemoteSeries}},
		} {
			a := new(apart)
			a.n = &RemoteWriter{Version: version, Now: 5, Left: 1 << 30, Tracked: true, Requests: a}
			f := &Family{Name: "f", SameLabels: true}
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				for range n {
					e.Whole(`{l="x",m="y"} `, 1, false, nil)
				}
			}
			if err := Write(a, a.n.Format(), names.Underscores, []*Family{f}, new(Names)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(a.sizes, want) {
				t.Errorf("version %d, %d series: requests with %d series, want %d", version, n, a.sizes, want)
			}
		}
	}
}

// parts is a RemoteRequests with the size of the largest part and the number of calls of Missing.
type parts struct {
	discard
	largest, missing int
}

func (p *parts) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	return len(b), nil
}

func (p *parts) Missing(*RemoteWriter) { p.missing++ }

// TestRemoteParts: a request is written in parts of about the size of the buffer. After an error, no stale
// markers follow.
func TestRemoteParts(t *testing.T) {
	for version := 1; version <= 2; version++ {
		for _, left := range []int64{1 << 30, 5000} {
			p := new(parts)
			w := &RemoteWriter{Version: version, Now: 5, Left: left, TooLarge: io.ErrShortBuffer, Requests: p}
			f := &Family{Name: "f", SameLabels: true}
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				for range MaxRemoteSeries - 1 {
					e.Whole(`{l="a value of some length, since short ones need no parts"} `, 1, false, nil)
				}
			}
			err := Write(p, w.Format(), names.Underscores, []*Family{f}, new(Names))
			want, missing := error(nil), 1
			if left == 5000 {
				want, missing = io.ErrShortBuffer, 0
			}
			if err != want || p.missing != missing {
				t.Errorf("version %d, limit %d: error %v, %d calls of Missing", version, left, err, p.missing)
			}
			if p.largest > flushAt+200 {
				t.Errorf("version %d: a part of %d bytes, want about %d", version, p.largest, flushAt)
			}
		}
	}
}

// TestRestarts: only a push with native buckets may restart native histograms.
func TestRestarts(t *testing.T) {
	for _, noNative := range []bool{false, true} {
		w := &RemoteWriter{Version: 1, Left: 1 << 30, Requests: discard{}, NoNative: noNative}
		restarts := false
		f := &Family{Name: "n", Encode: func(e *Encoder) { restarts = e.RestartsNative() }}
		if err := Write(discard{}, w.Format(), names.Underscores, []*Family{f}, &Names{}); err != nil {
			t.Fatal(err)
		}
		if restarts == noNative {
			t.Errorf("NoNative %v: restarts %v", noNative, restarts)
		}
	}
}
