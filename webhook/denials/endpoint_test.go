package denials

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/bulkhead-dev/bulkhead/webhook/bearer"
)

// open is a gate that lets every token in.
func open() *bearer.Gate {
	c := fake.NewClientset()
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		review.Status.Authenticated = true
		if review.Spec.Token == "broken" {
			return true, nil, errors.New("away")
		}
		return true, review, nil
	})
	c.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		review.Status.Allowed = true
		return true, review, nil
	})
	return bearer.New(c, Path)
}

func get(h http.Handler, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEndpoint(t *testing.T) {
	ring := NewRing("host-1", start)
	for i := range 600 {
		ring.Add(start, uint64(i), true, named(fmt.Sprintf("<%d>", i)))
	}
	h := Handler(ring, open())
	for _, tt := range []struct {
		method, path, token string
		status              int
		text                string
		first, last         string
		next                uint64
	}{
		{"GET", "/denials", "t", 200, `{"replica":"host-1","epoch":`, "<0>", "<499>", 500},
		{"GET", "/denials?after=500", "t", 200, "", "<500>", "<599>", 600},
		{"GET", "/denials?after=600&limit=1", "t", 200, `"records":[]}`, "", "", 600},
		{"GET", "/denials?after=1&limit=2", "t", 200, "", "<1>", "<2>", 3},
		{"GET", "/denials?after=-1", "t", 400, `after: a whole number is needed, the "next" of the page before`, "", "", 0},
		{"GET", "/denials?limit=0", "t", 400, "limit: a whole number from 1 to 2000 is needed", "", "", 0},
		{"GET", "/denials?limit=many", "t", 400, "limit: ", "", "", 0},
		{"GET", "/denials", "", 401, "send the token", "", "", 0},
		{"GET", "/denials?after=x", "", 401, "send the token", "", "", 0}, // who is nobody learns nothing
		{"GET", "/denials", "broken", 503, "the API server could not say who you are", "", "", 0},
		{"POST", "/denials", "t", 405, "", "", "", 0},
		{"GET", "/denials/", "t", 404, "", "", "", 0},
		{"GET", "/metrics", "t", 404, "", "", "", 0},
	} {
		w := get(h, tt.method, tt.path, tt.token)
		what := fmt.Sprintf("%s %s as %q", tt.method, tt.path, tt.token)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
		if w.Code != 200 {
			continue
		}
		var p Page
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatalf("%s: %v in %s", what, err, w.Body)
		}
		first, last := "", ""
		if len(p.Records) > 0 {
			first, last = p.Records[0].Name, p.Records[len(p.Records)-1].Name
		}
		if first != tt.first || last != tt.last || p.Next != tt.next || p.Epoch == "" {
			t.Errorf("%s: from %s to %s, next %d, epoch %q", what, first, last, p.Next, p.Epoch)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: header %v", what, w.Header())
		}
	}
}

// TestPagesAreBounded: large records make pages short, and they still join without a gap.
func TestPagesAreBounded(t *testing.T) {
	ring := NewRing("", start)
	for i := range 100 {
		ring.Add(start, uint64(i), true, named(strings.Repeat("n", 30<<10)))
	}
	h := Handler(ring, open())
	at, pages, seen := uint64(0), 0, 0
	for at < 100 && pages < 100 {
		w := get(h, "GET", fmt.Sprintf("/denials?after=%d", at), "t")
		var p Page
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if w.Body.Len() > pageBytes+1<<10 || len(p.Records) == 0 || p.Records[0].Number != at+1 {
			t.Fatalf("after %d: a page of %d bytes with %d records", at, w.Body.Len(), len(p.Records))
		}
		at, pages, seen = p.Next, pages+1, seen+len(p.Records)
	}
	if seen != 100 || pages < 3 {
		t.Errorf("%d records in %d pages", seen, pages)
	}
}

// TestFewAtATime: more requests than are worked on at a time get 503, and the next one is answered again.
func TestFewAtATime(t *testing.T) {
	asked, waits := make(chan struct{}), make(chan struct{})
	// The API server holds the first questions back.
	reviews := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-waits
		http.Error(w, "away", http.StatusInternalServerError)
	}))
	t.Cleanup(reviews.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: reviews.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	h, answered := Handler(NewRing("", start), bearer.New(client, Path)), make(chan int)
	for i := range atOnce {
		go func() { answered <- get(h, "GET", Path, fmt.Sprintf("t-%d", i)).Code }()
		<-asked
	}
	if w := get(h, "GET", Path, "t"); w.Code != 503 || !strings.Contains(w.Body.String(), "too many requests at a time") || w.Header().Get("Retry-After") != "1" {
		t.Errorf("one too many: %d %s", w.Code, w.Body)
	}
	close(waits)
	for range atOnce {
		if code := <-answered; code != 503 {
			t.Errorf("one of those worked on: %d", code)
		}
	}
	if w := get(h, "GET", Path, ""); w.Code != 401 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}
