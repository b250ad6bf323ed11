//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// gzipCorpora are expositions as they are scraped, the same in every run.
func gzipCorpora(t testing.TB) map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := []string{"users", "orders", "carts", "items", "search", "login", "admin", "reports", "invoices", "a", "payments/refunds"}
	word := func() string { return words[rnd.IntN(len(words))] }
	requests := func(r *Registry) *CounterVec {
		return r.CounterVec("http_requests_total", "Requests.", []string{"method", "path", "status"})
	}
	durations := func(r *Registry, buckets []float64) *HistogramVec {
		return r.HistogramVec("http_request_duration_seconds", "Latency.", buckets, []string{"method", "path"})
	}
	registries := map[string]*Registry{}
	for _, name := range []string{"counters", "random", "varied", "histograms", "latencies", "small"} {
		registries[name] = NewRegistry()
	}
	counters, random := requests(registries["counters"]), requests(registries["random"])
	for i, p := range benchPaths(10000) {
		counters.With("GET", p, "200").Add(uint64(i))
		random.With("GET", p, "200").Add(uint64(rnd.ExpFloat64() * 10000))
	}
	varied, seconds := requests(registries["varied"]), registries["varied"].FloatCounterVec("cpu_seconds_total", "CPU.", []string{"cpu"})
	for i := range 10000 {
		path := "/" + word() + "/" + word() + "/" + word() + "/{id}"
		varied.With([]string{"GET", "POST", "PUT"}[rnd.IntN(3)], path, strconv.Itoa(200+rnd.IntN(300))).Add(uint64(rnd.ExpFloat64() * 10000))
		seconds.With(strconv.Itoa(i % 500)).Add(rnd.Float64())
	}
	uniform := durations(registries["histograms"], ExponentialBuckets(0.001, 2, 12))
	for i, p := range benchPaths(1000) {
		uniform.With("GET", p).Observe(float64(i) / 1000)
	}
	latencies := durations(registries["latencies"], nil)
	for range 50000 {
		latencies.With("GET", "/"+word()+"/"+word()+"/"+word()).Observe(rnd.ExpFloat64() / 10)
	}
	few, one := durations(registries["small"], nil), requests(registries["small"])
	for range 1000 {
		few.With("GET", "/"+word()).Observe(rnd.ExpFloat64() / 10)
		one.With("GET", "/"+word(), "200").Inc()
	}
	corpora := map[string][]byte{}
	for name, r := range registries {
		corpora[name] = []byte(text(t, r))
		corpora[name+".json"] = []byte(write(t, func(b *bytes.Buffer) error { return r.WriteJSON(b) }))
	}
	for line := range bytes.Lines(corpora["counters"]) {
		corpora["decimals"] = append(append(corpora["decimals"], line[:len(line)-1]...), ".0\n"...)
	}
	return corpora
}

// inBlocks writes p as an encoder does, in Writes of size bytes.
func inBlocks(w io.Writer, p []byte, size int) error {
	for len(p) > 0 {
		n := min(len(p), size)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func zipped(t testing.TB, p []byte, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeGzip(&b, func(w io.Writer) error { return inBlocks(w, p, size) }); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gzipRoundTrip checks that compress/gzip reads p back, to the last byte, and
// that there is not much more of it than there was.
func gzipRoundTrip(t testing.TB, p []byte, size int) {
	t.Helper()
	b := zipped(t, p, size)
	r := bytes.NewReader(b)
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatalf("%d bytes, %d at a time: %v", len(p), size, err)
	}
	got, err := io.ReadAll(z)
	if err != nil || r.Len() != 0 || !bytes.Equal(got, p) {
		t.Fatalf("%d bytes, %d at a time: %v, %d bytes read, %d left over", len(p), size, err, len(got), r.Len())
	}
	if most := len(p) + len(p)/32 + 300; len(b) > most {
		t.Errorf("%d bytes, %d at a time, became %d", len(p), size, len(b))
	}
}

func TestGzipRoundTrip(t *testing.T) {
	for name, p := range gzipCorpora(t) {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1000, flushAt + 77, 1 << 20} {
				gzipRoundTrip(t, p, size)
			}
		})
	}
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no golden files")
	}
	for _, name := range files {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 100, flushAt} {
			gzipRoundTrip(t, p, size)
		}
	}
}

func TestGzipAnyBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 200000)
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}
	far := bytes.Repeat(random[:window+10], 3) // repeats just too far away
	near := bytes.Repeat(random[:window], 3)   // and just not
	all := make([]byte, 0, 1<<18)              // every length of repeat and run
	for n := range 600 {
		all = append(append(all, random[n:2*n]...), random[:n]...)
	}
	for name, p := range map[string][]byte{
		"random": random, "far": far, "near": near, "all": all,
		"zeros": make([]byte, 1<<20), "one line": bytes.Repeat([]byte("abc"), 100000),
		"newlines": bytes.Repeat([]byte("\n"), 70000), "pairs": bytes.Repeat([]byte("\xff\n"), 70000),
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{997, flushAt, maxChunk, maxChunk + 1, 1 << 21} {
				gzipRoundTrip(t, p, size)
			}
		})
	}
	line := []byte(`http_requests_total{method="GET",path="/api/1000017",status="200"} 17` + "\n")
	for n := range 301 {
		gzipRoundTrip(t, random[:n], flushAt)
		gzipRoundTrip(t, bytes.Repeat([]byte{'a'}, n), flushAt)
		gzipRoundTrip(t, bytes.Repeat(line, 5)[:n], flushAt)
		gzipRoundTrip(t, bytes.Repeat(line, 5), n+1) // every cut
	}
}

func TestGzipSize(t *testing.T) {
	for name, p := range gzipCorpora(t) {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(inBlocks(z, p, flushAt+77), z.Close()); err != nil {
			t.Fatal(err)
		}
		ours := len(zipped(t, p, flushAt+77))
		t.Logf("%s: %d bytes, compress/gzip %d, ours %d, ratio %.2f", name, len(p), b.Len(), ours, float64(ours)/float64(b.Len()))
		if 2*ours > 3*b.Len() {
			t.Errorf("%s: more than 1.5 times what compress/gzip makes of it", name)
		}
	}
}

// gzipFull fails once room bytes were written.
type gzipFull struct{ room, late int }

func (w *gzipFull) Write(p []byte) (int, error) {
	if w.room < 0 {
		w.late++
	}
	if w.room -= len(p); w.room < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

func TestGzipWriteError(t *testing.T) {
	p := gzipCorpora(t)["varied"]
	for room := range 100000 {
		if room%7919 > 1 {
			continue
		}
		w := &gzipFull{room: room}
		err := writeGzip(w, func(z io.Writer) error { return inBlocks(z, p, flushAt) })
		if err == nil || err.Error() != "full" || w.late != 0 {
			t.Errorf("room %d: %v, %d writes after the error", room, err, w.late)
		}
	}
	own := errors.New("own")
	if err := writeGzip(io.Discard, func(io.Writer) error { return own }); err != own {
		t.Errorf("what the encoder fails with becomes %v", err)
	}
}

func TestGzipAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := gzipCorpora(t)["counters"]
	write := func(w io.Writer) error { return inBlocks(w, p, flushAt) }
	z := new(gzipWriter) // not from the pool, which a collection may empty
	n := testing.AllocsPerRun(10, func() {
		z.reset(io.Discard)
		if err := errors.Join(write(z), z.close()); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a scrape", n)
	}
}

func TestCodeLengths(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		limit := []int{7, codeLimit}[rnd.IntN(2)]
		freq := make([]uint32, 2+rnd.IntN([]int{7: 17, codeLimit: numLengths - 2}[limit]))
		for i := range freq {
			if i < 2 || rnd.IntN(3) > 0 {
				freq[i] = 1 + rnd.Uint32N(1<<rnd.IntN(15))
			}
		}
		lens := make([]uint8, len(freq))
		codeLengths(freq, lens, limit)
		sum := 0
		for i, l := range lens {
			if (l == 0) != (freq[i] == 0) || int(l) > limit {
				t.Fatalf("limit %d: %v gives %v", limit, freq, lens)
			}
			if l > 0 {
				sum += 1 << (limit - int(l))
			}
		}
		if sum != 1<<limit {
			t.Fatalf("limit %d: %v gives %v, which is no complete code", limit, freq, lens)
		}
	}
}

func FuzzGzip(f *testing.F) {
	f.Add([]byte(""), 1, 1)
	f.Add([]byte("a\n"), 1, 1)
	f.Add([]byte("a_total{l=\"x\"} 1\na_total{l=\"y\"} 22\na_total{l=\"z\"} 3\n"), 20, 100)
	f.Add([]byte("\x00\xff\x80 random \x7f"), 3, 40000)
	f.Add(bytes.Repeat([]byte("abc"), 100), 1, 301)
	f.Fuzz(func(t *testing.T, p []byte, times, size int) {
		// Repeated, so that short inputs reach large blocks and distances.
		if n := 1 << 18 / (len(p) + 1); times < 1 || times > n {
			times = 1
		}
		p = bytes.Repeat(p, times)
		if size < 100 {
			size = max(1, size, len(p)/1000)
		}
		gzipRoundTrip(t, p, size)
	})
}

func BenchmarkGzip(b *testing.B) {
	for name, p := range gzipCorpora(b) {
		lines := max(bytes.Count(p, []byte("\n")), bytes.Count(p, []byte("},{")))
		bench := func(side string, size int, zip func() error) {
			b.Run(name+"/"+side, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := zip(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
				b.ReportMetric(float64(size)/float64(lines), "bytes/line")
			})
		}
		bench("tacho", len(zipped(b, p, flushAt)), func() error {
			return writeGzip(io.Discard, func(w io.Writer) error { return inBlocks(w, p, flushAt) })
		})
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(inBlocks(z, p, flushAt), z.Close()); err != nil {
			b.Fatal(err)
		}
		bench("stdlib", out.Len(), func() error {
			z.Reset(io.Discard)
			return errors.Join(inBlocks(z, p, flushAt), z.Close())
		})
	}
}
