// Package tacho is a Prometheus-compatible metrics engine.
package tacho
