//go:build linux || darwin

package testkit

import "syscall"

// protect makes pages unreadable.
func protect(pages []byte) error { return syscall.Mprotect(pages, syscall.PROT_NONE) }
