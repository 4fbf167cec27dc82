package console

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// cookieName has the prefix by which browsers hold a cookie to one host and to TLS. Source: RFC 6265bis, section 4.1.3.
	cookieName = "__Host-bulkhead"
	// sessionFor is how long one sign-in holds. A token that expires sooner ends it sooner.
	sessionFor = time.Hour
	// maxSessions bounds the sessions; the oldest makes room.
	maxSessions = 1000
	// maxForm bounds a request's body, in bytes: a token has a few thousand.
	maxForm = 64 << 10
)

// sessions are who is signed in. They are in memory alone, so a restart ends them; the cookie is a number that means nothing to
// anybody else.
type sessions struct {
	now func() time.Time
	mu  *sync.Mutex
	all map[string]session
}

type session struct {
	token string
	begun time.Time
}

func newSessions(now func() time.Time) sessions {
	return sessions{now: now, mu: &sync.Mutex{}, all: map[string]session{}}
}

// begin gives the name of a new session.
func (s *sessions) begin(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for id, other := range s.all {
		if s.now().Sub(other.begun) >= sessionFor {
			delete(s.all, id)
		} else if oldest == "" || other.begun.Before(s.all[oldest].begun) {
			oldest = id
		}
	}
	if len(s.all) >= maxSessions {
		delete(s.all, oldest)
	}
	id := rand.Text()
	s.all[id] = session{token, s.now()}
	return id
}

// token gives the token of a session, empty where there is none.
func (s *sessions) token(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.all[id]
	if !ok || s.now().Sub(found.begun) >= sessionFor {
		delete(s.all, id)
		return ""
	}
	return found.token
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request) {
	if !c.o.Auth {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	problem := ""
	if r.URL.Query().Get("expired") != "" {
		problem = "The session has ended. Sign in again."
	}
	c.showSignIn(w, r, http.StatusOK, problem, r.URL.Query().Get("next"))
}

func (c *Console) showSignIn(w http.ResponseWriter, r *http.Request, status int, problem, next string) {
	c.pages.write(w, status, "signin", c.frame(r, "Sign in", ""), map[string]any{"Problem": problem, "Next": localPath(next)})
}

// signIn takes a token and, where it is good, begins a session.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	if !c.o.Auth {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	token, next := strings.TrimSpace(r.PostFormValue("token")), localPath(r.PostFormValue("next"))
	if token == "" {
		c.showSignIn(w, r, http.StatusUnprocessableEntity, "Paste a token.", next)
		return
	}
	if _, err := c.gate.CheckToken(r.Context(), token); err != nil {
		status, _ := statusOf(err)
		c.showSignIn(w, r, status, sentence(err.Error()), next)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: c.gate.sessions.begin(token), Path: "/", MaxAge: int(sessionFor.Seconds()), HttpOnly: true, Secure: true,
		SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		c.gate.sessions.end(cookie.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// localPath gives a path of the console to lead to, "/" for anything that may lead elsewhere.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return "/"
	}
	return s
}
