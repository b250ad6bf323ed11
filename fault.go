package tacho

// The reasons of tacho_errors_total{metric,reason}.
const (
	reasonLabelCount = "label_count" // With or Delete got a wrong number of label values
	reasonNegative   = "negative"    // a counter would have gone down, or a duration was negative
	reasonNaN        = "nan"         // a counter or histogram got NaN
	reasonPanic      = "panic"       // a function that tacho called panicked
	reasonTimeout    = "timeout"     // a function that tacho called did not return in time
	reasonInvalid    = "invalid"     // a collector emitted a sample that no format can show
	reasonConflict   = "conflict"    // a collector emitted a family under a name that is taken
	reasonDuplicate  = "duplicate"   // a collector emitted a series twice
	reasonExemplar   = "exemplar"    // an exemplar was bad; the value was recorded
)

// gaveWay is the reason of a sample whose family gives way to a definition. It is not counted.
const gaveWay = "gave way"

// refusal returns the reason why no counter takes v, or "" if v is not negative and not
// NaN.
func refusal(v float64) (reason string) {
	switch {
	case v >= 0:
		return ""
	case v < 0:
		return reasonNegative
	}
	return reasonNaN
}
