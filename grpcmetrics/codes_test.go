package grpcmetrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type nilStatus struct{ error }

func (nilStatus) GRPCStatus() *status.Status { return nil }
func (e nilStatus) Unwrap() error            { return e.error }

// asNotFound is an error without Unwrap that is a status for errors.As.
type asNotFound struct{ error }

func (asNotFound) As(target any) bool {
	s, ok := target.(*withStatus)
	if ok {
		*s = status.Error(codes.NotFound, "as").(withStatus)
	}
	return ok
}

// The code of an error is the code that grpc sends. Module grpcmetrics/conformance compares the codes
// with those of the provider.
func TestCodeOf(t *testing.T) {
	found := status.Error(codes.NotFound, "inner")
	for _, tt := range []struct {
		err  error
		want codes.Code
	}{
		{nil, codes.OK},
		{found, codes.NotFound},
		{io.EOF, codes.Unknown},
		{errors.New("plain"), codes.Unknown},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{fmt.Errorf("wrapped: %w", found), codes.NotFound},
		{fmt.Errorf("wrapped: %w", context.Canceled), codes.Canceled},
		{errors.Join(context.Canceled, found), codes.NotFound},
		{errors.Join(errors.New("plain"), context.DeadlineExceeded), codes.DeadlineExceeded},
		{nilStatus{errors.New("plain")}, codes.Unknown},
		{nilStatus{context.Canceled}, codes.Canceled},
		{nilStatus{found}, codes.Unknown},
		{fmt.Errorf("wrapped: %w", nilStatus{context.Canceled}), codes.Canceled},
		{status.Error(99, ""), 99},
		{asNotFound{errors.New("plain")}, codes.NotFound},
	} {
		if got := codeOf(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}
