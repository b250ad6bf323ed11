//go:build unix

package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
)

// The sizes of Grafana Mimir come from its page "Planning Grafana Mimir capacity", without the 50 % that
// the page adds for peaks. Each ingester series exists three times.
const (
	mimirSamplesPerCore = 25_000  // distributor, also for each GB of memory
	mimirSeriesPerCore  = 300_000 // ingester
	mimirGBPerCore      = 2.5     // ingester
	mimirReplication    = 3
)

// sizing writes the table of the resources of a receiver for up to 100,000 programs, computed from the
// largest steady run of each receiver and mode:
//
//	samples a second = programs × series / interval
//	cores            = samples a second × processor time of a sample
//	memory           = programs × series × resident memory of a series
//	bytes a second   = programs / interval × bytes of a push
func sizing(w io.Writer, results []*result) {
	var from []*result
	for _, r := range results {
		if r.Scenario != steady || r.Via != "" || r.ReceiverMiB == 0 {
			continue
		}
		known := false
		for i, other := range from {
			if other.Receiver == r.Receiver && other.Mode == r.Mode {
				known = true
				if r.Programs > other.Programs {
					from[i] = r
				}
			}
		}
		if !known {
			from = append(from, r)
		}
	}
	if len(from) == 0 {
		return
	}
	series := float64(from[0].Series)
	fmt.Fprintf(w, "### Sizing\n\n| programs of %.0f series | interval | pushes/s | samples/s |", series)
	for _, r := range from {
		fmt.Fprintf(w, " %s, %s (%d programs measured) |", r.Receiver, r.Mode, r.Programs)
	}
	fmt.Fprint(w, " Mimir (published) |\n| --- | --- | --- | --- |")
	for range len(from) + 1 {
		fmt.Fprint(w, " --- |")
	}
	for _, programs := range []float64{100, 1000, 10_000, 100_000} {
		for _, interval := range []float64{15, 60} {
			samples := programs * series / interval
			fmt.Fprintf(w, "\n| %.0f | %.0f s | %.0f | %.0f |", programs, interval, programs/interval, samples)
			for _, r := range from {
				fmt.Fprintf(w, " %s cores, %s GiB, %s MB/s |", rounded(samples*r.ReceiverMicros/1e6),
					rounded(programs*series*r.ReceiverKiBSeries/(1<<20)), rounded(programs/interval*r.BytesPerPush/1e6))
			}
			held := programs * series * mimirReplication / mimirSeriesPerCore
			fmt.Fprintf(w, " %.0f cores, %.0f GB |", math.Ceil(samples/mimirSamplesPerCore+held),
				math.Ceil(samples/mimirSamplesPerCore+held*mimirGBPerCore))
		}
	}
	fmt.Fprint(w, "\n\n")
}

// rounded returns a positive number with two significant digits, without an exponent.
func rounded(v float64) string {
	if v <= 0 {
		return "0"
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return strconv.FormatFloat(math.Round(v/unit)*unit, 'f', max(0, int(-math.Floor(math.Log10(v))+1)), 64)
}
