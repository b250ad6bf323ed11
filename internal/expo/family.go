// Package expo writes expositions: Prometheus' text format, OpenMetrics and the JSON view
// (prometheus.io, "Exposition formats"; OpenMetrics 1.0).
//
// The registry passes its families to [Write]. Each [Family] passes its samples to the
// methods of an [Encoder], which calls the functions of a [Format].
package expo

import (
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// A Kind is a metric type.
type Kind uint8

// The metric types that expositions name.
const (
	Counter Kind = iota
	Gauge
	Histogram
	Untyped
	Info
	Summary
)

// TextName returns the name of k in the text format 0.0.4, in which an info is a gauge.
//
// The method is not called String: the linker would keep it for every program that prints
// values.
func (k Kind) TextName() string {
	return [8]string{"counter", "gauge", "histogram", "untyped", "gauge", "summary"}[k%8] // no check of the index; see internal/SIZE.md
}

// openName returns the name of k in OpenMetrics 1.0.
func (k Kind) openName() string {
	return [...]string{"counter", "gauge", "histogram", "unknown", "info", "summary"}[k]
}

// A Family is what expositions show of the samples of one metric name.
type Family struct {
	Name   string
	Help   string
	Unit   string // "" for none
	Kind   Kind
	Consts []label.Label  // labels that all samples have with the same value
	Encode func(*Encoder) // passes all samples to an Encoder, after Begin unless there are none

	Quoted       bool // the name is outside the legacy set
	QuotedLabels bool // a label name is outside the legacy set
	SameLabels   bool // all samples have the same label names in the same order
	MixedTimes   bool // of an info: some samples have a time and some have none
	GivesWay     bool // the family is left out if another family of the same name does not give way
}

// SampleNames returns the names, besides name itself, that the samples of a family with
// this name and kind have in an exposition. No other family may have one of these names.
func SampleNames(name string, k Kind) []string {
	// A counter has only the time of its creation, and a summary has no buckets.
	suffixes := []string{"_bucket", "_sum", "_count", "_created"}
	switch k {
	case Counter:
		name, suffixes = stringslite.TrimSuffix(name, "_total"), suffixes[3:]
	case Histogram:
	case Summary:
		suffixes = suffixes[1:]
	default:
		suffixes = nil
	}
	all := make([]string, len(suffixes))
	for i, suffix := range suffixes {
		all[i] = name + suffix
	}
	return all
}
