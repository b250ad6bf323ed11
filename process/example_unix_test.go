//go:build unix

package process_test

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/process"
)

func ExampleRegister() {
	reg := tacho.NewRegistry()
	process.Register(reg)

	var scrape bytes.Buffer
	if err := reg.WriteText(&scrape); err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(&scrape); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "# TYPE process_cpu") || strings.HasPrefix(lines.Text(), "# TYPE process_max_fds") {
			fmt.Println(lines.Text())
		}
	}
	// Output:
	// # TYPE process_cpu_seconds_total counter
	// # TYPE process_max_fds gauge
}
