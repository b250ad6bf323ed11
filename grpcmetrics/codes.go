package grpcmetrics

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type withStatus interface {
	error
	GRPCStatus() *status.Status
}

// codeOf returns the code that grpc sends for the error of a handler, and the code of an
// error that grpc returns to a client.
func codeOf(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	// status.FromError copies the status of a wrapped error.
	if s, ok := asStatus(err); ok {
		if st := s.GRPCStatus(); st != nil {
			return st.Code()
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	default:
		return codes.Unknown
	}
}

// asStatus returns the first error with a status in the tree of err. It allocates only if err wraps
// another error.
func asStatus(err error) (withStatus, bool) {
	if s, ok := err.(withStatus); ok {
		return s, true
	}
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ As(any) bool }:
		var s withStatus // on the heap
		ok := errors.As(err, &s)
		return s, ok
	}
	return nil, false
}

// codeOfEnd returns the code of the error that ended a stream of a client.
func codeOfEnd(err error) codes.Code {
	if errors.Is(err, io.EOF) {
		return codes.OK
	}
	return codeOf(err)
}

// A codeSet holds the codes beyond the specification that have labels of their own.
// Handlers and remote servers choose codes, so their number is limited.
type codeSet [16]atomic.Pointer[unspecified]

type unspecified struct {
	code codes.Code
	text string
}

// text returns the label of a code.
func (s *codeSet) text(code codes.Code) string {
	var added *unspecified
	for i := range s {
		u := s[i].Load()
		if u == nil {
			if added == nil {
				added = &unspecified{code, code.String()}
			}
			if s[i].CompareAndSwap(nil, added) {
				return added.text
			}
			u = s[i].Load()
		}
		if u.code == code {
			return u.text
		}
	}
	return other
}
