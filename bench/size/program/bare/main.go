// Command bare is the program without metrics. Each program in the neighbouring
// folders adds metrics to the program bare.
package main

import "os"

func main() {
	if _, err := os.Stdout.WriteString("done\n"); err != nil {
		os.Exit(1)
	}
}
