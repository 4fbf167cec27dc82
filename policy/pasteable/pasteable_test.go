package pasteable

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
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
	text := YAML(want)
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
	if diff := cmp.Diff(want, YAML([]networkingv1.NetworkPolicyEgressRule{dns})); diff != "" {
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

// TestPlainIsWhatTheLibraryWrites holds what is written without the library against what the library writes, for policies
// and values as guardrails paste them. Nearly all have to go without it, or it would be no use.
func TestPlainIsWhatTheLibraryWrites(t *testing.T) {
	rng := seeded(t)
	plain := 0
	const tries = 3000
	for range tries {
		v := randomPaste(rng)
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := pastePlain(data)
		if !ok {
			continue
		}
		plain++
		if diff := cmp.Diff(pasteQuoted(data), got); diff != "" {
			t.Fatalf("%s (-library +plain):\n%s", data, diff)
		}
	}
	if plain < tries/4 {
		t.Errorf("%d of %d went without the library", plain, tries)
	}
}

// randomPaste makes a policy, a part of one, or any other value; now and then with a string that needs quotes.
func randomPaste(rng *rand.Rand) any {
	words := []string{
		"api", "kubernetes.io/metadata.name", "kube-system", "tier", "a.b/c_d", "app", "to", "10.0.0.0/8", "0.0.0.0/0", "UDP",
		"a-word-so-long-that-a-list-of-three-of-them-does-not-fit-on-a-line",
	}
	odd := []string{"", "yes", "8080", "1.2", "fd00::/8", "a b", `a"b`, "é", "null", "1.2.3.4", "1.2.3.4/08", "a\nb", "<x>", "-", "0", "010"}
	word := func() string {
		if rng.IntN(60) == 0 {
			return odd[rng.IntN(len(odd))]
		}
		if rng.IntN(4) == 0 { // any short word of a label's letters
			short := make([]byte, 1+rng.IntN(4))
			for i := range short {
				short[i] = "abeEfnoNOtxyYlsu019._-/"[rng.IntN(23)]
			}
			return string(short)
		}
		return words[rng.IntN(len(words))]
	}
	selector := func() *metav1.LabelSelector {
		s := &metav1.LabelSelector{}
		for range rng.IntN(3) {
			metav1.AddLabelToSelector(s, word(), word())
		}
		for range rng.IntN(3) - 1 {
			r := metav1.LabelSelectorRequirement{Key: word(), Operator: metav1.LabelSelectorOpIn}
			for range rng.IntN(4) {
				r.Values = append(r.Values, word())
			}
			s.MatchExpressions = append(s.MatchExpressions, r)
		}
		return s
	}
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: word(), Name: word()}}
	np.APIVersion, np.Kind = "networking.k8s.io/v1", "NetworkPolicy"
	np.Spec.PodSelector = *selector()
	for range rng.IntN(3) {
		np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyType(word()))
	}
	for range rng.IntN(3) {
		var r networkingv1.NetworkPolicyEgressRule
		for range rng.IntN(4) {
			switch rng.IntN(3) {
			case 0:
				r.To = append(r.To, networkingv1.NetworkPolicyPeer{PodSelector: selector(), NamespaceSelector: selector()})
			case 1:
				r.To = append(r.To, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: word(), Except: []string{word(), word()}}})
			default:
				r.Ports = append(r.Ports, policyPort(corev1.ProtocolTCP, uint16(rng.IntN(65536))))
			}
		}
		np.Spec.Egress = append(np.Spec.Egress, r)
	}
	switch rng.IntN(5) {
	case 0:
		return map[string]any{word(): np.Spec.Egress, word(): word()}
	case 1:
		return np.Spec.Egress
	case 2:
		return map[string]any{word(): map[string]any{word(): rng.IntN(3) - 1, word(): []any{}, word(): nil, word(): true, word(): [][]string{{word()}}}}
	case 3:
		return map[string]any{"spec": []string{word(), word()}, word(): map[string]string{}, "ports": np.Spec.Egress}
	}
	return np
}

func policyPort(protocol corev1.Protocol, number uint16) networkingv1.NetworkPolicyPort {
	port := intstr.FromInt32(int32(number))
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port}
}

// seedVariable sets the seed of random tests, to repeat one that failed.
const seedVariable = "BULKHEAD_SEED"

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v: set a number", seedVariable, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with %s=%d", seedVariable, seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}
