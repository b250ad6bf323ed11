//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// uploadServer returns a server of streams and uploads, with or without the middleware.
func uploadServer(measured bool, release <-chan struct{}) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Write(b[:1])
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-release
	})
	if measured {
		return httptest.NewServer(NewHTTPMetrics(NewRegistry()).Handler(mux))
	}
	return httptest.NewServer(mux)
}

// heapAfterUploads returns the growth of the live heap by finished uploads, one after
// another, while streams are open.
func heapAfterUploads(t *testing.T, measured bool, streams, uploads, size int) int64 {
	t.Helper()
	release := make(chan struct{})
	srv := uploadServer(measured, release)
	defer srv.Close()
	before := testkit.HeapBytes()
	var open sync.WaitGroup
	for range streams {
		resp, err := srv.Client().Get(srv.URL + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		open.Add(1)
		go func() {
			defer open.Done()
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}()
	}
	body := make([]byte, size)
	for range uploads {
		resp, err := srv.Client().Post(srv.URL+"/upload", "", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	used := testkit.HeapBytes() - before - int64(cap(body))
	runtime.KeepAlive(body)
	close(release)
	open.Wait()
	return used
}

// TestFinishedRequestsAreReleased compares the live heap of a server after uploads with
// that of a server without metrics. A request holds its response writer, and that holds the
// connection and its buffers, so the middleware must keep nothing of a finished request.
func TestFinishedRequestsAreReleased(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector keeps memory of its own")
	}
	for _, c := range []struct {
		name                   string
		streams, uploads, size int
	}{
		{"large uploads", 0, scale(10, 20, 100), 8 << 20},
		{"uploads beside streams", 200, scale(300, 1000, 3000), 256 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			bare := heapAfterUploads(t, false, c.streams, c.uploads, c.size)
			got := heapAfterUploads(t, true, c.streams, c.uploads, c.size)
			t.Logf("%d bytes without metrics, %d with metrics", bare, got)
			// The metrics themselves take less than 256 KiB.
			if most := max(bare, 0)*11/10 + 256<<10; got > most {
				t.Errorf("the heap grew by %d bytes, without metrics by %d; want at most %d", got, bare, most)
			}
		})
	}
}
