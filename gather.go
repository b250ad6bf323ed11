package tacho

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/sortkeys"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// A scrape calls the functions of the program (CounterFunc, GaugeFunc and Collect) on
// goroutines of its own, before it writes the first byte. A function that does not return
// in time costs its own families. It holds one goroutine until it returns, and no scrape
// calls it meanwhile. A program without functions contains none of this code:
// Registry.functions is nil.

// A query is the part of a scrape that its client decides.
type query struct {
	done    <-chan struct{}      // closed if the client is gone; nil for never
	timeout func() time.Duration // for the functions; nil for defaultTimeout
	names   map[string]bool      // of the families to write; nil for all

	//lint:ignore U1000 the build without HTTP does not read it
	metadata bool // the JSON view has types, help texts and units
}

// wants reports whether the family with this name is to be written.
func (q *query) wants(name string) bool { return q == nil || q.names == nil || q.names[name] }

// filter returns the families without the samples of families that the client does not
// want. These families stay in the list, since the names of others in OpenMetrics depend
// on them. A nil list stays nil.
func (q *query) filter(families []*expo.Family) []*expo.Family {
	if q.names == nil || families == nil {
		return families
	}
	filtered := make([]*expo.Family, len(families))
	for i, f := range families {
		if !q.names[f.Name] {
			empty := *f
			empty.Encode = encodeNothing
			f = &empty
		}
		filtered[i] = f
	}
	return filtered
}

// defaultTimeout is the time that a scrape waits for functions if its client has set no
// limit.
const defaultTimeout = 5 * time.Second

// functions has what a registry needs to call functions of the program.
type functions struct {
	gather     func(*query) []*expo.Family
	collectors []*source // in the order of their registration
	stopped    int       // of collectors
	merge      func(*Registry, []*call, []*expo.Family) []*expo.Family
}

// functionsLocked returns the functions of r and makes scrapes call them.
func (r *Registry) functionsLocked() *functions {
	if r.functions == nil {
		r.functions = unsafe.Pointer(&functions{gather: r.root.gather})
	}
	return (*functions)(r.functions)
}

// running returns a copy of the list of collectors, without those that are stopped.
func (f *functions) running() []*source {
	list := make([]*source, 0, len(f.collectors)-f.stopped)
	for _, s := range f.collectors {
		if !s.stopped.Load() {
			list = append(list, s)
		}
	}
	return list
}

// stopLocked stops and releases a collector.
func (f *functions) stopLocked(s *source) {
	if !s.stopped.Swap(true) {
		s.release()
		f.stopped++
	}
}

// compactLocked removes the stopped collectors once they are most of the list. The work for
// each stop is constant on average.
func (f *functions) compactLocked() {
	if 2*f.stopped > len(f.collectors) {
		f.collectors, f.stopped = f.running(), 0
	}
}

// A source is a function of the program that scrapes call.
type source struct {
	call    func(*call) // calls the function and sets the result
	fault   func(reason string)
	reg     *Registry // of a collector
	release func()    // releases the function
	block   string    // the label block of a CounterFunc or GaugeFunc; "" for a collector
	stopped atomic.Bool

	mu      sync.Mutex
	running *call // has begun and has not ended; nil for none
	next    *call // has not begun; nil for none
}

// A call is one call of a source. All scrapes that asked for it before it began share it.
// The result is therefore not older than any of these scrapes.
type call struct {
	src     *source
	began   time.Time     // of the scrape that makes the call
	waiting int           // number of scrapes that wait
	ended   bool          // the result does not change anymore
	done    chan struct{} // closed at the end; nil until a scrape waits

	// The result.
	ok      bool
	value   float64     // of a CounterFunc or GaugeFunc
	emitted *collection // of a collector
}

// begin reports whether the caller must run c. It returns false if another goroutine
// has begun c.
func (c *call) begin(began time.Time) bool {
	s := c.src
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != c {
		return false
	}
	s.next, s.running, c.began = nil, c, began
	return true
}

// run calls the function. A panic, or runtime.Goexit, ends the call without a result.
func (c *call) run() {
	returned := false
	defer func() {
		if !returned {
			recover() // a scrape must not end the program
			c.ok = false
			c.src.fault(reasonPanic)
		}
		c.end()
	}()
	c.src.call(c)
	returned = true
}

// end makes the result visible, and begins the next call if a scrape waits for it.
func (c *call) end() {
	s := c.src
	s.mu.Lock()
	c.ended = true
	if c.done != nil {
		close(c.done)
	}
	next := s.next
	if s.running = nil; next != nil && next.waiting > 0 {
		s.next, s.running, next.began = nil, next, time.Now()
	} else {
		next = nil
	}
	s.mu.Unlock()
	if next != nil {
		go next.run()
	}
}

// finished returns nil if the call ended, and otherwise a channel that its end closes.
func (c *call) finished() <-chan struct{} {
	c.src.mu.Lock()
	defer c.src.mu.Unlock()
	if c.ended {
		return nil
	}
	if c.done == nil {
		c.done = make(chan struct{})
	}
	return c.done
}

// leave ends the wait of one scrape, and reports whether the call ended. A call that has
// not begun stays for the next scrape.
func (c *call) leave() bool {
	c.src.mu.Lock()
	defer c.src.mu.Unlock()
	c.waiting--
	return c.ended
}

// A gathering makes the calls of one scrape.
type gathering struct {
	began   time.Time
	timeout time.Duration
	gone    <-chan struct{} // closed if the client is gone
	over    *time.Timer     // the end of the scrape's time
	more    *time.Timer     // the next time to add goroutines
	ended   bool            // the time is over or the client is gone
	workers int
	spare   []call // for the next functions

	mu    sync.Mutex
	queue []*call // that had not begun when the scrape asked for them
}

// patience is the time for which calls wait before a gathering adds goroutines. Most
// functions return at once, and one goroutine calls all of them.
const patience = time.Millisecond

// join returns the next call of s. The queue gets the call unless s is running. The end of
// a running call begins the next call. The result is nil if s has taken more than the whole
// time of a scrape. It is also nil if the scrape is nested, and would wait for the function
// that started it.
func (g *gathering) join(s *source) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.running; c != nil && (g.began.Sub(c.began) >= g.timeout || nested()) {
		return nil
	}
	if s.next == nil {
		s.next = g.newCall(s)
	}
	s.next.waiting++
	if s.running == nil {
		g.queue = append(g.queue, s.next)
	}
	return s.next
}

// newCall returns a new call. The calls of functions are in one allocation, since they are
// small. The result of a collector is large, and must not stay in memory with other calls.
func (g *gathering) newCall(s *source) *call {
	if s.block == "" {
		return &call{src: s}
	}
	if len(g.spare) == 0 {
		g.spare = make([]call, 64)
	}
	c := &g.spare[0]
	g.spare = g.spare[1:]
	c.src = s
	return c
}

// next removes the first call of the queue and returns it, or nil.
func (g *gathering) next() *call {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		return nil
	}
	c := g.queue[0]
	g.queue[0] = nil // a goroutine that never ends must not keep the results of others
	g.queue = g.queue[1:]
	return c
}

// work makes the calls of the queue, one after the other.
func (g *gathering) work() {
	empty := false
	defer func() {
		if !empty { // a function called runtime.Goexit
			go g.work()
		}
	}()
	for c := g.next(); c != nil; c = g.next() {
		if c.begin(g.began) {
			c.run()
		}
	}
	empty = true
}

// addWorkers starts goroutines until there are twice as many, but no more than there are
// calls in the queue.
func (g *gathering) addWorkers() {
	g.mu.Lock()
	waiting := len(g.queue)
	g.mu.Unlock()
	if waiting == 0 {
		return
	}
	for range min(waiting, max(1, g.workers)) {
		g.workers++
		go g.work()
	}
	g.more.Reset(patience)
}

// wait waits for the end of c and reports whether c ended in time.
func (g *gathering) wait(c *call) bool {
	done := c.finished()
	for done != nil && !g.ended {
		select {
		case <-done:
			done = nil
		case <-g.more.C:
			g.addWorkers()
		case <-g.over.C:
			g.ended = true
		case <-g.gone:
			g.ended = true
		}
	}
	return c.leave()
}

// calls calls all sources and waits for their results. The result is nil for a source
// that did not return in time. ok is false if the client is gone.
func (q *query) calls(sources []*source) (results []*call, ok bool) {
	g := &gathering{began: time.Now(), timeout: defaultTimeout, queue: make([]*call, 0, len(sources))}
	if q != nil {
		g.gone = q.done
		if q.timeout != nil {
			g.timeout = q.timeout()
		}
	}
	g.over, g.more = time.NewTimer(g.timeout), time.NewTimer(patience)
	defer g.over.Stop()
	defer g.more.Stop()

	results = make([]*call, len(sources))
	for i, s := range sources {
		results[i] = g.join(s)
	}
	g.addWorkers()
	// The last call is waited for first: mostly all others have ended with it.
	for i, c := range slices.Backward(results) {
		if c != nil && !g.wait(c) {
			results[i] = nil
		}
	}
	g.mu.Lock()
	g.queue = nil
	g.mu.Unlock()
	select {
	case <-g.gone:
		return nil, false
	default:
	}
	for i, c := range results {
		if c == nil && !sources[i].stopped.Load() {
			sources[i].fault(reasonTimeout)
		}
	}
	return results, true
}

// nested reports whether a function that a scrape calls has started this scrape.
//
//go:noinline
func nested() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			if f := runtime.FuncForPC(pc - 1); f != nil && stringslite.HasSuffix(f.Name(), "tacho.(*call).run") {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}

// A functionList has the functions of a CounterFunc, a GaugeFunc or a vector of functions.
type functionList struct {
	mu     sync.Mutex
	sorted []*source          // by label block; nil after a change, otherwise never changed
	set    map[string]*source // by label block; nil for one function that stays
}

// all returns the functions, sorted by their labels.
func (l *functionList) all() []*source {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sorted == nil && len(l.set) > 0 {
		list := slices.AppendSeq(make([]*source, 0, len(l.set)), maps.Values(l.set))
		l.sorted = make([]*source, 0, len(list))
		for _, i := range sortkeys.Strings(len(list), func(i uint32) string { return list[i].block }) {
			l.sorted = append(l.sorted, list[i])
		}
	}
	return l.sorted
}

// num returns the number of functions.
func (l *functionList) num() int { return len(l.all()) }

// release stops and releases all functions.
func (l *functionList) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sorted {
		s.stopped.Store(true)
		s.release()
	}
	for _, s := range l.set {
		s.stopped.Store(true)
		s.release()
	}
	clear(l.set)
	l.sorted = nil
}

// functionsOf returns the functions of a family in space.sorted, or nil.
func functionsOf(f *expo.Family) *functionList {
	return (*functionList)((*family)(unsafe.Pointer(f)).functions)
}

// valueSource returns a source of f for the series with this label block. The source has no result
// after value was set to nil.
func (f *family) valueSource(block string, value *atomic.Pointer[func() float64]) *source {
	return &source{fault: f.fault, block: block, release: func() { value.Store(nil) }, call: func(c *call) {
		current := value.Load()
		if current == nil {
			return
		}
		v := (*current)()
		if reason := refusal(v); f.Kind == expo.Counter && reason != "" {
			f.fault(reason)
			return
		}
		c.value, c.ok = v, true
	}}
}

// A reading is the family of a functionList in one scrape.
type reading struct {
	expo.Family
	calls []*call // of the functions; nil for a function without a result
}

func encodeReading(e *expo.Encoder) {
	r := (*reading)(unsafe.Pointer(e.Current()))
	begun := false
	for _, c := range r.calls {
		if c == nil || !c.ok {
			continue
		}
		if !begun {
			e.Begin(&r.Family)
			begun = true
		}
		if !e.Float(c.src.block, c.value, nil) {
			return
		}
	}
}

// encodeNothing is the Encode of a family without samples.
func encodeNothing(*expo.Encoder) {}

// scrapedFor returns the families of a scrape for a client; see scraped. It returns nil if
// the client is gone before all functions returned.
func (r *Registry) scrapedFor(q *query) []*expo.Family {
	s := spaceOf(r)
	s.mu.Lock()
	f := (*functions)(s.functions)
	s.mu.Unlock()
	var families []*expo.Family
	switch {
	case r.branch != nil:
		families = (*branch)(r.branch).scrape(q)
	case f != nil:
		families = f.gather(q)
	default:
		families = r.scraped()
	}
	return q.filter(families)
}

// gather returns the families of a scrape, sorted by name, with the results of all
// functions that the client wants. It returns nil if the client is gone.
func (r *Registry) gather(q *query) []*expo.Family {
	p := planOf(r, q)
	results, ok := q.calls(p.sources)
	if !ok {
		return nil
	}
	return p.families(results)
}

// A plan has the functions that a scrape of a registry calls.
type plan struct {
	reg        *Registry
	shown      []*expo.Family
	read       []planned // families in shown
	sources    []*source // the collectors, and then the functions of read
	collectors int
	merge      func(*Registry, []*call, []*expo.Family) []*expo.Family
}

// A planned is a family whose functions a scrape calls.
type planned struct {
	index     int // in plan.shown
	functions int // number of functions
}

func planOf(r *Registry, q *query) *plan {
	p := &plan{reg: r}
	r.mu.Lock()
	p.shown = shownLocked(r)
	if f := (*functions)(r.functions); f != nil {
		p.merge = f.merge
		if r.branch != nil {
			p.sources = (*branch)(r.branch).running()
		} else {
			p.sources = f.running()
		}
	}
	r.mu.Unlock()
	p.collectors = len(p.sources)
	for i, f := range p.shown {
		if l := functionsOf(f); l != nil && q.wants(f.Name) {
			all := l.all()
			p.read, p.sources = append(p.read, planned{i, len(all)}), append(p.sources, all...)
		}
	}
	return p
}

// families returns the families of the scrape with the results of the sources. The family of
// a function without a result stays in the list without samples, for the names of other
// families; see filter.
func (p *plan) families(results []*call) []*expo.Family {
	r := p.reg
	r.mu.Lock()
	shown := shownLocked(r) // with the metrics that functions have defined
	r.mu.Unlock()
	families := slices.Clone(shown)
	indexes := p.indexes(shown)
	readings := make([]reading, len(p.read))
	values := results[p.collectors:]
	for i, planned := range p.read {
		f := &readings[i]
		f.calls, values = values[:planned.functions], values[planned.functions:]
		at := planned.index
		if indexes != nil {
			var ok bool
			if at, ok = indexes[p.shown[at]]; !ok {
				continue // removed since
			}
		}
		f.Family = *families[at]
		f.Encode = encodeReading
		families[at] = &f.Family
	}
	if p.collectors > 0 {
		families = p.merge(r, results[:p.collectors], families)
	}
	return families
}

// indexes returns the index of each family in shown, or nil if shown is that of the plan.
func (p *plan) indexes(shown []*expo.Family) map[*expo.Family]int {
	if len(shown) == len(p.shown) && (len(shown) == 0 || &shown[0] == &p.shown[0]) {
		return nil
	}
	indexes := make(map[*expo.Family]int, len(shown))
	for i, f := range shown {
		indexes[f] = i
	}
	return indexes
}
