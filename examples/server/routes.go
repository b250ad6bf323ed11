//go:build !tacho_nohttp

package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/tachikoma/tacho/dashboard"
	"github.com/tachikoma/tacho/tachikoma"
)

// A mission is what the API shows of one.
type mission struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
}

// maxMissions bounds what strangers can make this example keep.
const maxMissions = 1000

// An api answers the JSON routes.
type api struct {
	metrics *tachikoma.AppMetrics

	mu       sync.Mutex
	missions []mission
}

func routes(metrics *tachikoma.AppMetrics) http.Handler {
	a := &api{metrics: metrics}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /missions", a.list)
	mux.HandleFunc("POST /missions", a.create)
	mux.HandleFunc("GET /missions/{id}", a.show)
	mux.HandleFunc("GET /forge/sessions", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]int64{"active": metrics.ForgeSessionsActive.Value()})
	})
	scrapes := metrics.Routes()
	mux.Handle("/metrics", scrapes)
	mux.Handle("/metrics/json", scrapes)
	mux.Handle("/dashboard", dashboard.Handler("/metrics"))
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
	body := http.MaxBytesReader(w, r.Body, 1<<16)
	if err := json.NewDecoder(body).Decode(&m); err != nil || m.Name == "" {
		reply(w, http.StatusBadRequest, map[string]string{"error": "want a JSON object with a name"})
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.missions) >= maxMissions {
		reply(w, http.StatusInsufficientStorage, map[string]string{"error": "too many missions"})
		return
	}
	m.ID, m.Status = strconv.Itoa(len(a.missions)+1), "created"
	a.missions = append(a.missions, m)
	a.metrics.MissionsTotal.With(m.Status).Inc()
	reply(w, http.StatusCreated, m)
}

// show answers for any id: what is not kept is planned.
func (a *api) show(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	m := mission{ID: id, Name: "mission " + id, Status: "planned"}
	a.mu.Lock()
	if n, err := strconv.Atoi(id); err == nil && n >= 1 && n <= len(a.missions) {
		m = a.missions[n-1]
	}
	a.mu.Unlock()
	reply(w, http.StatusOK, m)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error means that the client is gone.
	_ = json.NewEncoder(w).Encode(v)
}
