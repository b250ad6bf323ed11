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
		if family, ok := strings.CutPrefix(lines.Text(), "# TYPE "); ok {
			fmt.Println(family)
		}
	}
	// Output:
	// process_cpu_seconds_total counter
	// process_max_fds gauge
	// process_network_receive_bytes_total counter
	// process_network_transmit_bytes_total counter
	// process_open_fds gauge
	// process_resident_memory_bytes gauge
	// process_start_time_seconds gauge
	// process_virtual_memory_bytes gauge
	// process_virtual_memory_max_bytes gauge
}
