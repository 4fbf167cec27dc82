package policy_test

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

const (
	ingress = networkingv1.PolicyTypeIngress
	egress  = networkingv1.PolicyTypeEgress
)

// TestPolicyChange: which cluster is before and which after, and whom the change concerns.
func TestPolicyChange(t *testing.T) {
	api, db, all := map[string]string{"app": "api"}, map[string]string{"app": "db"}, map[string]string(nil)
	unparsable := networkPolicy("p", api, "Sideways")
	for _, c := range []struct {
		name     string
		stored   []*networkingv1.NetworkPolicy
		old, new *networkingv1.NetworkPolicy
		want     []string
	}{
		{"create selects live workloads first, then templates, no host network", nil, nil, networkPolicy("p", all, ingress), []string{
			"api app=api 2 live=true existed=true []->[p]", "db app=db 3 live=true existed=true []->[p]",
			"web app=web 0 live=false existed=true []->[p]",
		}},
		{"create beside another", []*networkingv1.NetworkPolicy{networkPolicy("other", all, egress)}, nil, networkPolicy("p", api, ingress),
			[]string{"api app=api 2 live=true existed=true [other]->[other p]"}},
		{"create of what is stored already starts without it", []*networkingv1.NetworkPolicy{networkPolicy("p", all, ingress)}, nil,
			networkPolicy("p", api, ingress), []string{"api app=api 2 live=true existed=true []->[p]"}},
		{"update concerns those of either version", nil, networkPolicy("p", db, ingress), networkPolicy("p", api, ingress), []string{
			"api app=api 2 live=true existed=true []->[p]", "db app=db 3 live=true existed=true [p]->[]",
		}},
		{"update of what the snapshot has in another version", []*networkingv1.NetworkPolicy{networkPolicy("p", all, ingress)},
			networkPolicy("p", db, ingress), networkPolicy("p", db, egress), []string{"db app=db 3 live=true existed=true [p]->[p]"}},
		{"update of what no longer parses", []*networkingv1.NetworkPolicy{networkPolicy("p", all, ingress)}, unparsable,
			networkPolicy("p", api, ingress), []string{"api app=api 2 live=true existed=true []->[p]"}},
		{"delete", []*networkingv1.NetworkPolicy{networkPolicy("p", api, ingress)}, networkPolicy("p", api, ingress), nil,
			[]string{"api app=api 2 live=true existed=true [p]->[]"}},
		{"delete of what the snapshot has not seen", nil, networkPolicy("p", api, ingress), nil,
			[]string{"api app=api 2 live=true existed=true [p]->[]"}},
		{"delete of what does not parse", nil, unparsable, nil, nil},
		{"create by pod name splits both sides", nil, nil, networkPolicy("p", map[string]string{podNameLabel: "db-1"}, ingress),
			[]string{"db app=db," + podNameLabel + "=db-1 1 live=true existed=true []->[p]"}},
		{"delete by pod name splits both sides", nil, networkPolicy("p", map[string]string{podNameLabel: "db-1"}, ingress), nil,
			[]string{"db app=db," + podNameLabel + "=db-1 1 live=true existed=true [p]->[]"}},
		{"update away from a pod name splits both sides", nil, networkPolicy("p", map[string]string{podNameLabel: "db-1"}, ingress),
			networkPolicy("p", db, ingress), []string{
				"db app=db," + podNameLabel + "=db-0 1 live=true existed=true []->[p]",
				"db app=db," + podNameLabel + "=db-1 1 live=true existed=true [p]->[p]",
				"db app=db," + podNameLabel + "=db-2 1 live=true existed=true []->[p]",
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := shop(t, c.stored...)
			change, err := policy.PolicyChange(s, c.old, c.new)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "subjects", c.want, subjects(change))
			same(t, "stored policies", len(c.stored), len(s.Policies("shop")))
			n := change.Before.Live(change.Before.Namespace("shop"))
			m := change.After.Live(change.After.Namespace("shop"))
			same(t, "workloads before and after", policy.Affect(n), policy.Affect(m))
			same(t, "number of workloads before and after", len(n), len(m))
			if before := change.Before.Policy("shop", "p"); (before != nil) != (change.OldPolicy != nil) {
				t.Errorf("before has the policy: %v, though the old object is %v", before != nil, change.OldPolicy)
			}
			if after := change.After.Policy("shop", "p"); after != change.NewPolicy {
				t.Errorf("after has %v, want %v", after, change.NewPolicy)
			}
		})
	}
}

func TestPolicyChangeIsNamed(t *testing.T) {
	p := networkPolicy("p", nil, ingress)
	for _, c := range []struct {
		old, new  *networkingv1.NetworkPolicy
		operation policy.Operation
		trigger   policy.Trigger
	}{
		{nil, p, policy.Create, policy.PolicyWrite}, {p, p, policy.Update, policy.PolicyWrite}, {p, nil, policy.Delete, policy.PolicyDelete},
	} {
		change, err := policy.PolicyChange(shop(t), c.old, c.new)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "name", []string{"NetworkPolicy", "shop", "p", string(c.operation), string(c.trigger)},
			[]string{change.Kind, change.Namespace, change.Name, string(change.Operation), string(change.Trigger)})
	}
	if _, err := policy.PolicyChange(shop(t), nil, nil); err == nil {
		t.Error("a change from nothing to nothing is no change")
	}
	_, err := policy.PolicyChange(shop(t), nil, networkPolicy("p", nil, "Sideways"))
	if err == nil || !strings.Contains(err.Error(), "spec.policyTypes[0]") {
		t.Errorf("error %v, want one that names spec.policyTypes[0]", err)
	}
}

func TestWorkloadChange(t *testing.T) {
	s := shop(t, networkPolicy("on-api", map[string]string{"app": "api"}, ingress), networkPolicy("on-all", nil, egress))
	workload := func(app string) *cluster.Workload {
		return cluster.WorkloadOf(pod("x", "ReplicaSet", "x", labels.Set{"app": app}))
	}
	host, template, gone := workload("api"), workload("api"), workload("api")
	host.HostNetwork = true
	template.Template, template.Pods = true, 0
	gone.Pods = 0
	for _, c := range []struct {
		name      string
		old, new  *cluster.Workload
		operation policy.Operation
		trigger   policy.Trigger
		want      []string
	}{
		{"create", nil, workload("api"), policy.Create, policy.PodWrite, []string{"x app=api 1 live=false existed=false []->[on-all on-api]"}},
		{"relabel", workload("api"), workload("web"), policy.Update, policy.PodWrite, []string{"x app=web 1 live=true existed=true [on-all on-api]->[on-all]"}},
		{"pod that is being deleted", gone, gone, policy.Update, policy.PodWrite, []string{"x app=api 0 live=false existed=true [on-all on-api]->[on-all on-api]"}},
		{"host network", nil, host, policy.Create, policy.PodWrite, nil},
		{"template", template, template, policy.Update, policy.TemplateWrite, []string{"x app=api 0 live=false existed=true [on-all on-api]->[on-all on-api]"}},
	} {
		change := policy.WorkloadChange(s, "Pod", "x", c.old, c.new)
		same(t, c.name, c.want, subjects(change))
		same(t, c.name+": operation", c.operation, change.Operation)
		same(t, c.name+": trigger", c.trigger, change.Trigger)
	}
}

// TestWithFix: a fix is tried on the cluster in which it is applied, and the change stays the same otherwise.
func TestWithFix(t *testing.T) {
	api := map[string]string{"app": "api"}
	first := networkPolicy("first", nil, egress)
	created := networkPolicy("p", api, ingress)
	change, err := policy.PolicyChange(shop(t), nil, created)
	if err != nil {
		t.Fatal(err)
	}
	change.Disclose = true
	fixed, err := change.WithFix(&policy.Fix{First: []*networkingv1.NetworkPolicy{first}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "First", []string{"api app=api 2 live=true existed=true [first]->[first p]"}, subjects(fixed))
	if !fixed.Disclose {
		t.Error("the fixed change forgot what may be disclosed")
	}
	fixed, err = change.WithFix(&policy.Fix{Instead: networkPolicy("p", map[string]string{"app": "db"}, ingress)})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Instead", []string{"db app=db 3 live=true existed=true []->[p]"}, subjects(fixed))
	if _, err := change.WithFix(&policy.Fix{Instead: networkPolicy("p", nil, "Sideways")}); err == nil {
		t.Error("a fix that does not parse cannot be tried")
	}
	deletion, err := policy.PolicyChange(shop(t, created), created, nil)
	if err != nil {
		t.Fatal(err)
	}
	fixed, err = deletion.WithFix(&policy.Fix{First: []*networkingv1.NetworkPolicy{first}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "deletion", []string{"api app=api 2 live=true existed=true [first p]->[first]"}, subjects(fixed))

	old := cluster.WorkloadOf(pod("x", "ReplicaSet", "x", api))
	relabel := policy.WorkloadChange(shop(t, created), "Pod", "x", old, cluster.WorkloadOf(pod("x", "ReplicaSet", "x", labels.Set{"app": "web"})))
	fixed, err = relabel.WithFix(&policy.Fix{Labels: api})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Labels", []string{"x app=api 1 live=true existed=true [p]->[p]"}, subjects(fixed))
	same(t, "the change itself", []string{"x app=web 1 live=true existed=true [p]->[]"}, subjects(relabel))
}

func TestCoverage(t *testing.T) {
	open := networkPolicy("open", nil, egress)
	open.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: labels.Set{"app": "db"}}}}}}
	change, err := policy.PolicyChange(shop(t, networkPolicy("deny", nil, egress)), nil, open)
	if err != nil {
		t.Fatal(err)
	}
	s := &change.Subjects[0]
	db := netpol.Endpoint{Namespace: "shop", Labels: labels.Set{"app": "db"}}
	port := netpol.Port{Protocol: "TCP", Number: 5432}
	same(t, "isolated for egress, ingress, admitted before, after, ingress", []bool{true, false, false, true, true}, []bool{
		s.Before.Isolated(netpol.Egress), s.After.Isolated(netpol.Ingress), s.Before.Admits(netpol.Egress, db, port),
		s.After.Admits(netpol.Egress, db, port), s.After.Admits(netpol.Ingress, db, port),
	})
}

// TestWorse: where live pods get worse, templates are not named beside them.
func TestWorse(t *testing.T) {
	change, err := policy.PolicyChange(shop(t), nil, networkPolicy("p", nil, ingress))
	if err != nil {
		t.Fatal(err)
	}
	var all, templates []*policy.Subject
	for i := range change.Subjects {
		all = append(all, &change.Subjects[i])
		if change.Subjects[i].Workload.Template {
			templates = append(templates, &change.Subjects[i])
		}
	}
	workloads, live := policy.Worse(all)
	same(t, "with live pods", "5 live pods (app=api, app=db)", policy.Count(workloads))
	same(t, "live", true, live)
	same(t, "affected", []policy.Affected{{Name: "api", Pods: 2}, {Name: "db", Pods: 3}}, policy.Affect(workloads))
	same(t, "live subjects", 2, len(change.LiveSubjects()))
	workloads, live = policy.Worse(templates)
	same(t, "templates alone", "pods of 1 template (app=web)", policy.Count(workloads))
	same(t, "live", false, live)
	same(t, "affected", []policy.Affected{{Name: "deployment/web"}}, policy.Affect(workloads))
}
