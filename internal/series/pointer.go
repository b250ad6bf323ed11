package series

import (
	"sync/atomic"
	"unsafe"
)

// A Pointer is an atomic.Pointer[Series] that is smaller; see internal/SIZE.md.
type Pointer struct {
	_ [0]func() // no ==; see internal/SIZE.md
	p atomic.Pointer[byte]
}

// Load returns the Series that was stored last, or nil.
func (p *Pointer) Load() *Series { return (*Series)(unsafe.Pointer(p.p.Load())) }

// Store replaces the Series.
func (p *Pointer) Store(s *Series) { p.p.Store((*byte)(unsafe.Pointer(s))) }

// A TablePointer is an atomic.Pointer[Table] that is smaller; see internal/SIZE.md.
type TablePointer struct {
	_ [0]func() // no ==; see internal/SIZE.md
	p atomic.Pointer[byte]
}

// Load returns the Table that was stored last, or nil.
func (p *TablePointer) Load() *Table { return (*Table)(unsafe.Pointer(p.p.Load())) }

// Store replaces the Table.
func (p *TablePointer) Store(t *Table) { p.p.Store((*byte)(unsafe.Pointer(t))) }
