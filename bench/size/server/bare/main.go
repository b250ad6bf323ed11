// Command bare is the server without metrics. Each server in the neighbouring
// folders adds metrics to the server bare.
package main

import (
	"log"
	"net/http"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("done\n"))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
}
