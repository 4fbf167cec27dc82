package webhook

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// labelled makes a Namespace with one more label, "key=value".
func labelled(name, label string, edit ...func(ns *corev1.Namespace)) *corev1.Namespace {
	ns := namespaceOf(name)
	if key, value, set := strings.Cut(label, "="); set {
		ns.Labels[key] = value
	}
	for _, e := range edit {
		e(ns)
	}
	return ns
}

func going(ns *corev1.Namespace) {
	now := metav1.Now()
	ns.DeletionTimestamp, ns.Finalizers = &now, []string{"kubernetes"}
}

// relabel makes the request that changes a Namespace from one state to another.
func relabel(t testing.TB, old, new *corev1.Namespace) *admissionv1.AdmissionRequest {
	t.Helper()
	r := admissionRequest(t, update, "", "namespaces", "", "Namespace", old, new)
	r.Namespace, r.Name = new.Name, new.Name
	return r
}

func TestDecodeNamespaces(t *testing.T) {
	plain, team := namespaceOf("shop"), labelled("shop", "team=a")
	annotated := labelled("shop", "", func(ns *corev1.Namespace) { ns.Annotations = map[string]string{"note": "x"} })
	for _, tt := range []struct {
		name              string
		operation         admissionv1.Operation
		subresource, kind string
		old, new          any
		want              string
	}{
		{"label put on", update, "", "Namespace", plain, team, "namespace oldnew"},
		{"label taken off", update, "", "Namespace", team, plain, "namespace oldnew"},
		{"label put on by its status", update, "status", "Namespace", plain, team, "namespace oldnew"},
		{"label put on with its finalizers", update, "finalize", "Namespace", plain, team, "namespace oldnew"},
		{"annotated", update, "", "Namespace", plain, annotated, "skip unchanged"},
		{"labels null and empty", update, "", "Namespace", `{"metadata":{"labels":null}}`, `{"metadata":{"labels":{}}}`, "skip unchanged"},
		{"status without another label", update, "status", "Namespace", team, team, "skip unchanged"},
		{"going", update, "", "Namespace", labelled("shop", "", going), labelled("shop", "team=a", going), "skip deletion"},
		{"finalized", update, "finalize", "Namespace", labelled("shop", "", going), labelled("shop", "team=a", going), "skip deletion"},
		{"last finalizer taken away", update, "finalize", "Namespace", labelled("shop", "team=a", going), plain, "skip deletion"},
		{"create", create, "", "Namespace", nil, team, "skip unchanged"},
		{"delete", deleted, "", "Namespace", team, nil, "skip deletion"},
		{"unknown subresource", update, "labels", "Namespace", plain, team, "500"},
		{"connect", connect, "", "Namespace", plain, team, "500"},
		{"without oldObject", update, "", "Namespace", nil, team, "500"},
		{"without object", update, "", "Namespace", plain, nil, "500"},
		{"of another kind", update, "", "Pod", plain, team, "500"},
		{"of another type", update, "", "Namespace", plain, `"x"`, "400"},
		{"with a label that is a number", update, "", "Namespace", plain, `{"metadata":{"labels":{"a":1}}}`, "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeRequest(admissionRequest(t, tt.operation, "", "namespaces", tt.subresource, tt.kind, tt.old, tt.new))
			checkDecoded(t, got, err, tt.want)
		})
	}
	r := relabel(t, namespaceOf("other"), labelled("other", "team=a"))
	r.Namespace = "shop"
	if got, err := decodeRequest(r); err != nil || got.oldNamespace.Name != "shop" || got.newNamespace.Name != "shop" {
		t.Errorf("the request says which namespace it is: %+v, %v", got, err)
	}
}

// needsTeam stands in for a guardrail about Namespaces: each must keep a label team that it has.
func needsTeam() policy.Guardrail {
	return policy.Guardrail{
		Slug: "needs-team", DefaultAction: config.Deny, On: []policy.Trigger{policy.NamespaceWrite},
		Check: func(c *policy.Change, _ any) []policy.Violation {
			if c.OldLabels["team"] == c.NewLabels["team"] || c.Before.NamespaceLabels(c.Name)["team"] == "" || c.Requester.Name == "boss" {
				return nil
			}
			return []policy.Violation{{Field: "metadata.labels", Live: true, Detail: "team " + c.OldLabels["team"] + " would lose " + c.Name}}
		},
	}
}

func TestNamespaceChangesAreJudged(t *testing.T) {
	guardrails := []policy.Guardrail{needsTeam()}
	cfg := configOf(t, guardrails, deny+"exempt: {namespaces: [sandbox]}\n")
	loses := func(name string) *admissionv1.AdmissionRequest {
		return relabel(t, labelled(name, "team=a"), namespaceOf(name))
	}
	on := func(subresource string, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionRequest {
		r.SubResource = subresource
		return r
	}
	by := func(user string, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionRequest {
		r.UserInfo = authenticationv1.UserInfo{Username: user, Groups: []string{"system:authenticated"}}
		return r
	}
	live := []*corev1.Namespace{labelled("shop", "team=a"), namespaceOf("kube-system"), namespaceOf("bulkhead-system")}
	for _, tt := range []struct {
		name     string
		request  *admissionv1.AdmissionRequest
		decision string
		warnings int
	}{
		{"denied", loses("shop"), decisionDenied, 0},
		{"denied through the status", on("status", loses("shop")), decisionDenied, 0},
		{"denied through the finalizers", on("finalize", loses("shop")), decisionDenied, 0},
		{"the snapshot does not know it", loses("new"), decisionDenied, 0},
		{"the requester counts", by("boss", loses("shop")), decisionAllowed, 0},
		{"the namespace controller is nobody special in an update", by("system:serviceaccount:kube-system:namespace-controller", loses("shop")), decisionDenied, 0},
		{"kube-system", loses("kube-system"), decisionWarned, 1},
		{"Bulkhead's own", loses("bulkhead-system"), decisionWarned, 1},
		{"exempt", loses("sandbox"), decisionExempt, 0},
		{"nothing lost", relabel(t, labelled("shop", "team=a"), labelled("shop", "team=a", func(ns *corev1.Namespace) { ns.Labels["x"] = "y" })), decisionAllowed, 0},
		{"going", relabel(t, labelled("shop", "team=a", going), labelled("shop", "", going)), decisionSkipped, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, shop().Snapshot(), guardrails, cfg, live[0], live[1], live[2])
			got := b.send(t.Context(), tt.request)
			if got.code != http.StatusOK || got.Allowed != (tt.decision != decisionDenied) || len(got.Warnings) != tt.warnings {
				t.Fatalf("got %d %s", got.code, got.text)
			}
			wantSeries(t, b, "bulkhead_decisions_total{decision="+tt.decision+",dry_run=false,operation=UPDATE,resource=namespaces} 1")
			if !got.Allowed {
				want := "needs-team: team a would lose " + tt.request.Name + " (1 error)\n\n  Namespace " + tt.request.Name + "\n"
				if !strings.HasPrefix(got.Result.Message, want) {
					t.Errorf("message %q, want it to begin with %q", got.Result.Message, want)
				}
			}
		})
	}
}

func TestNamespaceDenialIsConfirmed(t *testing.T) {
	guardrails := []policy.Guardrail{needsTeam()}
	cfg := configOf(t, guardrails, deny)
	request := relabel(t, labelled("shop", "team=a"), namespaceOf("shop"))

	b := newBench(t, shop().Snapshot(), guardrails, cfg, labelled("shop", "team=a"))
	if got := b.send(t.Context(), request); got.Allowed {
		t.Errorf("allowed: %s", got.text)
	}
	wantSeries(t, b, "bulkhead_confirmations_total{result=confirmed} 1")

	b = newBench(t, shop().Snapshot(), guardrails, cfg, labelled("shop", "team=a", going))
	if got := b.send(t.Context(), request); !got.Allowed || got.AuditAnnotations["exemption"] != "namespace-terminating" {
		t.Errorf("it is going meanwhile, and Bulkhead says %s", got.text)
	}

	b = newBench(t, shop().Snapshot(), guardrails, cfg)
	b.breakReads("namespaces")
	if got := b.send(t.Context(), request); got.Allowed {
		t.Errorf("allowed although nothing could be read: %s", got.text)
	}
	wantSeries(t, b, "bulkhead_confirmations_total{result=failed} 1")
}

// needsDNSLabel denies every policy while kube-system lacks the label dns, as dns-cut does where policies select on it.
func needsDNSLabel() policy.Guardrail {
	return policy.Guardrail{
		Slug: "needs-dns-label", DefaultAction: config.Deny, On: []policy.Trigger{policy.PolicyWrite},
		Check: func(c *policy.Change, _ any) []policy.Violation {
			if c.After.NamespaceLabels("kube-system")["dns"] != "" {
				return nil
			}
			return []policy.Violation{{Live: true, Detail: "nothing selects the resolver"}}
		},
	}
}

// withResolver puts the DNS Service into kube-system.
func withResolver(b *cluster.Builder) *cluster.Builder {
	b.SetService(cluster.ServiceOf(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.10", Ports: []corev1.ServicePort{{Protocol: corev1.ProtocolUDP, Port: 53}}},
	}))
	return b
}

// TestLabelsAreReadLive labels a namespace and writes a policy that needs the label before its event has come.
func TestLabelsAreReadLive(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNSLabel()}
	cfg := configOf(t, guardrails, deny)
	with, without := labelled("kube-system", "dns=yes"), namespaceOf("kube-system")
	knowing := shop()
	knowing.SetNamespace(with)

	t.Run("of the resolver, for whichever replica", func(t *testing.T) {
		b := newBench(t, withResolver(shop()).Snapshot(), guardrails, cfg, namespaceOf("shop"), with)
		if got := b.send(t.Context(), policyCreate(t, "a")); !got.Allowed {
			t.Errorf("denied although the label is stored: %s", got.text)
		}
		wantSeries(t, b, "bulkhead_confirmations_total{result=overturned} 1")
	})
	t.Run("that this replica has just let through", func(t *testing.T) {
		b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"), with)
		b.send(t.Context(), relabel(t, without, with))
		if got := b.send(t.Context(), policyCreate(t, "a")); !got.Allowed {
			t.Errorf("denied although the label is stored: %s", got.text)
		}
	})
	t.Run("after one is taken off, which raises a suspicion", func(t *testing.T) {
		b := newBench(t, knowing.Snapshot(), guardrails, cfg, namespaceOf("shop"), without)
		b.send(t.Context(), relabel(t, with, without))
		if got := b.send(t.Context(), policyCreate(t, "a")); got.Allowed {
			t.Errorf("allowed although the label is gone: %s", got.text)
		}
	})
	t.Run("and the suspicion is dispelled where it stayed", func(t *testing.T) {
		b := newBench(t, knowing.Snapshot(), guardrails, cfg, namespaceOf("shop"), with)
		b.send(t.Context(), relabel(t, with, without))
		if got := b.send(t.Context(), policyCreate(t, "a")); !got.Allowed {
			t.Errorf("denied although the label stayed: %s", got.text)
		}
	})
	t.Run("but not after a dry run", func(t *testing.T) {
		b := newBench(t, knowing.Snapshot(), guardrails, cfg, namespaceOf("shop"), without)
		b.send(t.Context(), dryRun(relabel(t, with, without)))
		b.send(t.Context(), policyCreate(t, "a"))
		if actions := b.client.Actions(); len(actions) != 0 {
			t.Errorf("a dry run led to %d live reads", len(actions))
		}
	})
}

func TestRecentLabels(t *testing.T) {
	now := time.Unix(1000, 0)
	s := shop().Snapshot()
	r := newRecent()
	r.remember(now, policy.NamespaceChange(s, namespaceOf("shop"), labelled("shop", "team=a")))
	r.remember(now, policy.NamespaceChange(s, namespaceOf("kube-system"), labelled("kube-system", "dns=yes")))
	r.remember(now, policy.NamespaceChange(s, labelled("shop", "team=a"), labelled("shop", "team=b")))
	if got := r.relabelled(now); !slices.Equal(got, []string{"kube-system", "shop"}) {
		t.Errorf("relabelled %v", got)
	}
	for _, namespace := range []string{"shop", "elsewhere"} {
		got, some := r.apply(now, s, namespace)
		if team := got.NamespaceLabels("shop")["team"]; !some || team != "b" || got.NamespaceLabels("kube-system")["dns"] != "yes" {
			t.Errorf("in %s: team %q, some %v", namespace, team, some)
		}
	}
	seen := shop()
	seen.SetNamespace(labelled("shop", "team=b"))
	seen.SetNamespace(labelled("kube-system", "dns=yes"))
	late := newRecent()
	late.remember(now, policy.NamespaceChange(s, namespaceOf("shop"), labelled("shop", "team=b")))
	if _, some := late.apply(now, seen.Snapshot(), "shop"); some {
		t.Error("what the snapshot shows already raises a suspicion")
	}
	if _, some := r.apply(now.Add(recentFor), s, "shop"); some || r.relabelled(now.Add(recentFor)) != nil {
		t.Error("labels are remembered for too long")
	}
}
