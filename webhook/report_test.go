package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// TestUncheckedIsSaid has a change whose connections are more than are compared, and a guardrail that asks for them and
// finds nothing: the audit log and the log say that not all was looked at.
func TestUncheckedIsSaid(t *testing.T) {
	guardrails := []policy.Guardrail{{
		Slug: "compares", DefaultAction: config.Deny, On: everyTrigger(),
		Check: func(c *policy.Change, _ any) []policy.Violation { c.Difference(); return nil },
	}}
	for _, tt := range []struct {
		blocks int
		said   bool
	}{{10, false}, {3000, true}} {
		np := policyOf("a")
		for i := range tt.blocks {
			port := intstr.FromInt(i + 1)
			np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}, To: []networkingv1.NetworkPolicyPeer{{
				IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)}},
			}}})
		}
		request := admissionRequest(t, create, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", nil, np)
		request.Name = np.Name
		b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"))
		b.env.budget = time.Minute // not what the test is about
		got := b.send(t.Context(), request)
		if got.AdmissionResponse == nil || !got.Allowed {
			t.Fatalf("%d blocks: %s", tt.blocks, got.text)
		}
		const said = "connections of 1 of 1 pairs of workloads"
		if annotation := got.AuditAnnotations["unchecked"]; (annotation == said) != tt.said || !tt.said && annotation != "" {
			t.Errorf("%d blocks: the audit annotation is %q", tt.blocks, annotation)
		}
		if strings.Contains(b.log.String(), `"unchecked":"`+said+`"`) != tt.said {
			t.Errorf("%d blocks: the log is %s", tt.blocks, b.log.String())
		}
	}
}

// TestPanicsAreLoggedPrintable has a guardrail panic with text of the request.
func TestPanicsAreLoggedPrintable(t *testing.T) {
	guardrails := []policy.Guardrail{
		always("a-fine", func() []policy.Violation { return nil }),
		always("b-panics", func() []policy.Violation { panic("name \u202e\x1b[31m\n" + strings.Repeat("x", 10_000)) }),
	}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"))
	if got := b.send(t.Context(), policyCreate(t, "a")); got.AdmissionResponse == nil || !got.Allowed {
		t.Fatalf("got %s", got.text)
	}
	log := b.log.String()
	for _, want := range []string{`"error":"panic: name \\u202e\\x1b[31m\\n`, `"stack":"goroutine `, "report_test.go"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(log, "\u202e") || strings.Contains(log, strings.Repeat("x", maxPanicText+1)) {
		t.Errorf("the panic's text is logged as it is: %s", clip(log, 2000))
	}
}
