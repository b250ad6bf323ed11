package label

import (
	"reflect"
	"testing"
)

func TestAppendBlock(t *testing.T) {
	for _, c := range []struct {
		labels []Label
		want   string
	}{
		{nil, ` `},
		{[]Label{{Name: "a", Value: "1"}}, `{a="1"} `},
		{[]Label{{Name: "a"}, {Name: "b", Value: "2"}}, `{a="",b="2"} `},
		{[]Label{{Name: "a", Value: "\\ \" \n \t é"}}, `{a="\\ \" \n ` + "\t é" + `"} `},
		{[]Label{{Name: "a.b", Value: "1"}, {Name: "é\"\\\n", Value: "2"}, {Name: "le", Value: "3"}}, `{"a.b"="1","é\"\\\n"="2",le="3"} `},
	} {
		if got := string(AppendBlock([]byte("name"), c.labels)); got != "name"+c.want {
			t.Errorf("%s, want name%s", got, c.want)
		}
	}
}

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Label]()} {
		if typ.Comparable() || typ.Field(0).Type.Size() != 0 {
			t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
		}
	}
}
