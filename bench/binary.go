package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BinaryBytes builds the programs in the folder size, stripped. Each result is the
// number of bytes that a library adds to the bare program. BinaryBytes runs the
// go command, and the current folder must belong to this module.
func BinaryBytes() ([]Size, error) {
	dir, err := os.MkdirTemp("", "tacho-size")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	folders := []struct{ peer, name string }{
		{Tacho, "tacho"}, {Client, "clientgolang"}, {Victoria, "victoriametrics"}, {OTel, "opentelemetry"}}
	var sizes []Size
	for _, kind := range []string{"server", "program"} {
		bare, err := build(dir, kind, "bare")
		if err != nil {
			return nil, err
		}
		size := Size{Name: kind, Bare: float64(bare)}
		for _, f := range folders {
			n, err := build(dir, kind, f.name)
			if err != nil {
				return nil, err
			}
			size.Peers = append(size.Peers, f.peer)
			size.Bytes = append(size.Bytes, float64(n-bare))
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// build returns the size of a program in bytes. The tag tacho_nohttp affects only
// the program with tacho.
func build(dir, kind, name string) (int64, error) {
	out := filepath.Join(dir, kind+"-"+name)
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", out}
	if kind == "program" {
		args = append(args, "-tags=tacho_nohttp")
	}
	cmd := exec.Command("go", append(args, "github.com/tachikoma/tacho/bench/size/"+kind+"/"+name)...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%v: %w\n%s", cmd.Args, err, msg)
	}
	info, err := os.Stat(out)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
