//go:build !tacho_nohttp

package main

import (
	"strings"
	"time"

	"github.com/tachikoma/tacho"
)

// faults adds metrics that go wrong, and names that are hostile to a page.
type faults struct{ hung, limit, errors, hostile bool }

func (f faults) register(reg *tacho.Registry) {
	if f.hung {
		reg.GaugeFunc("hung_bytes", "A function that never returns.", func() float64 { select {} })
	}
	if f.limit {
		vec := reg.CounterVec("limited_total", "A vector that is at its limit.", []string{"user"}, tacho.WithMaxSeries(3))
		go repeat(func() {
			for _, user := range []string{"a", "b", "c", "d", "e"} {
				vec.With(user).Inc()
			}
		})
	}
	if f.errors {
		vec := reg.CounterVec("miscounted_total", "A vector with one label.", []string{"user"})
		go repeat(func() { vec.With("one", "too many").Inc() })
		reg.GaugeFunc("panicking", "A function that panics.", func() float64 { panic("broken") })
	}
	if f.hostile {
		hostile(reg)
	}
}

func repeat(f func()) {
	for range time.Tick(200 * time.Millisecond) {
		f()
	}
}

// hostile defines names and label values that a page could take for HTML or for a property of
// an object. Others are like a part of an address or a formula of a spreadsheet.
func hostile(reg *tacho.Registry) {
	texts := []string{
		"__proto__", "constructor", "toString", "hasOwnProperty",
		"<img src=x onerror=alert(1)>", `"><script>alert(1)</script>`, "javascript:alert(1)",
		"a,b;by=c:d#e%zz@go", "=1+1", "+1", "-1", "@SUM(1)", "\tcell", "two\r\nlines", `quote"quote`,
		"\u202ereversed", strings.Repeat("long", 5000),
	}
	for _, text := range texts {
		reg.Gauge(text, text).Set(1)
	}
	vec := reg.GaugeVec("hostile", "Hostile label values.", []string{"value"})
	counter := reg.CounterVec("hostile_total", "Hostile label names.", []string{"toString", "constructor", "=1+1"})
	for i, text := range texts {
		vec.With(text).Set(int64(i))
		counter.With(text, text, text).Inc()
	}
}
