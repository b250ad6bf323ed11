//go:build !tacho_nohttp

package tacho_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/tachikoma/tacho"
)

// Two servers share the families of HTTP metrics.
func ExampleRegistry_Sub() {
	reg := tacho.NewRegistry()
	public := tacho.NewHTTPMetrics(reg.Sub(tacho.WithConstLabels("server", "public")))
	admin := tacho.NewHTTPMetrics(reg.Sub(tacho.WithConstLabels("server", "admin")))
	public.Record("GET", "/jobs", 200, 0, 100)
	public.Record("GET", "/jobs", 200, 0, 100)
	admin.Record("GET", "/users", 200, 0, 100)

	scrape := httptest.NewRecorder()
	reg.Handler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics?name[]=http_requests_total", nil))
	fmt.Print(scrape.Body)
	// Output:
	// # HELP http_requests_total Total HTTP requests
	// # TYPE http_requests_total counter
	// http_requests_total{server="admin",method="GET",path="/users",status="200"} 1
	// http_requests_total{server="public",method="GET",path="/jobs",status="200"} 2
}

// A cache of the program. Each has a sub-registry of its own.
type cache struct {
	metrics *tacho.Registry
	hits    *tacho.Counter
}

func newCache(reg *tacho.Registry, name string) *cache {
	metrics := reg.Sub(tacho.WithPrefix("cache_"), tacho.WithConstLabels("cache", name))
	return &cache{metrics, metrics.Counter("hits_total", "Lookups that found an entry.")}
}

func (c *cache) Close() { c.metrics.Close() }

// The series of a cache end with the cache.
func ExampleRegistry_Close() {
	reg := tacho.NewRegistry()
	users, pages := newCache(reg, "users"), newCache(reg, "pages")
	users.hits.Add(2)
	pages.hits.Add(3)
	reg.WriteText(os.Stdout)
	users.Close()
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP cache_hits_total Lookups that found an entry.
	// # TYPE cache_hits_total counter
	// cache_hits_total{cache="pages"} 3
	// cache_hits_total{cache="users"} 2
	// # HELP cache_hits_total Lookups that found an entry.
	// # TYPE cache_hits_total counter
	// cache_hits_total{cache="pages"} 3
}

// A library has a registry of its own, and both are one exposition.
func ExampleJoin() {
	program, library := tacho.NewRegistry(), tacho.NewRegistry(tacho.WithConstLabels("library", "queue"))
	program.Counter("retries_total", "Retries.").Inc()
	library.Counter("retries_total", "Retries.").Add(5)
	library.Gauge("depth", "Waiting jobs.").Set(7)

	tacho.Join(program, library).WriteText(os.Stdout)
	// Output:
	// # HELP depth Waiting jobs.
	// # TYPE depth gauge
	// depth{library="queue"} 7
	// # HELP retries_total Retries.
	// # TYPE retries_total counter
	// retries_total 1
	// retries_total{library="queue"} 5
}

func ExampleHandler() {
	program, library := tacho.NewRegistry(), tacho.NewRegistry()
	program.Counter("jobs_total", "").Inc()
	library.Gauge("depth", "").Set(7)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", tacho.Handler(program, library))

	scrape := httptest.NewRecorder()
	mux.ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	fmt.Print(scrape.Body)
	// Output:
	// # TYPE depth gauge
	// depth 7
	// # TYPE jobs_total counter
	// jobs_total 1
}

func ExampleWithPrefix() {
	reg := tacho.NewRegistry(tacho.WithPrefix("myapp_"))
	reg.Counter("jobs_total", "").Inc()
	reg.Collect(func(e *tacho.Emitter) { e.Gauge("depth", "", 7) })
	reg.WriteText(os.Stdout)
	// Output:
	// # TYPE myapp_depth gauge
	// myapp_depth 7
	// # TYPE myapp_jobs_total counter
	// myapp_jobs_total 1
}

// Each pool has a function for its series.
func ExampleFuncVec_Func() {
	reg := tacho.NewRegistry()
	free := reg.GaugeFuncVec("pool_free_connections", "Free connections.", []string{"pool"})
	stop := free.Func(func() float64 { return 8 }, "reads")
	free.Func(func() float64 { return 2 }, "writes")
	reg.WriteText(os.Stdout)
	stop() // the pool is closed
	var text strings.Builder
	reg.WriteText(&text)
	fmt.Println(strings.Contains(text.String(), "reads"))
	// Output:
	// # HELP pool_free_connections Free connections.
	// # TYPE pool_free_connections gauge
	// pool_free_connections{pool="reads"} 8
	// pool_free_connections{pool="writes"} 2
	// false
}
