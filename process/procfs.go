package process

import "bytes"

// The functions in this file parse files of Linux' /proc, as proc(5) describes. Each
// function refuses text of another form.

// A stat holds the used fields of /proc/self/stat.
type stat struct {
	start    uint64 // clock ticks since boot
	virtual  uint64 // bytes
	resident uint64 // pages
}

// parseStat parses the line of a process. Field 2 is the name of the program in
// parentheses. The name can contain spaces, parentheses and line breaks, so fields are
// counted from the last parenthesis.
func parseStat(b []byte) (s stat, ok bool) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return s, false
	}
	rest := b[end+1:]
	for field := 3; field <= 24; field++ {
		var word []byte
		word, rest = cutWord(rest)
		ok = true
		switch field {
		case 22:
			s.start, ok = parseUint(word)
		case 23:
			s.virtual, ok = parseUint(word)
		case 24:
			s.resident, ok = parseUint(word)
		}
		if !ok {
			return stat{}, false
		}
	}
	return s, s.virtual > 0 // 0 in an emulated /proc, as in qemu-user
}

// parseBootTime returns the number in the line "btime" of /proc/stat: seconds since
// 1970.
func parseBootTime(b []byte) (seconds uint64, ok bool) {
	for line := range bytes.Lines(b) {
		if rest, found := bytes.CutPrefix(line, []byte("btime ")); found {
			word, _ := cutWord(rest)
			return parseUint(word)
		}
	}
	return 0, false
}

// A traffic holds the used fields of /proc/self/net/netstat, in bytes.
type traffic struct{ received, sent uint64 }

// parseNetstat parses pairs of lines. In a pair, the first line lists names and the
// second line lists values. Each line begins with the name of a protocol.
func parseNetstat(b []byte) (t traffic, ok bool) {
	names, values := extension(b)
	var received, sent bool
	for len(names) > 0 && len(values) > 0 {
		var name, value []byte
		name, names = cutWord(names)
		value, values = cutWord(values)
		switch string(name) {
		case "InOctets":
			t.received, received = parseUint(value)
		case "OutOctets":
			t.sent, sent = parseUint(value)
		}
	}
	if !received || !sent {
		return traffic{}, false
	}
	return t, true
}

// extension returns the pair of lines of the protocol IpExt.
func extension(b []byte) (names, values []byte) {
	for line := range bytes.Lines(b) {
		rest, found := bytes.CutPrefix(line, []byte("IpExt:"))
		switch {
		case !found:
		case names == nil:
			names = rest
		default:
			return names, rest
		}
	}
	return nil, nil
}

// cutWord returns the first word of b and the rest of b.
func cutWord(b []byte) (word, rest []byte) {
	b = bytes.TrimLeft(b, " \n")
	if i := bytes.IndexAny(b, " \n"); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// parseUint parses an unsigned decimal number of 64 bits.
func parseUint(b []byte) (n uint64, ok bool) {
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(b) > 0
}
