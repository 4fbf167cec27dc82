package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// cluster answers as an API server would: tokens are "token-of-<user>", and may is who may get the path.
type cluster struct {
	*fake.Clientset
	may       []string
	broken    error
	questions int
	asked     authorizationv1.SubjectAccessReviewSpec
}

func newGate(may ...string) (*Gate, *cluster, *time.Time) {
	c := &cluster{Clientset: fake.NewClientset(), may: may}
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		c.questions++
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		user, known := strings.CutPrefix(review.Spec.Token, "token-of-")
		review.Status.Authenticated = known
		review.Status.User = authenticationv1.UserInfo{
			Username: user, UID: "7", Groups: []string{"people"}, Extra: map[string]authenticationv1.ExtraValue{"scope": {"a"}},
		}
		return true, review, c.broken
	})
	c.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		c.asked = review.Spec
		review.Status.Allowed = slices.Contains(c.may, review.Spec.User)
		return true, review, nil
	})
	g := New(c, "/denials")
	now := time.Unix(1_800_000_000, 0)
	g.now = func() time.Time { return now }
	return g, c, &now
}

func check(g *Gate, authorization string) (string, error) {
	r := httptest.NewRequest(http.MethodGet, "/denials", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return g.Check(r.Context(), r)
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, authorization string
		broken              error
		status              int
		message             string
	}{
		{"may", "Bearer token-of-auditor", nil, 0, ""},
		{"spelled otherwise", "bearer  token-of-auditor ", nil, 0, ""},
		{"nothing sent", "", nil, 401, "send the token"},
		{"another scheme", "Basic token-of-auditor", nil, 401, "send the token"},
		{"no token", "Bearer ", nil, 401, "send the token"},
		{"a huge token", "Bearer token-of-auditor" + strings.Repeat("x", maxToken), nil, 401, "send the token"},
		{"a token of nobody", "Bearer made-up", nil, 401, "does not accept this token"},
		{"may not", "Bearer token-of-jane", nil, 403, "user jane may not get /denials; bind a ClusterRole that grants the verb get on the nonResourceURL /denials"},
		{"an odd name", "Bearer token-of-\u202e\x1b", nil, 403, `user \u202e\x1b may not`},
		{"no answer", "Bearer token-of-auditor", errors.New("away"), 503, "try again: token review: away"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, c, _ := newGate("auditor")
			c.broken = tt.broken
			user, err := check(g, tt.authorization)
			if tt.status == 0 {
				if err != nil || user != "auditor" {
					t.Errorf("got %q, %v", user, err)
				}
				return
			}
			refusal := (*Refusal)(nil)
			if user != "" || !errors.As(err, &refusal) || refusal.Status != tt.status || !strings.Contains(refusal.Message, tt.message) {
				t.Errorf("got %q, %#v", user, err)
			}
		})
	}
}

// TestWhoIsAskedAbout: the access review is about all that the token review says of the user.
func TestWhoIsAskedAbout(t *testing.T) {
	g, c, _ := newGate("auditor")
	if _, err := check(g, "Bearer token-of-auditor"); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %v %v %+v", c.asked.User, c.asked.UID, c.asked.Groups, c.asked.Extra, *c.asked.NonResourceAttributes)
	if got != "auditor 7 [people] map[scope:[a]] {Path:/denials Verb:get}" || c.asked.ResourceAttributes != nil {
		t.Errorf("asked about %s", got)
	}
}

// TestAnswersHoldForAWhile: and no longer, so that a right that is taken away is gone.
func TestAnswersHoldForAWhile(t *testing.T) {
	g, c, now := newGate("auditor")
	status := func(token string) int {
		_, err := check(g, "Bearer token-of-"+token)
		refusal := (*Refusal)(nil)
		if errors.As(err, &refusal) {
			return refusal.Status
		}
		return http.StatusOK
	}
	for range 5 {
		if got := []int{status("auditor"), status("jane")}; !slices.Equal(got, []int{200, 403}) {
			t.Fatalf("got %v", got)
		}
	}
	if c.questions != 2 {
		t.Errorf("%d questions about 2 tokens", c.questions)
	}
	c.may = []string{"jane"}
	*now = now.Add(remember - 1)
	if got := status("auditor"); got != 200 {
		t.Errorf("within the time: %d", got)
	}
	*now = now.Add(1)
	if got := []int{status("auditor"), status("jane")}; !slices.Equal(got, []int{403, 200}) {
		t.Errorf("after the time: %v", got)
	}
	c.broken = errors.New("away")
	*now = now.Add(remember)
	if got := status("jane"); got != 503 {
		t.Errorf("nobody to ask: %d", got)
	}
}

// TestMadeUpTokensAreNoFlood: of very many tokens the API server is asked about few, answers do not pile up, and who was let in a
// moment ago is not kept out by it.
func TestMadeUpTokensAreNoFlood(t *testing.T) {
	g, c, now := newGate("auditor")
	if _, err := check(g, "Bearer token-of-auditor"); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(remember)
	refused := map[int]int{}
	for i := range 10_000 {
		_, err := check(g, fmt.Sprintf("Bearer made-up-%d", i))
		refusal := (*Refusal)(nil)
		if !errors.As(err, &refusal) {
			t.Fatalf("let in: %v", err)
		}
		refused[refusal.Status]++
	}
	if refused[401] != strangersAtOnce || refused[429] != 10_000-strangersAtOnce || c.questions != strangersAtOnce+1 {
		t.Errorf("refused %v with %d questions", refused, c.questions)
	}
	if user, err := check(g, "Bearer token-of-auditor"); err != nil || user != "auditor" {
		t.Errorf("kept out by made up tokens: %v", err)
	}
	for i := range 1000 {
		*now = now.Add(time.Second)
		_, _ = check(g, fmt.Sprintf("Bearer later-%d", i))
	}
	if n := len(g.known.by); n != answers || g.known.order.Len() != answers {
		t.Errorf("%d answers kept, want %d", n, answers)
	}
}
