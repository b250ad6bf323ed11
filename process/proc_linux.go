package process

import (
	"syscall"
	"unsafe"
)

// A procReader reads files of /proc. It does without package os, which would
// allocate for each and offer it to the poller.
type procReader struct{ buf []byte }

// maxFile bounds what is read: far beyond any file of a sound system.
const maxFile = 1 << 20

// file returns the contents of a file until the next call, or nil if it cannot be
// read.
func (r *procReader) file(path string) []byte {
	fd, err := open(path, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	r.grow(16 << 10)
	for n := 0; n < maxFile; {
		m, err := syscall.Read(fd, r.buf[n:])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return nil
		case m == 0:
			return r.buf[:n]
		default:
			if n += m; n == len(r.buf) {
				r.grow(2 * n)
			}
		}
	}
	return nil
}

func (r *procReader) grow(n int) {
	if len(r.buf) < n {
		r.buf = append(r.buf, make([]byte, n-len(r.buf))...)
	}
}

func open(path string, flags int) (fd int, err error) {
	for {
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|flags, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

const fdDir = "/proc/self/fd"

// countFDs returns how many file descriptors are open. Since Linux 6.2 that is the
// size of the directory, which costs the same for any number of them.
func (r *procReader) countFDs() (int, bool) {
	var st syscall.Stat_t
	if syscall.Stat(fdDir, &st) != nil {
		return 0, false
	}
	if st.Size > 0 {
		return int(st.Size), true
	}
	return r.listFDs()
}

// listFDs counts the entries of the directory, but for its own descriptor. It makes
// no strings of their names: there can be a million of them.
func (r *procReader) listFDs() (int, bool) {
	fd, err := open(fdDir, syscall.O_DIRECTORY)
	if err != nil {
		return 0, false
	}
	defer syscall.Close(fd)
	r.grow(16 << 10)
	const others = 3 // ".", ".." and fd
	for total := 0; ; {
		n, err := syscall.ReadDirent(fd, r.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, false
		case n == 0:
			return total - others, total >= others
		}
		total += countEntries(r.buf[:n])
	}
}

// countEntries returns how many entries b holds, as getdents64 writes them.
func countEntries(b []byte) (n int) {
	const at = int(unsafe.Offsetof(syscall.Dirent{}.Reclen))
	for len(b) >= at+2 {
		size := int(*(*uint16)(unsafe.Pointer(&b[at]))) // in the byte order of the machine
		if size <= at || size > len(b) {
			break
		}
		b = b[size:]
		n++
	}
	return n
}
