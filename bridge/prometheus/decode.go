package prombridge

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/tachikoma/tacho"
	"google.golang.org/protobuf/encoding/protodelim"
)

// decode returns the families of a scrape of reg, sorted by name. A family can have several
// messages in a row, which decode joins.
func decode(reg *tacho.Registry) ([]*dto.MetricFamily, error) {
	var buf bytes.Buffer
	if err := reg.WriteProtobuf(&buf); err != nil {
		return nil, err
	}
	var families []*dto.MetricFamily
	options := protodelim.UnmarshalOptions{MaxSize: -1}
	for {
		f := new(dto.MetricFamily)
		if err := options.UnmarshalFrom(&buf, f); errors.Is(err, io.EOF) {
			return families, nil
		} else if err != nil {
			return families, err
		}
		sortLabels(f)
		if n := len(families); n > 0 && families[n-1].GetName() == f.GetName() {
			families[n-1].Metric = append(families[n-1].Metric, f.Metric...)
		} else {
			families = append(families, f)
		}
	}
}

// sortLabels sorts the labels of each metric by name, as client_golang does.
func sortLabels(f *dto.MetricFamily) {
	for _, m := range f.Metric {
		slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	}
}
