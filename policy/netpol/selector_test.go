package netpol_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

func compileSelector(t *testing.T, text string) netpol.Selector {
	t.Helper()
	source := metav1.LabelSelector{}
	if err := yaml.UnmarshalStrict([]byte(text), &source); err != nil {
		t.Fatal(err)
	}
	s, err := netpol.CompileSelector(source)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSelectorDescribesItself(t *testing.T) {
	for _, c := range []struct {
		source, text string
		keys         []string
		everything   bool
	}{
		{`{}`, "<none>", []string{}, true},
		{`{matchLabels: {}, matchExpressions: []}`, "<none>", []string{}, true},
		{`{matchLabels: {tier: front, app: web}}`, "app=web,tier=front", []string{"app", "tier"}, false},
		{`{matchLabels: {app: web}, matchExpressions: [{key: app, operator: Exists}, {key: a, operator: NotIn, values: [d, c]}]}`, "app=web,a notin (c,d),app", []string{"a", "app"}, false},
		{`{matchExpressions: [{key: app, operator: DoesNotExist}]}`, "!app", []string{"app"}, false},
	} {
		s := compileSelector(t, c.source)
		if got := s.Keys(); !slices.Equal(got, c.keys) {
			t.Errorf("Keys of %s: got %v, want %v", c.source, got, c.keys)
		}
		if got := s.Everything(); got != c.everything {
			t.Errorf("Everything of %s: got %v, want %v", c.source, got, c.everything)
		}
		if got := s.String(); !sameParts(got, c.text) {
			t.Errorf("String of %s: got %q, want the parts of %q", c.source, got, c.text)
		}
		source := s.Source()
		again, err := netpol.CompileSelector(source)
		if err != nil || again.String() != s.String() {
			t.Errorf("Source of %s: got %v (%v)", c.source, source, err)
		}
		if want := metav1.FormatLabelSelector(&source); s.String() != want {
			t.Errorf("String of %s: got %q, want %q as kubectl prints it", c.source, s, want)
		}
		if got := labels.NewSelector().Add(s.Requirements()...); !s.Everything() && got.String() != s.String() {
			t.Errorf("Requirements of %s: got %v", c.source, got)
		}
	}
}

// sameParts compares selectors as text; apimachinery does not promise an order for the parts.
func sameParts(a, b string) bool {
	x, errX := labels.Parse(a)
	y, errY := labels.Parse(b)
	if errX != nil || errY != nil {
		return a == b
	}
	return x.String() == y.String()
}

func TestSelectorBrief(t *testing.T) {
	for source, want := range map[string]string{
		`{}`:                                     "<none>",
		`{matchLabels: {tier: front, app: web}}`: "app=web,tier=front",
		`{matchExpressions: [{key: a, operator: In, values: [w, v, u]}]}`:                                        "a in (u,v,w)",
		`{matchExpressions: [{key: a, operator: NotIn, values: [x, w, v, u]}]}`:                                  "a notin (u,v,w,+1)",
		`{matchLabels: {a: "1", b: "2", c: "3", d: "4", e: "5"}}`:                                                "a=1,b=2,c=3,+2",
		`{matchExpressions: [{key: a, operator: Exists}, {key: b, operator: DoesNotExist}]}`:                     "a,!b",
		`{matchLabels: {z: "9"}, matchExpressions: [{key: a, operator: In, values: ["5", "4", "3", "2", "1"]}]}`: "a in (1,2,3,+2),z=9",
	} {
		if got := compileSelector(t, source).Brief(); got != want {
			t.Errorf("Brief of %s: got %q, want %q", source, got, want)
		}
	}
	if got := (netpol.Selector{}).Brief(); got != "<none>" {
		t.Errorf("Brief of the zero selector: got %q", got)
	}
}

func TestSelectorExact(t *testing.T) {
	for _, c := range []struct {
		source, want string
		ok           bool
	}{
		{`{matchLabels: {app: web}}`, "web", true},
		{`{matchLabels: {app: ""}}`, "", true},
		{`{matchExpressions: [{key: app, operator: In, values: [web]}]}`, "web", true},
		{`{matchExpressions: [{key: app, operator: Exists}, {key: app, operator: In, values: [web]}]}`, "web", true},
		{`{matchExpressions: [{key: app, operator: In, values: [web, api]}]}`, "", false},
		{`{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}`, "", false},
		{`{matchExpressions: [{key: app, operator: Exists}]}`, "", false},
		{`{matchLabels: {tier: web}}`, "", false},
		{`{}`, "", false},
	} {
		got, ok := compileSelector(t, c.source).Exact("app")
		if got != c.want || ok != c.ok {
			t.Errorf("Exact(app) of %s: got %q, %v, want %q, %v", c.source, got, ok, c.want, c.ok)
		}
	}
}

// TestExactIsNecessary: an index by the exact value may never miss what the selector matches.
func TestExactIsNecessary(t *testing.T) {
	forAll(t, fewWorlds, func(d draw, _ world) string {
		source, l := d.selector(), d.labels()
		s, err := netpol.CompileSelector(source)
		if err != nil {
			return err.Error()
		}
		want, ok := s.Exact("app")
		if got, present := l["app"]; ok && s.Matches(l) && (!present || got != want) {
			return "Exact demands " + want + " but the selector matches " + l.String() + ":\n" + printYAML(source)
		}
		return ""
	})
}

func TestZeroSelectorMatchesNothing(t *testing.T) {
	if (netpol.Selector{}).Matches(labels.Set{"app": "web"}) {
		t.Error("a selector that was never compiled matches")
	}
}

// TestPodKeys: own keys are read in the policy's namespace alone, foreign ones in every namespace.
func TestPodKeys(t *testing.T) {
	p := compileAll(t, parsePolicies(t, `
metadata: {namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {role: client, app: x}}}, {namespaceSelector: {matchLabels: {team: a}}}]}]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}, {namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}]}]`))[0]
	own, foreign := p.PodKeys()
	if !slices.Equal(own, []string{"app", "role"}) || !slices.Equal(foreign, []string{"tier"}) {
		t.Errorf("PodKeys: got %v and %v, want [app role] and [tier]", own, foreign)
	}
}

// TestPodKeysAreComplete: changing a label that PodKeys leaves out never changes an answer.
func TestPodKeysAreComplete(t *testing.T) {
	forAll(t, fewWorlds, func(d draw, w world) string {
		compiled, err := compile(w.Policies)
		if err != nil {
			return err.Error()
		}
		for range probes {
			s := scenario{Policies: w.Policies, From: pick(d, w.Ends...), To: pick(d, w.Ends...), Port: d.probePort()}
			from, to := changeUnread(s.From, compiled), changeUnread(s.To, compiled)
			if netpol.Connects(s.From, s.To, s.Port, compiled, compiled) != netpol.Connects(from, to, s.Port, compiled, compiled) {
				return "a label that PodKeys leaves out changes the answer:\n" + printYAML(s)
			}
		}
		return ""
	})
}

// changeUnread changes the labels of e that no policy reads there.
func changeUnread(e netpol.Endpoint, policies []*netpol.Policy) netpol.Endpoint {
	l := cloneLabels(e.Labels)
	for _, key := range []string{"app", "tier"} {
		if !slices.ContainsFunc(policies, func(p *netpol.Policy) bool {
			own, foreign := p.PodKeys()
			return slices.Contains(foreign, key) || p.Namespace == e.Namespace && slices.Contains(own, key)
		}) {
			l[key] = "changed"
		}
	}
	e.Labels = l
	return e
}

func TestSelectsAny(t *testing.T) {
	p := compileAll(t, parsePolicies(t, `{metadata: {namespace: shop}, spec: {podSelector: {matchLabels: {app: web}}}}`))[0]
	if !p.SelectsAny(member(t, "shop/web")) || p.SelectsAny(member(t, "shop/api")) {
		t.Error("SelectsAny of a policy differs from Selects")
	}
	if (*netpol.Policy)(nil).SelectsAny(member(t, "shop/web")) {
		t.Error("an absent policy selects")
	}
}

func TestDirectionNames(t *testing.T) {
	if got := []string{netpol.Directions[0].String(), netpol.Directions[1].String()}; !slices.Equal(got, []string{"Ingress", "Egress"}) {
		t.Errorf("Directions: got %v", got)
	}
}
