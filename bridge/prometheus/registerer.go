package prombridge

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tachikoma/tacho"
)

// NewRegisterer returns a Registerer for libraries that register Collectors of client_golang. The
// scrapes of reg show the metrics of the Collectors, as [Collect] does. Register, MustRegister and
// Unregister are those of a new prometheus.Registry, with the same errors. The wrappers
// prometheus.WrapRegistererWith and WrapRegistererWithPrefix apply.
//
// After the last Collector is unregistered, reg keeps nothing of the Registerer. An unchecked
// Collector cannot be unregistered. NewRegisterer panics with a *[tacho.DefinitionError] if reg or
// an option is nil.
func NewRegisterer(reg *tacho.Registry, opts ...Option) prometheus.Registerer {
	r := &registerer{Registry: prometheus.NewRegistry(), reg: reg, opts: opts}
	Collect(reg, r.Registry, opts...)() // checks the arguments
	return r
}

type registerer struct {
	*prometheus.Registry
	reg  *tacho.Registry
	opts []Option

	mu         sync.Mutex
	registered int    // number of Collectors
	stop       func() // nil if registered is 0
}

// Register registers c.
func (r *registerer) Register(c prometheus.Collector) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Registry.Register(c); err != nil {
		return err
	}
	if r.registered++; r.stop == nil {
		r.stop = Collect(r.reg, r.Registry, r.opts...)
	}
	return nil
}

// MustRegister registers the Collectors, and panics at the first error.
func (r *registerer) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister unregisters c, and reports whether c was registered.
func (r *registerer) Unregister(c prometheus.Collector) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.Registry.Unregister(c) {
		return false
	}
	if r.registered--; r.registered == 0 {
		r.stop()
		r.stop = nil
	}
	return true
}
