package testkit

import (
	"syscall"
	"unsafe"
)

// protect makes pages unreadable. Package syscall has no Mprotect for FreeBSD.
func protect(pages []byte) error {
	_, _, err := syscall.Syscall(syscall.SYS_MPROTECT, uintptr(unsafe.Pointer(&pages[0])), uintptr(len(pages)), syscall.PROT_NONE)
	if err != 0 {
		return err
	}
	return nil
}
