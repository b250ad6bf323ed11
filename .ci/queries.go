//go:build ignore

// Command queries prints the queries of a Grafana dashboard, a query per line. The
// program replaces the variables of the dashboard with values. With the flag -native the
// program prints the queries of native histograms, otherwise all other queries. The queries
// include those of collapsed rows.
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
	var dashboard panel
	if err := json.Unmarshal(data, &dashboard); err != nil {
		log.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$namespace", ".*", "$job", ".*", "$instance", ".*", "\n", " ")
	dashboard.print(*native, fill)
}

// A panel is a dashboard, a row or a panel with queries.
type panel struct {
	Panels  []panel
	Targets []struct{ Expr, LegendFormat string }
}

func (p panel) print(native bool, fill *strings.Replacer) {
	for _, t := range p.Targets {
		if strings.HasSuffix(t.LegendFormat, "native") == native {
			fmt.Println(fill.Replace(t.Expr))
		}
	}
	for _, inner := range p.Panels {
		inner.print(native, fill)
	}
}
