package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Path is what whoever uses the console has to have the right to get: a path of the API server's authorizers that no API serves.
// Source: RBAC's nonResourceURLs.
const Path = "/console"

const (
	// trustFor is how long an answer of the API server about a token holds: a right that is taken away ends in that time.
	trustFor = 10 * time.Second
	// maxAnswers bounds the answers that are held.
	maxAnswers = 1000
	// askWithin bounds one question to the API server.
	askWithin = 10 * time.Second
	// questions bounds those that are asked at a time.
	questions = 4
)

// gate decides who comes in.
type gate struct {
	o        Options
	asking   chan struct{}
	sessions sessions

	mu      sync.Mutex
	answers map[[sha256.Size]byte]answer
}

// answer is what the API server said about a token.
type answer struct {
	user string
	err  error
	at   time.Time
}

// refusal is an answer to whoever is not let in.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func newGate(o Options) *gate {
	return &gate{o: o, asking: make(chan struct{}, questions), answers: map[[sha256.Size]byte]answer{}, sessions: newSessions(o.Now)}
}

// check gives the name of the user to whom a token belongs and who may use the console; otherwise a refusal.
func (g *gate) check(ctx context.Context, token string) (user string, err error) {
	key := sha256.Sum256([]byte(token))
	g.mu.Lock()
	known, found := g.answers[key]
	g.mu.Unlock()
	if found && g.o.Now().Sub(known.at) < trustFor {
		return known.user, known.err
	}
	select {
	case g.asking <- struct{}{}:
		defer func() { <-g.asking }()
	case <-ctx.Done():
		return "", &refusal{http.StatusServiceUnavailable, "The API server is asked about too many tokens at a time. Try again in a second."}
	}
	user, err = g.ask(ctx, token)
	var r *refusal
	if err == nil || errors.As(err, &r) && r.status != http.StatusServiceUnavailable {
		g.remember(key, answer{user, err, g.o.Now()})
	}
	return user, err
}

func (g *gate) remember(key [sha256.Size]byte, a answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.answers) >= maxAnswers {
		clear(g.answers)
	}
	g.answers[key] = a
}

// ask asks the API server who the token's user is, and whether they may use the console.
func (g *gate) ask(ctx context.Context, token string) (user string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	review, err := g.o.Client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", g.unable(err)
	}
	if !review.Status.Authenticated {
		return "", &refusal{http.StatusUnauthorized, "The API server does not accept this token. It may have expired; get a new one."}
	}
	who := review.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(who.Extra))
	for k, v := range who.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	access, err := g.o.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: who.Username, Groups: who.Groups, UID: who.UID, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: Path, Verb: "get"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", g.unable(err)
	}
	if !access.Status.Allowed {
		return "", &refusal{http.StatusForbidden, fmt.Sprintf(
			"%s may not use the console: the right to get the non-resource URL %s is missing. Bind a ClusterRole that has it to this user.",
			who.Username, Path)}
	}
	return who.Username, nil
}

func (g *gate) unable(err error) error {
	g.o.Logger.Warn("the console cannot ask the API server who somebody is", "error", err.Error())
	return &refusal{http.StatusServiceUnavailable, "The API server could not be asked who this is. Try again; the log of the audit says why."}
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
		user, err := c.gate.check(r.Context(), token)
		var no *refusal
		switch {
		case err == nil:
			page(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
		case errors.As(err, &no) && no.status == http.StatusUnauthorized && session:
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
	no := &refusal{http.StatusInternalServerError, err.Error()}
	errors.As(err, &no)
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="bulkhead"`)
	}
	c.problem(w, r, no.status, map[int]string{
		http.StatusUnauthorized: "Not signed in", http.StatusForbidden: "Not allowed", http.StatusServiceUnavailable: "Not possible right now",
	}[no.status], no.text)
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
