package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// grant gives an account rules of the whole cluster until the test ends.
func (s *suite) grant(t *testing.T, name string, account rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	t.Helper()
	rbac := s.clients.RbacV1()
	meta := metav1.ObjectMeta{Name: name}
	if _, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, Subjects: []rbacv1.Subject{account}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := errors.Join(rbac.ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{}), rbac.ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{}))
		if err != nil {
			t.Error(err)
		}
	})
}

// rulesOf writes rights as rules.
func rulesOf(rights []webhook.Right) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, r := range rights {
		out = append(out, rbacv1.PolicyRule{Verbs: []string{r.Verb}, APIGroups: []string{r.Group}, Resources: []string{r.Resource}})
	}
	return out
}

// bulkheadAccount is what the replicas run as.
func bulkheadAccount() rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: replica.Namespace, Name: replica.ServiceAccount}
}

// addressOn gives an address of the host on which nobody listens.
func addressOn(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tokenOf makes a token of a new service account.
func (s *suite) tokenOf(t *testing.T, namespace, name string) string {
	t.Helper()
	accounts := s.clients.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	made, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Status.Token
}

// testDenials asks a replica for the denials: with the API server's tokens and rights, over the replica's certificate.
func (s *suite) testDenials(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	if code, text := s.serve(t, "--denials", "--denials-address", addressOn(t, s.host)); code == 0 || !strings.Contains(text, "create tokenreviews.authentication.k8s.io") {
		t.Errorf("without the right to ask whose a token is: %d\n%s", code, text)
	}
	s.grant(t, "bulkhead-e2e-asks", bulkheadAccount(), rulesOf(webhook.DenialsRights())...)
	auditor, nobody := s.tokenOf(t, namespace, "auditor"), s.tokenOf(t, namespace, "nobody")
	s.grant(t, "bulkhead-e2e-auditor", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "auditor"},
		rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{denials.Path}})

	address := addressOn(t, s.host)
	r := s.startExtra(t, replica.Options{Args: []string{"--denials", "--denials-address", address}})
	s.register(t, namespace, r.URL, "networking.k8s.io", "networkpolicies")
	trust, err := s.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := clientOf(trust)
	ask := func(query, token string) (int, string) {
		t.Helper()
		status, body, err := get(t.Context(), client, "https://"+address+denials.Path+query, token)
		if err != nil {
			t.Fatal(err)
		}
		return status, body
	}
	for _, tt := range []struct {
		name, token string
		status      int
		text        string
	}{
		{"no token", "", 401, "send the token"},
		{"a token of nobody", "made.up.token", 401, "the API server does not accept this token"},
		{"no right", nobody, 403, "user system:serviceaccount:" + namespace + ":nobody may not get /denials"},
		{"the right", auditor, 200, `"records":[]`},
	} {
		if status, body := ask("", tt.token); status != tt.status || !strings.Contains(body, tt.text) {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	if a := s.dev(t, networkPolicy("allowed", allowDNS), "create", "-n", namespace, "-f", "-"); !a.ok {
		t.Fatal(a.text())
	}
	var p denials.Page
	eventually(t, "the extra replica to be asked", func(context.Context) error {
		s.dev(t, networkPolicy("lonely", ignored), "create", "-n", namespace, "-f", "-")
		_, body := ask("", auditor)
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		for _, record := range p.Records {
			if record.Name == "lonely" {
				return nil
			}
		}
		return fmt.Errorf("got %s", body)
	})
	for _, record := range p.Records {
		if record.Name != "lonely" {
			continue
		}
		if record.Decision != denials.Denied || record.User != dev || record.Operation != "CREATE" || record.Resource != "NetworkPolicy" || record.Namespace != namespace ||
			record.DryRun || record.UID == "" || !slices.ContainsFunc(record.Findings, func(f denials.Finding) bool { return f.Guardrail == "rules-ignored" && f.Action == "Deny" }) ||
			!slices.ContainsFunc(record.Cut, func(f denials.Flow) bool { return f.To == namespace+"/api" }) {
			t.Errorf("the record is %+v", record)
		}
	}
	if status, body := ask(fmt.Sprintf("?after=%d", p.Next), auditor); status != 200 || !strings.Contains(body, `"records":[]`) {
		t.Errorf("after the last: %d %s", status, body)
	}
}

func get(ctx context.Context, client *http.Client, url, token string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// postReviews sends n reviews to a replica as the API server would, whatever comes back.
func postReviews(t *testing.T, client *http.Client, url string, n int, made func(i int) string) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+webhook.Path+"?timeout=5s", strings.NewReader(made(i)))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// manyNames is how many made up names the metrics have to stand.
const manyNames = 100_000

// maxSeries is how many series a replica may have, whatever is sent: the Go runtime's, the process's and controller-runtime's
// included.
const maxSeries = 500

// testCardinality sends a replica names by the hundred thousand: of users, objects, namespaces, kinds, subresources, operations
// and field paths. Its metrics have as many series afterwards as before.
func (s *suite) testCardinality(t *testing.T) {
	r := s.startExtra(t, replica.Options{})
	trust, err := s.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 8}}
	count := func() (total int, own map[string]int) {
		t.Helper()
		metrics, err := r.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		own = map[string]int{}
		for line := range strings.Lines(metrics) {
			if name, _, _ := strings.Cut(line, "{"); line[0] != '#' {
				name, _, _ = strings.Cut(name, " ")
				own[name]++
				total++
			}
		}
		return total, own
	}
	eventually(t, "the replica to look at its registration", func(context.Context) error {
		if _, found := s.metricOf(t, r, "bulkhead_registration_problems"); !found {
			return errors.New("it has not")
		}
		return nil
	})
	// Each kind of answer once: what exists then is all that may ever exist.
	postReviews(t, client, r.URL, 2000, func(i int) string { return madeUp(i, "first") })
	before, first := count()
	start := time.Now()
	postReviews(t, client, r.URL, manyNames, func(i int) string { return madeUp(i, fmt.Sprintf("n%d-%d", i, rand.Uint64())) })
	after, byName := count()
	t.Logf("%d series before and %d after %d made up names (%s)", before, after, manyNames, time.Since(start).Round(time.Second))
	if after > maxSeries {
		t.Errorf("%d series, at most %d are allowed: %v", after, maxSeries, byName)
	}
	for name, n := range byName {
		if n != first[name] {
			t.Errorf("%d series of %s became %d", first[name], name, n)
		}
	}
	judged, _ := s.metricOf(t, r, "bulkhead_decisions_total")
	if judged < manyNames {
		t.Errorf("only %.0f requests were counted", judged)
	}
}

func (s *suite) metricOf(t *testing.T, r *replica.Replica, name string) (float64, bool) {
	t.Helper()
	metrics, err := r.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sum(metrics, name)
}

// madeUp is a review in which one thing after the other is made up.
func madeUp(i int, name string) string {
	operation, group, resource, subresource, namespace, kind := "CREATE", "networking.k8s.io", "networkpolicies", "", "default", "NetworkPolicy"
	user, object, spec := "e2e", "x", emptyPolicy
	if i%100 == 54 { // denied, which costs live reads
		spec += `,"egress":[{}]`
	}
	switch i % 10 {
	case 0:
		operation = name
	case 1:
		resource = name
	case 2:
		group, kind = name, name
	case 3:
		subresource = name
	case 4, 5, 6:
		object = name
	case 7, 8:
		user = name
	case 9:
		if i%200 == 9 { // of a namespace that it does not know, Bulkhead asks the API server
			namespace = name
		}
	}
	return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":%q,"operation":%q,"namespace":%q,"name":%q,`+
		`"userInfo":{"username":%q,"groups":[%q]},"subResource":%q,"resource":{"group":%q,"version":"v1","resource":%q},`+
		`"kind":{"group":%q,"version":"v1","kind":%q},"object":{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",`+
		`"metadata":{"name":%q,"namespace":%q,"labels":{%q:"x"}},"spec":{%s}},"dryRun":%t}}`,
		name, operation, namespace, object, user, user, subresource, group, resource, group, kind, object, namespace, name, spec, i%3 == 0)
}
