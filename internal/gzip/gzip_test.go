package gzip

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/race"
)

// bufferSize is the size of the writes of an exposition. It is flushAt of package expo.
const bufferSize = 32 << 10

// corpora returns expositions as tacho writes them, the same in every run. Tests must not
// change the bytes.
var corpora = sync.OnceValue(func() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := []string{"users", "orders", "carts", "items", "search", "login", "admin", "reports", "invoices", "a", "payments/refunds"}
	word := func() string { return words[rnd.IntN(len(words))] }
	series := map[string][]string{} // the lines of each corpus, sorted below
	add := func(name, format string, args ...any) {
		series[name] = append(series[name], fmt.Sprintf(format, args...))
	}
	histogram := func(name, path string, bounds []float64, observations int, value func() float64) {
		counts, sum := make([]int, len(bounds)+1), 0.0
		for range observations {
			v := value()
			sum += v
			for i := range counts {
				if i == len(bounds) || v <= bounds[i] {
					counts[i]++
				}
			}
		}
		var b strings.Builder
		for i, n := range counts {
			le := "+Inf"
			if i < len(bounds) {
				le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
			}
			fmt.Fprintf(&b, "http_request_duration_seconds_bucket{method=\"GET\",path=\"%s\",le=\"%s\"} %d\n", path, le, n)
		}
		fmt.Fprintf(&b, "http_request_duration_seconds_sum{method=\"GET\",path=\"%s\"} %g\n", path, sum)
		fmt.Fprintf(&b, "http_request_duration_seconds_count{method=\"GET\",path=\"%s\"} %d\n", path, observations)
		series[name] = append(series[name], b.String())
	}
	const counter = "http_requests_total{method=\"%s\",path=\"%s\",status=\"%d\"} %d\n"
	latency := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	var doubling []float64
	for v := 0.001; len(doubling) < 12; v *= 2 {
		doubling = append(doubling, v)
	}
	for i := range 10000 {
		path := "/api/v1/resource/" + strconv.Itoa(i)
		add("counters", counter, "GET", path, 200, i)
		add("random", counter, "GET", path, 200, uint64(rnd.ExpFloat64()*10000))
		path = "/" + word() + "/" + word() + "/" + word() + "/{id}"
		add("varied", counter, []string{"GET", "POST", "PUT"}[rnd.IntN(3)], path, 200+rnd.IntN(300), uint64(rnd.ExpFloat64()*10000))
		add("json", "{\"labels\":{\"method\":\"GET\",\"path\":\"%s\",\"status\":\"200\"},\"value\":%d},", path, i)
		add("decimals", "http_requests_total{method=\"GET\",path=\"/api/v1/resource/%d\",status=\"200\"} %d.0\n", i, i)
	}
	for i := range 500 {
		add("varied", "cpu_seconds_total{cpu=\"%d\"} %g\n", i, 20*rnd.Float64())
	}
	for i := range 1000 {
		histogram("histograms", "/api/v1/resource/"+strconv.Itoa(i), doubling, 1, func() float64 { return float64(i) / 1000 })
		histogram("latencies", "/"+word()+"/"+word()+"/"+word(), latency, 50, func() float64 { return rnd.ExpFloat64() / 10 })
	}
	for _, w := range words {
		histogram("small", "/"+w, latency, 100, func() float64 { return rnd.ExpFloat64() / 10 })
		add("small", counter, "GET", "/"+w, 200, rnd.IntN(200))
	}
	// Counters as traffic makes them, in OpenMetrics: each label and value is random.
	for name, n := range map[string]int{"traffic": 10000, "less traffic": 1000} {
		rnd := rand.New(rand.NewPCG(17, uint64(n)))
		for range n {
			path := fmt.Sprintf("/api/v1/%s/%s/%d", words[rnd.IntN(9)], words[rnd.IntN(9)], rnd.IntN(100000))
			add(name, "http_requests_total{method=\"%s\",path=\"%s\",status=\"%d\"} %d.0\n",
				[]string{"GET", "GET", "POST", "PUT"}[rnd.IntN(4)], path, []int{200, 200, 201, 404, 500}[rnd.IntN(5)], uint64(rnd.ExpFloat64()*10000))
		}
		// Each path has each method and status.
		for i := range n / 20 {
			path := fmt.Sprintf("/api/v1/%s/{id}/%s/%d", words[rnd.IntN(9)], words[rnd.IntN(9)], i)
			for _, method := range []string{"DELETE", "GET", "POST", "PUT"} {
				for _, status := range []int{200, 201, 204, 400, 404} {
					add(name+", grid", "http_requests_total{method=\"%s\",path=\"%s\",status=\"%d\"} %d.0\n",
						method, path, status, uint64(math.Exp(10*rnd.Float64())))
				}
			}
		}
		for i := range n {
			add(name+", numbers", "http_requests_total{method=\"%s\",path=\"/api/v1/resource/%d\",status=\"%d\"} %d.0\n",
				[]string{"GET", "POST"}[rnd.IntN(2)], 1000000+i, []int{200, 404, 500}[rnd.IntN(3)], uint64(rnd.ExpFloat64()*10000))
		}
	}
	corpora := map[string][]byte{}
	for name, all := range series {
		if name != "counters" && name != "decimals" {
			slices.Sort(all)
		}
		corpora[name] = []byte("# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n" + strings.Join(all, ""))
	}
	return corpora
})

// inBlocks writes p in writes of size bytes, as an encoder does.
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

// zipped returns the gzip of p, which is written in writes of size bytes.
func zipped(t testing.TB, p []byte, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, func(w io.Writer) error { return inBlocks(w, p, size) }); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// roundTrip checks that compress/gzip reads p back and that the gzip of p is at most
// slightly larger than p.
func roundTrip(t testing.TB, p []byte, size int) {
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

// TestRoundTrip compresses generated expositions and the golden expositions.
func TestRoundTrip(t *testing.T) {
	for name, p := range corpora() {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1000, bufferSize + 77, 1 << 20} {
				roundTrip(t, p, size)
			}
		})
	}
	files, err := filepath.Glob("../../testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no golden files")
	}
	for _, name := range files {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 100, bufferSize} {
			roundTrip(t, p, size)
		}
	}
}

// TestAnyBytes compresses bytes that no exposition has.
func TestAnyBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 200000)
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}
	far := bytes.Repeat(random[:window+10], 3) // the distance of the repeats is too large by 10
	near := bytes.Repeat(random[:window], 3)   // the distance is the largest
	all := make([]byte, 0, 1<<18)              // repeats and runs of every length
	for n := range 600 {
		all = append(append(all, random[n:2*n]...), random[:n]...)
	}
	for name, p := range map[string][]byte{
		"random": random, "far": far, "near": near, "all": all,
		"zeros": make([]byte, 1<<20), "one line": bytes.Repeat([]byte("abc"), 100000),
		"newlines": bytes.Repeat([]byte("\n"), 70000), "pairs": bytes.Repeat([]byte("\xff\n"), 70000),
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{997, bufferSize, maxChunk, maxChunk + 1, 1 << 21} {
				roundTrip(t, p, size)
			}
		})
	}
	line := []byte(`http_requests_total{method="GET",path="/api/1000017",status="200"} 17` + "\n")
	for n := range 301 {
		roundTrip(t, random[:n], bufferSize)
		roundTrip(t, bytes.Repeat([]byte{'a'}, n), bufferSize)
		roundTrip(t, bytes.Repeat(line, 5)[:n], bufferSize)
		roundTrip(t, bytes.Repeat(line, 5), n+1) // a cut at every byte
	}
}

// TestSize: the gzip is at most 1.05 times as large as that of compress/gzip at its best
// speed, and hardly larger than before.
func TestSize(t *testing.T) {
	before := map[string]int{
		"counters": 42111, "random": 54911, "varied": 93529, "json": 47382, "decimals": 42079, "histograms": 51995, "latencies": 84769, "small": 1258,
		"traffic": 99264, "traffic, grid": 71733, "traffic, numbers": 78938,
		"less traffic": 11695, "less traffic, grid": 7780, "less traffic, numbers": 8025,
	}
	for name, p := range corpora() {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(inBlocks(z, p, bufferSize+77), z.Close()); err != nil {
			t.Fatal(err)
		}
		size := len(zipped(t, p, bufferSize+77))
		t.Logf("%s: %d bytes, compress/gzip %d, tacho %d, ratio %.2f", name, len(p), b.Len(), size, float64(size)/float64(b.Len()))
		if 20*size > 21*b.Len() {
			t.Errorf("%s: more than 1.05 times as large as the result of compress/gzip", name)
		}
		if most := before[name] + before[name]/400; size > most { // machines can differ in the last digits of floats
			t.Errorf("%s: %d bytes became %d, want at most %d", name, len(p), size, most)
		}
	}
}

// TestWindow: repeats are found up to the largest distance, and no further.
func TestWindow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	random := make([]byte, window+1)
	for i := range random {
		random[i] = byte(0x40 + rnd.IntN(0x80)) // no end of a line or label
	}
	near := len(zipped(t, bytes.Repeat(random[:window], 2), 2*window))
	far := len(zipped(t, bytes.Repeat(random, 2), 2*window+2))
	if near > window*5/4 || far < window*3/2 {
		t.Errorf("repeats at the distances %d and %d became %d and %d bytes", window, window+1, near, far)
	}
	// A number at about the largest distance has more digits.
	line := string(random[:window-100]) + "\"} "
	a, b := line+strings.Repeat("7", 97-8), line+strings.Repeat("3", 97-7)
	roundTrip(t, []byte(a+"\n"+b+"\n"+a+b), 1<<17)
}

// TestHeaders: compress/gzip reads the codes of a block with runs of unused symbols of all
// lengths, and with runs of codes of the same length.
func TestHeaders(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	for n := range 256 {
		gap, same := make([]byte, 100), make([]byte, n+1)
		for i := range gap {
			gap[i] = byte(rnd.IntN(2) * n)
		}
		for i, b := range rnd.Perm(n + 1) {
			same[i] = byte(b)
		}
		roundTrip(t, gap, len(gap))
		roundTrip(t, same, len(same))
		roundTrip(t, append(gap, same...), 1000)
	}
}

// TestUnusedSymbolsHaveNoCode: a block has codes for its own symbols alone, and for two
// distances at least.
func TestUnusedSymbolsHaveNoCode(t *testing.T) {
	for text, distances := range map[string]int{"abcdefghijklmnopqrstuvwxyz": 2, strings.Repeat("abcdefghijklmnop", 10): 3} {
		z := new(writer)
		z.reset(io.Discard)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		z.block()
		for b := range 256 {
			if has := z.lens[b] > 0; has != strings.Contains(text, string(rune(b))) {
				t.Errorf("%.20q: byte %q has a code: %v", text, rune(b), has)
			}
		}
		n := 0
		for _, l := range z.lens[numLengths:] {
			if l > 0 {
				n++
			}
		}
		if n != distances {
			t.Errorf("%.20q: %d distances have a code, want %d", text, n, distances)
		}
	}
}

// TestEachBlockHasItsCodes: a block has the codes of its own symbols, also if the blocks
// before it have other symbols.
func TestEachBlockHasItsCodes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	var p []byte
	for first := 0x40; first < 0xc0; first += 0x20 {
		for range 1 << 17 { // several blocks
			p = append(p, byte(first+rnd.IntN(16))) // 4 bits
		}
	}
	if size := len(zipped(t, p, bufferSize)); size > len(p)/2*104/100 {
		t.Errorf("%d bytes of 4 bits became %d bytes", len(p), size)
	}
}

// TestLargeWrites: repeats are found in all parts of a large write.
func TestLargeWrites(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	phrases := make([][]byte, 100)
	for i := range phrases {
		for range 40 {
			phrases[i] = append(phrases[i], byte('a'+rnd.IntN(26)))
		}
	}
	var p []byte
	for len(p) < 1<<20 {
		p = append(p, phrases[rnd.IntN(len(phrases))]...)
	}
	small, large := len(zipped(t, p, bufferSize)), len(zipped(t, p, len(p)))
	if large > small {
		t.Errorf("one write became %d bytes, small writes became %d", large, small)
	}
}

// TestLastDistance: after up to four bytes that differ, the last distance is used again.
func TestLastDistance(t *testing.T) {
	for _, dist := range []int{1, 2, 3, 8, 9, 17, 25} {
		for width := 1; width <= 4 && (width+dist <= 4 || width < dist && dist >= 8); width++ {
			var p []byte
			for len(p) < 1000 {
				p = append(p, byte('a'+len(p)%dist))
			}
			changed := byte(0x80)
			for at := 100; at < 900; at += 100 {
				for i := range width {
					p[at+i] = changed
					changed++
				}
			}
			z := new(writer)
			z.reset(io.Discard)
			if _, err := z.Write(p); err != nil {
				t.Fatal(err)
			}
			for i, r := range z.repeats[:z.nrepeats] {
				if int(r.dist) != dist {
					t.Errorf("repeat %d of %d has the distance %d, want %d (%d bytes differ)", i, z.nrepeats, r.dist, dist, width)
				}
			}
			if z.nrepeats < 9 || z.nlits > dist+8*8+20 {
				t.Errorf("distance %d, %d bytes differ: %d repeats and %d literals", dist, width, z.nrepeats, z.nlits)
			}
		}
	}
}

// TestNearestRepeat: after bytes that differ, the distance is that of the nearest line with
// the bytes that follow, also if the line at the last distance has these bytes too.
func TestNearestRepeat(t *testing.T) {
	z := new(writer)
	z.reset(io.Discard)
	line := func(id, end string) string { return `requests_total{path="/` + id + `",status="200"} ` + end + "\n" }
	far := line("abcdefghijkl", "1")
	near := line("ABCDEFGHIJKL", "1")
	last := strings.Replace(far, "kl", "XY", 1) // begins as far does
	if _, err := z.Write([]byte(far + near + last + "# a comment without repeats")); err != nil {
		t.Fatal(err)
	}
	var dists []int
	for _, r := range z.repeats[:z.nrepeats] {
		dists = append(dists, int(r.dist))
	}
	if n := len(far); len(dists) < 2 || dists[len(dists)-1] != n {
		t.Errorf("the distances are %d, want %d at the end", dists, n)
	}
	roundTrip(t, []byte(far+near+last), 1000)
}

// TestRepeatsAreLong: a repeat has the fewest parts, and no part is too short or too long.
func TestRepeatsAreLong(t *testing.T) {
	z := new(writer)
	for n := 4; n < 2000; n++ {
		z.reset(io.Discard)
		z.run = 5
		z.repeat(n, 7, distSymbol(7))
		sum := 0
		for i, r := range z.repeats[:z.nrepeats] {
			sum += int(r.len)
			if run := map[bool]uint16{true: 5}[i == 0]; r.len < 3 || r.len > maxRepeat || r.dist != 7 || r.run != run {
				t.Errorf("a repeat of %d bytes has the part %+v", n, r)
			}
		}
		if most := (n + maxRepeat - 1) / maxRepeat; sum != n || z.nrepeats > most || z.run != 0 {
			t.Errorf("a repeat of %d bytes has %d parts of %d bytes in all, want %d", n, z.nrepeats, sum, most)
		}
	}
}

// TestBlockOfRepeats: the last block can have repeats and no literals. It begins in the
// middle of a long repeat that fills the block before it.
func TestBlockOfRepeats(t *testing.T) {
	full := maxRepeats / (maxChunk/maxRepeat + 1) * maxChunk // of chunks that fit into a block together
	for n := 8004; n < maxChunk; n += 248 {                  // less than a repeat; no byte is left behind steps of four and eight
		z := new(writer)
		z.reset(io.Discard)
		if _, err := z.Write(make([]byte, full+1+n)); err != nil {
			t.Fatal(err)
		}
		if z.nlits == 0 {
			roundTrip(t, make([]byte, full+1+n), full+1+n)
			if z.nrepeats == 4 {
				return
			}
		}
	}
	t.Error("no block of repeats alone")
}

// TestReuse: a writer that is used again writes the same as a new one, also after an error.
func TestReuse(t *testing.T) {
	p := corpora()["small"]
	write := func(z *writer, w io.Writer) error {
		z.reset(w)
		return errors.Join(inBlocks(z, p, 1000), z.close())
	}
	var want bytes.Buffer
	if err := write(new(writer), &want); err != nil {
		t.Fatal(err)
	}
	z := new(writer)
	for room := range 100 {
		err := write(z, &fullWriter{room: room * 37})
		var got bytes.Buffer
		if again := write(z, &got); again != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatalf("after the error %v at byte %d: %v, other bytes", err, room*37, again)
		}
		// An exposition that ends in the middle.
		z.reset(io.Discard)
		if err := inBlocks(z, p[:room*41], 1000); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWriterMemory: the client gets writes of at most 16 KiB, nearly full, and the table of
// hashes has no entry that no hash has. A writer for each scrape stays in the pool.
func TestWriterMemory(t *testing.T) {
	var sizes []int
	err := Write(writerFunc(func(p []byte) (int, error) {
		sizes = append(sizes, len(p))
		return len(p), nil
	}), func(w io.Writer) error { return inBlocks(w, corpora()["varied"], bufferSize) })
	if err != nil || len(sizes) < 3 {
		t.Fatal(err, len(sizes))
	}
	for i, n := range sizes {
		if n > 16<<10 || n < 15<<10 && i < len(sizes)-1 {
			t.Errorf("write %d of %d has %d bytes", i, len(sizes), n)
		}
	}
	if n := unsafe.Sizeof(writer{}); n > 80<<10 {
		t.Errorf("a writer has %d bytes", n)
	}
	largest := uint32(0)
	for x := range uint64(100_000) {
		largest = max(largest, hash4(x))
	}
	if n := len(new(writer).head); int(largest) != n-1 {
		t.Errorf("%d entries, the largest hash is %d", n, largest)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// fullWriter returns an error after room bytes, and counts the writes after the error.
type fullWriter struct{ room, late int }

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.room < 0 {
		w.late++
	}
	if w.room -= len(p); w.room < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

// TestWriteError: Write returns the error of w or of write, and writes nothing after an
// error of w.
func TestWriteError(t *testing.T) {
	p := corpora()["varied"]
	for room := range len(zipped(t, p, bufferSize)) {
		if room%7919 > 1 {
			continue
		}
		w := &fullWriter{room: room}
		err := Write(w, func(z io.Writer) error { return inBlocks(z, p, bufferSize) })
		if err == nil || err.Error() != "full" || w.late != 0 {
			t.Errorf("room %d: %v, %d writes after the error", room, err, w.late)
		}
	}
	own := errors.New("own")
	if err := Write(io.Discard, func(io.Writer) error { return own }); err != own {
		t.Errorf("the error of write becomes %v", err)
	}
}

func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	p := corpora()["counters"]
	write := func(w io.Writer) error { return inBlocks(w, p, bufferSize) }
	z := new(writer) // not from the pool, since a garbage collection may empty the pool
	n := testing.AllocsPerRun(10, func() {
		z.reset(io.Discard)
		if err := errors.Join(write(z), z.close()); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// huffman returns the number of bits of all symbols in Huffman's code without a limit.
func huffman(freq []uint32) (bits int) {
	var nodes []int
	for _, f := range freq {
		if f > 0 {
			nodes = append(nodes, int(f))
		}
	}
	for len(nodes) > 1 {
		slices.SortFunc(nodes, func(a, b int) int { return b - a })
		last := len(nodes) - 2
		nodes[last] += nodes[last+1]
		nodes = nodes[:last+1]
		bits += nodes[last]
	}
	return bits
}

// TestCodesAreShort: the code is close to Huffman's, for frequencies as text and numbers
// have them.
func TestCodesAreShort(t *testing.T) {
	rnd := rand.New(rand.NewPCG(15, 16))
	bits, optimum := 0, 0
	for i := range 300 {
		freq := make([]uint32, 2+rnd.IntN(80))
		for i := range freq {
			freq[i] = 1 + rnd.Uint32N(1<<rnd.IntN(8))
		}
		lens := make([]uint8, len(freq))
		best, n := huffman(freq), 0
		used := slices.Clone(freq)
		codeLengths(used, lens, codeLimit)
		for s, l := range lens {
			n += int(freq[s]) * int(l)
		}
		if n < best || n > best*110/100+1 {
			t.Errorf("code %d has %d bits, Huffman's has %d: %v", i, n, best, freq)
		}
		bits, optimum = bits+n, optimum+best
	}
	t.Logf("%d bits, Huffman's codes %d: %.2f %% more", bits, optimum, 100*float64(bits-optimum)/float64(optimum))
	if bits > optimum*1003/1000 {
		t.Errorf("%d bits, Huffman's codes have %d", bits, optimum)
	}
}

// TestCodeLengths: the lengths are those of a complete prefix code, of the used symbols
// alone, and within the limit.
func TestCodeLengths(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for round := range 20000 {
		limit := []int{7, codeLimit}[rnd.IntN(2)]
		freq := make([]uint32, 2+rnd.IntN([]int{7: 17, codeLimit: numLengths - 2}[limit]))
		if round%100 == 0 { // all symbols are used
			freq = make([]uint32, map[int]int{7: 19, codeLimit: numLengths}[limit])
		}
		for i := range freq {
			if i < 2 || round%100 == 0 || rnd.IntN(3) > 0 {
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
			t.Fatalf("limit %d: %v gives %v: the code is not complete", limit, freq, lens)
		}
	}
}

// FuzzGzip: compress/gzip reads all bytes back, however the bytes are cut into writes.
func FuzzGzip(f *testing.F) {
	f.Add([]byte(""), 1, 1)
	f.Add([]byte("a\n"), 1, 1)
	f.Add([]byte("a_total{l=\"x\"} 1\na_total{l=\"y\"} 22\na_total{l=\"z\"} 3\n"), 20, 100)
	f.Add([]byte("\x00\xff\x80 random \x7f"), 3, 40000)
	f.Add(bytes.Repeat([]byte("abc"), 100), 1, 301)
	f.Fuzz(func(t *testing.T, p []byte, times, size int) {
		// Repeated inputs reach large blocks and distances.
		if n := 1 << 18 / (len(p) + 1); times < 1 || times > n {
			times = 1
		}
		p = bytes.Repeat(p, times)
		if size < 100 {
			size = max(1, size, len(p)/1000)
		}
		roundTrip(t, p, size)
	})
}

// BenchmarkGzip compares Write with compress/gzip at its best speed.
func BenchmarkGzip(b *testing.B) {
	for name, p := range corpora() {
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
		bench("tacho", len(zipped(b, p, bufferSize)), func() error {
			return Write(io.Discard, func(w io.Writer) error { return inBlocks(w, p, bufferSize) })
		})
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(inBlocks(z, p, bufferSize), z.Close()); err != nil {
			b.Fatal(err)
		}
		bench("stdlib", out.Len(), func() error {
			z.Reset(io.Discard)
			return errors.Join(inBlocks(z, p, bufferSize), z.Close())
		})
	}
}

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	if typ := reflect.TypeFor[writer](); typ.Comparable() || typ.Field(0).Type.Size() != 0 {
		t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
	}
}
