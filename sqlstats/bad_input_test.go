package sqlstats

import (
	"database/sql"
	"io"
	"testing"

	"github.com/tachikoma/tacho"
)

// TestNothingToMeasure: a nil pool, and a registry that NewRegistry did not make, are
// refused with a DefinitionError. The registry stays as it was.
func TestNothingToMeasure(t *testing.T) {
	db := new(sql.DB)
	good := tacho.NewRegistry()
	for what, define := range map[string]func(){
		"nil registry":            func() { Register(nil, db, "") },
		"zero registry":           func() { Register(new(tacho.Registry), db, "") },
		"nil pool":                func() { Register(good, nil, "") },
		"nil registry, go_sql":    func() { RegisterGoSQL(nil, db, "") },
		"zero registry, go_sql":   func() { RegisterGoSQL(new(tacho.Registry), db, "") },
		"nil pool, go_sql":        func() { RegisterGoSQL(good, nil, "") },
		"nil registry, durations": func() { QueryDuration(nil) },
	} {
		if _, err := tacho.Try(func() int { define(); return 0 }); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if good.Unregister("db_connections_active") || good.Unregister("go_sql_open_connections") {
		t.Error("a refused pool left a metric")
	}
	if err := good.WriteText(io.Discard); err != nil {
		t.Error(err)
	}
}
