//go:build ignore

// Command queries prints the queries of a Grafana dashboard, a query per line. The
// program replaces the variables of the dashboard with values. With the flag -native the
// program prints the queries of native histograms, otherwise all other queries.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	native := flag.Bool("native", false, "print the queries of native histograms")
	flag.Parse()
	data, err := os.ReadFile(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		log.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "\n", " ")
	for _, p := range dashboard.Panels {
		for _, t := range p.Targets {
			if strings.HasSuffix(t.LegendFormat, "native") == *native {
				fmt.Println(fill.Replace(t.Expr))
			}
		}
	}
}
