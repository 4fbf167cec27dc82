package guardrails

import (
	"fmt"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// address is an endpoint that is no pod.
func address(a netip.Addr) netpol.Endpoint { return netpol.Endpoint{Addresses: []netip.Addr{a}} }

// hostPrefix is the CIDR of one single address.
func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// newPolicy starts a policy of the change's namespace under a name that is free there.
func newPolicy(c *policy.Change, name string, subject metav1.LabelSelector) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: freeName(c, name)},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: subject},
	}
}

// freeName gives name, or name-2 and so on where a policy has that name before or after the change.
func freeName(c *policy.Change, name string) string {
	for i, try := 2, name; ; i++ {
		if c.Before.Policy(c.Namespace, try) == nil && c.After.Policy(c.Namespace, try) == nil {
			return try
		}
		try = fmt.Sprintf("%s-%d", name, i)
	}
}

// selectorFor selects the pods that a fix has to reach: as the changed policy does where all the pods that it selects
// stay isolated in direction d, else only those that the subjects are, so that the fix isolates no pod beside them.
func selectorFor(c *policy.Change, subjects []*policy.Subject, d netpol.Direction) metav1.LabelSelector {
	if c.NewWorkload != nil {
		return identify(c.NewWorkload)
	}
	p := c.NewPolicy
	if p == nil || !selectsAll(p, workloadsOf(subjects), c) {
		p = c.OldPolicy
	}
	alone := true
	for i := range c.Subjects {
		s := &c.Subjects[i]
		alone = alone && (s.After.Isolated(d) || !p.Selects(s.After.Endpoint))
	}
	if !alone {
		if narrow, ok := identifyAll(workloadsOf(subjects)); ok {
			return narrow
		}
	}
	return p.Subject.Source()
}

// keepLabels takes back the edit of a pod's or template's labels.
func keepLabels(c *policy.Change) *policy.Fix {
	kept, added := labels.Set{}, labels.Set{}
	for k, v := range c.OldWorkload.Labels {
		if now, ok := c.NewWorkload.Labels[k]; !ok || now != v {
			kept[k] = v
		}
	}
	for k, v := range c.NewWorkload.Labels {
		if _, ok := c.OldWorkload.Labels[k]; !ok {
			added[k] = v
		}
	}
	say := "leave out " + added.String()
	if len(kept) > 0 {
		say = "keep " + kept.String()
	}
	return &policy.Fix{Say: say, Labels: c.OldWorkload.Labels}
}
