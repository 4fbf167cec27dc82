package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// The tests in this file hold the chart against the code: what the code is given, asks for and is called with.

// configOf reads the BulkheadConfig of a release, as Bulkhead will.
func configOf(t *testing.T, objects []object) *config.Config {
	t.Helper()
	maps := slices.DeleteFunc(each[*corev1.ConfigMap](objects), func(m *corev1.ConfigMap) bool { return m.Data["bulkhead.yaml"] == "" })
	if len(maps) != 1 {
		t.Fatalf("%d ConfigMaps have a config", len(maps))
	}
	cfg, err := config.Parse([]byte(maps[0].Data["bulkhead.yaml"]), policy.Specs(guardrails.All()))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// flag gives the value of an argument of the Deployment, "" where it has none.
func flagOf(t *testing.T, objects []object, name string) string {
	t.Helper()
	for _, arg := range only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Args {
		if value, found := strings.CutPrefix(arg, "--"+name+"="); found {
			return value
		}
	}
	return ""
}

// TestRights: what a release grants is what the code needs with its config, and nothing else.
func TestRights(t *testing.T) {
	sizes := map[int]bool{}
	forEach(t, func(t *testing.T, release Release, values map[string]any) {
		objects := rendered(t, release, values)
		needs := policy.Needs(guardrails.All(), configOf(t, objects))
		want := slices.Concat(webhook.SnapshotRights(), webhook.TierRights(), webhook.NeedRights(needs),
			webhook.RegistrationRights(flagOf(t, objects, "webhook-configuration")))
		if denialsAsked(t, objects) {
			want = append(want, webhook.DenialsRights()...)
		}
		if len(configOf(t, objects).Events.Decisions) > 0 {
			want = append(want, webhook.EventRights()...)
		}
		if flagOf(t, objects, "certificate-dir") == "" {
			want = append(want, webhook.SelfSignedRights(release.Namespace, flagOf(t, objects, "certificate-secret"), flagOf(t, objects, "webhook-configuration"))...)
		}
		if name := flagOf(t, objects, "certificate-name"); name != "" {
			want = append(want, webhook.CertManagerRights(release.Namespace, name, flagOf(t, objects, "webhook-configuration"))...)
			want = append(want, issuerRights(t, objects, release, name)...)
		}
		sizes[len(needs)] = true
		if diff := cmp.Diff(lines(want), lines(granted(t, objects, release))); diff != "" {
			t.Errorf("rights that are needed (-) and granted (+):\n%s", diff)
		}
	})
	if len(sizes) < 4 {
		t.Errorf("the configs of the matrix ask for too much alike: %v kinds", slices.Sorted(maps.Keys(sizes)))
	}
}

// denialsAsked reports whether the replicas are told to answer who asks for denials.
func denialsAsked(t *testing.T, objects []object) bool {
	t.Helper()
	return slices.Contains(only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Args, "--denials")
}

// TestDenials: where they are answered, the Service has the port, whom the values name may reach it, and a role that nobody is bound
// to grants it; where they are not, there is nothing of it.
func TestDenials(t *testing.T) {
	asked := 0
	forEach(t, func(t *testing.T, release Release, values map[string]any) {
		objects := rendered(t, release, values)
		var roles, ports, reach []string
		for _, r := range each[*rbacv1.ClusterRole](objects) {
			for _, rule := range r.Rules {
				if len(rule.NonResourceURLs) > 0 {
					roles = append(roles, fmt.Sprint(r.Name, rule.NonResourceURLs, rule.Verbs, len(r.Rules)))
				}
			}
		}
		for _, p := range only[*corev1.Service](t, objects).Spec.Ports {
			if p.Name == "denials" {
				ports = append(ports, fmt.Sprint(p.Port, p.TargetPort.String()))
			}
		}
		for _, p := range each[*networkingv1.NetworkPolicy](objects) {
			for _, r := range p.Spec.Ingress {
				if len(r.Ports) == 1 && r.Ports[0].Port.IntValue() == 9444 {
					reach = append(reach, fmt.Sprint(len(r.From)))
				}
			}
		}
		got, want := fmt.Sprint(roles, ports, reach), "[] [] []"
		if denialsAsked(t, objects) {
			asked++
			want = fmt.Sprintf("[%s-denials[/denials] [get] 1] [9444denials] [1]", only[*corev1.Service](t, objects).Name)
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	if asked == 0 {
		t.Error("no values of the matrix have denials answered")
	}
}

// issuerRights are what reading the issuer of the Certificate needs; nothing for an issuer of another project.
func issuerRights(t *testing.T, objects []object, release Release, certificate string) []webhook.Right {
	t.Helper()
	for _, c := range each[*certmanagerv1.Certificate](objects) {
		ref := c.Spec.IssuerRef
		switch {
		case c.Name != certificate || ref.Group != "cert-manager.io":
		case ref.Kind == certmanagerv1.ClusterIssuerKind:
			return []webhook.Right{webhook.IssuerRight("", ref.Name)}
		default:
			return []webhook.Right{webhook.IssuerRight(release.Namespace, ref.Name)}
		}
	}
	return nil
}

func lines(rights []webhook.Right) []string {
	var out []string
	for _, r := range rights {
		out = append(out, fmt.Sprintf("%+v", r))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// granted takes the rules of all roles apart that are bound to the service account of the pods.
func granted(t *testing.T, objects []object, release Release) []webhook.Right {
	t.Helper()
	account := only[*appsv1.Deployment](t, objects).Spec.Template.Spec.ServiceAccountName
	rules := map[string][]rbacv1.PolicyRule{}
	for _, r := range each[*rbacv1.Role](objects) {
		rules["Role "+r.Namespace+"/"+r.Name] = r.Rules
	}
	for _, r := range each[*rbacv1.ClusterRole](objects) {
		if strings.HasSuffix(r.Name, "-denials") {
			continue // for auditors, and not for Bulkhead; TestDenials looks at it
		}
		rules["ClusterRole /"+r.Name] = r.Rules
	}
	var out []webhook.Right
	bound := func(namespace string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		want := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: release.Namespace}}
		if ref.APIGroup != rbacv1.GroupName || !slices.Equal(subjects, want) {
			t.Errorf("%+v is bound to %+v", ref, subjects)
		}
		key := ref.Kind + " " + namespace + "/" + ref.Name
		for _, rule := range rules[key] {
			out = append(out, rightsOf(namespace, rule)...)
		}
		delete(rules, key)
	}
	for _, b := range each[*rbacv1.RoleBinding](objects) {
		bound(b.Namespace, b.RoleRef, b.Subjects)
	}
	for _, b := range each[*rbacv1.ClusterRoleBinding](objects) {
		bound("", b.RoleRef, b.Subjects)
	}
	if len(rules) > 0 {
		t.Errorf("bound to nobody: %v", slices.Sorted(maps.Keys(rules)))
	}
	return out
}

func rightsOf(namespace string, rule rbacv1.PolicyRule) []webhook.Right {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var out []webhook.Right
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				for _, name := range names {
					out = append(out, webhook.Right{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name})
				}
			}
		}
	}
	return out
}

// TestRegistration: the chart registers what the code would.
func TestRegistration(t *testing.T) {
	closed := 0
	forEach(t, func(t *testing.T, release Release, values map[string]any) {
		objects := rendered(t, release, values)
		got := only[*admissionregistrationv1.ValidatingWebhookConfiguration](t, objects)
		service := only[*corev1.Service](t, objects)
		options := webhook.RegistrationOptions{
			Name: service.Name, Namespace: release.Namespace, Service: service.Name, FailClosed: values["failurePolicy"] == "Fail",
		}
		if options.FailClosed {
			closed++
		}
		if c, _ := values["certificates"].(map[string]any); c["mode"] == "files" {
			options.CABundle = []byte(c["files"].(map[string]any)["caBundle"].(string))
		}
		want := webhook.Registration(options)
		if diff := cmp.Diff(want.Webhooks, got.Webhooks); diff != "" {
			t.Errorf("webhooks (- code, + chart):\n%s", diff)
		}
		if got.Name != want.Name {
			t.Errorf("name %s, want %s", got.Name, want.Name)
		}
		if name := flagOf(t, objects, "webhook-configuration"); name != "" && name != got.Name {
			t.Errorf("Bulkhead keeps up %s, and the registration is %s", name, got.Name)
		}
		if port := service.Spec.Ports[0]; port.Port != 443 || port.TargetPort.String() != "webhook" {
			t.Errorf("the API server calls port 443, the Service has %+v", port)
		}
	})
	if closed == 0 {
		t.Error("no values of the matrix fail closed")
	}
}

// TestArguments runs the real "bulkhead serve" on the arguments of each release, with --help at their end: it fails on a flag that
// it does not know and on a value that it cannot read.
func TestArguments(t *testing.T) {
	binary := buildBulkhead(t)
	run := func(args []string) (string, error) {
		out, err := exec.Command(binary, append(slices.Clone(args), "--help")...).CombinedOutput()
		return string(out), err
	}
	if out, err := run([]string{"serve", "--drain=5s", "--no-such-flag"}); err == nil {
		t.Fatalf("a flag that is none was taken:\n%s", out)
	}
	forEach(t, func(t *testing.T, release Release, values map[string]any) {
		container := only[*appsv1.Deployment](t, rendered(t, release, values)).Spec.Template.Spec.Containers[0]
		if out, err := run(container.Args); err != nil || container.Args[0] != "serve" {
			t.Errorf("%v: %v\n%s", container.Args, err, out)
		}
	})
}

func buildBulkhead(t *testing.T) string {
	t.Helper()
	binary := t.TempDir() + "/bulkhead"
	build := exec.Command("go", "build", "-o", binary, "github.com/bulkhead-dev/bulkhead/cmd/bulkhead")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestConfig: what is set reaches Bulkhead, and an unquoted Off is one.
func TestConfig(t *testing.T) {
	values := matrix(t)
	if got := configOf(t, rendered(t, installRelease, nil)).Hash(); got != config.Default(policy.Specs(guardrails.All())).Hash() {
		t.Error("the defaults of the chart are not those of Bulkhead")
	}
	if got := configOf(t, rendered(t, installRelease, values["off"])).MaximumAction; got != config.Off {
		t.Errorf("maximumAction is %s, want Off", got)
	}
	narrow := configOf(t, rendered(t, installRelease, values["narrow"]))
	for slug, want := range map[string]config.Action{"apiserver-cut": config.Off, "webhook-cut": config.Off, "cni-inert": config.Audit, "dns-cut": config.Warn} {
		if got := narrow.Settings(slug).Action; got != want {
			t.Errorf("%s is %s, want %s", slug, got, want)
		}
	}
	enforce := configOf(t, rendered(t, installRelease, values["enforce"]))
	if enforce.MaximumAction != config.Deny || enforce.ExemptedBy("", "", []string{"system:serviceaccounts:flux-system"}) == "" {
		t.Errorf("config %+v", enforce)
	}
}

// TestCABundle: only with files of one's own does the chart have the field; otherwise who rotates the bundle also owns it, and even
// an empty one of the chart would take it away.
func TestCABundle(t *testing.T) {
	c, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range matrix(t) {
		manifests, err := Render(c, installRelease, values)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(manifests), "caBundle"); got != (name == "files") {
			t.Errorf("%s: the chart sets caBundle: %v", name, got)
		}
		configuration := only[*admissionregistrationv1.ValidatingWebhookConfiguration](t, decode(t, manifests))
		injected := configuration.Annotations["cert-manager.io/inject-ca-from"]
		if (injected == "bulkhead-system/bulkhead") != strings.HasPrefix(name, "cert-manager") {
			t.Errorf("%s: cainjector is told %q", name, injected)
		}
	}
}

// TestImage: the Dockerfile copies every package of this repository that the binary is made of. No image is built here.
func TestImage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}", "./cmd/bulkhead")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 10 {
		t.Fatalf("packages of the binary: %v", packages)
	}
	for _, p := range packages {
		dir := strings.TrimPrefix(p, "github.com/bulkhead-dev/bulkhead/")
		copied := false
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			copied = copied || len(fields) == 3 && fields[0] == "COPY" && (dir == fields[1] || strings.HasPrefix(dir, fields[1]+"/"))
		}
		if !copied {
			t.Errorf("the Dockerfile copies no %s", dir)
		}
	}
}

// TestCertificateMount: pods start without the Secret that cert-manager is still to make, and not without one that people bring.
func TestCertificateMount(t *testing.T) {
	seen := map[string]bool{}
	forEach(t, func(t *testing.T, release Release, values map[string]any) {
		objects := rendered(t, release, values)
		awaited := flagOf(t, objects, "certificate-name")
		for _, v := range only[*appsv1.Deployment](t, objects).Spec.Template.Spec.Volumes {
			if v.Name != "certificate" {
				continue
			}
			optional := v.Secret.Optional != nil && *v.Secret.Optional
			if optional != (awaited != "") {
				t.Errorf("the Secret is optional: %t, and the Certificate is %q", optional, awaited)
			}
			seen[fmt.Sprint(optional)] = true
		}
		for _, c := range each[*certmanagerv1.Certificate](objects) {
			if c.Name == awaited {
				seen[awaited] = true
			}
		}
	})
	if !seen["true"] || !seen["false"] || !seen["bulkhead"] {
		t.Errorf("the matrix shows too little: %v", seen)
	}
}
