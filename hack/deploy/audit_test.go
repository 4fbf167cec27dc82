package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/audit"
)

// ofAudit says whether an object of the chart belongs to the audit.
func ofAudit(o object) bool { return o.GetLabels()["app.kubernetes.io/component"] == "audit" }

// renderedAudit gives the objects of the audit of a release.
func renderedAudit(t *testing.T, release Release, values map[string]any) []object {
	t.Helper()
	return slices.DeleteFunc(renderedAll(t, release, values), func(o object) bool { return !ofAudit(o) })
}

// audited gives the values that have an audit, by name.
func audited(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for name, values := range matrix(t) {
		if objects := renderedAudit(t, installRelease, values); strings.HasPrefix(name, "audit") != (len(objects) > 0) {
			t.Errorf("%q: %d objects of the audit", name, len(objects))
		} else if len(objects) > 0 {
			out[name] = values
		}
	}
	if len(out) < 2 {
		t.Fatalf("values with an audit: %d", len(out))
	}
	return out
}

// TestAuditApart: whatever selects the webhook's pods selects none of the audit's, and the other way round: an audit's pod in the
// webhook's Service would be sent reviews.
func TestAuditApart(t *testing.T) {
	for name, values := range audited(t) {
		for _, release := range []Release{installRelease, {Name: "prod", Namespace: "guards"}} {
			webhooks, audits := rendered(t, release, values), renderedAudit(t, release, values)
			for _, sides := range [][2][]object{{webhooks, audits}, {audits, webhooks}} {
				own := labels.Set(only[*appsv1.Deployment](t, sides[0]).Spec.Template.Labels)
				if selected := selectors(t, sides[0]); len(selected) < 3 || slices.ContainsFunc(selected, func(s labels.Selector) bool { return !s.Matches(own) }) {
					t.Errorf("%s: pods with %v are not selected by all of %v", name, own, selected)
				}
				for _, s := range selectors(t, sides[1]) {
					if s.Matches(own) {
						t.Errorf("%s: %v selects pods with %v", name, s, own)
					}
				}
			}
			for _, o := range audits {
				if !strings.Contains(o.GetName(), "-audit") || o.GetLabels()["app.kubernetes.io/instance"] != release.Name {
					t.Errorf("%s: %T %s, labels %v", name, o, o.GetName(), o.GetLabels())
				}
			}
		}
	}
}

// selectors gives by what Deployments, Services and NetworkPolicies select pods.
func selectors(t *testing.T, objects []object) []labels.Selector {
	t.Helper()
	var out []labels.Selector
	add := func(s *metav1.LabelSelector) {
		made, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, made)
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			add(o.Spec.Selector)
			for i := range o.Spec.Template.Spec.TopologySpreadConstraints {
				add(o.Spec.Template.Spec.TopologySpreadConstraints[i].LabelSelector)
			}
		case *corev1.Service:
			add(&metav1.LabelSelector{MatchLabels: o.Spec.Selector})
		case *networkingv1.NetworkPolicy:
			add(&o.Spec.PodSelector)
		}
	}
	return out
}

// TestAuditRights: what the audit is granted is what its code needs with its config, and nothing else: no Secret, and no write but its
// Lease and reports.
func TestAuditRights(t *testing.T) {
	for name, values := range audited(t) {
		for _, release := range []Release{installRelease, {Name: "prod", Namespace: "guards"}} {
			objects := renderedAudit(t, release, values)
			needs := policy.Needs(guardrails.All(), configOf(t, rendered(t, release, values)))
			want := slices.Concat(webhook.WatchRights(), webhook.TierRights(), webhook.NeedRights(needs),
				audit.LeaseRights(release.Namespace, flagOf(t, objects, "lease")))
			if slices.Contains(only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Args, "--reports") {
				want = append(want, audit.ReportRights()...)
			}
			want = append(want, consoleRights(t, objects, release)...)
			got := lines(granted(t, withoutConsoleRole(objects), release))
			if diff := cmp.Diff(lines(want), got); diff != "" {
				t.Errorf("%s: rights that are needed (-) and granted (+):\n%s", name, diff)
			}
			if text := strings.Join(got, "\n"); strings.Contains(text, "secrets") || strings.Contains(text, "openreports") != (name == "audit") {
				t.Errorf("%s grants\n%s", name, text)
			}
		}
	}
}

// TestAuditPods: an audit's pod is as confined as the webhook's, and reads the same config.
func TestAuditPods(t *testing.T) {
	for name, values := range audited(t) {
		release := Release{Name: "prod", Namespace: "guards"}
		webhooks, audits := only[*appsv1.Deployment](t, rendered(t, release, values)), only[*appsv1.Deployment](t, renderedAudit(t, release, values))
		of, pod := webhooks.Spec.Template.Spec, audits.Spec.Template.Spec
		if diff := cmp.Diff(of.SecurityContext, pod.SecurityContext); diff != "" {
			t.Errorf("%s: security context (- webhook, + audit):\n%s", name, diff)
		}
		if diff := cmp.Diff(of.Containers[0].SecurityContext, pod.Containers[0].SecurityContext); diff != "" {
			t.Errorf("%s: container security context:\n%s", name, diff)
		}
		withoutConsoleFiles(&pod)
		if diff := cmp.Diff(of.Volumes, pod.Volumes); diff != "" {
			t.Errorf("%s: volumes:\n%s", name, diff)
		}
		if diff := cmp.Diff(of.Containers[0].VolumeMounts, pod.Containers[0].VolumeMounts); diff != "" {
			t.Errorf("%s: mounts:\n%s", name, diff)
		}
		if *pod.AutomountServiceAccountToken || pod.ServiceAccountName == of.ServiceAccountName || pod.PriorityClassName != "" {
			t.Errorf("%s: %+v", name, pod)
		}
	}
	d := only[*appsv1.Deployment](t, renderedAudit(t, installRelease, matrix(t)["audit"]))
	if *d.Spec.Replicas != 2 || d.Spec.Template.Labels["team"] != "platform" || d.Spec.Template.Spec.Containers[0].Env[1].Value != "880MiB" {
		t.Errorf("%+v", d.Spec)
	}
}

// TestAuditNetworkPolicy: metrics are read by whom they are for, and calls go to DNS and the API server alone.
func TestAuditNetworkPolicy(t *testing.T) {
	values := matrix(t)
	for name, want := range map[string][]string{
		"audit":       {"out 53,53 ", "out 443,6443 ", "in 8081 monitoring"},
		"audit-plain": {"out 53,53 ", "out 443,6443 "},
		// Whoever reaches the console's port still has to sign in.
		"audit-console":       {"out 53,53 ", "out 443,6443 ", "in 8081 monitoring", "in 8443 "},
		"audit-console-local": {"out 53,53 ", "out 443,6443 "},
	} {
		var got []string
		var types []networkingv1.PolicyType
		for _, policy := range each[*networkingv1.NetworkPolicy](renderedAudit(t, installRelease, values[name])) {
			types = append(types, policy.Spec.PolicyTypes...)
			for _, r := range policy.Spec.Ingress {
				got = append(got, "in "+ports(r.Ports)+" "+peers(r.From))
			}
			for _, r := range policy.Spec.Egress {
				got = append(got, "out "+ports(r.Ports)+" "+peers(r.To))
			}
		}
		if !slices.Equal(got, want) || len(types) != 2 {
			t.Errorf("%q: %q with %v, want %q", name, got, types, want)
		}
	}
}

// TestAuditMonitored: the one ServiceMonitor finds the audit's metrics as it finds the webhook's.
func TestAuditMonitored(t *testing.T) {
	values := matrix(t)["audit"]
	monitor := only[*monitoringv1.ServiceMonitor](t, rendered(t, installRelease, values))
	selected, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	service := only[*corev1.Service](t, renderedAudit(t, installRelease, values))
	if !selected.Matches(labels.Set(service.Labels)) || service.Spec.Ports[0].Name != monitor.Spec.Endpoints[0].Port {
		t.Errorf("%v does not find %v with %+v", selected, service.Labels, service.Spec.Ports)
	}
}

// TestAuditArguments runs the real "bulkhead audit serve" on the arguments, with --help at their end.
func TestAuditArguments(t *testing.T) {
	binary := buildBulkhead(t)
	for name, values := range audited(t) {
		args := only[*appsv1.Deployment](t, renderedAudit(t, installRelease, values)).Spec.Template.Spec.Containers[0].Args
		if out, err := exec.Command(binary, append(slices.Clone(args), "--help")...).CombinedOutput(); err != nil || args[1] != "serve" {
			t.Errorf("%s: %v: %v\n%s", name, args, err, out)
		}
	}
}
