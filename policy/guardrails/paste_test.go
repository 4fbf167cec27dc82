package guardrails

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// TestPasteRoundTrips applies what is shown: the parser that kubectl uses has to read the very object from it.
func TestPasteRoundTrips(t *testing.T) {
	end, web := int32(90), intstr.FromString("web")
	want := networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "123"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{
				MatchLabels: map[string]string{"a": "yes", "b": "true", "c": "1e3", "d": "", "e": "0x10", "f": "null", "g": "1_0", "h": "off"},
				MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "a-key-so-long-that-the-list-does-not-fit-on-one-line-of-the-message", Operator: metav1.LabelSelectorOpIn, Values: []string{"y", "n", "on"}},
				},
			},
			PolicyTypes: []networkingv1.PolicyType{"Egress", "Ingress"},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To: []networkingv1.NetworkPolicyPeer{
					{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fd00::/8", "::1/128"}}},
					{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}}},
					{NamespaceSelector: &metav1.LabelSelector{}},
				},
				Ports: []networkingv1.NetworkPolicyPort{policyPort("UDP", 53), {Port: &web}, {EndPort: &end}},
			}},
		},
	}
	text := paste(want)
	var got networkingv1.NetworkPolicy
	if err := yaml.UnmarshalStrict([]byte(text), &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s\n%s", diff, text)
	}
}

func TestPasteReadsLikeAManifest(t *testing.T) {
	dns := networkingv1.NetworkPolicyEgressRule{
		Ports: []networkingv1.NetworkPolicyPort{policyPort("UDP", 53), policyPort("TCP", 53)},
		To: []networkingv1.NetworkPolicyPeer{{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
		}},
	}
	want := `- to:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`
	if diff := cmp.Diff(want, paste([]networkingv1.NetworkPolicyEgressRule{dns})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWordsNeedNoQuotes holds isWord against the parsers that read what paste writes: what it calls a word comes back
// as the same string, and what they take for something else is none.
func TestWordsNeedNoQuotes(t *testing.T) {
	for _, s := range []string{
		"api", "kubernetes.io/metadata.name", "allow-dns-2", "UDP", "v1", "a", "networking.k8s.io/v1", "e5", "nan", "inf", "x_y",
	} {
		var got map[string]any
		if err := yaml.Unmarshal([]byte("k: "+s+"\n"), &got); err != nil || got["k"] != s {
			t.Errorf("%q comes back as %v, %v", s, got["k"], err)
		}
		if !isWord(s) {
			t.Errorf("%q is a word", s)
		}
	}
	for _, s := range []string{"", "y", "N", "Yes", "no", "on", "OFF", "true", "False", "null", "~", "1", "10.0.0.0/8", "::/0", "-a", ".inf", "a b", "a:", "é"} {
		if isWord(s) {
			t.Errorf("%q is no word", s)
		}
	}
}
