//go:build !tacho_nohttp

package tacho

import (
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/store"
)

// Clients choose methods and paths, and can make a handler vary its status. So the routes
// have budgets in bytes of a scrape. A budget limits the lines too, since a line costs at
// least lineOverhead bytes. A route that a budget has no bytes for shares the label
// "other", so that the totals stay exact.

// An origin is where the path label of a request comes from. Each origin has a budget of
// its own: routes that the program named never compete with what strangers send.
type origin uint8

const (
	named      origin = iota // by the program: a pattern, SetRoute or WithPathLabel
	answered                 // by the client, and normalized
	unanswered               // as answered, with the status 404 or 405
	origins
)

// budgetBytes are the budgets up to 1000 paths; see WithMaxPaths. The routes that the
// program itself chose are free; see pathLabel.free. Clients cannot make more of them.
var budgetBytes = [origins]int{600_000, 450_000, 130_000}

// statusReserve is the part of the budget of named routes that methods leave for statuses.
// Otherwise strangers could send methods until no route gets a fifth status, such as 500.
const statusReserve = 120_000

// freeStatuses is the number of statuses that the cost of a new route includes, without
// "other". Further statuses are paid for one by one.
var freeStatuses = [origins]int{4, 1, 1}

// maxStatuses is the number of distinct statuses of a route, without "other".
const maxStatuses = 20

// lineOverhead is at least the average length of the lines of a route, without constant
// labels, method and path, for counts of ten digits (TestRouteCost).
const lineOverhead = 84

// exemplarOverhead is the length of an exemplar of 128 ASCII characters.
const exemplarOverhead = 200

// A budget limits the routes of an origin. Its numbers are under the mutex of the
// HTTPMetrics. The flags are set when a route is refused, so that later refusals take no
// lock.
type budget struct {
	_       [0]func() // no ==; see internal/SIZE.md
	bytes   int       // of a scrape, left
	paths   int       // left
	full    atomic.Bool
	noPaths atomic.Bool
}

// A route has the metrics of one method and path.
type route struct {
	_              [0]func() // no ==; see internal/SIZE.md
	method, path   string
	duration, size *Histogram
	more           unsafe.Pointer       // *[2]*Histogram of moreMetrics, or nil
	counters       atomic.Pointer[byte] // *[]statusCounter, replaced under the mutex, never changed; see internal/SIZE.md
	full           atomic.Bool          // further statuses are "other"
	foreign        atomic.Bool          // clients caused it, and the program may claim it

	origin origin // under the mutex, as base and cost
	base   int    // bytes of a scrape that the route cost when it was made
	cost   int    // base, and further statuses
}

// A statusCounter counts the requests of a route with one status. Status 0 is "other".
type statusCounter struct {
	status int
	count  *Counter
}

// statuses returns the counters of the route.
func (rt *route) statuses() []statusCounter {
	if list := (*[]statusCounter)(unsafe.Pointer(rt.counters.Load())); list != nil {
		return *list
	}
	return nil
}

// setStatuses replaces the counters of the route.
func (rt *route) setStatuses(list []statusCounter) {
	rt.counters.Store((*byte)(unsafe.Pointer(&list)))
}

// A pathLabel is a path that has a label.
type pathLabel struct {
	_      [0]func()   // no ==; see internal/SIZE.md
	named  atomic.Bool // a route with this path was named by the program
	method string      // of the first such route; set before named
	origin origin      // whose budget counts the path; under the mutex, as routes
	routes int
}

// makeRoutes makes the tables and the budgets of m.
func (m *HTTPMetrics) makeRoutes(o *options) {
	table := func(makeMetric func(*family, int, bool, string) unsafe.Pointer, labels []string) *vec {
		return newVec(&family{labels: labels, metric: &metricType{single: true, make: makeMetric}, fault: m.requests.fam.fault}, limit{}, false)
	}
	m.routes = table(m.newRoute, httpLabels[:2]) // no scrape shows these two
	m.paths = table(newPathLabel, httpLabels[1:2])
	thousands := min((max(o.maxPaths, 1)-1)/1000+1, 1000) // without overflow in 32 bits
	for i := range m.budgets {
		m.budgets[i].bytes, m.budgets[i].paths = budgetBytes[i]*thousands>>m.halved, o.maxPaths
	}
	f := m.requests.fam
	m.lineCost = lineOverhead + len(f.constBlock()) + len(f.Name) - len("http_requests_total") + o.longer
	if m.exemplar != nil {
		m.lineCost += exemplarOverhead
	}
	created := 0 // lines of a time of creation, for each metric
	if m.duration.dated {
		created = 1
	}
	// Each histogram has +Inf, _sum and _count.
	m.lines += len(m.duration.fam.hist.Upper) + len(m.size.fam.hist.Upper) + 2*(3+created)
	m.statusLines = 1 + created
	if e := (*expiry)(o.expiry); e != nil {
		e.routes(unsafe.Pointer(m))
	}
}

// newRoute makes the metric of a new series of routes. The metric of vec.lost stays empty:
// no lookup in routes has a wrong number of values.
func (m *HTTPMetrics) newRoute(_ *family, _ int, _ bool, block string) unsafe.Pointer {
	rt := new(route)
	if block != "" {
		values := m.routes.store.AppendValues(nil, string([]byte(block))) // block has the memory of many routes
		rt.method, rt.path = values[0], values[1]
		rt.duration = m.duration.With(values...)
		rt.size = m.size.With(values...)
		if more := (*moreMetrics)(m.more); more != nil {
			more.route(m, rt)
		}
	}
	return unsafe.Pointer(rt)
}

func newPathLabel(*family, int, bool, string) unsafe.Pointer { return unsafe.Pointer(new(pathLabel)) }

// find returns the route of a method and path, whose UTF-8 is valid, or nil.
func (m *HTTPMetrics) find(method, path string) *route {
	return (*route)(m.routes.find([]string{method, path}, false))
}

// The result of slowRoute is a route that Store.Find missed under the path as it is. The path
// has invalid UTF-8 or escapes, or the route is new, or "other". Clients choose paths. So
// slowRoute takes no lock if the route exists, and none past a limit.
//
//go:noinline
func (m *HTTPMetrics) slowRoute(method, path string, from origin, ownMethod bool) *route {
	if path == overflowValue {
		return (*route)(m.routes.find([]string{method, path}, true))
	}
	if len(path) <= maxPathLabel {
		var store [maxPathLabel * len("\uFFFD")]byte
		b := escape.AppendValid(store[:0], path)
		valid := unsafe.String(unsafe.SliceData(b), len(b)) // shares store; With copies it
		rt := m.find(method, valid)
		if rt == nil {
			rt = m.admit(method, valid, from, ownMethod)
		}
		if rt != nil {
			return rt
		}
	}
	countOverflow(m.requests.fam)
	return (*route)(m.routes.find([]string{method, overflowValue}, true))
}

// admit makes a route, or returns nil if a limit refuses it. A named path is refused only
// if there are too many of them. Its first method and the methods that the program named
// are free. Past the budget its other methods become "other".
func (m *HTTPMetrics) admit(method, path string, from origin, ownMethod bool) *route {
	b := &m.budgets[from]
	p := m.pathLabel(path)
	if p == nil && b.noPaths.Load() || from != named && b.full.Load() {
		return nil
	}
	if b.full.Load() && !p.free(method, from, ownMethod) {
		return m.withOtherMethod(path)
	}
	m.mu.Lock()
	rt := m.admitLocked(method, path, from, ownMethod)
	m.mu.Unlock()
	if rt == nil && from == named && m.pathLabel(path) != nil {
		return m.withOtherMethod(path)
	}
	return rt
}

// The result of free is true if a route with the path p, or a new path, costs nothing. The
// program chose the path and the method, or other methods share the method. The function
// free is not inlined; see internal/SIZE.md.
//
//go:noinline
func (p *pathLabel) free(method string, from origin, ownMethod bool) bool {
	return from == named && (ownMethod || method == overflowValue || p == nil || !p.named.Load() || p.method == method)
}

// nameLocked records that a route of the program has the path.
func (p *pathLabel) nameLocked(method string) {
	if !p.named.Load() {
		p.method = method
		p.named.Store(true)
	}
}

// admitLocked makes a route, or returns nil and sets a flag of the budget.
func (m *HTTPMetrics) admitLocked(method, path string, from origin, ownMethod bool) *route {
	if rt := m.find(method, path); rt != nil {
		return rt
	}
	b := &m.budgets[from]
	p := m.pathLabel(path)
	if p == nil && b.paths <= 0 {
		b.noPaths.Store(true)
		return nil
	}
	cost := 0
	if !p.free(method, from, ownMethod) {
		cost = m.routeCost(method, path, freeStatuses[from])
		if left := b.bytes - cost; left < 0 || from == named && left < statusReserve>>m.halved {
			b.full.Store(true)
			return nil
		}
	}
	if p == nil {
		p = (*pathLabel)(m.paths.find([]string{path}, true))
		p.origin = from
		b.paths--
	}
	b.bytes -= cost
	rt := (*route)(m.routes.find([]string{method, path}, true))
	if p.routes++; from == named {
		p.nameLocked(rt.method)
	}
	rt.origin, rt.base, rt.cost = from, cost, cost
	rt.foreign.Store(from != named)
	return rt
}

// claim moves a route that clients caused to the named ones. Otherwise a client that asks
// for a path before the program's own router does could use up the statuses of the route.
//
//go:noinline
func (m *HTTPMetrics) claim(rt *route, ownMethod bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pathLabel(rt.path)
	if m.find(rt.method, rt.path) != rt || !rt.foreign.Swap(false) || !p.free(rt.method, named, ownMethod) {
		return
	}
	b, old := &m.budgets[named], &m.budgets[rt.origin]
	cost := m.cost(rt.method, rt.path, m.statusLines*max(0, len(rt.statuses())-freeStatuses[named]))
	if cost > b.bytes {
		return
	}
	b.bytes -= cost
	old.bytes += rt.cost
	old.full.Store(false)
	rt.origin, rt.base, rt.cost = named, 0, cost
	rt.full.Store(false)
	p.nameLocked(rt.method)
}

//go:noinline
func (m *HTTPMetrics) pathLabel(path string) *pathLabel {
	return (*pathLabel)(m.paths.find([]string{path}, false))
}

// withOtherMethod returns the route of a named path for the methods past the budget.
func (m *HTTPMetrics) withOtherMethod(path string) *route {
	countOverflow(m.requests.fam)
	if rt := m.find(overflowValue, path); rt != nil {
		return rt
	}
	return m.admit(overflowValue, path, named, false)
}

// routeCost returns the bytes of a route with so many statuses and "other".
func (m *HTTPMetrics) routeCost(method, path string, statuses int) int {
	return m.cost(method, path, m.lines+m.statusLines*(statuses+1))
}

// cost returns the bytes of so many lines of a route.
func (m *HTTPMetrics) cost(method, path string, lines int) int {
	n := m.lineCost + len(method) + len(path)
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '\\', '"', '\n': // escaped in a scrape
			n++
		}
	}
	return n * lines
}

// counter returns the counter of a status.
func (m *HTTPMetrics) counter(rt *route, status int) *Counter {
	if c := rt.find(status); c != nil {
		return c
	}
	return m.newCounter(rt, status)
}

func (rt *route) find(status int) *Counter {
	for _, c := range rt.statuses() {
		if c.status == status {
			return c.count
		}
	}
	return nil
}

func (m *HTTPMetrics) newCounter(rt *route, status int) *Counter {
	switch {
	case status < 100 || status > 999:
		status = 0
	case rt.full.Load():
		countOverflow(m.requests.fam)
		status = 0
	}
	if c := rt.find(status); c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if status != 0 && rt.find(status) == nil && !m.payStatusLocked(rt) {
		rt.full.Store(true)
		countOverflow(m.requests.fam)
		status = 0
	}
	if c := rt.find(status); c != nil {
		return c
	}
	c := statusCounter{status, m.requests.With(rt.method, rt.path, statusLabel(status))}
	rt.setStatuses(append([]statusCounter{c}, rt.statuses()...))
	return c.count
}

func statusLabel(status int) string {
	if status == 0 {
		return overflowValue
	}
	return strconv.Itoa(status)
}

// payStatusLocked reports whether the route may have one more status.
func (m *HTTPMetrics) payStatusLocked(rt *route) bool {
	n := 0
	for _, c := range rt.statuses() {
		if c.status != 0 {
			n++
		}
	}
	if n >= maxStatuses {
		return false
	}
	// A request may hold a route that has expired meanwhile.
	if n < freeStatuses[rt.origin] || rt.path == overflowValue || m.find(rt.method, rt.path) != rt {
		return true
	}
	cost, b := m.cost(rt.method, rt.path, m.statusLines), &m.budgets[rt.origin]
	if cost > b.bytes {
		return false
	}
	b.bytes -= cost
	rt.cost += cost
	return true
}

// expireRoutes makes the scrapes of a vector with expiry drop the routes of m whose series
// have expired. It is reached through the option; see internal/SIZE.md.
func expireRoutes(p unsafe.Pointer) {
	m := (*HTTPMetrics)(p)
	v := &m.size.vec // the last family of m in a scrape
	if more := (*moreMetrics)(m.more); more != nil {
		v = more.expiry(m)
	}
	v.orderMu.Lock()
	v.mu.Lock()
	defer v.orderMu.Unlock()
	defer v.mu.Unlock()
	if v.expiry == nil { // the registry has the metric from a definition without expiry
		return
	}
	before := v.expires()
	own := *before
	own.ordered = func(v *vec) *store.Order {
		order := before.ordered(v)
		m.dropExpired()
		return order
	}
	v.expiry = unsafe.Pointer(&own)
}

// dropExpired gives back the room of expired routes and statuses. A request that holds a
// dropped route records in metrics that are unlisted, as every holder of an expired metric
// does.
func (m *HTTPMetrics) dropExpired() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes.mu.Lock()
	routes := m.routes.store.Snapshot()
	m.routes.mu.Unlock()
	for _, metric := range routes.Each {
		rt := (*route)(metric)
		used := m.duration.lists(unsafe.Pointer(rt.duration), rt.method, rt.path) || m.size.lists(unsafe.Pointer(rt.size), rt.method, rt.path)
		if more := (*moreMetrics)(m.more); more != nil && !used {
			used = more.lists(m, rt)
		}
		old := rt.statuses()
		var kept []statusCounter
		for _, c := range old {
			if m.requests.lists(unsafe.Pointer(c.count), rt.method, rt.path, statusLabel(c.status)) {
				kept = append(kept, c)
			}
		}
		switch {
		case !used && len(kept) == 0:
			m.dropLocked(rt)
		case len(kept) < len(old):
			rt.setStatuses(kept)
			rt.full.Store(false)
			if rt.path == overflowValue {
				continue
			}
			// What the route cost beyond the statuses that it has now.
			cost := rt.base + m.cost(rt.method, rt.path, m.statusLines*max(0, len(kept)-freeStatuses[rt.origin]))
			m.budgets[rt.origin].bytes += max(rt.cost-cost, 0)
			rt.cost = min(rt.cost, cost)
		}
	}
	for i := range m.budgets { // the next refusal sets the flags again
		m.budgets[i].full.Store(false)
		m.budgets[i].noPaths.Store(false)
	}
}

// dropLocked removes a route.
func (m *HTTPMetrics) dropLocked(rt *route) {
	m.routes.Delete(rt.method, rt.path)
	m.budgets[rt.origin].bytes += rt.cost
	if p := m.pathLabel(rt.path); p != nil {
		if p.routes--; p.routes == 0 {
			m.budgets[p.origin].paths++
			m.paths.Delete(rt.path)
		}
	}
}

// lists reports whether the series with these values is listed and has this metric.
func (v *vec) lists(metric unsafe.Pointer, values ...string) bool {
	hash, block := v.key(values)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.store.FindBlock(hash, block) == metric
}
