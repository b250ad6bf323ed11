package label

import (
	"reflect"
	"testing"
)

func TestAppendBlock(t *testing.T) {
	for _, c := range []struct {
		consts []Label
		names  []string
		values []string
		want   string
	}{
		{nil, nil, nil, ` `},
		{nil, []string{"a"}, []string{"1"}, `{a="1"} `},
		{nil, []string{"a", "b"}, []string{"", "2"}, `{a="",b="2"} `},
		{[]Label{{Name: "c", Value: "3"}}, nil, nil, `{c="3"} `},
		{[]Label{{Name: "c", Value: "3"}, {Name: "d", Value: ""}}, []string{"a"}, []string{"1"}, `{c="3",d="",a="1"} `},
		{nil, []string{"a"}, []string{"\\ \" \n \t é"}, `{a="\\ \" \n ` + "\t é" + `"} `},
		{nil, []string{"a"}, []string{"x\xffy"}, "{a=\"x\uFFFDy\"} "},
		{[]Label{{Name: "a.b", Value: "1"}}, []string{"é\"\\\n", "le"}, []string{"2", "3"}, `{"a.b"="1","é\"\\\n"="2",le="3"} `},
	} {
		if got := string(AppendBlock([]byte("name"), c.consts, c.names, keyOf(c.values...))); got != "name"+c.want {
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
