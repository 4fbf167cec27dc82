package webhook

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

const deny = "maximumAction: Deny\n"

func TestHandlerAllowsWarnsAndDenies(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	for _, tt := range []struct {
		name, config, policy string
		decision             string
		warnings             int
	}{
		{"nothing wrong", deny, "allow-dns", "allowed", 0},
		{"deny", deny, "default-deny", "denied", 0},
		{"a fresh install warns", "", "default-deny", "warned", 1},
		{"audit", "maximumAction: Audit\n", "default-deny", "allowed", 0},
		{"off", deny + "guardrails: {needs-dns: {action: \"Off\"}}\n", "default-deny", "allowed", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := configOf(t, guardrails, tt.config)
			b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"))
			got := b.send(t.Context(), policyCreate(t, tt.policy))
			if got.code != http.StatusOK || got.Allowed != (tt.decision != "denied") || len(got.Warnings) != tt.warnings || got.UID != "uid-1" {
				t.Fatalf("got %s", got.text)
			}
			if a := got.AuditAnnotations; a["decision"] != tt.decision || a["config-hash"] != cfg.Hash() {
				t.Errorf("audit annotations %v", a)
			}
			if !got.Allowed && (got.Result.Code != http.StatusForbidden || got.Result.Reason != metav1.StatusReasonForbidden) {
				t.Errorf("denied with %+v", got.Result)
			}
			want := fmt.Sprintf("bulkhead_decisions_total{decision=%s,dry_run=false,operation=CREATE,resource=networkpolicies} 1", tt.decision)
			if got := b.series("bulkhead_decisions_total"); !slices.Equal(got, []string{want}) {
				t.Errorf("series %v, want %s", got, want)
			}
			if log := b.log.String(); !strings.Contains(log, `"decision":"`+tt.decision+`"`) || strings.Contains(log, "podSelector") {
				t.Errorf("log %s", log)
			}
		})
	}
}

func TestConfirmationByLiveReads(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	cfg := configOf(t, guardrails, deny)

	t.Run("overturns a denial that the snapshot is behind on", func(t *testing.T) {
		b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"), policyOf("allow-dns"))
		if got := b.send(t.Context(), policyCreate(t, "default-deny")); !got.Allowed {
			t.Errorf("denied although allow-dns is stored: %s", got.text)
		}
		wantSeries(t, b, "bulkhead_confirmations_total{result=overturned} 1")
	})
	t.Run("confirms a true one", func(t *testing.T) {
		b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"))
		if got := b.send(t.Context(), policyCreate(t, "default-deny")); got.Allowed {
			t.Errorf("allowed: %s", got.text)
		}
		wantSeries(t, b, "bulkhead_confirmations_total{result=confirmed} 1")
	})
	for _, resource := range []string{"networkpolicies", "pods", "namespaces"} {
		t.Run("stands where "+resource+" cannot be read", func(t *testing.T) {
			b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"), policyOf("allow-dns"))
			b.breakReads(resource)
			if got := b.send(t.Context(), policyCreate(t, "default-deny")); got.Allowed {
				t.Errorf("allowed: %s", got.text)
			}
			wantSeries(t, b, "bulkhead_confirmations_total{result=failed} 1")
		})
	}
	t.Run("sees that the namespace has begun to terminate", func(t *testing.T) {
		ns := namespaceOf("shop")
		ns.Status.Phase = corev1.NamespaceTerminating
		b := newBench(t, shop().Snapshot(), guardrails, cfg, ns)
		if got := b.send(t.Context(), policyCreate(t, "default-deny")); !got.Allowed || got.AuditAnnotations["exemption"] != "namespace-terminating" {
			t.Errorf("got %s", got.text)
		}
	})
	t.Run("is not paid for by allowed changes", func(t *testing.T) {
		b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"))
		b.send(t.Context(), policyCreate(t, "allow-dns"))
		if actions := b.client.Actions(); len(actions) != 0 {
			t.Errorf("%d live reads for an allowed change", len(actions))
		}
	})
	t.Run("is not paid for by warnings", func(t *testing.T) {
		b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, ""), namespaceOf("shop"))
		b.send(t.Context(), policyCreate(t, "default-deny"))
		if actions := b.client.Actions(); len(actions) != 0 {
			t.Errorf("%d live reads for a warning", len(actions))
		}
	})
	t.Run("happens where another guardrail fails", func(t *testing.T) {
		guardrails := []policy.Guardrail{needsDNS(), always("broken", func() []policy.Violation { panic("oops") })}
		b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"), policyOf("allow-dns"))
		if got := b.send(t.Context(), policyCreate(t, "default-deny")); got.AdmissionResponse == nil || !got.Allowed {
			t.Errorf("got %s", got.text)
		}
	})
}

func TestRecentDeletionRaisesASuspicion(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	cfg := configOf(t, guardrails, deny)
	builder := shop()
	builder.SetPolicy(compiled(t, policyOf("allow-dns")))
	stale := builder.Snapshot() // does not know yet that allow-dns goes

	t.Run("which the live read confirms", func(t *testing.T) {
		b := newBench(t, stale, guardrails, cfg, namespaceOf("shop"))
		if got := b.send(t.Context(), policyDelete(t, "allow-dns")); !got.Allowed {
			t.Fatalf("deletion: %s", got.text)
		}
		if got := b.send(t.Context(), policyCreate(t, "default-deny")); got.Allowed {
			t.Errorf("allowed although allow-dns is gone: %s", got.text)
		}
	})
	t.Run("which the live read dispels", func(t *testing.T) {
		b := newBench(t, stale, guardrails, cfg, namespaceOf("shop"), policyOf("allow-dns"))
		b.send(t.Context(), policyDelete(t, "allow-dns"))
		if got := b.send(t.Context(), policyCreate(t, "default-deny")); !got.Allowed {
			t.Errorf("denied although the deletion never happened: %s", got.text)
		}
	})
	t.Run("but not by a dry run", func(t *testing.T) {
		b := newBench(t, stale, guardrails, cfg, namespaceOf("shop"))
		b.send(t.Context(), dryRun(policyDelete(t, "allow-dns")))
		b.send(t.Context(), policyCreate(t, "default-deny"))
		if actions := b.client.Actions(); len(actions) != 0 {
			t.Errorf("a dry run led to %d live reads", len(actions))
		}
	})
	t.Run("nor by a denied one", func(t *testing.T) {
		builder := shop()
		builder.SetPolicy(compiled(t, policyOf("allow-dns")))
		builder.SetPolicy(compiled(t, policyOf("default-deny")))
		b := newBench(t, builder.Snapshot(), guardrails, cfg, namespaceOf("shop"), policyOf("allow-dns"), policyOf("default-deny"))
		if got := b.send(t.Context(), policyDelete(t, "allow-dns")); got.Allowed {
			t.Fatalf("deletion: %s", got.text)
		}
		if len(b.recent.changes) != 0 {
			t.Errorf("remembered %v", b.recent.changes)
		}
	})
}

func dryRun(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionRequest {
	yes := true
	r.DryRun = &yes
	return r
}

func TestDryRunCountsApart(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"))
	if got := b.send(t.Context(), dryRun(policyCreate(t, "default-deny"))); got.Allowed {
		t.Errorf("a dry run is decided like any other: %s", got.text)
	}
	wantSeries(t, b, "bulkhead_decisions_total{decision=denied,dry_run=true,operation=CREATE,resource=networkpolicies} 1")
	if got := b.series("bulkhead_violations_total"); len(got) != 0 {
		t.Errorf("violations %v", got)
	}
}

func TestNamespaces(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	cfg := configOf(t, guardrails, deny)

	t.Run("unknown to the snapshot is read live", func(t *testing.T) {
		b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("new"))
		if got := b.send(t.Context(), inNamespace(policyCreate(t, "default-deny"), "new")); got.AdmissionResponse == nil || got.Allowed {
			t.Errorf("got %s", got.text)
		}
		if first := b.client.Actions()[0]; first.GetVerb() != "get" || first.GetResource().Resource != "namespaces" {
			t.Errorf("first action %v", first)
		}
	})
	t.Run("unknown and unreadable is no decision", func(t *testing.T) {
		b := newBench(t, shop().Snapshot(), guardrails, cfg)
		b.breakReads("namespaces")
		if got := b.send(t.Context(), inNamespace(policyCreate(t, "default-deny"), "new")); got.code != http.StatusServiceUnavailable {
			t.Errorf("got %d %s", got.code, got.text)
		}
	})
	t.Run("unknown and terminating is exempt", func(t *testing.T) {
		ns := namespaceOf("new")
		now := metav1.Now()
		ns.DeletionTimestamp, ns.Finalizers = &now, []string{"kubernetes"}
		b := newBench(t, shop().Snapshot(), guardrails, cfg, ns)
		if got := b.send(t.Context(), inNamespace(policyCreate(t, "default-deny"), "new")); !got.Allowed || got.AuditAnnotations["exemption"] != "namespace-terminating" {
			t.Errorf("got %s", got.text)
		}
	})
	t.Run("terminating in the snapshot is exempt", func(t *testing.T) {
		builder := shop()
		ns := namespaceOf("shop")
		ns.Status.Phase = corev1.NamespaceTerminating
		builder.SetNamespace(ns)
		b := newBench(t, builder.Snapshot(), guardrails, cfg)
		if got := b.send(t.Context(), policyCreate(t, "default-deny")); !got.Allowed || got.AuditAnnotations["exemption"] != "namespace-terminating" {
			t.Errorf("got %s", got.text)
		}
	})
	for _, own := range []string{"kube-system", "bulkhead-system"} {
		t.Run(own+" is warned at most", func(t *testing.T) {
			b := newBench(t, shop().Snapshot(), guardrails, cfg)
			got := b.send(t.Context(), inNamespace(policyCreate(t, "default-deny"), own))
			if !got.Allowed || len(got.Warnings) != 1 {
				t.Errorf("got %s", got.text)
			}
		})
		t.Run(own+" is not denied for a broken guardrail", func(t *testing.T) {
			guardrails := []policy.Guardrail{needsDNS(), always("broken", func() []policy.Violation { panic("oops") })}
			b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny+"errorAction: Deny\n"))
			if got := b.send(t.Context(), inNamespace(policyCreate(t, "allow-dns"), own)); !got.Allowed || len(got.Warnings) != 1 {
				t.Errorf("got %s", got.text)
			}
		})
	}
}

func TestExemptions(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	cfg := configOf(t, guardrails, deny+"exempt: {namespaces: [sandbox], users: [flux], groups: [platform]}\n")
	for _, tt := range []struct {
		name, namespace, user string
		groups                []string
		delete                bool
		want                  string // the reason, "" where judged
	}{
		{"namespace", "sandbox", "dev", nil, false, "config-namespace"},
		{"user", "shop", "flux", nil, false, "config-user"},
		{"group", "shop", "dev", []string{"system:authenticated", "platform"}, false, "config-group"},
		{"node", "shop", "system:node:n1", []string{"system:nodes"}, false, "node-agent"},
		{"garbage collector", "shop", "system:serviceaccount:kube-system:generic-garbage-collector", nil, true, "garbage-collection"},
		{"namespace controller", "shop", "system:serviceaccount:kube-system:namespace-controller", nil, true, "garbage-collection"},
		{"controller manager", "shop", "system:kube-controller-manager", nil, true, "garbage-collection"},
		{"the controller manager writes", "shop", "system:kube-controller-manager", nil, false, ""},
		{"a garbage collector of another namespace", "shop", "system:serviceaccount:shop:generic-garbage-collector", nil, true, ""},
		{"a name that begins alike", "shop", "flux2", []string{"platform-guests", "system:nodes2"}, false, ""},
		{"nobody", "shop", "", nil, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			builder := shop()
			builder.SetNamespace(namespaceOf("sandbox"))
			live := policyCreate(t, "default-deny")
			if tt.delete {
				builder.SetPolicy(compiled(t, policyOf("allow-dns")))
				builder.SetPolicy(compiled(t, policyOf("default-deny")))
				live = policyDelete(t, "allow-dns")
			}
			b := newBench(t, builder.Snapshot(), guardrails, cfg, namespaceOf("shop"), policyOf("default-deny"))
			live.UserInfo = authenticationv1.UserInfo{Username: tt.user, Groups: tt.groups}
			got := b.send(t.Context(), inNamespace(live, tt.namespace))
			if got.Allowed != (tt.want != "") || got.AuditAnnotations["exemption"] != tt.want {
				t.Fatalf("got %s", got.text)
			}
			if tt.want != "" {
				wantSeries(t, b, "bulkhead_exemptions_total{reason="+tt.want+"} 1")
			}
		})
	}
}

func TestNotReadyAsksToTryAgain(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	noSnapshot := newBench(t, nil, guardrails, configOf(t, guardrails, deny))
	noConfig := newBench(t, shop().Snapshot(), guardrails, nil)
	for name, b := range map[string]*bench{"no snapshot": noSnapshot, "no config": noConfig} {
		r := policyCreate(t, "default-deny")
		r.UserInfo.Groups = []string{"system:nodes"}
		if got := b.send(t.Context(), r); got.code != http.StatusServiceUnavailable || !strings.Contains(got.text, "not read") {
			t.Errorf("%s: got %d %s", name, got.code, got.text)
		}
		wantSeries(t, b, "bulkhead_http_refusals_total{code=503,reason=not-ready} 1")
	}
}

func TestUnjudgeableLeavesAsAnError(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny))
	r := policyCreate(t, "a")
	r.Resource.Resource = "evil\x1b[31m\nthings"
	got := b.send(t.Context(), r)
	if got.code != http.StatusInternalServerError || strings.ContainsAny(got.text, "\x1b") || strings.Count(got.text, "\n") > 1 {
		t.Errorf("got %d %q", got.code, got.text)
	}
	wantSeries(t, b, "bulkhead_decisions_total{decision=failed,dry_run=false,operation=other,resource=other} 1")
	if log := b.log.String(); strings.Count(log, "\n") != 1 || strings.Contains(log, "\x1b") {
		t.Errorf("log %q", log)
	}
}

func TestBindingIsARelabelling(t *testing.T) {
	hasZone := policy.Guardrail{
		Slug: "zone", DefaultAction: config.Deny, On: []policy.Trigger{policy.PodWrite},
		Check: func(c *policy.Change, _ any) []policy.Violation {
			if c.OldWorkload == nil || c.OldWorkload.Labels["zone"] == c.NewWorkload.Labels["zone"] {
				return nil
			}
			return []policy.Violation{{Field: "metadata.labels", Live: true, Detail: "zone becomes " + c.NewWorkload.Labels["zone"]}}
		},
	}
	guardrails := []policy.Guardrail{hasZone}
	cfg := configOf(t, guardrails, deny)
	selecting := policyOf("by-zone")
	selecting.Spec.PodSelector.MatchLabels = map[string]string{"zone": "a"}
	builder := shop()
	builder.SetPolicy(compiled(t, selecting))
	bind := func(labels map[string]string) *admissionv1.AdmissionRequest {
		r := admissionRequest(t, create, "", "pods", "binding", "Binding", nil,
			&corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "api-1", Labels: labels}, Target: corev1.ObjectReference{Name: "n1"}})
		r.Name = "api-1"
		return r
	}
	pod := podOf("api-1", map[string]string{"app": "api"})

	b := newBench(t, builder.Snapshot(), guardrails, cfg, namespaceOf("shop"), pod)
	if got := b.send(t.Context(), bind(map[string]string{"zone": "a"})); got.AdmissionResponse == nil || got.Allowed {
		t.Errorf("a label that a policy selects on: %s", got.text)
	}
	b = newBench(t, builder.Snapshot(), guardrails, cfg, namespaceOf("shop"), pod)
	if got := b.send(t.Context(), bind(map[string]string{"topology.kubernetes.io/zone": "a"})); !got.Allowed || len(b.client.Actions()) != 0 {
		t.Errorf("a label that no policy selects on: %s, %d live reads", got.text, len(b.client.Actions()))
	}
	if got := b.send(t.Context(), inNamespace(bind(map[string]string{"zone": "a"}), "kube-system")); !got.Allowed {
		t.Errorf("another namespace: %s", got.text)
	}
	elsewhere := policyOf("from-zone")
	elsewhere.Namespace, elsewhere.Spec.Ingress = "bulkhead-system", []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}},
	}}}}
	other := shop()
	other.SetPolicy(compiled(t, elsewhere))
	b = newBench(t, other.Snapshot(), guardrails, cfg, namespaceOf("shop"), pod)
	if got := b.send(t.Context(), bind(map[string]string{"zone": "a"})); got.AdmissionResponse == nil || got.Allowed {
		t.Errorf("a label that only a policy of another namespace selects on: %s", got.text)
	}
	b = newBench(t, builder.Snapshot(), guardrails, cfg, namespaceOf("shop"))
	if got := b.send(t.Context(), bind(map[string]string{"zone": "a"})); !got.Allowed {
		t.Errorf("a pod that is gone: %s", got.text)
	}
	b.breakReads("pods")
	if got := b.send(t.Context(), bind(map[string]string{"zone": "a"})); got.code != http.StatusServiceUnavailable {
		t.Errorf("a pod that cannot be read: %d %s", got.code, got.text)
	}
}

func TestSkippedRequestsStaySilent(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny))
	p := podOf("api-1", map[string]string{"app": "api"})
	got := b.send(t.Context(), admissionRequest(t, update, "", "pods", "status", "Pod", p, p))
	if !got.Allowed || got.AuditAnnotations != nil || got.Warnings != nil {
		t.Errorf("got %s", got.text)
	}
	if log := b.log.String(); !strings.Contains(log, `"level":"DEBUG"`) || !strings.Contains(log, `"reason":"unchanged"`) {
		t.Errorf("log %s", log)
	}
}

func TestNamespaceLabelOnlyForNamespacesThatExist(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny+"metrics: {namespaceLabel: true}\n"), namespaceOf("shop"))
	b.send(t.Context(), policyCreate(t, "default-deny"))
	for i := range 20 {
		b.send(t.Context(), inNamespace(policyCreate(t, "default-deny"), fmt.Sprintf("made-up-%d", i)))
	}
	want := []string{"bulkhead_namespace_violations_total{action=Deny,guardrail=needs-dns,namespace=shop} 1"}
	if got := b.series("bulkhead_namespace_violations_total"); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestConfigIsTakenOnce swaps the config while a request is judged.
func TestConfigIsTakenOnce(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	cfg := configOf(t, guardrails, deny)
	calls := 0
	b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"))
	b.config = func() *config.Config { calls++; return cfg }
	b.snapshot = func() *cluster.Snapshot { return shop().Snapshot() }
	b.send(t.Context(), policyCreate(t, "default-deny"))
	if calls != 1 {
		t.Errorf("the config was taken %d times for one request", calls)
	}
}

func TestCancelledRequestIsNoDecision(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	guardrails := []policy.Guardrail{always("slow", func() []policy.Violation {
		cancel()
		<-release
		return nil
	})}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny))
	if got := b.send(ctx, policyCreate(t, "default-deny")); got.code != http.StatusInternalServerError {
		t.Errorf("got %d %s", got.code, got.text)
	}
}
