package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

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
	rights := slices.Concat(webhook.SnapshotRights(), webhook.TierRights(), webhook.SelfSignedRights(Namespace, Secret, Configuration))
	clusterRole := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "bulkhead"}}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "bulkhead", Namespace: Namespace}}
	for _, r := range rights {
		rule := rbacv1.PolicyRule{Verbs: []string{r.Verb}, APIGroups: []string{r.Group}, Resources: []string{r.Resource}}
		if r.Name != "" {
			rule.ResourceNames = []string{r.Name}
		}
		if r.Namespace == "" {
			clusterRole.Rules = append(clusterRole.Rules, rule)
		} else {
			role.Rules = append(role.Rules, rule)
		}
	}
	rbac := client.RbacV1()
	if _, err := rbac.ClusterRoles().Create(ctx, clusterRole, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if _, err := rbac.Roles(Namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	clusterBinding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: clusterRole.ObjectMeta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "bulkhead"},
	}
	if _, err := rbac.ClusterRoleBindings().Create(ctx, clusterBinding, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: role.ObjectMeta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "bulkhead"},
	}
	_, err := rbac.RoleBindings(Namespace).Create(ctx, binding, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
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
		func() error { return client.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{}) },
	} {
		if err := remove(); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
