// Package conformance is empty: its tests hold what tacho writes against programs that tacho did not write.
package conformance
