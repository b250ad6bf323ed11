package testkit

import (
	"fmt"
	"runtime"
	"testing"
)

// TestParsers: the parsers return the same samples for the same metrics.
func TestParsers(t *testing.T) {
	for format, s := range map[string]string{
		"text": "# HELP a A gauge.\n# TYPE a gauge\na{x=\"\\\\\\\"\\n # {=\\\",\",y=\"\"} -1.5\n" +
			"# TYPE b counter\nb 2\n" +
			"# HELP h h.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n" +
			"# HELP s h.\n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 0\ns_count 0\n",
		"OpenMetrics": "# HELP a A gauge.\n# TYPE a gauge\na{x=\"\\\\\\\"\\n # {=\\\",\",y=\"\"} -1.5\n" +
			"# TYPE b unknown\nb 2.0\n" +
			"# HELP h h.\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {id=\"1\"} 0.5 1.0\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.0\nh_count 3\n" +
			"# HELP s h.\n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 0.0\ns_count 0\n# EOF\n",
		"OpenMetrics 2.0": "# TYPE a gauge\n# HELP a A gauge.\na{x=\"\\\\\\\"\\n # {=\\\",\",y=\"\"} -1.5\n" +
			"# TYPE b counter\n# UNIT b s\nb 2 1.5 st@1 # {id=\"1\"} 0.5 1.0 # {} NaN 1\n" +
			"# TYPE h histogram\n# HELP h h.\nh {count:3,sum:4,schema:-1,zero_threshold:1e-9,zero_count:1,negative_spans:[-2:1,3:1],negative_buckets:[1,1],bucket:[1:1,+Inf:3]} # {} 0.5 1.0\n" +
			"# TYPE s summary\n# HELP s h.\ns {count:0,sum:0,quantile:[0.5:NaN]} st@1\n# EOF\n",
		"JSON": `{"a":[{"labels":{"x":"\\\"\n # {=\",","y":""},"value":-1.5}],"b":[{"labels":{},"value":2}],` +
			`"h":[{"labels":{},"value":4,"count":3,"buckets":[{"le":1,"count":1},{"le":null,"count":3}]}],` +
			`"s":[{"labels":{},"value":0,"count":0,"quantiles":[{"quantile":0.5,"value":null}]}]}`,
	} {
		got := ""
		for _, s := range Parsers[format](t, s) {
			got += fmt.Sprintf("%s %q %v\n", s.Name, s.Labels, s.Value)
		}
		want := `a [{"x" "\\\"\n # {=\","} {"y" ""}] -1.5
b [] 2
h_bucket [{"le" "1"}] 1
h_bucket [{"le" "+Inf"}] 3
h_sum [] 4
h_count [] 3
s [{"quantile" "0.5"}] NaN
s_sum [] 0
s_count [] 0
`
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", format, got, want)
		}
	}
}

func TestParseLine(t *testing.T) {
	s := ParseLine(t, `a{b="c"} +Inf 1520879607789`)
	if s.Text != "+Inf" || s.Time != "1520879607789" {
		t.Errorf("%+v", s)
	}
	if s := ParseLine(t, "a 1e+06"); s.Name != "a" || s.Labels != nil || s.Value != 1e6 || s.Text != "1e+06" || s.Time != "" {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{
		"", "a", "a1", "a ", "a x", "a{} 1", "a{b} 1", `a{b="c} 1`, `a{b="c"1`, `a{b="c"`, `a{b="c"}1`, `a{b="c" 1`, `a{b="c"d="e"} 1`,
		`a{b="\x"} 1`, `a{b="\`, `a{b="c",} 1`, `a{`, `a{b="`,
	} {
		if !fails(func(t testing.TB) { ParseLine(t, bad) }) {
			t.Errorf("ParseLine accepts %q", bad)
		}
	}
}

func TestParseHelp(t *testing.T) {
	got := ParseHelp("# HELP a b\\\\n\\n \"c\"\n# TYPE a gauge\na 1\n# HELP d \n")
	if want := map[string]string{"a": "b\\n\n \"c\"", "d": ""}; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestKey: two samples have the same key if and only if Prometheus sees one series.
func TestKey(t *testing.T) {
	one := Sample{Name: "a", Labels: []Label{{"x", "1"}, {"y", "2"}, {"z", ""}}}
	same := Sample{Name: "a", Labels: []Label{{"y", "2"}, {"x", "1"}}, Value: 1}
	if one.Key() != same.Key() {
		t.Errorf("%s and %s", one.Key(), same.Key())
	}
	if one.Labels[2].Name != "z" {
		t.Errorf("Key sorts the labels of the sample: %q", one.Labels)
	}
	for _, other := range []Sample{
		{Name: "a"}, {Name: "b", Labels: one.Labels}, {Name: "a", Labels: []Label{{"x", "12"}, {"y", ""}}}, {Name: "a", Labels: []Label{{"x", "1\"\"y\"\"2"}}},
	} {
		if one.Key() == other.Key() {
			t.Errorf("%+v has the key of %+v", other, one)
		}
	}
}

// TestParsersRefuse: each parser fails its test if the scrape is bad.
func TestParsersRefuse(t *testing.T) {
	for format, bad := range map[string][]string{
		"text": {
			"a 1\n", "# HELP a h.\n# TYPE a gauge\na 1", "# HELP a h.\n# TYPE a gauge\na 1\na 1\n", "# HELP a h.\n# TYPE a gauge\na x\n",
			"# HELP b h.\n# TYPE b gauge\nb 1\n# HELP a h.\n# TYPE a gauge\na 1\n", "# HELP a h.\n# TYPE a gauge\nb 1\n",
			"# HELP a \n# TYPE a gauge\na 1\n", "# TYPE a gauge\n# HELP a h.\na 1\n", "# HELP b h.\n# TYPE a gauge\na 1\n", "# HELP a h.\n# TYPE a gauge\na_sum 1\n", "# HELP a h.\n# TYPE a histogram\na 1\n", "# HELP a h.\n# TYPE a summary\na_bucket 1\n",
			"# HELP a h.\n# TYPE a gauge\na{b=\"\"} 1\na 1\n", "# HELP a h.\n# TYPE a gauge\na 1\n\n", "\n",
		},
		"OpenMetrics": {
			"# HELP a \n# TYPE a gauge\na 1.0\n# EOF\n", "# TYPE a gauge\n# HELP b h.\na 1.0\n# EOF\n", "# HELP b h.\n# TYPE a gauge\na 1.0\n# EOF\n",
			"", "a 1\n# EOF\n", "# EOF\n# EOF\n", "# HELP a h.\n# TYPE a gauge\na 1.0\n", "# HELP a h.\n# TYPE a counter\na 1.0\n# EOF\n",
			"# HELP a h.\n# TYPE a gauge\na 1.0\na 1.0\n# EOF\n", "# HELP a h.\n# TYPE a gauge\n# UNIT a s\na 1.0\n# EOF\n",
			"# HELP a h.\n# TYPE a gauge\na 1.0 # {} 1.0 1\n# EOF\n", "# HELP a h.\n# TYPE a counter\na_total 1.0 # {} 1.0\n# EOF\n",
			"# HELP a h.\n# TYPE a histogram\na_bucket{le=\"1.0\"} 1 # {} 2.0 1\n# EOF\n",
			"# HELP a h.\n# TYPE a gauge\na 1.0 # {b=\"c\"} 1.0 1\n# EOF\n", "# HELP a h.\n# TYPE a counter\na_total 1.0 # {b=\"c\"} 1.0\n# EOF\n",
			"# HELP a h.\n# TYPE a histogram\na_bucket{le=\"1.0\"} 1 # {b=\"c\"} 2.0 1\n# EOF\n",
			"# HELP a h.\n# TYPE a histogram\na_bucket{le=\"x\"} 1\n# EOF\n", "# HELP a h.\n# TYPE a gauge\na 1.0# EOF\n",
			"# HELP a h.\n# TYPE a gauge\na 1.0\n# HELP a h.\n# TYPE a gauge\n# EOF\n",
		},
		"OpenMetrics 2.0": {
			"", "# TYPE a gauge\na 1\n", "a 1\n# EOF\n", "# EOF\n# EOF\n", "# TYPE a gauge\r\na 1\n# EOF\n", "# TYPE a gauge\na 1# EOF\n", "# TYPE a untyped\n# EOF\n",
			"# HELP a h.\n# TYPE a gauge\n# EOF\n", "# TYPE a gauge\n# HELP a h.\n# UNIT a s\n# EOF\n", "# TYPE a gauge\n# UNIT a s/x\n# EOF\n", "# TYPE a gauge\n# HELP a \"\n# EOF\n",
			"# TYPE a gauge\n# HELP a \\x\n# EOF\n", "# TYPE a gauge\n# TYPE a gauge\n# EOF\n", "# TYPE a gauge\na 1\n# HELP a h.\n# EOF\n", "# TYPE a gauge\nb 1\n# EOF\n",
			"# TYPE a info\n# EOF\n", "# TYPE a_info info\n# UNIT a_info s\n# EOF\n", "# TYPE a_info info\na_info 2\n# EOF\n",
			"# TYPE a counter\na NaN\n# EOF\n", "# TYPE a counter\na -1\n# EOF\n", "# TYPE a counter\na_total 1\n# EOF\n",
			"# TYPE a gauge\na x\n# EOF\n", "# TYPE a gauge\na 0x1\n# EOF\n", "# TYPE a gauge\na 1E3\n# EOF\n", "# TYPE a gauge\na 1 \n# EOF\n", "# TYPE a gauge\na  1\n# EOF\n", "# TYPE a gauge\na 1 NaN\n# EOF\n",
			"# TYPE a gauge\na 1 st@1\n# EOF\n", "# TYPE a gauge\na 1 # {} 1 1\n# EOF\n", "# TYPE a counter\na 1 st@1 2\n# EOF\n", "# TYPE a counter\na 1 # {} 1\n# EOF\n", "# TYPE a counter\na 1 # {} 1 1 st@1\n# EOF\n",
			"# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n# EOF\n", "# TYPE a gauge\na{b=\"1\",} 1\n# EOF\n", "# TYPE a gauge\na{\"\"=\"1\"} 1\n# EOF\n", "# TYPE a gauge\na{0=\"1\"} 1\n# EOF\n", "# TYPE a gauge\na 1\na{} 1\n# EOF\n",
			"# TYPE \"a.b\" gauge\na.b 1\n# EOF\n", "# TYPE \"a.b\" gauge\n{b=\"1\"} 1\n# EOF\n", "# TYPE \"\" gauge\n# EOF\n", "# TYPE \"a\xff\" gauge\n# EOF\n",
			"# TYPE a gauge\na {count:1,sum:1,bucket:[+Inf:1]}\n# EOF\n", "# TYPE a histogram\na 1\n# EOF\n",
			"# TYPE a histogram\na {count:1,sum:1}\n# EOF\n", "# TYPE a histogram\na {sum:1,count:1,bucket:[+Inf:1]}\n# EOF\n", "# TYPE a histogram\na {count:1, sum:1,bucket:[+Inf:1]}\n# EOF\n", "# TYPE a histogram\na {count:2,sum:1,bucket:[+Inf:1]}\n# EOF\n",
			"# TYPE a histogram\na {count:1,sum:1,bucket:[1:1]}\n# EOF\n", "# TYPE a histogram\na {count:1,sum:1,bucket:[2:1,1:1,+Inf:1]}\n# EOF\n", "# TYPE a histogram\na {count:1,sum:1,bucket:[1:2,+Inf:1]}\n# EOF\n",
			"# TYPE a histogram\na{le=\"1\"} {count:1,sum:1,bucket:[+Inf:1]}\n# EOF\n", "# TYPE a histogram\na {count:1,sum:1,bucket:[NaN:0,+Inf:1]}\n# EOF\n", "# TYPE a histogram\na {count:1.0,sum:1,bucket:[+Inf:1.0]}\n# EOF\n",
			"# TYPE a histogram\na {count:1,sum:1,schema:9,zero_threshold:0,zero_count:1}\n# EOF\n", "# TYPE a histogram\na {count:1,sum:1,schema:0,zero_threshold:-1,zero_count:1}\n# EOF\n", "# TYPE a histogram\na {count:1,sum:1,schema:0,zero_count:1}\n# EOF\n",
			"# TYPE a histogram\na {count:2,sum:1,schema:0,zero_threshold:0,zero_count:1}\n# EOF\n", "# TYPE a histogram\na {count:2,sum:1,schema:0,zero_threshold:0,zero_count:0,positive_spans:[0:1],positive_buckets:[1,1]}\n# EOF\n",
			"# TYPE a histogram\na {count:2,sum:1,schema:0,zero_threshold:0,zero_count:0,positive_spans:[0:1,-3:1],positive_buckets:[1,1]}\n# EOF\n", "# TYPE a histogram\na {count:1,sum:1,schema:0,zero_threshold:0,zero_count:0,positive_spans:[0:1]}\n# EOF\n",
			"# TYPE a histogram\na {count:2,sum:1,schema:0,zero_threshold:0,zero_count:0,positive_spans:[0:1],positive_buckets:[1],negative_spans:[0:1],negative_buckets:[1]}\n# EOF\n", "# TYPE a histogram\na {count:1,sum:1,bucket:[+Inf:1],schema:0,zero_threshold:0,zero_count:1}\n# EOF\n",
			"# TYPE a summary\na {count:1,sum:-1,quantile:[]}\n# EOF\n", "# TYPE a summary\na {count:1,sum:NaN,quantile:[]}\n# EOF\n", "# TYPE a summary\na {count:1,sum:1}\n# EOF\n", "# TYPE a summary\na {count:1,sum:1,quantile:[0.5:-1]}\n# EOF\n",
			"# TYPE a summary\na {count:1,sum:1,quantile:[2:1]}\n# EOF\n", "# TYPE a summary\na {count:1,sum:1,quantile:[0.5:1,0.5:1]}\n# EOF\n", "# TYPE a summary\na {count:1,sum:1,quantile:[0.5:1],}\n# EOF\n", "# TYPE a summary\na {count:1,sum:1,quantile:[]} # {} 1 1\n# EOF\n",
		},
		"JSON": {
			"", "[]", "{", `{"a":[]}`, `{"a":[{"labels":{},"value":1}],"a":[{"labels":{},"value":1}]}`,
			`{"a":[{"labels":{},"value":1},{"labels":{},"value":1}]}`, `{"a":[{"labels":{"x":"1","x":"1"},"value":1}]}`,
			`{"a":[{"labels":{"x":1},"value":1}]}`, `{"a":[{"value":1}]}`, `{"a":1}`, "{}{}",
		},
	} {
		for _, s := range bad {
			if !fails(func(t testing.TB) { Parsers[format](t, s) }) {
				t.Errorf("the parser of %s accepts %q", format, s)
			}
		}
	}
}

func TestChecksRefuse(t *testing.T) {
	count := func(s Sample) bool { return s.Name == "h_count" }
	last := map[string]float64{Sample{Name: "h_count"}.Key(): 1}
	check := func(t testing.TB, s string) {
		samples := ParseText(t, "# HELP h h.\n# TYPE h histogram\n"+s)
		CheckHistograms(t, samples)
		CheckMonotonic(t, samples, last, count)
	}
	check(t, "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n")
	for _, bad := range []string{
		"h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
		"h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n", "h_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n", "h_bucket{le=\"+Inf\"} 0\nh_count 0\n",
		"h_bucket{le=\"+Inf\"} 1\nh_sum 1\n",
	} {
		if !fails(func(t testing.TB) { check(t, bad) }) {
			t.Errorf("the checks accept %q", bad)
		}
	}
	samples := []Sample{{Name: "h_count", Value: 2}, {Name: "other", Value: 3}}
	if now := CheckMonotonic(t, samples, last, count); fmt.Sprint(now) != "map[h_count:2]" {
		t.Errorf("CheckMonotonic returns %v", now)
	}
}

// fails reports whether a function fails its test. A panic ends the program.
func fails(f func(t testing.TB)) bool {
	var r recorded
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(&r)
	}()
	<-done
	return r.failed
}

// A recorded test stores whether it failed.
type recorded struct {
	testing.TB
	failed bool
}

func (r *recorded) Helper()               {}
func (r *recorded) Errorf(string, ...any) { r.failed = true }
func (r *recorded) Fatalf(string, ...any) {
	r.failed = true
	runtime.Goexit()
}
