//go:build !tacho_nohttp

package tacho_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"

	"github.com/tachikoma/tacho"
)

type traceID struct{}

func ExampleWithContextExemplars() {
	reg := tacho.NewRegistry(tacho.WithContextExemplars(func(ctx context.Context) []string {
		if id, ok := ctx.Value(traceID{}).(string); ok {
			return []string{"trace_id", id}
		}
		return nil
	}))
	jobs := reg.Counter("jobs_total", "Jobs done.")
	ctx := context.WithValue(context.Background(), traceID{}, "4bf92f3577b34da6")
	jobs.AddContext(ctx, 1)
	var b bytes.Buffer
	reg.WriteOpenMetrics(&b)
	fmt.Printf("%s", regexp.MustCompile(`jobs_total .*"} 1`).Find(b.Bytes()))
	// Output: jobs_total 1.0 # {trace_id="4bf92f3577b34da6"} 1
}
