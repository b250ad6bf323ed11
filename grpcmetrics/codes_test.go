package grpcmetrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type nilStatus struct{ error }

func (nilStatus) GRPCStatus() *status.Status { return nil }
func (e nilStatus) Unwrap() error            { return e.error }

// The code of an error is the code of the provider, and of grpc itself.
func TestCodeOfAsProvider(t *testing.T) {
	found := status.Error(codes.NotFound, "inner")
	for _, err := range []error{
		nil, found, io.EOF, errors.New("plain"), context.Canceled, context.DeadlineExceeded,
		fmt.Errorf("wrapped: %w", found), fmt.Errorf("wrapped: %w", context.Canceled),
		errors.Join(context.Canceled, found), errors.Join(errors.New("plain"), context.DeadlineExceeded),
		nilStatus{errors.New("plain")}, nilStatus{context.Canceled}, nilStatus{found}, fmt.Errorf("wrapped: %w", nilStatus{context.Canceled}),
		status.Error(99, ""),
	} {
		if got, want := codeOf(err), provider.FromError(err).Code(); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
