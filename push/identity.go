//go:build !tacho_nohttp

package push

import (
	"errors"
	"os"
	"slices"
	"strconv"

	constlabel "github.com/tachikoma/tacho/internal/label"
)

// identity returns labels with the labels job and instance, unless job is empty. If instance is empty,
// the label instance is the result of defaultInstance. Elements of labels override job and instance.
//
// The process ID distinguishes the programs of a host. A restarted program gets other series, as a new
// container does.
func identity(job, instance string, labels []label) ([]label, error) {
	if job == "" {
		if instance != "" {
			return nil, errors.New("tacho: push: an Instance needs a Job")
		}
		return labels, nil
	}
	if instance == "" {
		instance = defaultInstance()
	}
	own, err := parseLabels([]string{"job", job, "instance", instance})
	if err != nil {
		return nil, err
	}
	for _, l := range own {
		if !slices.ContainsFunc(labels, func(other label) bool { return other.name == l.name }) {
			labels = append(labels, l)
		}
	}
	return labels, nil
}

// defaultInstance returns the host name, a colon and the process ID.
func defaultInstance() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	return host + ":" + strconv.Itoa(os.Getpid())
}

// anonymous reports whether no target label distinguishes the program from others.
func (r *receiver) anonymous() bool {
	return !slices.ContainsFunc(r.targets, func(l constlabel.Label) bool {
		return l.Name == "job" || l.Name == "instance"
	})
}

// hint returns the end of the error of refused samples, which can be empty. Programs with the same labels
// write to the same series. The receiver then refuses samples of one program because of the samples of
// another program.
func (r *receiver) hint(reason string) string {
	if reason != "duplicate" && reason != "out_of_order" || !r.anonymous() {
		return ""
	}
	return "; if other programs push the same series, set Job and Instance"
}
