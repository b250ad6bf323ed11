package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// A client reads responses by the description of the protocol alone.
type client struct {
	position Position
	leftOut  uint64
	now      uint64
	step     uint64
	span     uint64
	families map[uint64]clientFamily
	columns  map[uint64]column
	series   map[uint64]clientSeries
	slots    map[uint64]clientSlot
	values   map[uint64]float64 // by slot, after the last step
	steps    []clientStep
	before   map[string]float64 // the values before the first step of the last full response
	shapes   bool               // the labels of a series are followed by the kind of its family and its columns
}

type clientFamily struct {
	kind             byte
	name, unit, help string
}

type clientSeries struct {
	family uint64
	labels string
}

type clientSlot struct{ series, column uint64 }

// A clientStep has the values of all slots at a step, by a text that describes the slot.
type clientStep struct {
	number, at uint64
	values     map[string]float64
}

// A response is the rest of a response. A read past its end panics with errShort.
type response struct{ b []byte }

var errShort = errors.New("the response is too short")

func (r *response) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		panic(errShort)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *response) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		panic(errShort)
	}
	r.b = r.b[n:]
	return v
}

func (r *response) signed() int64 {
	v := r.number()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *response) word() uint64   { return binary.LittleEndian.Uint64(r.bytes(8)) }
func (r *response) float() float64 { return math.Float64frombits(r.word()) }
func (r *response) text() string   { return string(r.bytes(r.number())) }

// read applies a response.
func (c *client) read(b []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	r := &response{b}
	if v := r.bytes(1)[0]; v != 1 {
		return fmt.Errorf("version %d", v)
	}
	full := r.bytes(1)[0] == 1
	id := r.word()
	if full {
		*c = client{families: map[uint64]clientFamily{}, columns: map[uint64]column{}, series: map[uint64]clientSeries{}, slots: map[uint64]clientSlot{}, values: map[uint64]float64{}, shapes: c.shapes}
	} else if id != c.position.Ring {
		return fmt.Errorf("an increment of ring %x, want %x", id, c.position.Ring)
	}
	c.position.Ring = id
	c.now, c.step, c.span, c.leftOut = r.number(), r.number(), r.number(), r.number()
	for range r.number() {
		id := r.number()
		c.families[id] = clientFamily{r.bytes(1)[0], r.text(), r.text(), r.text()}
	}
	for range r.number() {
		id := r.number()
		c.columns[id] = column{r.bytes(1)[0], r.float(), r.float()}
	}
	for range r.number() {
		id, family := r.number(), r.number()
		if _, ok := c.families[family]; !ok {
			return fmt.Errorf("series %d has the unknown family %d", id, family)
		}
		var labels []string
		for range r.number() {
			labels = append(labels, r.text()+"="+r.text())
		}
		c.series[id] = clientSeries{family, strings.Join(labels, ",")}
	}
	for range r.number() {
		slot, n, series, first := r.number(), r.number(), r.number(), r.number()
		if _, ok := c.series[series]; !ok {
			return fmt.Errorf("slot %d has the unknown series %d", slot, series)
		}
		for i := range n {
			if _, ok := c.columns[first+i]; !ok {
				return fmt.Errorf("slot %d has the unknown column %d", slot+i, first+i)
			}
			c.slots[slot+i] = clientSlot{series, first + i}
		}
		if c.shapes && c.columns[first].kind != columnNative {
			s := c.series[series]
			s.labels += fmt.Sprintf("/%d/%d", c.families[s.family].kind, n)
			c.series[series] = s
		}
	}
	slot := uint64(0)
	for range r.number() {
		slot += r.number()
		c.values[slot] = r.float()
		slot++
	}
	if full {
		c.before = c.named()
	}
	for range r.number() {
		number, at := r.number(), r.number()
		if c.position.Step != 0 && number != c.position.Step+1 {
			return fmt.Errorf("step %d follows step %d", number, c.position.Step)
		}
		if n := len(c.steps); n > 0 && c.steps[n-1].at >= at {
			return fmt.Errorf("time %d follows %d", at, c.steps[n-1].at)
		}
		c.record(&response{r.bytes(r.number())})
		c.position.Step = number
		c.steps = append(c.steps, clientStep{number, at, c.named()})
	}
	if len(r.b) > 0 {
		return fmt.Errorf("%d bytes follow the response", len(r.b))
	}
	return nil
}

// record applies a payload.
func (c *client) record(r *response) {
	slot := int64(-1)
	for len(r.b) > 0 {
		slot += r.signed() + 1
		s := uint64(slot)
		if _, ok := c.slots[s]; !ok {
			panic(fmt.Sprintf("a record of the unknown slot %d", slot))
		}
		switch code := r.number(); {
		case code == 1:
			delete(c.values, s)
		case code == 3:
			c.values[s] = r.float()
		case code&1 == 0:
			d := int64(code >> 2)
			if code>>1&1 == 1 {
				d = ^d
			}
			last, ok := c.values[s]
			if !ok {
				panic("a difference from an absent value")
			}
			c.values[s] = last + float64(d)
		default:
			panic(fmt.Sprintf("code %d", code))
		}
	}
}

// named returns the values by a text that describes their slot.
func (c *client) named() map[string]float64 {
	m := make(map[string]float64, len(c.values))
	for slot, v := range c.values {
		if v != v {
			continue
		}
		s := c.slots[slot]
		series := c.series[s.series]
		name := slotName(c.families[series.family].name, series.labels, c.columns[s.column])
		if _, ok := m[name]; ok {
			panic("two slots of " + name)
		}
		m[name] = v
	}
	return m
}

func slotName(family, labels string, c column) string {
	return fmt.Sprintf("%s{%s} %d %v %v", family, labels, c.kind, c.left, c.right)
}
