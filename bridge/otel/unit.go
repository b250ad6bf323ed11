package otelbridge

// unitOf returns the unit of OpenTelemetry (UCUM) for a unit of Prometheus. The base units of
// Prometheus (prometheus.io, "Metric and label naming") have a unit in UCUM. Other units keep their
// text.
func unitOf(unit string) string {
	switch unit {
	case "seconds":
		return "s"
	case "bytes":
		return "By"
	case "ratio":
		return "1"
	case "celsius":
		return "Cel"
	case "meters":
		return "m"
	case "volts":
		return "V"
	case "amperes":
		return "A"
	case "joules":
		return "J"
	case "grams":
		return "g"
	}
	return unit
}
