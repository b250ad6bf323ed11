package process

import (
	"syscall"
	"unsafe"
)

// A procReader reads files of /proc by system calls. Package os would allocate for
// each file and register the file with the network poller.
type procReader struct{ buf []byte }

// maxFile is the size in bytes from which a file is refused. The files of /proc that
// this package reads are far smaller.
const maxFile = 1 << 20

// file returns the contents of a file, or nil if the file cannot be read. The
// contents are valid until the next call of a method of r.
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
				r.grow(min(2*n, maxFile)) // the buffer is kept, so it has a limit
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

// countFDs returns the number of open file descriptors. Since Linux 6.2 this number
// is the size of fdDir, which a single call of stat returns.
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

// listFDs counts the entries of fdDir without the descriptor of listFDs itself. The
// names are not converted to strings, because a directory can have a million entries.
func (r *procReader) listFDs() (int, bool) {
	fd, err := open(fdDir, syscall.O_DIRECTORY)
	if err != nil {
		return 0, false
	}
	defer syscall.Close(fd)
	r.grow(16 << 10)
	const extra = 3 // ".", ".." and fd
	for total := 0; ; {
		n, err := syscall.ReadDirent(fd, r.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, false
		case n == 0:
			return total - extra, total >= extra
		}
		total += countEntries(r.buf[:n])
	}
}

// countEntries returns the number of entries in b. The system call getdents64 writes
// the entries.
func countEntries(b []byte) (n int) {
	const at = int(unsafe.Offsetof(syscall.Dirent{}.Reclen))
	for len(b) >= at+2 {
		size := int(*(*uint16)(unsafe.Pointer(&b[at]))) // in native byte order
		if size <= at || size > len(b) {
			break
		}
		b = b[size:]
		n++
	}
	return n
}
