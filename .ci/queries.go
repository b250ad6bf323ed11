//go:build ignore

// Command queries prints the queries of a Grafana dashboard, a query per line. The
// program replaces the variables of the dashboard with values.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		log.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "\n", " ")
	for _, p := range dashboard.Panels {
		for _, t := range p.Targets {
			fmt.Println(fill.Replace(t.Expr))
		}
	}
}
