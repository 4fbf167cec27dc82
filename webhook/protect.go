package webhook

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// The reasons for which a request is exempt. They are metric labels and audit annotations, so the set is closed.
const (
	exemptNamespace            = "config-namespace"
	exemptUser                 = "config-user"
	exemptGroup                = "config-group"
	exemptNodeAgent            = "node-agent"
	exemptGarbageCollection    = "garbage-collection"
	exemptNamespaceTermination = "namespace-terminating"
)

const systemNamespace = "kube-system"

// collectors are the identities under which the controller manager deletes what nobody wants any more. Refusing them would leave
// namespaces and garbage behind for ever. Source: kube-controller-manager's controller names with
// --use-service-account-credentials, and its own user name without.
func collectors() []string {
	return []string{
		"system:serviceaccount:kube-system:generic-garbage-collector",
		"system:serviceaccount:kube-system:namespace-controller",
		"system:kube-controller-manager",
	}
}

// controllerManager reports whether the user is one of those under which kube-controller-manager makes pods from templates: a
// service account of kube-system for each controller, or its own user name where it runs without
// --use-service-account-credentials.
func controllerManager(user string) bool {
	return user == "system:kube-controller-manager" || strings.HasPrefix(user, "system:serviceaccount:"+systemNamespace+":")
}

// exemption tells why the request is not judged at all, "" where it is.
func exemption(cfg *config.Config, r *admissionv1.AdmissionRequest) string {
	switch {
	case slices.Contains(r.UserInfo.Groups, "system:nodes"):
		// Kubelets write status and mirror pods; the node authorizer bounds what they may do.
		return exemptNodeAgent
	case r.Operation == admissionv1.Delete && slices.Contains(collectors(), r.UserInfo.Username):
		return exemptGarbageCollection
	case slices.Contains(cfg.Exempt.Namespaces, r.Namespace):
		return exemptNamespace
	case slices.Contains(cfg.Exempt.Users, r.UserInfo.Username):
		return exemptUser
	case slices.ContainsFunc(r.UserInfo.Groups, func(g string) bool { return slices.Contains(cfg.Exempt.Groups, g) }):
		return exemptGroup
	}
	return ""
}

// mustPass reports whether requests in the namespace are never refused, whatever the config says: without kube-system
// and its own namespace neither the cluster nor Bulkhead can be repaired.
func mustPass(namespace, own string) bool {
	return namespace == systemNamespace || namespace == own
}
