package conformance

import (
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
)

// seed adds n inputs that are made of nothing but chance, the same ones every time.
func seed(f *testing.F, n uint64) {
	f.Helper()
	for i := range n {
		r := rand.New(rand.NewPCG(i, 0))
		data := make([]byte, 1200*i/n)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		f.Add(data)
	}
}

// FuzzText makes a registry from bytes, records in it, and wants all of it back
// from what the text format says, scrape after scrape.
func FuzzText(f *testing.F) {
	seed(f, 150)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newTwin(t, &dice{data}, false)
		for range 2 {
			data, x := w.scrapeText(t), w.expect()
			checkText(t, data, x)
		}
	})
}

// FuzzOpenMetrics is FuzzText for OpenMetrics.
func FuzzOpenMetrics(f *testing.F) {
	seed(f, 100)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newTwin(t, &dice{data}, false)
		for range 2 {
			data, x := w.scrapeOpenMetrics(t), w.expect()
			checkOpenMetrics(t, data, x)
		}
	})
}

// FuzzNames lets names be any UTF-8 text, and asks for both formats with each way
// to say such names.
func FuzzNames(f *testing.F) {
	seed(f, 50)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &dice{data}
		w := newTwin(t, d, true)
		handler := w.reg.Handler()
		for _, format := range []string{"text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"} {
			for _, escaping := range []model.EscapingScheme{model.NoEscaping, model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping} {
				response := httptest.NewRecorder()
				request := httptest.NewRequest("GET", "/metrics", nil)
				request.Header.Set("Accept", format+";escaping="+escaping.String())
				handler.ServeHTTP(response, request)
				x := w.expect()
				x.escaping = escaping
				contentType := response.Header().Get("Content-Type")
				check, want := checkText, typeText
				if strings.HasPrefix(format, "application/") {
					check, want = checkOpenMetrics, typeOpenMetrics
				}
				if want += "; escaping=" + escaping.String(); contentType != want {
					t.Errorf("Content-Type %s, want %s", contentType, want)
				}
				if check(t, response.Body.Bytes(), x); t.Failed() {
					t.Fatalf("with names by %v; refused: %v", escaping, w.errors)
				}
			}
		}
	})
}
