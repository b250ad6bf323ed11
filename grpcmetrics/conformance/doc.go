// Package grpcconformance compares package grpcmetrics with the provider of go-grpc-middleware: the
// series of the same calls, and the cost of a call. It is a module of its own, so that grpcmetrics
// does not require the provider and client_golang.
package grpcconformance
