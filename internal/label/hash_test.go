package label

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func hashOf(values ...string) uint32 { return NewHasher().Add(values).Sum() }

// TestValuesOneByOne: a Hasher adds values one by one or together. Size counts their bytes
// and the values.
func TestValuesOneByOne(t *testing.T) {
	check := func(values []string) {
		t.Helper()
		h, one, size := NewHasher().Add(values), NewHasher(), 0
		for i, v := range values {
			one = one.Add(values[i : i+1])
			size += len(v) + 1
		}
		if one != h || h.Size() != size {
			t.Fatalf("%q: %+v, added one by one %+v, want size %d", values, h, one, size)
		}
	}
	for range 2000 {
		values := make([]string, rand.IntN(5))
		for i := range values {
			values[i] = strings.Repeat("é日\x00", 20)[:6*rand.IntN(20)]
		}
		check(values)
	}
	text := strings.Repeat("0123456789abcdef", 10)
	for n := range 100 {
		check([]string{text[:n]})
		check([]string{text[:n], text[n/2 : n]})
		check([]string{"", text[:n], ""})
	}
	for n := range 30 {
		values := make([]string, n)
		for i := range values {
			values[i] = strconv.Itoa(i * i)
		}
		check(values)
	}
}

// useSecrets sets the secrets until the test ends. With fixed secrets a test is the same in
// every run.
func useSecrets(t *testing.T, secrets [3]uint64) {
	old := hashSecrets
	t.Cleanup(func() { hashSecrets = old })
	hashSecrets = secrets
}

var someSecrets = [3]uint64{0x2d358dccaa6c78a5, 0x8bb84b93962eacc9, 0x4b33a62ed433d4a3}

// TestHashesDiffer: lists of values have different hashes if they have the same bytes with
// other boundaries or in another order, or if one byte of a value differs.
func TestHashesDiffer(t *testing.T) {
	useSecrets(t, someSecrets)
	seen := map[uint32][]string{}
	lists := map[string]bool{}
	add := func(values ...string) {
		t.Helper()
		list := fmt.Sprintf("%q", values)
		if lists[list] {
			return
		}
		lists[list] = true
		h := hashOf(values...)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same hash", values, other)
		}
		seen[h] = values
	}
	text := "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
	for n := range len(text) + 1 {
		for cut := range n + 1 {
			add(text[:cut], text[cut:n])
			add(text[cut:n], text[:cut])
			add(text[:cut], "", text[cut:n])
		}
		add(text[:n])
		add("", text[:n])
		add(text[:n], "")
		add(strings.Repeat("\x00", n))
		add(strings.Repeat("a", n), strings.Repeat("a", 42-n))
	}
	for n := range 41 { // one byte differs, at each position
		clear(seen)
		clear(lists)
		add(text[:n])
		add("GET", text[:n], "200")
		for at := range n {
			for _, flip := range []byte{0x01, 0x20, 0x80} {
				b := []byte(text[:n])
				b[at] ^= flip
				add(string(b))
				add("GET", string(b), "200")
			}
		}
	}
}

// TestSecrets: each process has other secrets. A secret has many bits, is odd and so is not 0.
func TestSecrets(t *testing.T) {
	const printSecrets = "TACHO_TEST_PRINT_SECRETS"
	if os.Getenv(printSecrets) != "" {
		fmt.Println("secrets", hashSecrets[0], hashSecrets[1], hashSecrets[2])
		return
	}
	processes := 12 // a secret that is not always odd is odd by chance in some
	seen := map[uint64]bool{}
	for i := range processes {
		secrets := hashSecrets
		if i > 0 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestSecrets$", "-test.v")
			cmd.Env = append(os.Environ(), printSecrets+"=1")
			out, err := cmd.CombinedOutput()
			if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) || err != nil && strings.Contains(err.Error(), "exec format error") {
				t.Skip(err) // no processes, or an emulator runs this one
			}
			_, line, _ := strings.Cut(string(out), "secrets ")
			if _, scan := fmt.Sscan(line, &secrets[0], &secrets[1], &secrets[2]); err != nil || scan != nil {
				t.Fatalf("%v, %v: %s", err, scan, out)
			}
		}
		for _, secret := range secrets {
			if seen[secret] || secret%2 == 0 || bits.OnesCount64(secret) < 8 {
				t.Errorf("process %d has the secrets %#x", i, secrets)
			}
			seen[secret] = true
		}
	}
}

// reference returns the hash of values as the comments of Hasher describe the hash. The two
// words of each 16 bytes are multiplied. The last two words hold the end of the value.
func reference(values []string) uint32 {
	word := func(s string) uint64 { // the first byte is the lowest
		v := uint64(0)
		for i := range len(s) {
			v |= uint64(s[i]) << (8 * i)
		}
		return v
	}
	sum, x, y := hashSecrets[0], hashSecrets[1], hashSecrets[2]
	for _, s := range values {
		add := func(a, b uint64) {
			product := new(big.Int).Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
			high := new(big.Int).Rsh(product, 64).Uint64()
			sum += high ^ new(big.Int).And(product, new(big.Int).SetUint64(1<<64-1)).Uint64()
			x, y = x<<23|x>>41, y<<41|y>>23
		}
		last := y<<(len(s)%64) | y>>(64-len(s)%64)
		rest := s
		for ; len(rest) > 16; rest = rest[16:] {
			add(word(rest[:8])^x, word(rest[8:16])^y)
		}
		var a, b uint64
		switch n := len(s); {
		case n > 16:
			a, b = word(s[n-16:n-8]), word(s[n-8:])
		case n >= 8:
			a, b = word(s[:8]), word(s[n-8:])
		case n >= 4:
			a, b = word(s[:4]), word(s[n-4:])
		case n >= 2:
			a, b = word(s[:2]), word(s[n-2:])
		case n == 1:
			a = word(s)
		}
		add(a^x, b^last)
	}
	return uint32((sum ^ sum>>32) * hashSecrets[1] >> 32)
}

// TestHashOfAllWords compares the hash with reference. A word that is left out, or two
// words with one secret, would let a client find values with one hash.
func TestHashOfAllWords(t *testing.T) {
	useSecrets(t, someSecrets)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		for _, count := range []int{1, 2, 5} {
			values := make([]string, count)
			for i := range values {
				b := make([]byte, n>>i)
				for j := range b {
					b[j] = byte(random.Uint32())
				}
				values[i] = string(b)
			}
			if got, want := hashOf(values...), reference(values); got != want {
				t.Fatalf("%d values, the first of %d bytes: hash %#x, want %#x", count, n, got, want)
			}
		}
	}
	if got, want := hashOf(), reference(nil); got != want {
		t.Errorf("no values: hash %#x, want %#x", got, want)
	}
}

// TestHashOfSecret: the hash depends on the secrets, so that a client cannot aim at a slot.
func TestHashOfSecret(t *testing.T) {
	useSecrets(t, someSecrets)
	for i := range hashSecrets {
		before := [...]uint32{hashOf("a"), hashOf("a", "b", "c"), hashOf(strings.Repeat("a", 40))}
		hashSecrets[i] ^= 1 << 40
		for j, after := range [...]uint32{hashOf("a"), hashOf("a", "b", "c"), hashOf(strings.Repeat("a", 40))} {
			if after == before[j] {
				t.Errorf("secret %d does not change hash %d", i, j)
			}
		}
	}
}

// TestDistribution: values that count up do not cluster in a table, with any secrets. A
// lookup in a table that is half full takes about half a step past its first slot.
func TestDistribution(t *testing.T) {
	useSecrets(t, someSecrets)
	random := rand.New(rand.NewPCG(1, 2))
	lists := map[string]func(i int) []string{
		"numbers": func(i int) []string { return []string{strconv.Itoa(i)} },
		"paths":   func(i int) []string { return []string{"GET", "/api/v1/resource/" + strconv.Itoa(i), "200"} },
		"pairs":   func(i int) []string { return []string{strconv.Itoa(i / 8), strconv.Itoa(i % 8)} },
		"bytes":   func(i int) []string { return []string{string(rune(i))} },
		"lengths": func(i int) []string { return []string{strings.Repeat("a", i)} },
		"long":    func(i int) []string { return []string{strings.Repeat("a", 60) + strconv.Itoa(i)} },
	}
	const n, size = 64, 128
	for name, values := range lists {
		worst := 0.0
		for range 1000 {
			for i := range hashSecrets {
				hashSecrets[i] = random.Uint64() | 1
			}
			var used [size]bool
			steps := 0
			for i := range n {
				at := hashOf(values(i)...) % size
				for used[at] {
					at = (at + 1) % size
					steps++
				}
				used[at] = true
			}
			worst = max(worst, float64(steps)/n)
		}
		t.Logf("%s: at most %.2f steps", name, worst)
		if worst > 4 {
			t.Errorf("%s: with some secrets a lookup takes %.1f steps", name, worst)
		}
	}
}

// TestLengthsDoNotCollide: a client that knows the algorithm and not the secrets must not
// find many values with one hash. The values below have the same two words apart from the
// low bits of the second word, which cancel the length.
func TestLengthsDoNotCollide(t *testing.T) {
	useSecrets(t, someSecrets)
	random := rand.New(rand.NewPCG(1, 2))
	worst := 0
	for range 1000 {
		for i := range hashSecrets {
			hashSecrets[i] = random.Uint64() | 1
		}
		for guess := uint64(1); guess < 64; guess += 2 { // of the low bits of a secret
			hashes := map[uint32]int{}
			for n := 17; n <= 32; n++ {
				s := make([]byte, n)
				for i := range s {
					s[i] = 'a'
				}
				b := binary.LittleEndian.Uint64(s[n-8:])
				binary.LittleEndian.PutUint64(s[n-8:], b^((guess+uint64(n))^guess))
				hashes[hashOf(string(s))]++
			}
			for _, count := range hashes {
				worst = max(worst, count)
			}
		}
	}
	if worst > 2 {
		t.Errorf("%d of 16 values have one hash", worst)
	}
}
