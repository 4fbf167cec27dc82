package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// testLockout leaves the cluster with a registration that fails closed and no replica that runs. Policies of tenants are
// refused then, and nothing else: the cluster goes on, ends what it has to end, and Bulkhead can be brought back.
func (a *availability) testLockout(t *testing.T) {
	by := newIssuer(t)
	m := newMount(t, by.issue(t, time.Now().Add(23*time.Hour)))
	s := a.newSite(t, "lockout", 0, by, m.path)
	tenant, leaving := s.newNamespace(t), s.newNamespace(t)
	for _, namespace := range []string{tenant, leaving} {
		s.put(t, namespace, deployment("web", 2, "app: web")+"---\n"+networkPolicy("allow-dns", allowDNS))
	}
	// As the chart registers it: policies of tenants fail closed, all else open. Namespaces of other tests are let alone.
	s.registerAs(t, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.NamespaceSelector.MatchExpressions = append(w.NamespaceSelector.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: siteLabel, Operator: metav1.LabelSelectorOpDoesNotExist})
	})
	attempts := 0
	refused := func() error {
		attempts++
		return refusedUnjudged(s.dev(t, networkPolicy(fmt.Sprintf("attempt-%d", attempts), allowDNS), "create", "-n", tenant, "--dry-run=server", "-f", "-"), "failed calling webhook")
	}
	eventually(t, "policies of tenants to be refused while nobody judges them", func(context.Context) error { return refused() })

	wantPassed(t, "the deletion of a namespace with policies and pods", s.dev(t, "", "delete", "namespace", leaving, "--wait=false"))
	leaseOf := s.leases(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"OwnNamespace", s.lockedOutOfOwn},
		{"KubeSystem", s.lockedOutOfSystem},
		{"Eviction", func(t *testing.T) { s.evict(t, tenant) }},
		{"Workloads", func(t *testing.T) {
			wantPassed(t, "a rollout", s.dev(t, "", "set", "env", "deployment/web", "-n", tenant, "A=b"))
			wantPassed(t, "scaling", s.dev(t, "", "scale", "deployment/web", "-n", tenant, "--replicas=3"))
			s.awaitDeployment(t, tenant, "web", 3)
		}},
		{"Leases", func(t *testing.T) { s.wantLeasesRenewed(t, leaseOf, tenant) }},
	} {
		t.Run(step.name, step.run)
	}
	began := time.Now()
	s.awaitGone(t, leaving)
	a.report.figure(t, "with no replica", "policies of tenants refused, the rest works; a namespace was gone %.1f s after the other steps", time.Since(began).Seconds())
	if err := refused(); err != nil {
		t.Errorf("after all that, policies of tenants are still to be refused: %v", err)
	}

	// Nothing but the start of a replica ends the lockout.
	began = time.Now()
	s.replicas = append(s.replicas, s.add(t))
	s.awaitServing(t)
	eventually(t, "policies of tenants to be judged again", func(context.Context) error {
		attempts++
		a := s.dev(t, networkPolicy(fmt.Sprintf("attempt-%d", attempts), allowDNS), "create", "-n", tenant, "--dry-run=server", "-f", "-")
		if !a.ok {
			return errors.New(a.text())
		}
		return nil
	})
	wantDenied(t, "default-deny beside allow-dns taken away", s.dev(t, "", "delete", "networkpolicy", "-n", tenant, "allow-dns", "--dry-run=server"),
		"networkpolicies", "isolation-lost: ")
	a.report.figure(t, "policies judged again after the start of a replica", "%.1f s", time.Since(began).Seconds())
}

// lockedOutOfOwn brings Bulkhead back, as far as a cluster without images can: its manifests apply, and its Deployment is
// made, scaled and restarted.
func (s *site) lockedOutOfOwn(t *testing.T) {
	own := replica.Namespace
	if a := s.dev(t, manifests(t), "apply", "--server-side", "--force-conflicts", "-f", "-"); !a.ok {
		t.Errorf("deploy/install.yaml was to apply, and kubectl printed:\n%s", a.text())
	}
	s.awaitDeployment(t, own, "bulkhead", 2)
	wantPassed(t, "scaling it", s.dev(t, "", "scale", "deployment/bulkhead", "-n", own, "--replicas=3"))
	wantPassed(t, "restarting it", s.dev(t, "", "rollout", "restart", "deployment/bulkhead", "-n", own))
	s.awaitDeployment(t, own, "bulkhead", 3)
	s.policyPasses(t, own)
	s.evict(t, own)
	wantPassed(t, "deleting it", s.dev(t, "", "delete", "deployment/bulkhead", "-n", own))
}

// manifests gives those of an installation but for the registration: that of the test names a URL instead of a Service.
func manifests(t *testing.T) string {
	t.Helper()
	all, err := os.ReadFile(filepath.Join("..", "deploy", "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(string(all), "\n---\n")
	kept := slices.DeleteFunc(slices.Clone(documents), func(d string) bool { return strings.Contains(d, "\nkind: ValidatingWebhookConfiguration\n") })
	if len(kept) != len(documents)-1 {
		t.Fatalf("of %d manifests %d are registrations", len(documents), len(documents)-len(kept))
	}
	return strings.Join(kept, "\n---\n")
}

// lockedOutOfSystem repairs what every cluster rests on.
func (s *site) lockedOutOfSystem(t *testing.T) {
	const system = metav1.NamespaceSystem
	wantPassed(t, "a label of kube-system", s.dev(t, "", "label", "namespace", system, "note=x"))
	wantPassed(t, "its removal", s.dev(t, "", "label", "namespace", system, "note-"))
	wantPassed(t, "a Deployment", s.dev(t, deployment("repair", 1, "app: repair"), "apply", "-n", system, "-f", "-"))
	s.awaitDeployment(t, system, "repair", 1)
	s.policyPasses(t, system)
	wantPassed(t, "its removal", s.dev(t, "", "delete", "deployment/repair", "-n", system))
}

// policyPasses creates, changes and deletes a policy.
func (s *site) policyPasses(t *testing.T, namespace string) {
	t.Helper()
	for _, spec := range []string{allowDNS, wall} {
		wantPassed(t, "a policy in "+namespace, s.dev(t, networkPolicy("repair", spec), "apply", "-n", namespace, "-f", "-"))
	}
	wantPassed(t, "its removal", s.dev(t, "", "delete", "networkpolicy/repair", "-n", namespace))
}

// awaitDeployment waits until so many pods of a Deployment are up to date and ready.
func (s *site) awaitDeployment(t *testing.T, namespace, name string, replicas int32) {
	t.Helper()
	eventually(t, name+" to run", func(ctx context.Context) error {
		d, err := s.clients.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now := d.Status; now.ObservedGeneration < d.Generation || now.UpdatedReplicas != replicas || now.ReadyReplicas != replicas {
			return fmt.Errorf("its status is %+v", now)
		}
		return nil
	})
}

// evict moves a pod away as the drain of a node does, and waits for its successor.
func (s *site) evict(t *testing.T, namespace string) {
	t.Helper()
	pods := s.clients.CoreV1().Pods(namespace)
	list, err := pods.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		t.Fatalf("%d pods in %s: %v", len(list.Items), namespace, err)
	}
	victim := list.Items[0]
	err = s.clients.PolicyV1().Evictions(namespace).Evict(t.Context(), &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: victim.Name},
	})
	if err != nil {
		t.Fatalf("an eviction in %s: %v", namespace, err)
	}
	eventually(t, "the evicted pod to be replaced", func(ctx context.Context) error {
		now, err := pods.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		running := 0
		for i := range now.Items {
			if now.Items[i].UID == victim.UID {
				return errors.New("it is still there")
			}
			if now.Items[i].Status.Phase == corev1.PodRunning {
				running++
			}
		}
		if running < len(list.Items) {
			return fmt.Errorf("%d of %d pods run", running, len(list.Items))
		}
		return nil
	})
}

// leases gives when each lease of the cluster was renewed.
func (s *site) leases(t *testing.T) map[string]time.Time {
	t.Helper()
	list, err := s.clients.CoordinationV1().Leases("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]time.Time{}
	for _, l := range list.Items {
		if l.Spec.RenewTime != nil {
			out[l.Namespace+"/"+l.Name] = l.Spec.RenewTime.Time
		}
	}
	return out
}

// wantLeasesRenewed waits until somebody has renewed a lease that there was, and holds one in every namespace that matters.
func (s *site) wantLeasesRenewed(t *testing.T, before map[string]time.Time, tenant string) {
	eventually(t, "one of the leases to be renewed by its holder", func(context.Context) error {
		for name, at := range s.leases(t) {
			if was, known := before[name]; known && at.After(was) {
				return nil
			}
		}
		return fmt.Errorf("none of %d was", len(before))
	})
	for _, namespace := range []string{metav1.NamespaceSystem, replica.Namespace, tenant} {
		leases := s.clients.CoordinationV1().Leases(namespace)
		holder, now := "bulkhead-e2e", metav1.NowMicro()
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: holder}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &now}}
		held, err := leases.Create(t.Context(), lease, metav1.CreateOptions{})
		if err == nil {
			again := metav1.NowMicro()
			held.Spec.RenewTime = &again
			_, err = leases.Update(t.Context(), held, metav1.UpdateOptions{})
		}
		if err := errors.Join(err, leases.Delete(t.Context(), holder, metav1.DeleteOptions{})); err != nil {
			t.Errorf("a lease in %s: %v", namespace, err)
		}
	}
}

// awaitGone waits until a namespace is gone.
func (s *site) awaitGone(t *testing.T, name string) {
	t.Helper()
	eventually(t, "namespace "+name+" to be gone", func(ctx context.Context) error {
		_, err := s.clients.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return errors.New("it is still there")
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}
