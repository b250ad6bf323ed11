//go:build unix

// Mutation changes the code of the module in small ways, one at a time, and runs the tests
// of the changed package. A change that no test notices is a survivor: a test is missing, or
// the change is equivalent to the original.
//
//	go run . -n 200 -seed 1 ./internal/... ./process
//
// Nothing in the tree changes: the go command gets the changed file with -overlay. README.md
// describes the output.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	root := flag.String("root", "..", "`folder` of the module")
	n := flag.Int("n", 100, "number of mutants, 0 for all")
	seed := flag.Uint64("seed", 1, "seed of the choice")
	only := flag.String("only", "", "only mutants whose file:line or change contains the `text`")
	parallel := flag.Int("p", 2, "tests at the same time")
	limit := flag.Duration("limit", 30*time.Minute, "end after this time")
	verbose := flag.Bool("v", false, "print all mutants")
	flag.Parse()
	status, err := run(os.Stdout, *root, flag.Args(), *n, *seed, *only, *parallel, *limit, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(2)
	}
	os.Exit(status)
}

// run tests mutants and returns 1 if one survived.
func run(w io.Writer, root string, patterns []string, n int, seed uint64, only string, parallel int, limit time.Duration, verbose bool) (status int, err error) {
	tmp, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	if root, err = filepath.Abs(root); err != nil {
		return 0, err
	}
	r := &runner{root: root, tmp: tmp, limits: map[string]time.Duration{}}
	if r.wrapper, err = memoryLimit(tmp); err != nil {
		return 0, err
	}
	equivalent, err := readEquivalent(filepath.Join(root, "mutation", "equivalent.txt"))
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	all, err := r.mutants(ctx, w, patterns, only)
	if err != nil {
		return 0, err
	}
	rand.New(rand.NewPCG(seed, seed)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	var mu sync.Mutex
	count := map[verdict]int{}
	next, tested := 0, 0
	var survivors []*mutant
	var wg sync.WaitGroup
	for range parallel {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				mu.Lock()
				// A mutant that does not build is replaced by another one.
				if next == len(all) || n > 0 && tested == n || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				m := all[next]
				next++
				tested++
				mu.Unlock()
				v := known
				if equivalent[m.key()] == "" {
					v = r.test(ctx, m)
				}
				mu.Lock()
				if v == unbuilt || v == known || v == interrupted {
					tested--
				}
				count[v]++
				if v == survived {
					survivors = append(survivors, m)
				}
				if v == survived || verbose {
					fmt.Fprintf(w, "%s: %s:%d\t%s\t%s\n", v, m.file, m.line, m.source, m.change)
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	total := count[killed] + count[survived]
	fmt.Fprintf(w, "killed %d of %d (%.1f %%), %d survived; %d of the mutants did not build, %d are equivalent; %d candidates\n",
		count[killed], total, 100*float64(count[killed])/float64(max(total, 1)), count[survived], count[unbuilt], count[known], len(all))
	if len(survivors) > 0 {
		status = 1
	}
	return status, nil
}

type verdict int

const (
	killed verdict = iota
	survived
	unbuilt
	known
	interrupted
)

func (v verdict) String() string {
	return [...]string{"killed", "SURVIVED", "does not build", "equivalent", "interrupted"}[v]
}

// A runner runs the tests of mutants.
type runner struct {
	root, tmp, wrapper string
	limits             map[string]time.Duration // of a test run, by package folder

	mu   sync.Mutex
	runs int
}

type goPackage struct {
	Dir                       string
	GoFiles                   []string
	TestGoFiles, XTestGoFiles []string
}

// mutants returns the mutants of the packages whose tests pass without a change.
func (r *runner) mutants(ctx context.Context, w io.Writer, patterns []string, only string) (all []*mutant, err error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-json=Dir,GoFiles,TestGoFiles,XTestGoFiles"}, patterns...)...)
	cmd.Dir, cmd.Stderr = r.root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		dir, err := filepath.Rel(r.root, p.Dir)
		if err != nil {
			return nil, err
		}
		var found []*mutant
		for _, name := range p.GoFiles {
			name = filepath.Join(dir, name)
			src, err := os.ReadFile(filepath.Join(r.root, name))
			if err != nil {
				return nil, err
			}
			list, err := find(name, src)
			if err != nil {
				return nil, err
			}
			for _, m := range list {
				m.dir = dir
				if strings.Contains(fmt.Sprintf("%s:%d\t%s", m.file, m.line, m.change), only) {
					found = append(found, m)
				}
			}
		}
		if len(found) == 0 {
			continue
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			fmt.Fprintf(w, "%s: no tests, %d mutants left out\n", dir, len(found))
			continue
		}
		began := time.Now()
		if out, err := r.goTest(ctx, dir, "", 10*time.Minute, false); err != nil {
			fmt.Fprintf(w, "%s: the tests fail without a change, left out\n%s", dir, out)
			continue
		}
		r.limits[dir] = 5*time.Since(began) + 20*time.Second
		fmt.Fprintf(w, "%s: %d candidates, tests take %.1f s\n", dir, len(found), time.Since(began).Seconds())
		all = append(all, found...)
	}
	return all, nil
}

// test returns whether the tests notice a mutant.
func (r *runner) test(ctx context.Context, m *mutant) verdict {
	path := filepath.Join(r.root, m.file)
	src, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	r.runs++
	dir := filepath.Join(r.tmp, fmt.Sprint(r.runs))
	r.mu.Unlock()
	changed, overlay := filepath.Join(dir, filepath.Base(m.file)), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(changed, m.apply(src), 0o644)
	}
	if err == nil {
		err = os.WriteFile(overlay, replace, 0o644)
	}
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	out, err := r.goTest(ctx, m.dir, overlay, r.limits[m.dir], strings.HasPrefix(m.change, lockChange))
	switch {
	case ctx.Err() != nil:
		return interrupted
	case err == nil:
		return survived
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return unbuilt
	}
	return killed
}

// goTest runs the tests of a package folder. A run over the limit fails. The race detector
// reserves more memory than the wrapper allows, and is slower.
func (r *runner) goTest(ctx context.Context, dir, overlay string, limit time.Duration, race bool) ([]byte, error) {
	how := "-exec=" + r.wrapper
	if race {
		how, limit = "-race", 5*limit
	}
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute) // the build needs time too
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-short", "-count=1", "-failfast", "-vet=off", "-timeout="+limit.String(),
		"-overlay="+overlay, how, "./"+dir)
	cmd.Dir = r.root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.CombinedOutput()
}

// memoryLimit writes a script that runs a test with at most 4 GiB of address space: a
// changed loop can allocate without end.
func memoryLimit(tmp string) (path string, err error) {
	path = filepath.Join(tmp, "limit")
	return path, os.WriteFile(path, []byte("#!/bin/sh\nulimit -v 4194304\nexec \"$@\"\n"), 0o755)
}

// readEquivalent returns the reasons of the known equivalent mutants by key. A line has the
// file, the source line, the change and the reason, separated by tabs.
func readEquivalent(name string) (map[string]string, error) {
	reasons := map[string]string{}
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return reasons, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, '\t')
		if strings.Count(line, "\t") != 3 || at == len(line)-1 {
			return nil, fmt.Errorf("%s: want file, source line, change and reason, separated by tabs: %s", name, line)
		}
		reasons[line[:at]] = line[at+1:]
	}
	return reasons, nil
}
