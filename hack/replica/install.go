package replica

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/deploy"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// The names that deploy/install.yaml has. User is who the pods' service account is to the API server.
const (
	Configuration = "bulkhead"
	Secret        = "bulkhead-tls"
	User          = "system:serviceaccount:" + Namespace + ":bulkhead"
)

// Install gives the cluster what Bulkhead needs before it starts, as deploy/install.yaml has it: its namespace, its service
// account and its rights. What is there already is brought up to date. The registration is Register's: nothing is to wait for a
// webhook that is not there.
func Install(ctx context.Context, client kubernetes.Interface) error {
	for document := range strings.SplitSeq(deploy.Install, "\n---\n") {
		var object metav1.PartialObjectMetadata
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return fmt.Errorf("deploy/install.yaml: %w", err)
		}
		if err := apply(ctx, client, &object, []byte(document)); err != nil {
			return fmt.Errorf("%s %s of deploy/install.yaml: %w", object.Kind, object.Name, err)
		}
	}
	return nil
}

// apply stores an object, if it is of a kind that a process needs as much as a pod does, whatever is there.
func apply(ctx context.Context, client kubernetes.Interface, object *metav1.PartialObjectMetadata, document []byte) error {
	force := true
	options := metav1.PatchOptions{FieldManager: "bulkhead-install", Force: &force}
	core, rbac := client.CoreV1(), client.RbacV1()
	var err error
	switch object.Kind {
	case "Namespace":
		_, err = core.Namespaces().Patch(ctx, object.Name, types.ApplyYAMLPatchType, document, options)
	case "ServiceAccount":
		_, err = core.ServiceAccounts(object.Namespace).Patch(ctx, object.Name, types.ApplyYAMLPatchType, document, options)
	case "ClusterRole":
		_, err = rbac.ClusterRoles().Patch(ctx, object.Name, types.ApplyYAMLPatchType, document, options)
	case "ClusterRoleBinding":
		_, err = rbac.ClusterRoleBindings().Patch(ctx, object.Name, types.ApplyYAMLPatchType, document, options)
	case "Role":
		_, err = rbac.Roles(object.Namespace).Patch(ctx, object.Name, types.ApplyYAMLPatchType, document, options)
	case "RoleBinding":
		_, err = rbac.RoleBindings(object.Namespace).Patch(ctx, object.Name, types.ApplyYAMLPatchType, document, options)
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
