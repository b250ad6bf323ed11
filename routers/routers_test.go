package routers

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
	"github.com/labstack/echo/v4"

	"github.com/tachikoma/tacho"
)

type key struct{}

// copying is a middleware that copies the request.
func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}

func ok(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }
func aborts(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
func handle(route string, h http.HandlerFunc) (string, httprouter.Handle) {
	return route, Httprouter(route, func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) { h(w, r) })
}
func ginHandle(h http.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) { h(c.Writer, c.Request) }
}
func echoHandle(h http.HandlerFunc) echo.HandlerFunc { return echo.WrapHandler(h) }

// routers makes a router with the routes GET /users/:name, GET /panic/:name and, in a group
// below /admin, GET /admin/users/:name. Each router has a middleware that copies the
// request before and behind the recipe.
var routers = map[string]struct {
	template string // of :name
	router   func() http.Handler
}{
	"chi": {template: "{name}", router: func() http.Handler {
		r := chi.NewRouter()
		r.Use(copying, Chi, copying)
		r.Get("/users/{name}", ok)
		r.Get("/panic/{name}", aborts)
		r.Route("/admin", func(r chi.Router) {
			r.Use(copying)
			r.Get("/users/{name}", ok)
		})
		return r
	}},
	"chi, Mount": {template: "{name}", router: func() http.Handler {
		r := chi.NewRouter()
		r.Use(copying, Chi, copying)
		r.Get("/users/{name}", ok)
		r.Get("/panic/{name}", aborts)
		admin := chi.NewRouter()
		admin.Get("/users/{name}", ok)
		r.Mount("/admin", admin)
		return r
	}},
	"gin": {template: ":name", router: func() http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.HandleMethodNotAllowed = true
		between := func(c *gin.Context) {
			c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), key{}, 1))
			c.Next()
		}
		r.Use(between, Gin, between)
		r.GET("/users/:name", ginHandle(ok))
		r.GET("/panic/:name", ginHandle(aborts))
		r.Group("/admin", between).GET("/users/:name", ginHandle(ok))
		return r
	}},
	"echo": {template: ":name", router: func() http.Handler {
		e := echo.New()
		e.Logger.SetOutput(io.Discard)
		e.Use(echo.WrapMiddleware(copying), Echo, echo.WrapMiddleware(copying))
		e.GET("/users/:name", echoHandle(ok))
		e.GET("/panic/:name", echoHandle(aborts))
		e.Group("/admin", echo.WrapMiddleware(copying)).GET("/users/:name", echoHandle(ok))
		return e
	}},
	"gorilla/mux": {template: "{name}", router: func() http.Handler {
		r := mux.NewRouter()
		r.Use(copying, Gorilla, copying)
		r.HandleFunc("/users/{name}", ok).Methods("GET")
		r.HandleFunc("/panic/{name}", aborts).Methods("GET")
		admin := r.PathPrefix("/admin").Subrouter()
		admin.Use(copying)
		admin.HandleFunc("/users/{name}", ok).Methods("GET")
		return r
	}},
	"httprouter": {template: ":name", router: func() http.Handler {
		r := httprouter.New()
		r.GET(handle("/users/:name", ok))
		r.GET(handle("/panic/:name", aborts))
		r.GET(handle("/admin/users/:name", ok))
		return copying(r)
	}},
}

// TestRoutes: the label path is the route, and the normalized path of a request that no
// route answered. The status is the one that the client got.
func TestRoutes(t *testing.T) {
	for name, c := range routers {
		t.Run(name, func(t *testing.T) {
			reg := tacho.NewRegistry()
			m := tacho.NewHTTPMetrics(reg, tacho.WithSetRoute())
			srv := httptest.NewUnstartedServer(copying(m.Handler(copying(c.router()))))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.Start()
			for _, want := range []struct {
				method, path string
				status       int // 0 for a panic
			}{
				{"GET", "/users/ann", 200}, {"GET", "/users/bob", 200}, {"GET", "/admin/users/ann", 200},
				{"GET", "/panic/ann", 0}, {"GET", "/missing/7", 404}, {"GET", "/admin/missing", 404}, {"POST", "/users/ann", 405},
			} {
				srv.Client().CloseIdleConnections() // otherwise the client sends a request that panics again
				req, _ := http.NewRequest(want.method, srv.URL+want.path, nil)
				resp, err := srv.Client().Do(req)
				if err != nil {
					if want.status != 0 {
						t.Fatal(err)
					}
					continue
				}
				if resp.Body.Close(); resp.StatusCode != want.status {
					t.Errorf("%s %s: the client got status %d, want %d", want.method, want.path, resp.StatusCode, want.status)
				}
			}
			srv.Close() // waits for handlers
			var b strings.Builder
			if err := reg.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				`{method="GET",path="/users/` + c.template + `",status="200"} 2`,
				`{method="GET",path="/admin/users/` + c.template + `",status="200"} 1`,
				`{method="GET",path="/panic/` + c.template + `",status="500"} 1`,
				`{method="GET",path="/missing/:id",status="404"} 1`,
				`",status="404"} 1`,
				`",status="405"} 1`,
			} {
				if !strings.Contains(b.String(), want+"\n") {
					t.Errorf("the scrape lacks %s", want)
				}
			}
			if n := strings.Count(b.String(), "\nhttp_requests_total{"); n != 6 {
				t.Errorf("%d series, want 6", n)
			}
			if t.Failed() {
				for line := range strings.Lines(b.String()) {
					if strings.HasPrefix(line, "http_requests_total{") {
						t.Log(strings.TrimSpace(line))
					}
				}
			}
		})
	}
}

// TestGinStream: gin's Stream asserts http.CloseNotifier without a check.
func TestGinStream(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(Gin)
	r.GET("/stream", func(c *gin.Context) {
		n := 0
		c.Stream(func(w io.Writer) bool { io.WriteString(w, "x"); n++; return n < 3 })
	})
	reg := tacho.NewRegistry()
	srv := httptest.NewServer(tacho.NewHTTPMetrics(reg, tacho.WithSetRoute()).Handler(r))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "xxx" || err != nil {
		t.Errorf("the client got %q and error %v, want xxx", b, err)
	}
}
