package tinyhttp

import (
	"bufio"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// refusals are heads that are refused, without their last two line ends.
var refusals = []struct {
	head   string
	status int
}{
	// The request line (RFC 9112, section 3).
	{"", 400},
	{"GET", 400},
	{"GET /metrics", 400},
	{"GET /metrics ", 400},
	{"GET /metrics HTTP/1.1 \r\nHost: x", 400},
	{"GET  /metrics HTTP/1.1\r\nHost: x", 400},
	{"GET /metrics  HTTP/1.1\r\nHost: x", 400},
	{" GET /metrics HTTP/1.1\r\nHost: x", 400},
	{"GET\t/metrics HTTP/1.1\r\nHost: x", 400},
	{"GET /a b HTTP/1.1\r\nHost: x", 400},
	{"G(T /metrics HTTP/1.1\r\nHost: x", 400},
	{"G\xc3\x89T /metrics HTTP/1.1\r\nHost: x", 400},
	{"GET metrics HTTP/1.1\r\nHost: x", 400},
	{"GET * HTTP/1.1\r\nHost: x", 400},
	{"GET x:80 HTTP/1.1\r\nHost: x", 400},
	{"GET /metrics#a HTTP/1.1\r\nHost: x", 400},
	{"GET /m\xc3\xa9trics HTTP/1.1\r\nHost: x", 400},
	{"GET /%6 HTTP/1.1\r\nHost: x", 400},
	{"GET /%zz HTTP/1.1\r\nHost: x", 400},
	// The version (sections 2.3 and 2.5 of RFC 9110).
	{"GET /metrics HTTP/2.0\r\nHost: x", 505},
	{"GET /metrics HTTP/0.9\r\nHost: x", 505},
	{"PRI * HTTP/2.0", 505},
	{"GET /metrics HTTP/1\r\nHost: x", 400},
	{"GET /metrics HTTP/1.10\r\nHost: x", 400},
	{"GET /metrics http/1.1\r\nHost: x", 400},
	{"GET /metrics HTTP/1,1\r\nHost: x", 400},
	{"GET /metrics HTTP/+.1\r\nHost: x", 400},
	// Methods (RFC 9110, sections 15.5.6 and 15.6.2).
	{"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0", 405},
	{"PUT /metrics HTTP/1.1\r\nHost: x", 405},
	{"DELETE /metrics HTTP/1.1\r\nHost: x", 405},
	{"OPTIONS * HTTP/1.1\r\nHost: x", 405},
	{"CONNECT x:80 HTTP/1.1\r\nHost: x", 405},
	{"TRACE /metrics HTTP/1.1\r\nHost: x", 405},
	{"PATCH /metrics HTTP/1.1\r\nHost: x", 405},
	{"BREW /metrics HTTP/1.1\r\nHost: x", 501},
	{"get /metrics HTTP/1.1\r\nHost: x", 501},
	// Host (RFC 9112, section 3.2).
	{"GET /metrics HTTP/1.1", 400},
	{"GET http://x/metrics HTTP/1.1", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: x", 400},
	{"GET /metrics HTTP/1.0\r\nHost: x\r\nHost: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x/y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: a@x", 400},
	// absolute-form (section 3.2.2).
	{"GET http:///metrics HTTP/1.1\r\nHost: x", 400},
	{"GET http://a@x/metrics HTTP/1.1\r\nHost: x", 400},
	{"GET http://x:y/metrics HTTP/1.1\r\nHost: x", 400},
	{"GET http://[x]/metrics HTTP/1.1\r\nHost: x", 400},
	{"GET http://[::1/metrics HTTP/1.1\r\nHost: x", 400},
	{"GET http://[::1]x/metrics HTTP/1.1\r\nHost: x", 400},
	{"GET ftp://x/metrics HTTP/1.1\r\nHost: x", 400},
	{"GET http:/metrics HTTP/1.1\r\nHost: x", 400},
	// Field lines (sections 5.1 and 5.2).
	{"GET /metrics HTTP/1.1\r\nHost : x", 400},
	{"GET /metrics HTTP/1.1\r\n Host: x", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\n folded", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\n\tfolded", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\n: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nAcc ept: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nAcc\xe9pt: y", 400},
	// Line ends and control characters (section 2.2; RFC 9110, section 5.5).
	{"GET /metrics HTTP/1.1\nHost: x", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\nAccept: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\rAccept: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\r\nAccept: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nX: a\nAccept: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nX: a\rAccept: y", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nX: a\r", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: a\x00b", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: a\x7fb", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: a\x0bb", 400},
	{"GET /met\x00rics HTTP/1.1\r\nHost: x", 400},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400}, // TLS
	// The length of the body (section 6).
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5", 413},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999", 413},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length:", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: +0", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\ncontent-length: 5", 400},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked", 501},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity", 501},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:", 501},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 0", 400},
	{"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked", 400},
	{"GET /metrics HTTP/1.0\r\nTransfer-Encoding: chunked", 400},
	// Expect (RFC 9110, section 10.1.1).
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3", 413},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: coffee", 417},
}

// accepted are heads that are accepted.
var accepted = []struct {
	head string
	want request
}{
	{"GET /metrics HTTP/1.1\r\nHost: x", request{path: "/metrics", host: "x", minor: 1}},
	{"HEAD /metrics HTTP/1.1\r\nHost: x", request{head: true, path: "/metrics", host: "x", minor: 1}},
	{"GET /metrics HTTP/1.0", request{path: "/metrics", close: true}},
	{"GET /metrics HTTP/1.0\r\nConnection: keep-alive", request{path: "/metrics", close: true}},
	{"GET /metrics HTTP/1.7\r\nHost: x", request{path: "/metrics", host: "x", minor: 7}},
	{"GET /metrics HTTP/1.1\r\nHost:", request{path: "/metrics", minor: 1}},
	{"GET /metrics HTTP/1.1\r\nhOST: \t [::1]:9100 \t", request{path: "/metrics", host: "[::1]:9100", minor: 1}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close", request{path: "/metrics", host: "x", minor: 1, close: true}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive,\tCLOSE , x", request{path: "/metrics", host: "x", minor: 1, close: true}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: closed, un-close", request{path: "/metrics", host: "x", minor: 1}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0", request{path: "/metrics", host: "x", minor: 1}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue", request{path: "/metrics", host: "x", minor: 1}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade", request{path: "/metrics", host: "x", minor: 1}},
	{"GET /%6Detrics?a=%6D HTTP/1.1\r\nHost: x", request{path: "/metrics", query: "a=%6D", host: "x", minor: 1}},
	{"GET /metrics?a?b HTTP/1.1\r\nHost: x", request{path: "/metrics", query: "a?b", host: "x", minor: 1}},
	{"GET //metrics HTTP/1.1\r\nHost: x", request{path: "//metrics", host: "x", minor: 1}},
	{"GET HTTP://a.b:80/metrics HTTP/1.1\r\nHost: x", request{path: "/metrics", host: "a.b:80", minor: 1}},
	{"GET https://[::1]:80/metrics?q HTTP/1.1\r\nHost: x", request{path: "/metrics", query: "q", host: "[::1]:80", minor: 1}},
	{"GET http://x HTTP/1.1\r\nHost: x", request{host: "x", minor: 1}},
	{"GET http://x?q HTTP/1.1\r\nHost: x", request{query: "q", host: "x", minor: 1}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: a\r\nAccept-Encoding: \xff\r\naccept: b, c\r\nX: :", request{path: "/metrics", host: "x", minor: 1,
		accept: []string{"a", "b, c"}, encoding: []string{"\xff"}}},
	{"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\nX-Prometheus-Scrape-Timeout-Seconds: 2",
		request{path: "/metrics", host: "x", minor: 1, timeout: "1"}},
}

// readHead is scan and parse of a head that arrives as a whole.
func readHead(b []byte) (q request, n, status int) {
	if n, status = scan(b, 0); status == complete {
		q, status = parse(string(b[:n]))
	}
	return q, n, status
}

func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
		if _, _, status := readHead([]byte(tt.head + "\r\n\r\n")); status != tt.status {
			t.Errorf("%q: status %d, want %d", tt.head, status, tt.status)
		}
	}
}

func TestAccepted(t *testing.T) {
	for _, tt := range accepted {
		q, n, status := readHead([]byte(tt.head + "\r\n\r\nrest"))
		if status != statusOK || n != len(tt.head)+4 || !same(q, tt.want) {
			t.Errorf("%q: status %d, %d bytes and %+v, want %d bytes and %+v", tt.head, status, n, q, len(tt.head)+4, tt.want)
		}
	}
}

func same(a, b request) bool {
	return a.head == b.head && a.path == b.path && a.query == b.query && a.host == b.host && a.minor == b.minor && a.close == b.close &&
		a.timeout == b.timeout && slices.Equal(a.accept, b.accept) && slices.Equal(a.encoding, b.encoding)
}

// TestScanInPieces: the result of scan does not depend on the pieces in which bytes arrive.
func TestScanInPieces(t *testing.T) {
	for _, tt := range refusals {
		b := []byte(tt.head + "\r\n\r\nx")
		wantN, want := scan(b, 0)
		n, status, seen := 0, incomplete, 0
		for i := 1; i <= len(b) && status == incomplete; i++ {
			n, status = scan(b[:i], seen)
			seen = i
		}
		if n != wantN || status != want {
			t.Errorf("%q: %d and status %d, want %d and %d", tt.head, n, status, wantN, want)
		}
	}
}

// FuzzRequest: what the parser accepts means the same to net/http. The parser reads no byte
// outside the head.
func FuzzRequest(f *testing.F) {
	for _, tt := range refusals {
		f.Add(tt.head + "\r\n\r\n")
	}
	for _, tt := range accepted {
		f.Add(tt.head + "\r\n\r\n")
	}
	f.Add("GET /metrics?name[]=a&name%5B%5D=b+c&x=%zz&name[]=%zz&name[]&%5 HTTP/1.1\r\nHost: x\r\n\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		q, n, status := readHead([]byte(s))
		if status != statusOK {
			if status != incomplete && status < 400 {
				t.Fatalf("status %d", status)
			}
			return
		}
		r := bufio.NewReader(strings.NewReader(s))
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http refuses the request: %v", err)
		}
		left := r.Buffered()
		method := "GET"
		if q.head {
			method = "HEAD"
		}
		if req.Method != method || req.URL.Path != q.path || req.URL.RawQuery != q.query || req.Host != q.host || req.ProtoMajor != 1 || req.ProtoMinor != int(q.minor) {
			t.Errorf("net/http has %s %q?%q, host %q, version 1.%d; got %+v", req.Method, req.URL.Path, req.URL.RawQuery, req.Host, req.ProtoMinor, q)
		}
		if req.ContentLength != 0 || len(req.TransferEncoding) != 0 || len(s) <= 4096 && left != len(s)-n {
			t.Errorf("net/http has length %d, coding %q, and %d bytes are left, want %d", req.ContentLength, req.TransferEncoding, left, len(s)-n)
		}
		// HTTP/1.0 connections end always.
		if req.Close != q.close && !(q.minor == 0 && q.close) {
			t.Errorf("net/http has close %v, got %v", req.Close, q.close)
		}
		if !slices.Equal(req.Header.Values("Accept"), q.accept) || !slices.Equal(req.Header.Values("Accept-Encoding"), q.encoding) ||
			req.Header.Get("X-Prometheus-Scrape-Timeout-Seconds") != q.timeout {
			t.Errorf("net/http has header %q, got %+v", req.Header, q)
		}
		if e := req.Header.Get("Expect"); e != "" && !strings.EqualFold(e, "100-continue") {
			t.Errorf("expectation %q is accepted", e)
		}
		checkParameters(t, &q)
	})
}

// checkParameters compares parameters with net/url.
func checkParameters(t *testing.T, q *request) {
	want, wantMetadata := map[string]bool{}, false
	for _, pair := range strings.Split(q.query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		value, bad := url.QueryUnescape(value)
		if err == nil && bad == nil && key == "name[]" {
			want[value] = true
		}
		if err == nil && bad == nil && key == "metadata" {
			wantMetadata = value == "1"
		}
	}
	got, metadata := q.parameters()
	if len(got) != len(want) || metadata != wantMetadata {
		t.Errorf("query %q: got %v and metadata %v, want %v and %v", q.query, got, metadata, want, wantMetadata)
	}
	for name := range want {
		if !got[name] {
			t.Errorf("query %q: got %v, want %v", q.query, got, want)
		}
	}
}

// FuzzUnescape compares unescape with net/url.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "a+b", "%41%4a%aF", "%", "%4", "%4g", "%g4", "+%2B%25", "metadata=1", "metadata=%31&meta=", "metadata=1&metadata=%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := url.QueryUnescape(s)
		if got, ok := unescape(s, true); ok != (err == nil) || ok && got != want {
			t.Errorf("query %q: got %q, %v, want %q, %v", s, got, ok, want, err)
		}
		want, err = url.PathUnescape(s)
		if got, ok := unescape(s, false); ok != (err == nil) || ok && got != want {
			t.Errorf("path %q: got %q, %v, want %q, %v", s, got, ok, want, err)
		}
		checkParameters(t, &request{query: s})
	})
}
