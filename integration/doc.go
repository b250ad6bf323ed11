// Package integration tests subpackages of tacho against real servers. The tests need
// dependencies outside the standard library, such as a database driver. The scripts in
// .ci start the servers.
package integration
