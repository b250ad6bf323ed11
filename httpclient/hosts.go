//go:build !tacho_nohttp

package httpclient

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tachikoma/tacho"
)

// maxHostLabel is the maximum length in bytes of a host label that is not in Config.Hosts.
// The longest domain name with a port has this length, but the host of a URL can be longer.
const maxHostLabel = 255 + len(":65535")

// maxStatuses is the number of status labels of a host that is not in Config.Hosts. The
// server of such a host chooses the statuses.
const maxStatuses = 20

// A statusSet holds the statuses of a host.
type statusSet struct {
	n    atomic.Int32
	bits [(1000 - 100 + 63) / 64]atomic.Uint64
}

// has reports whether the status, from 100 to 999, is in the set or can be added. For a nil
// set there is no limit.
func (s *statusSet) has(status int) bool {
	if s == nil {
		return true
	}
	word, bit := &s.bits[(status-100)/64], uint64(1)<<((status-100)%64)
	if word.Load()&bit != 0 {
		return true
	}
	added := s.n.Add(1) <= maxStatuses
	if !added || word.Or(bit)&bit != 0 { // another goroutine may have added it
		s.n.Add(-1)
	}
	return added
}

// A hostSet holds the host labels in use. Config.MaxHosts limits their number.
type hostSet struct {
	named map[string]*statusSet                 // Config.Hosts, with nil
	max   int                                   // of all labels, including named
	known atomic.Pointer[map[string]*statusSet] // includes named; copied on write
	rest  statusSet                             // of the label other

	overflow *tacho.CounterVec // nil if the program allows no further host label

	expiry time.Duration // 0 without
	epoch  time.Time
	inUse  func(found func(host string)) // calls found with the hosts of all series

	mu   sync.Mutex
	next atomic.Int64 // time since epoch of the next removal of hosts, in nanoseconds
}

func (s *hostSet) init(m *Metrics, reg *tacho.Registry, c Config) {
	s.named = map[string]*statusSet{}
	for _, h := range c.Hosts {
		s.named[strings.Clone(h)] = nil
	}
	s.max = len(s.named)
	if c.MaxHosts >= 0 {
		// The registry has this definition already, so the vector is that of the registry.
		s.overflow = reg.CounterVec("tacho_series_overflow_total", "Lookups beyond a limit of series.", []string{"metric"})
		if s.max += c.MaxHosts; c.MaxHosts == 0 {
			s.max += 100
		}
	}
	known := maps.Clone(s.named)
	s.known.Store(&known)
	s.expiry, s.epoch = max(0, c.IdleExpiry), time.Now()
	s.inUse = func(found func(string)) {
		visit := func(labels []string) bool {
			found(labels[1])
			return false // DeleteFunc deletes nothing
		}
		m.requests.DeleteFunc(visit)
		m.duration.DeleteFunc(visit)
	}
}

// label returns host if host is in the set or can be added. Otherwise label returns
// other.
func (s *hostSet) label(host string) string {
	known := *s.known.Load()
	if _, ok := known[host]; ok {
		return host
	}
	if len(host) > maxHostLabel || len(known) >= s.max && !s.makeRoom() {
		return s.full()
	}
	return s.add(host)
}

// status returns the status label of a response of a host with the label host.
func (s *hostSet) status(host string, status int) string {
	statuses, ok := (*s.known.Load())[host]
	if !ok {
		statuses = &s.rest
	}
	if label := statusLabel(status); label == other || statuses.has(status) {
		return label
	}
	return s.full()
}

// full counts a host or status beyond the limit and returns other.
func (s *hostSet) full() string {
	if s.overflow != nil {
		s.overflow.With("http_client_requests_total").Inc()
	}
	return other
}

// add adds host to the set. If the set is full, add returns other.
func (s *hostSet) add(host string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := *s.known.Load()
	if _, ok := known[host]; !ok {
		if len(known) >= s.max {
			return s.full()
		}
		known = maps.Clone(known)
		known[strings.Clone(host)] = new(statusSet) // host may be a substring of a long URL
		s.known.Store(&known)
	}
	return host
}

// makeRoom removes the hosts without series and reports whether there is room. It reads all
// series, so it does so at most eight times in each expiry time.
func (s *hostSet) makeRoom() bool {
	if s.expiry == 0 {
		return false
	}
	now := int64(time.Since(s.epoch))
	if now < s.next.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := *s.known.Load()
	if now < s.next.Load() {
		return len(known) < s.max
	}
	s.next.Store(now + int64(s.expiry)/8)
	used := maps.Clone(s.named)
	s.inUse(func(host string) {
		if statuses, ok := known[host]; ok {
			used[host] = statuses
		}
	})
	s.known.Store(&used)
	return len(used) < s.max
}
