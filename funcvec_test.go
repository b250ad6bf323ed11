package tacho

import (
	"strings"
	"testing"
	"time"
)

// TestFuncVec: each function has a series, sorted by label values, until it is stopped.
func TestFuncVec(t *testing.T) {
	r := NewRegistry(WithConstLabels("c", "1"))
	v := r.GaugeFuncVec("pool_free", "Free.", []string{"pool"})
	if r.GaugeFuncVec("pool_free", "Free.", []string{"pool"}).list != v.list {
		t.Error("the same definition has other functions")
	}
	stop := v.Func(func() float64 { return 2 }, "b")
	v.Func(func() float64 { return 1 }, "a\xff\"")
	v.Func(func() float64 { panic("p") }, "panics")
	n := r.CounterFuncVec("n_total", "", []string{"x"})
	n.Func(func() float64 { return -1 }, "negative")
	n.Func(func() float64 { return 3 }, "ok")
	want := "n_total{c=\"1\",x=\"ok\"} 3\npool_free{c=\"1\",pool=\"a\ufffd\\\"\"} 1\npool_free{c=\"1\",pool=\"b\"} 2\n"
	if got := withoutHelp(text(t, r)); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	errors := withoutHelp(text(t, r))
	for _, reason := range []string{`metric="pool_free",reason="panic"} 2`, `metric="n_total",reason="negative"} 2`} {
		if !strings.Contains(errors, reason) {
			t.Errorf("not counted: %s\n%s", reason, errors)
		}
	}
	stop()
	stop()
	if got := text(t, r); strings.Contains(got, `pool="b"`) {
		t.Errorf("after stop\n%s", got)
	}
	v.Func(func() float64 { return 5 }, "b")
}

// TestFuncVecRefuses: a bad series is refused when it is defined.
func TestFuncVecRefuses(t *testing.T) {
	r := NewRegistry()
	v := r.GaugeFuncVec("g", "", []string{"l"})
	v.Func(zero, "1")
	for reason, define := range map[string]func(){
		"exists":        func() { v.Func(zero, "1") },
		"is nil":        func() { v.Func(nil, "2") },
		"the values":    func() { v.Func(zero) },
		"type of value": func() { r.GaugeVec("g", "", []string{"l"}) },
		"not from":      func() { new(FuncVec).Func(zero) },
	} {
		if _, err := Try(func() bool { define(); return true }); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("want %q, got %v", reason, err)
		}
	}
}

// TestFuncVecStopDuringScrape: a scrape that waits for a function ends, and counts no error, if
// another function of the vector is stopped meanwhile.
func TestFuncVecStopDuringScrape(t *testing.T) {
	r := NewRegistry()
	v := r.GaugeFuncVec("g", "", []string{"l"})
	var stop func()
	started, resume := make(chan struct{}), make(chan struct{})
	v.Func(func() float64 { close(started); <-resume; return 1 }, "a")
	stop = v.Func(func() float64 { return 2 }, "b")
	done := make(chan string)
	go func() { done <- withoutHelp(text(t, r)) }()
	<-started
	stop()
	close(resume)
	select {
	case got := <-done:
		if !strings.HasPrefix(got, "g{l=\"a\"} 1\n") || strings.Contains(got, "tacho_errors_total") {
			t.Errorf("got\n%s", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("the scrape hangs")
	}
}
