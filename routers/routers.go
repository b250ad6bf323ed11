// Package routers has a recipe for each of five routers: three lines or fewer make the
// label path of tacho's HTTP metrics the route of the router. The tests show that the
// label is right for requests that match, that do not match, that panic, and for groups.
//
// [tacho.HTTPMetrics.Handler] is outside of the router, so that it measures all middleware
// and sees each response as it is sent. The metrics need [tacho.WithSetRoute].
package routers

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
	"github.com/labstack/echo/v4"

	"github.com/tachikoma/tacho"
)

// Chi is a middleware for the Use of a chi router. The route is known after next: routers
// below add to it.
func Chi(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { tacho.SetRoute(r, chi.RouteContext(r.Context()).RoutePattern()) }()
		next.ServeHTTP(w, r)
	})
}

// Gin is a middleware for the Use of a gin engine.
func Gin(c *gin.Context) { tacho.SetRoute(c.Request, c.FullPath()) }

// Echo is a middleware for the Use of an echo server.
func Echo(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error { tacho.SetRoute(c.Request(), c.Path()); return next(c) }
}

// Gorilla is a middleware for the Use of a gorilla/mux router. The router calls it for
// requests that match.
func Gorilla(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, _ := mux.CurrentRoute(r).GetPathTemplate()
		tacho.SetRoute(r, route)
		next.ServeHTTP(w, r)
	})
}

// Httprouter wraps a handle of httprouter that is registered for route. A request has no
// route in version 1.3.0 of httprouter.
func Httprouter(route string, next httprouter.Handle) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
		tacho.SetRoute(r, route)
		next(w, r, p)
	}
}
