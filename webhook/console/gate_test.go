package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// apiServer knows the tokens alice and bob; alice may use the console.
type apiServer struct {
	mu    sync.Mutex
	asked int
	down  bool
}

func (a *apiServer) client() *fake.Clientset {
	c := fake.NewClientset()
	c.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked++
		if a.down {
			return true, nil, errors.New("connection refused")
		}
		r := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		if token := r.Spec.Token; token == "alice" || token == "bob" {
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
				Username: token, Groups: []string{"team"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}},
			}}
		}
		return true, r, nil
	})
	c.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		r := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		about := r.Spec.NonResourceAttributes
		r.Status.Allowed = r.Spec.User == "alice" && slices.Equal(r.Spec.Groups, []string{"team"}) && about != nil && about.Path == "/console" && about.Verb == "get"
		return true, r, nil
	})
	return c
}

func guarded() (*site, *apiServer) {
	a := &apiServer{}
	return &site{auth: true, client: a.client(), now: noon, records: some(3)}, a
}

// TestWhoComesIn: by token and header.
func TestWhoComesIn(t *testing.T) {
	s, a := guarded()
	h := s.handler(t)
	for name, c := range map[string]struct {
		header []string
		status int
		words  string
	}{
		"nobody":                       {nil, http.StatusSeeOther, ""},
		"wrong token":                  {[]string{"Authorization: Bearer mallory"}, http.StatusUnauthorized, "does not accept"},
		"no right":                     {[]string{"Authorization: Bearer bob"}, http.StatusForbidden, "/console"},
		"right":                        {[]string{"Authorization: Bearer alice", "Host: console.example"}, http.StatusOK, "signed in as alice"},
		"made up session":              {[]string{"Cookie: " + cookieName + "=ABC"}, http.StatusSeeOther, ""},
		"basic":                        {[]string{"Authorization: Basic YWxpY2U6YWxpY2U="}, http.StatusSeeOther, ""},
		"the script without a session": {[]string{"X-Bulkhead-Refresh: 1"}, http.StatusUnauthorized, "sign in again"},
	} {
		status, page, head := get(t, h, "/?q=x", c.header...)
		if status != c.status || !strings.Contains(textOf(page), c.words) {
			t.Errorf("%s gets %d, want %d with %q:\n%s", name, status, c.status, c.words, textOf(page))
		}
		if status == http.StatusSeeOther && !strings.HasPrefix(head.Get("Location"), "/sign-in?") {
			t.Errorf("%s is led to %s", name, head.Get("Location"))
		}
		if status != http.StatusOK && strings.Contains(page, "uid-") {
			t.Errorf("%s sees records", name)
		}
	}
	a.mu.Lock()
	a.down = true
	a.mu.Unlock()
	if status, page, _ := get(t, s.handler(t), "/", "Authorization: Bearer alice"); status != http.StatusServiceUnavailable || strings.Contains(page, "uid-") {
		t.Errorf("without the API server alice gets %d", status)
	}
}

// post signs in or out as a browser does, and gives the cookie that is set.
func post(t *testing.T, h http.Handler, path string, form url.Values, header ...string) (int, string, *http.Cookie, http.Header) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	status, page, head := send(t, h, r, append([]string{"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"}, header...)...)
	for _, c := range (&http.Response{Header: head}).Cookies() {
		return status, page, c, head
	}
	return status, page, nil, head
}

// TestSession: a token becomes a cookie that means nothing elsewhere, and that ends in an hour and by signing out. That it
// ends with its token is the gate's to see, which is asked each time.
func TestSession(t *testing.T) {
	s, _ := guarded()
	h := s.handler(t)
	for token, words := range map[string]string{"": "Paste a token.", "mallory": "does not accept", "bob": "/console"} {
		status, page, cookie, _ := post(t, h, "/sign-in", url.Values{"token": {token}})
		if status < 400 || cookie != nil || !strings.Contains(textOf(page), words) {
			t.Errorf("token %q: %d, cookie %v: %s", token, status, cookie, textOf(page))
		}
	}
	signIn := func() *http.Cookie {
		status, _, cookie, head := post(t, h, "/sign-in", url.Values{"token": {" alice\n"}, "next": {"/posture?x=1"}})
		if status != http.StatusSeeOther || head.Get("Location") != "/posture?x=1" || cookie == nil {
			t.Fatalf("alice gets %d to %q, cookie %v", status, head.Get("Location"), cookie)
		}
		if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" ||
			strings.Contains(cookie.Value, "alice") || len(cookie.Value) < 20 {
			t.Errorf("the cookie is %v", cookie)
		}
		return cookie
	}
	in := func(cookie *http.Cookie) bool {
		status, _, _ := get(t, h, "/", "Cookie: "+cookieName+"="+cookie.Value)
		return status == http.StatusOK
	}
	first := signIn()
	if !in(first) {
		t.Error("the session does not hold")
	}
	if status, _, _, _ := post(t, h, "/sign-out", nil, "Cookie: "+cookieName+"="+first.Value); status != http.StatusSeeOther || in(first) {
		t.Errorf("signing out gives %d, and the session holds: %v", status, in(first))
	}
	second := signIn()
	if s.now = s.now.Add(sessionFor); in(second) {
		t.Error("the session holds after an hour")
	}
}

// TestCrossOrigin: a form on another site signs nobody in or out.
func TestCrossOrigin(t *testing.T) {
	s, _ := guarded()
	h := s.handler(t)
	for _, header := range [][]string{{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Sec-Fetch-Site: ", "Origin: https://evil.example"}} {
		status, _, cookie, _ := post(t, h, "/sign-in", url.Values{"token": {"alice"}}, header...)
		if status != http.StatusForbidden || cookie != nil {
			t.Errorf("%q: %d, cookie %v", header, status, cookie)
		}
	}
}

// TestFewQuestions: an answer holds for a moment, so that a page that refreshes does not ask each time.
func TestFewQuestions(t *testing.T) {
	s, a := guarded()
	h := s.handler(t)
	for range 20 {
		get(t, h, "/", "Authorization: Bearer alice")
		get(t, h, "/", "Authorization: Bearer mallory")
	}
	if a.asked != 2 {
		t.Errorf("the API server was asked %d times", a.asked)
	}
}

// TestLocalPath: after signing in nobody is led to another site.
func TestLocalPath(t *testing.T) {
	for path, want := range map[string]string{
		"/posture?x=1#y": "/posture?x=1#y", "": "/", "//evil.example": "/", "https://evil.example/": "/", "/\\evil.example": "/", "javascript:alert(1)": "/",
		"/\nSet-Cookie: x": "/", "posture": "/", "/ok": "/ok",
	} {
		if got := localPath(path); got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
}

// TestSessionsAreBounded: the oldest makes room.
func TestSessionsAreBounded(t *testing.T) {
	now := noon
	s := newSessions(func() time.Time { return now })
	first := s.begin("first")
	for range maxSessions {
		now = now.Add(time.Millisecond)
		s.begin("x")
	}
	if len(s.all) != maxSessions || s.token(first) != "" {
		t.Errorf("%d sessions, the first holds %q", len(s.all), s.token(first))
	}
}

// TestCheckAddress: what others can reach needs a sign-in and TLS.
func TestCheckAddress(t *testing.T) {
	for _, c := range []struct {
		address   string
		auth, tls bool
		words     string
	}{
		{"127.0.0.1:8082", false, false, ""},
		{"[::1]:8082", false, false, ""},
		{"localhost:0", true, false, ""},
		{"10.0.0.1:8443", true, true, ""},
		{":8082", false, false, "add --console-auth"},
		{"0.0.0.0:8082", false, true, "add --console-auth"},
		{"10.0.0.1:8082", true, false, "--console-cert-dir"},
		{"8082", false, false, "write a host and a port"},
	} {
		err := CheckAddress(c.address, c.auth, c.tls)
		if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
