package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
			size.add(f.peer, float64(n-bare))
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// NativeBinaryBytes builds the programs in the folder testdata/size of the root module, stripped
// and with the tag tacho_nohttp. Most rows are the bytes that WithNative or WriteProtobuf adds to a
// program. The row binaryNeither is the growth of a program with neither since the commit
// beforeNative. A file grows in pages of 4,096 bytes.
//
// NativeBinaryBytes runs the commands go and git. The current folder must belong to this
// module, and the repository must have the commit beforeNative.
func NativeBinaryBytes() ([]Size, error) {
	dir, err := os.MkdirTemp("", "tacho-size")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root, err := output(".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	bytes := make(map[string]int64)
	for _, name := range []string{neither, recording, encoder, both} {
		if bytes[name], err = buildIn(root, filepath.Join(dir, name), "./testdata/size/"+name, "-tags=tacho_nohttp"); err != nil {
			return nil, err
		}
	}
	var sizes []Size
	row := func(name, with, without string) {
		size := Size{Name: name, Bare: float64(bytes[without]), Without: without}
		size.add(Tacho, float64(bytes[with]-bytes[without]))
		sizes = append(sizes, size)
	}
	row(binaryRecording, recording, neither)
	row(binaryEncoder, encoder, neither)
	row(binaryBoth, both, recording)

	before := filepath.Join(dir, "before")
	if _, err := output(".", "git", "clone", "--quiet", "--shared", "--no-checkout", root, before); err != nil {
		return nil, err
	}
	if _, err := output(before, "git", "checkout", "--quiet", beforeNative); err != nil {
		return nil, err
	}
	const name = "commit " + beforeNative
	if bytes[name], err = buildIn(before, filepath.Join(dir, "then"), "./testdata/size/"+neither, "-tags=tacho_nohttp"); err != nil {
		return nil, err
	}
	row(binaryNeither, neither, name)
	return sizes, nil
}

// beforeNative is the last commit without native histograms and without protobuf.
const beforeNative = "d1d5b75"

// The programs of NativeBinaryBytes.
const (
	neither   = "tacho"
	recording = "tachonative"
	encoder   = "tachoprotobuf"
	both      = "tachoboth"
)

// Names of the rows of NativeBinaryBytes.
const (
	binaryRecording = "WithNative in a program"
	binaryEncoder   = "WriteProtobuf in a program without WithNative"
	binaryBoth      = "WriteProtobuf in a program with WithNative"
	binaryNeither   = "a program with neither"
)

// TinyBinaryBytes builds programs of testdata/size of the root module that serve /metrics, stripped,
// for two platforms. Each result is the number of bytes that is added to a program that serves a
// text over package net. The peers are a program that serves the metrics by hand over package net,
// without limits, and a program with Registry.Handler and net/http. The programs without net/http
// have the tag tacho_nohttp.
func TinyBinaryBytes() ([]Size, error) {
	dir, err := os.MkdirTemp("", "tacho-size")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root, err := output(".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	var sizes []Size
	for i, name := range []string{binaryTinyAMD64, binaryTinyARM} {
		env := [][]string{{"GOOS=linux", "GOARCH=amd64"}, {"GOOS=linux", "GOARCH=arm", "GOARM=5"}}[i]
		var bare int64
		size := Size{Name: name}
		for _, p := range []struct{ peer, program, tags string }{
			{Bare, "barenet", "tacho_nohttp"},
			{Tacho, "tachotiny", "tacho_nohttp"},
			{byHand, "tachonet", "tacho_nohttp"},
			{netHTTP, "tachohandler", ""},
		} {
			n, err := buildFor(env, root, filepath.Join(dir, "program"), "./testdata/size/"+p.program, "-tags="+p.tags)
			if err != nil {
				return nil, err
			}
			if p.peer == Bare {
				bare, size.Bare, size.Without = n, float64(n), "barenet"
				continue
			}
			size.add(p.peer, float64(n-bare))
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// Names of the rows and peers of TinyBinaryBytes.
const (
	binaryTinyAMD64 = "tinyhttp, linux/amd64"
	binaryTinyARM   = "tinyhttp, linux/arm, GOARM=5"
	byHand          = "by hand over net, no limits"
	netHTTP         = "Registry.Handler and net/http"
)

// build returns the size of a program in bytes. The tag tacho_nohttp affects only
// the programs with tacho.
func build(dir, kind, name string) (int64, error) {
	var flags []string
	if kind != "server" {
		flags = append(flags, "-tags=tacho_nohttp")
	}
	return buildIn(".", filepath.Join(dir, kind+"-"+name), "github.com/tachikoma/tacho/bench/size/"+kind+"/"+name, flags...)
}

// buildIn builds a program in a folder and returns the size of the file out.
func buildIn(dir, out, program string, flags ...string) (int64, error) {
	return buildFor(nil, dir, out, program, flags...)
}

// buildFor is buildIn with further variables of the environment.
func buildFor(env []string, dir, out, program string, flags ...string) (int64, error) {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, program)...)
	cmd.Env = append(os.Environ(), env...)
	if _, err := outputOf(dir, cmd); err != nil {
		return 0, err
	}
	info, err := os.Stat(out)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// output runs a command in a folder and returns its output without the last newline.
func output(dir, name string, args ...string) (string, error) {
	return outputOf(dir, exec.Command(name, args...))
}

// outputOf is output of a command that the caller made.
func outputOf(dir string, cmd *exec.Cmd) (string, error) {
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
