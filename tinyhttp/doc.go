// Package tinyhttp serves /metrics without net/http. A program that serves nothing else over HTTP
// is smaller by the size of net/http:
//
//	srv := &tinyhttp.Server{Registry: reg}
//	log.Fatal(srv.ListenAndServe("127.0.0.1:9100"))
//
// Build the program with the tag tacho_nohttp. Otherwise it contains net/http, because package
// tacho imports it.
//
// A [Server] serves GET and HEAD requests of HTTP/1.1 and HTTP/1.0 (RFC 9110 and RFC 9112). The
// format, the compression and the query parameters name[] are those of the Handler of
// [tacho.Registry]. A Server is bounded in connections, bytes and time. Requests that two
// implementations can read differently get status 400, and their connection is closed. Examples
// are line ends other than CRLF, folded lines and two lengths. So a proxy and a Server never
// disagree about the end of a request.
//
// TLS and authentication are not part of the package. Do not expose a Server to untrusted clients.
// [Server.Serve] accepts any listener, such as one of crypto/tls.
package tinyhttp
