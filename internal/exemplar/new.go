package exemplar

// New returns an Exemplar of value v at a time in Unix milliseconds. The labels are name, value, name,
// value. New copies the labels. It returns nil if the labels are bad; see [Slot.Record].
func New(v float64, at int64, labels []string) *Exemplar {
	x := &Exemplar{Value: v, At: at}
	block, ok := appendBlock(x.own[:0], labels)
	if !ok {
		return nil
	}
	x.Labels = string(block)
	return x
}
