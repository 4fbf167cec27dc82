package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/console"
)

// argumentsOfAudit gives the arguments of the audit's container.
func argumentsOfAudit(t *testing.T, objects []object) []string {
	t.Helper()
	return only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Args
}

// consoleRights are what the console of an audit needs, nothing where it has none.
func consoleRights(t *testing.T, objects []object, release Release) []webhook.Right {
	t.Helper()
	var out []webhook.Right
	for _, arg := range argumentsOfAudit(t, objects) {
		if configuration, found := strings.CutPrefix(arg, "--console-webhook-configuration="); found {
			out = append(out, console.Rights(release.Namespace, configuration)...)
		}
		if arg == "--console-auth" {
			out = append(out, console.AuthRights()...)
		}
	}
	return out
}

// withoutConsoleRole leaves out the role for people, which nobody is bound to; TestConsole looks at it.
func withoutConsoleRole(objects []object) []object {
	return slices.DeleteFunc(slices.Clone(objects), func(o object) bool {
		_, role := o.(*rbacv1.ClusterRole)
		return role && strings.HasSuffix(o.GetName(), "-console")
	})
}

// withoutConsoleFiles takes the console's certificate out of a pod, so that it can be compared with one that has no console.
func withoutConsoleFiles(pod *corev1.PodSpec) {
	pod.Volumes = slices.DeleteFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "console" })
	mounts := &pod.Containers[0].VolumeMounts
	*mounts = slices.DeleteFunc(*mounts, func(m corev1.VolumeMount) bool { return m.Name == "console" })
}

// TestConsole: with a certificate the console is a port of the Service, people sign in there, and a role that nobody is bound to lets
// them; without one it is loopback's alone.
func TestConsole(t *testing.T) {
	for name, want := range map[string]string{
		"audit-plain":         "[] [] [] []",
		"audit-console":       "[:8443 auth dir=/etc/bulkhead-console cluster=production, west] [443console] [console-tls] [bulkhead-audit-console[/console] [get]]",
		"audit-console-local": "[127.0.0.1:8082] [] [] []",
	} {
		objects := renderedAudit(t, installRelease, matrix(t)[name])
		var flags, ports, secrets, roles []string
		for _, arg := range argumentsOfAudit(t, objects) {
			arg = strings.NewReplacer("--console-address=", "", "--console-cert-", "", "--console-", "").Replace(arg)
			if !strings.HasPrefix(arg, "--") && arg != "audit" && arg != "serve" && !strings.HasPrefix(arg, "service=") && !strings.HasPrefix(arg, "webhook-") {
				flags = append(flags, arg)
			}
		}
		for _, p := range only[*corev1.Service](t, objects).Spec.Ports {
			if p.Name == "console" {
				ports = append(ports, fmt.Sprint(p.Port, p.TargetPort.String()))
			}
		}
		for _, v := range only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Volumes {
			if v.Secret != nil {
				secrets = append(secrets, v.Secret.SecretName)
			}
		}
		for _, r := range each[*rbacv1.ClusterRole](objects) {
			if r.Rules[0].NonResourceURLs != nil {
				roles = append(roles, fmt.Sprint(r.Name, r.Rules[0].NonResourceURLs, r.Rules[0].Verbs))
			}
		}
		if got := fmt.Sprint(flags, ports, secrets, roles); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
