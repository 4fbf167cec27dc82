package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// The names of what Install creates.
const (
	Configuration = "bulkhead"
	Secret        = "bulkhead-tls"
	User          = "system:serviceaccount:" + Namespace + ":bulkhead"
)

// Install creates what Bulkhead needs in the cluster before it starts: its namespace, its rights for User, and its
// registration with the API server, which is created last so that nothing waits for a webhook that is not there.
func Install(ctx context.Context, client kubernetes.Interface) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: User}}
	all := guardrails.All()
	needs := policy.Needs(all, config.Default(policy.Specs(all)))
	rights := slices.Concat(webhook.SnapshotRights(), webhook.TierRights(), webhook.NeedRights(needs),
		webhook.SelfSignedRights(Namespace, Secret, Configuration))
	roles := map[string][]rbacv1.PolicyRule{} // by namespace; empty for the whole cluster
	for _, r := range rights {
		rule := rbacv1.PolicyRule{Verbs: []string{r.Verb}, APIGroups: []string{r.Group}, Resources: []string{r.Resource}}
		if r.Name != "" {
			rule.ResourceNames = []string{r.Name}
		}
		roles[r.Namespace] = append(roles[r.Namespace], rule)
	}
	for _, namespace := range slices.Sorted(maps.Keys(roles)) {
		if err := grant(ctx, client.RbacV1(), namespace, roles[namespace], subjects); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// grant lets the subjects do what the rules say in the namespace, or in the whole cluster where it is empty.
func grant(ctx context.Context, c rbacclient.RbacV1Interface, namespace string, rules []rbacv1.PolicyRule, subjects []rbacv1.Subject) error {
	meta := metav1.ObjectMeta{Name: "bulkhead", Namespace: namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name}
	var err error
	if namespace == "" {
		ref.Kind = "ClusterRole"
		_, err = c.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	} else {
		_, err = c.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if namespace == "" {
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}
		_, err = c.ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	} else {
		binding := &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}
		_, err = c.RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{})
	}
	return err
}

// Register makes the API server send its reviews to url. caBundle may be empty: Bulkhead fills it in itself.
func Register(ctx context.Context, client kubernetes.Interface, url string, caBundle []byte, failClosed bool) error {
	wanted := webhook.Registration(webhook.RegistrationOptions{
		Name: Configuration, Namespace: Namespace, URL: strings.TrimSuffix(url, "/"), CABundle: caBundle, FailClosed: failClosed,
	})
	configurations := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := configurations.Create(ctx, wanted, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	old, err := configurations.Get(ctx, Configuration, metav1.GetOptions{})
	if err != nil {
		return err
	}
	wanted.ResourceVersion = old.ResourceVersion
	if len(caBundle) == 0 && len(old.Webhooks) > 0 {
		for i := range wanted.Webhooks {
			wanted.Webhooks[i].ClientConfig.CABundle = old.Webhooks[0].ClientConfig.CABundle
		}
	}
	if _, err := configurations.Update(ctx, wanted, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update ValidatingWebhookConfiguration %s: %w", Configuration, err)
	}
	return nil
}

// Uninstall removes what Install and Register created.
func Uninstall(ctx context.Context, client kubernetes.Interface) error {
	for _, remove := range []func() error{
		func() error {
			return client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, Configuration, metav1.DeleteOptions{})
		},
		func() error {
			return client.RbacV1().ClusterRoleBindings().Delete(ctx, "bulkhead", metav1.DeleteOptions{})
		},
		func() error { return client.RbacV1().ClusterRoles().Delete(ctx, "bulkhead", metav1.DeleteOptions{}) },
		func() error { // the right to see where the API servers are
			return client.RbacV1().RoleBindings(metav1.NamespaceDefault).Delete(ctx, "bulkhead", metav1.DeleteOptions{})
		},
		func() error {
			return client.RbacV1().Roles(metav1.NamespaceDefault).Delete(ctx, "bulkhead", metav1.DeleteOptions{})
		},
		func() error { return client.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{}) },
	} {
		if err := remove(); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
