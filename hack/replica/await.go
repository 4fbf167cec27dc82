package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// probeNamespace is where AwaitRegistration tries changes; none is ever stored.
const probeNamespace = "default"

// AwaitRegistration waits until the API server really asks Bulkhead: it sees a new registration, and a new caBundle in
// it, some time after they were stored. A policy whose egress rules have no effect is tried as a dry run until a
// warning or a denial comes back.
func AwaitRegistration(ctx context.Context, config *rest.Config) error {
	heard := &listener{}
	config = rest.CopyConfig(config)
	config.WarningHandler = heard
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	probe := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "bulkhead-registration-probe", Namespace: probeNamespace},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: "none"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Egress:      []networkingv1.NetworkPolicyEgressRule{{}},
		},
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.NetworkingV1().NetworkPolicies(probeNamespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if heard.any || err != nil && isDenial(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server does not ask Bulkhead: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// listener hears the warnings of the API server.
type listener struct{ any bool }

// HandleWarningHeader implements rest.WarningHandler.
func (l *listener) HandleWarningHeader(code int, _ string, text string) {
	l.any = l.any || code == 299 && isBulkhead(text)
}

// slug is the guardrail that the probe violates.
const slug = "rules-ignored"

func isBulkhead(text string) bool { return strings.Contains(text, slug) }

func isDenial(err error) bool { return apierrors.IsForbidden(err) && isBulkhead(err.Error()) }
