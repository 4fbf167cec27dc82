// Package bearer lets people and programs read a page of Bulkhead's own with the rights that the cluster gives them: the API
// server says whose a bearer token is and whether they may get the page. Without its answer nobody gets in.
package bearer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// remember is how long an answer of the API server holds: a right that is taken away is gone after that.
	remember = 10 * time.Second
	// answers bounds how many answers are kept.
	answers = 128
	// Tokens that were not good a moment ago are asked about this often in a second, so that made up ones do not become a flood of
	// questions to the API server.
	strangers, strangersAtOnce = 5, 10
	// patience bounds one question.
	patience = 5 * time.Second
	maxToken = 16 << 10
)

// Refusal is why somebody does not get in: an HTTP status of 401, 403, 429 or 503, and words for whoever asks.
type Refusal struct {
	Status  int
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// Gate checks who may get one path.
type Gate struct {
	client  kubernetes.Interface
	path    string
	limiter *rate.Limiter
	now     func() time.Time
	known   *cache
}

// New makes a Gate for the path, such as "/denials".
func New(client kubernetes.Interface, path string) *Gate {
	return &Gate{
		client: client, path: path, limiter: rate.NewLimiter(strangers, strangersAtOnce), now: time.Now, known: newCache(answers),
	}
}

// Check gives the name of the user whose request it is, or a *Refusal.
func (g *Gate) Check(ctx context.Context, r *http.Request) (user string, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return "", &Refusal{http.StatusUnauthorized, "send the token of an account of the cluster: Authorization: Bearer <token>"}
	}
	return g.CheckToken(ctx, token)
}

// CheckToken gives the name of the user whose token it is, or a *Refusal.
func (g *Gate) CheckToken(ctx context.Context, token string) (user string, err error) {
	key := sha256.Sum256([]byte(token))
	now := g.now()
	before, found := g.known.get(key)
	if found && now.Before(before.until) {
		return before.result()
	}
	if !before.good() && !g.limiter.AllowN(now, 1) {
		return "", &Refusal{http.StatusTooManyRequests, "too many unknown tokens, try again in a second"}
	}
	answer, err := g.ask(ctx, token)
	if err != nil {
		return "", &Refusal{http.StatusServiceUnavailable, "the API server could not say who you are or what you may do, try again: " + short(err.Error())}
	}
	answer.until = now.Add(remember)
	g.known.put(key, answer)
	return answer.result()
}

// ask has the API server say whose the token is, and whether they may get the path.
func (g *Gate) ask(ctx context.Context, token string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	who, err := g.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("token review: %w", err)
	}
	if !who.Status.Authenticated {
		return &answer{refusal: &Refusal{http.StatusUnauthorized, "the API server does not accept this token; it may have expired"}}, nil
	}
	user := who.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	may, err := g.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: g.path, Verb: "get"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("access review: %w", err)
	}
	if !may.Status.Allowed || may.Status.Denied {
		return &answer{refusal: &Refusal{http.StatusForbidden, fmt.Sprintf(
			"user %s may not get %s; bind a ClusterRole that grants the verb get on the nonResourceURL %s", short(user.Username), g.path, g.path)}}, nil
	}
	return &answer{user: user.Username}, nil
}

// short makes text of others safe to show: quoted where it has to be, and cut.
func short(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "..."
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
