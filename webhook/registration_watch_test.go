package webhook

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// registered is what CompareRegistration wants, as the tests edit it.
func registered() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return Registration(RegistrationOptions{Name: "bulkhead", Namespace: "bulkhead-system", Service: "bulkhead"})
}

func TestCompareRegistration(t *testing.T) {
	type hook = admissionregistrationv1.ValidatingWebhook
	exact, all, cluster, ten, one := admissionregistrationv1.Exact, admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, int32(10), int32(1)
	ignore, fail := admissionregistrationv1.Ignore, admissionregistrationv1.Fail
	other := "/elsewhere"
	expression := func(operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: "kubernetes.io/metadata.name", Operator: operator, Values: values}
	}
	for _, tt := range []struct {
		name string
		edit func(h *hook)
		want string // the problems, without the webhook's name
	}{
		{"as it is", func(*hook) {}, ""},
		{"fails open", func(h *hook) { h.FailurePolicy = &ignore }, ""},
		{"fails closed", func(h *hook) { h.FailurePolicy = &fail }, ""},
		{"another name", func(h *hook) { h.Name = "x.example.com" }, "it is missing"},
		{"an operation less", func(h *hook) { h.Rules[0].Operations = h.Rules[0].Operations[:2] }, "rules lack DELETE networkpolicies"},
		{"no rules", func(h *hook) { h.Rules = nil }, "rules lack CREATE networkpolicies; rules lack UPDATE networkpolicies; rules lack DELETE networkpolicies"},
		{"all operations of all", func(h *hook) {
			h.Rules[0] = admissionregistrationv1.RuleWithOperations{Operations: []admissionregistrationv1.OperationType{"*"}, Rule: admissionregistrationv1.Rule{
				APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}, Scope: &all,
			}}
		}, ""},
		{"rules in two", func(h *hook) {
			second := *h.Rules[0].DeepCopy()
			h.Rules[0].Operations, second.Operations = h.Rules[0].Operations[:1], second.Operations[1:]
			h.Rules = append(h.Rules, second)
		}, ""},
		{"no scope", func(h *hook) { h.Rules[0].Scope = nil }, ""},
		{"another scope", func(h *hook) { h.Rules[0].Scope, h.Rules[0].Operations = &cluster, h.Rules[0].Operations[:3] },
			"rules lack CREATE networkpolicies; rules lack UPDATE networkpolicies; rules lack DELETE networkpolicies"},
		{"a condition less", func(h *hook) { h.MatchConditions = h.MatchConditions[1:] }, ""},
		{"conditions in another order", func(h *hook) { slices.Reverse(h.MatchConditions) }, ""},
		{"a condition more", func(h *hook) {
			h.MatchConditions = append(h.MatchConditions, condition("not-red", "request.namespace != 'red'"))
		},
			`matchConditions have "not-red", or an expression in it, that is not this version's`},
		{"another condition of the same name", func(h *hook) { h.MatchConditions[0].Expression = "false" },
			`matchConditions have "policy-changed", or an expression in it, that is not this version's`},
		{"no namespace selector", func(h *hook) { h.NamespaceSelector = nil }, ""},
		{"a namespace more is left out", func(h *hook) {
			h.NamespaceSelector.MatchExpressions[0].Values = append(h.NamespaceSelector.MatchExpressions[0].Values, "red")
		}, "namespaceSelector leaves out more namespaces"},
		{"a namespace less is left out", func(h *hook) {
			h.NamespaceSelector.MatchExpressions[0].Values = h.NamespaceSelector.MatchExpressions[0].Values[:1]
		}, ""},
		{"a tenant's label", func(h *hook) { h.NamespaceSelector.MatchLabels = map[string]string{"judged": "true"} }, "namespaceSelector leaves out more namespaces"},
		{"some namespaces alone", func(h *hook) { h.NamespaceSelector.MatchExpressions[0] = expression("In", "shop") }, "namespaceSelector leaves out more namespaces"},
		{"objects", func(h *hook) { h.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}} }, "objectSelector leaves out objects"},
		{"all objects", func(h *hook) { h.ObjectSelector = &metav1.LabelSelector{} }, ""},
		{"exact", func(h *hook) { h.MatchPolicy = &exact }, "matchPolicy is Exact, not Equivalent"},
		{"longer", func(h *hook) { h.TimeoutSeconds = &ten }, ""},
		{"an older review", func(h *hook) { h.AdmissionReviewVersions = []string{"v1beta1"} },
			`admissionReviewVersions are ["v1beta1"] and lack v1, the only one that is answered`},
		{"shorter", func(h *hook) { h.TimeoutSeconds = &one }, "timeoutSeconds is 1, not 5"},
		{"another path", func(h *hook) { h.ClientConfig.Service.Path = &other }, `clientConfig has the path "/elsewhere", not "/validate"`},
		{"a URL", func(h *hook) {
			u := "https://bulkhead.example.com:9443/validate"
			h.ClientConfig.Service, h.ClientConfig.URL = nil, &u
		}, ""},
	} {
		got := registered().DeepCopy()
		tt.edit(&got.Webhooks[0])
		var found []string
		for _, p := range CompareRegistration(registered(), got) {
			if p.Webhook != "networkpolicies.bulkhead.dev" {
				t.Errorf("%s: %s", tt.name, p)
			}
			found = append(found, p.Detail)
		}
		if text := strings.Join(found, "; "); text != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, text, tt.want)
		}
	}
	if got := CompareRegistration(registered(), nil); len(got) != len(registered().Webhooks) {
		t.Errorf("a registration that is gone: %v", got)
	}
	system := registered().DeepCopy()
	system.Webhooks[1].NamespaceSelector.MatchExpressions[0] = expression("In", "kube-system", "shop")
	if got := CompareRegistration(registered(), system); len(got) > 0 {
		t.Errorf("more namespaces: %v", got)
	}
}

// TestRegistrationWatch follows a registration from before it exists, through edits, until it is gone and back.
func TestRegistrationWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, allowed := fake.NewClientset(), false
		client.PrependReactor("create", "selfsubjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &authorizationv1.SelfSubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: allowed}}, nil
		})
		log := &safeBuffer{}
		none := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none yet") }
		w := NewRegistrationWatch(client, "bulkhead", "bulkhead-system", none, slog.New(slog.NewJSONHandler(log, nil)))
		b := &bench{TB: t, registry: prometheus.NewRegistry(), log: log}
		b.registry.MustRegister(w)
		go w.Run(t.Context())
		objects := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		check := func(what string, problems int, logged string) {
			t.Helper()
			synctest.Wait()
			sum := 0
			for _, s := range b.series("bulkhead_registration_problems") {
				var n int
				if _, err := fmt.Sscan(s[strings.LastIndex(s, " ")+1:], &n); err != nil {
					t.Fatal(err)
				}
				sum += n
			}
			if sum != problems {
				t.Errorf("%s: %v, want %d in sum", what, b.series("bulkhead_registration_problems"), problems)
			}
			if n := strings.Count(log.String(), logged); n != 1 {
				t.Errorf("%s: the log has %d times %q:\n%s", what, n, logged, log.String())
			}
		}
		pass(2 * registrationAgain)
		check("without the rights", 0, "list validatingwebhookconfigurations.admissionregistration.k8s.io bulkhead")
		if len(b.series("bulkhead_registration")) > 0 {
			t.Error("series about what is not known")
		}
		allowed = true
		pass(2 * registrationAgain)
		check("before it exists", 6, "it does not exist")

		current, err := objects.Create(t.Context(), registered(), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pass(2 * registrationRest)
		check("created", 0, "as it should be again")
		if got := b.series("bulkhead_registration_failure_policy"); len(got) != 6 || !strings.Contains(got[0], "policy=Ignore") {
			t.Errorf("failure policies %v", got)
		}
		wantSeries(t, b, "bulkhead_registration_timeout_seconds{webhook=networkpolicies.bulkhead.dev} 5")
		current.Webhooks[0].TimeoutSeconds = nil
		current.Webhooks[0].Rules, current.Webhooks[5].MatchConditions[0].Expression = nil, "false"
		if current, err = objects.Update(t.Context(), current, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		pass(2 * registrationRest)
		check("edited", 4, "networkpolicies.bulkhead.dev: rules lack DELETE networkpolicies")
		wantSeries(t, b, "bulkhead_registration_timeout_seconds{webhook=networkpolicies.bulkhead.dev} 10") // what the API takes none for
		pass(3 * registrationAgain)
		check("still edited", 4, "templates.bulkhead.dev: matchConditions have")
		if err := objects.Delete(t.Context(), current.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		pass(2 * registrationRest)
		synctest.Wait()
		if n := strings.Count(log.String(), "it does not exist"); n != 2 {
			t.Errorf("%d times gone:\n%s", n, log.String())
		}
	})
}

// pass lets the time of the test's bubble go by.
func pass(d time.Duration) { time.Sleep(d) }

func TestCompareTrust(t *testing.T) {
	ca, stranger := newServerCA(t), newServerCA(t)
	bundle := func(authorities ...*serverCA) []byte {
		var out []byte
		for _, a := range authorities {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
		}
		return out
	}
	template := certificateTemplate("bulkhead")
	template.DNSNames = []string{"bulkhead.bulkhead-system.svc"}
	serving := ca.sign(template)
	for _, tt := range []struct {
		name, service, url string
		bundle             []byte
		want               string
	}{
		{"our Service", "bulkhead", "", bundle(ca), ""},
		{"during a rotation", "bulkhead", "", bundle(stranger, ca), ""},
		{"another Service", "elsewhere", "", bundle(ca), `clientConfig names "elsewhere.bulkhead-system.svc", for which the serving certificate is not`},
		{"another server", "", "https://evil.example.com/validate", bundle(ca), `clientConfig names "evil.example.com", for which`},
		{"our URL", "", "https://bulkhead.bulkhead-system.svc:9443/validate", bundle(ca), ""},
		{"another CA", "bulkhead", "", bundle(stranger), "caBundle does not trust the serving certificate: "},
		{"no CA", "bulkhead", "", nil, "caBundle is empty"},
		{"rubbish", "bulkhead", "", []byte("rubbish"), "caBundle does not trust the serving certificate: "},
	} {
		got := Registration(RegistrationOptions{Name: "bulkhead", Namespace: "bulkhead-system", Service: tt.service, URL: strings.TrimSuffix(tt.url, Path), CABundle: tt.bundle})
		problems := CompareTrust(registered(), got, serving)
		if tt.want == "" && len(problems) > 0 || tt.want != "" && (len(problems) != len(got.Webhooks) || !strings.HasPrefix(problems[0].Detail, tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, problems, tt.want)
		}
	}
	if got := CompareTrust(registered(), registered(), nil); len(got) > 0 {
		t.Errorf("before there is a certificate: %v", got)
	}
}
