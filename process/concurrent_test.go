package process

import (
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/tachikoma/tacho"
)

// TestRegisterDuringScrapes: scrapes that call a counter's function while Register defines the
// others do not change what Register defines.
func TestRegisterDuringScrapes(t *testing.T) {
	reg := tacho.NewRegistry()
	families := func() (n int) {
		var b strings.Builder
		if err := reg.WriteText(&b); err != nil {
			t.Error(err)
		}
		return strings.Count(b.String(), "# TYPE process_")
	}
	stop := Register(reg)
	want := families()
	stop()
	end := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-end:
					return
				default:
					if err := reg.WriteText(io.Discard); err != nil {
						t.Error(err)
					}
					runtime.Gosched() // WebAssembly has one thread, and no preemption
				}
			}
		}()
	}
	for range 200 {
		stop := Register(reg)
		if got := families(); got != want {
			t.Errorf("%d families, want %d", got, want)
		}
		stop()
	}
	close(end)
	wg.Wait()
}
