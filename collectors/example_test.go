package collectors_test

import (
	"fmt"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/collectors"
)

func ExampleRegister() {
	reg := tacho.NewRegistry()
	stop := collectors.Register(reg)
	defer stop()
	for f := range reg.Families() {
		switch f.Name {
		case "go_goroutines", "go_info", "go_build_info":
			fmt.Println(f.Name, f.Type)
		}
	}
	// Output:
	// go_build_info gauge
	// go_goroutines gauge
	// go_info gauge
}
