package console

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/webhook/bearer"
)

// Path is what whoever uses the console has to have the right to get: a path of the API server's authorizers that no API serves.
// Source: RBAC's nonResourceURLs.
const Path = "/console"

// askWithin bounds one question to the API server or to a replica.
const askWithin = 10 * time.Second

// gate decides who comes in: by a token in each request, or by the session that one has begun.
type gate struct {
	*bearer.Gate // nil where nobody signs in
	sessions     sessions
}

func newGate(o Options) *gate {
	g := &gate{sessions: newSessions(o.Now)}
	if o.Auth {
		g.Gate = bearer.New(o.Client, Path)
	}
	return g
}

// userKey is where a request's context holds the user.
type userKey struct{}

func userOf(r *http.Request) string {
	user, _ := r.Context().Value(userKey{}).(string)
	return user
}

// inside lets those in who may use the console, and shows others where to sign in.
func (c *Console) inside(page http.HandlerFunc) http.Handler {
	if !c.o.Auth {
		return page
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, session := c.tokenOf(r)
		if token == "" {
			c.toSignIn(w, r, session)
			return
		}
		user, err := c.gate.CheckToken(r.Context(), token)
		var no *bearer.Refusal
		switch {
		case err == nil:
			page(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
		case errors.As(err, &no) && no.Status == http.StatusUnauthorized && session:
			c.toSignIn(w, r, true)
		default:
			c.refuse(w, r, err)
		}
	})
}

// tokenOf gives the token of a request: its bearer token, or that of its session. session says that there is a cookie.
func (c *Console) tokenOf(r *http.Request) (token string, session bool) {
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") && token != "" {
		return strings.TrimSpace(token), false
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	return c.gate.sessions.token(cookie.Value), true
}

// toSignIn leads to the form, and from there back to the page that was asked for.
func (c *Console) toSignIn(w http.ResponseWriter, r *http.Request, expired bool) {
	if r.Header.Get(fragmentHeader) != "" {
		http.Error(w, "sign in again", http.StatusUnauthorized)
		return
	}
	to := url.Values{"next": {r.URL.RequestURI()}}
	if expired {
		to.Set("expired", "1")
	}
	http.Redirect(w, r, "/sign-in?"+to.Encode(), http.StatusSeeOther)
}

func (c *Console) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, title := statusOf(err)
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="bulkhead"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	c.problem(w, r, status, title, sentence(err.Error()))
}

// statusOf gives the status and the title of a page that says why somebody does not come in.
func statusOf(err error) (status int, title string) {
	status = http.StatusServiceUnavailable
	if no := (*bearer.Refusal)(nil); errors.As(err, &no) {
		status = no.Status
	}
	title = map[int]string{http.StatusUnauthorized: "Not signed in", http.StatusForbidden: "Not allowed"}[status]
	if title == "" {
		title = "Not possible right now"
	}
	return status, title
}

// sentence makes an error's text one.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// local refuses requests to names that are not loopback's where nobody has to sign in: another site's name may lead here, and
// its pages could then read the console (DNS rebinding).
func (c *Console) local(next http.Handler) http.Handler {
	if c.o.Auth {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsLoopback(r.Host) {
			c.problem(w, r, http.StatusMisdirectedRequest, "The console answers to localhost alone",
				"Nobody has to sign in here, so it is reached as localhost or 127.0.0.1, for example through kubectl port-forward. With --console-auth it may have another name.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsLoopback reports whether an address, with or without a port, is one of this host alone.
func IsLoopback(address string) bool {
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
