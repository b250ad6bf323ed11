// Package integration tests subpackages of tacho against servers that the
// subpackages have no code for. The scripts in .ci start them.
package integration
