//go:build !tacho_nohttp

package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/tachikoma/tacho/tachikoma"
)

// A mission is the JSON form of a mission. The ID of a created mission is a UUID.
type mission struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
}

// maxMissions bounds the memory that clients can make the server use.
const maxMissions = 1000

// An api serves the JSON routes. Its methods are safe for concurrent use.
type api struct {
	metrics  *tachikoma.AppMetrics
	incident incident // of the route /forge/sessions/{path...}

	mu       sync.Mutex
	missions []mission       // active missions, in the order of creation
	sessions map[string]bool // open forge sessions, by UUID
}

func newAPI(metrics *tachikoma.AppMetrics) *api {
	return &api{metrics: metrics, sessions: map[string]bool{}}
}

// routes returns a handler of all routes except the dashboard.
func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /missions", a.list)
	mux.HandleFunc("POST /missions", a.create)
	mux.HandleFunc("GET /missions/{id}", a.show)
	mux.HandleFunc("DELETE /missions/{id}", a.complete)
	mux.HandleFunc("GET /forge/sessions", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]int64{"active": a.metrics.ForgeSessionsActive.Value()})
	})
	mux.HandleFunc("GET /forge/sessions/{path...}", a.showSession)
	scrapes := a.metrics.Routes()
	mux.Handle("/metrics", scrapes)
	mux.Handle("/metrics/json", scrapes)
	return mux
}

func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	missions := append([]mission{}, a.missions...)
	a.mu.Unlock()
	reply(w, http.StatusOK, missions)
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	var m mission
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.Name == "" {
		reply(w, http.StatusBadRequest, map[string]string{"error": "the body must be a JSON object with a name"})
		return
	}
	m, ok := a.add(m.Name)
	if !ok {
		reply(w, http.StatusInsufficientStorage, map[string]string{"error": "too many missions"})
		return
	}
	reply(w, http.StatusCreated, m)
}

// An unknown ID stands for a planned mission.
func (a *api) show(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	m := mission{ID: id, Name: "mission " + id, Status: "planned"}
	a.mu.Lock()
	if i := a.index(id); i >= 0 {
		m = a.missions[i]
	}
	a.mu.Unlock()
	reply(w, http.StatusOK, m)
}

func (a *api) complete(w http.ResponseWriter, r *http.Request) {
	m, ok := a.remove(r.PathValue("id"))
	if !ok {
		reply(w, http.StatusNotFound, map[string]string{"error": "no such mission"})
		return
	}
	reply(w, http.StatusOK, m)
}

func (a *api) showSession(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("path")
	a.mu.Lock()
	open := a.sessions[id]
	a.mu.Unlock()
	if a.incident.disturb(r.Context()) {
		reply(w, http.StatusInternalServerError, map[string]string{"error": "the sessions are not available"})
		return
	}
	if !open {
		reply(w, http.StatusNotFound, map[string]string{"error": "no such session"})
		return
	}
	reply(w, http.StatusOK, map[string]string{"id": id, "status": "open"})
}

// add creates a mission unless a has maxMissions missions.
func (a *api) add(name string) (mission, bool) {
	m := mission{ID: uuid.NewString(), Name: name, Status: "created"}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.missions) >= maxMissions {
		return mission{}, false
	}
	a.missions = append(a.missions, m)
	a.metrics.MissionsTotal.With(m.Status).Inc()
	a.metrics.MissionsActive.Inc()
	return m, true
}

// remove completes a mission and reports whether the mission existed.
func (a *api) remove(id string) (mission, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.index(id)
	if i < 0 {
		return mission{}, false
	}
	m := a.missions[i]
	m.Status = "completed"
	a.missions = slices.Delete(a.missions, i, i+1)
	a.metrics.MissionsTotal.With(m.Status).Inc()
	a.metrics.MissionsActive.Dec()
	return m, true
}

// The caller of index holds a.mu. The index of an unknown mission is -1.
func (a *api) index(id string) int {
	return slices.IndexFunc(a.missions, func(m mission) bool { return m.ID == id })
}

func (a *api) openSession() (id string) {
	id = uuid.NewString()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[id] = true
	a.metrics.ForgeSessionsTotal.With("opened").Inc()
	a.metrics.ForgeSessionsActive.Inc()
	return id
}

func (a *api) closeSession(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, id)
	a.metrics.ForgeSessionsTotal.With("closed").Inc()
	a.metrics.ForgeSessionsActive.Dec()
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Encode fails only if the client closed the connection.
	_ = json.NewEncoder(w).Encode(v)
}
