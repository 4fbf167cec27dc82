package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The release that the tests make with Helm.
const (
	release          = "bulkhead"
	releaseNamespace = "bulkhead-system"
)

// helm runs Helm's own command as who installs.
func (i *installation) helm(t *testing.T, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, i.helmPath, args...)
	home := filepath.Join(i.dir, "helm")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+i.platform, "HELM_NAMESPACE="+releaseNamespace,
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("helm %s: %v", strings.Join(args, " "), err)
	}
	return answer{stdout: stdout.String(), stderr: stderr.String(), ok: err == nil}
}

// helmDoes fails the test where Helm does not succeed.
func (i *installation) helmDoes(t *testing.T, args ...string) answer {
	t.Helper()
	a := i.helm(t, args...)
	if !a.ok {
		t.Fatalf("helm %s: %s", strings.Join(args, " "), a.text())
	}
	return a
}

// testHelm leads a release through its life: what is packaged is installed, changed in every way that its values have, taken back and
// removed, with replicas and without any.
func (i *installation) testHelm(t *testing.T) {
	source := filepath.Join("..", "deploy", "chart")
	i.helmDoes(t, "lint", "--strict", source)
	i.helmDoes(t, "package", source, "--destination", i.dir)
	packages, err := filepath.Glob(filepath.Join(i.dir, "bulkhead-*.tgz"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("packages %v, %v", packages, err)
	}
	chart := packages[0]
	i.installChartKinds(t)
	before := i.everything(t)
	defer func() { // where a test ends early, the next one is to find nothing
		i.helm(t, "uninstall", release, "--ignore-not-found")
		i.must(t, "delete", "namespace", releaseNamespace, "--ignore-not-found", "--timeout=60s")
	}()
	t.Run("Refused", func(t *testing.T) { i.testHelmRefused(t, chart, before) })
	t.Run("Life", func(t *testing.T) { i.testHelmLife(t, chart) })
	t.Run("LockedOut", func(t *testing.T) { i.testHelmLockedOut(t, chart) })
	t.Run("Certificates", func(t *testing.T) { i.testHelmCertificates(t, chart) })
	t.Run("Uninstall", func(t *testing.T) { i.testHelmUninstall(t, chart, before) })
}

// testHelmRefused: a value that there is not is named, and nothing is installed.
func (i *installation) testHelmRefused(t *testing.T, chart string, before []string) {
	for set, want := range map[string]string{
		"replica=3":                             "additional properties 'replica' not allowed",
		"config.maximumActoin=Deny":             "at '/config': additional properties 'maximumActoin' not allowed",
		"failurePolicy=fail":                    "at '/failurePolicy': value must be one of 'Ignore', 'Fail'",
		"failurePolicy=Fail,replicas=1":         "failurePolicy: Fail needs replicas: 2 or more",
		"certificates.mode=certmanager":         "at '/certificates/mode': value must be one of 'selfSigned', 'certManager', 'files'",
		"image.digest=sha256:0123":              "at '/image/digest'",
		"config.guardrails.dns-ctu.action=Warn": "at '/config/guardrails': additional properties 'dns-ctu' not allowed",
	} {
		if a := i.helm(t, "install", release, chart, "--create-namespace", "--set", set); a.ok || !strings.Contains(a.stderr, want) {
			t.Errorf("--set %s: Helm was to say %q, and said\n%s", set, want, a.text())
		}
	}
	i.left(t, before)
}

// testHelmLife installs a release that warns and makes it refuse, and back.
func (i *installation) testHelmLife(t *testing.T, chart string) {
	said := i.helmDoes(t, "install", release, chart, "--create-namespace")
	i.unlocked(t, "right after the installation")
	live := i.serve(t, releaseNamespace, release, 2)
	defer live.stop()
	i.warned(t, "by a fresh installation")
	i.follow(t, said.stdout)

	reconfigured := func(what string, args ...string) {
		t.Helper()
		i.helmDoes(t, args...)
		i.mount(t, releaseNamespace, release, filepath.Join(i.dir, releaseNamespace+"-"+release+".yaml"))
		if what == "denied" {
			i.denied(t, "after helm "+args[0])
		} else {
			i.warned(t, "after helm "+args[0])
		}
	}
	bundle := i.bundle(t)
	reconfigured("denied", "upgrade", release, chart, "--set", "config.maximumAction=Deny,failurePolicy=Fail,replicas=3")
	if policies := i.failurePolicies(t); policies != "Fail Ignore Ignore Ignore Ignore Ignore" {
		t.Errorf("failure policies: %s", policies)
	}
	if i.must(t, "get", "deployment", release, "-n", releaseNamespace, "-o", "jsonpath={.spec.replicas}") != "3" {
		t.Error("the replicas are not three")
	}
	reconfigured("warned", "rollback", release, "1")
	if policies := i.failurePolicies(t); policies != "Ignore Ignore Ignore Ignore Ignore Ignore" {
		t.Errorf("failure policies after the rollback: %s", policies)
	}
	reconfigured("denied", "upgrade", release, chart, "--set", "config.maximumAction=Deny,failurePolicy=Fail")
	if now := i.bundle(t); now != bundle {
		t.Errorf("caBundle changed:\n%s\nwas\n%s", now, bundle)
	}
}

// follow does what the notes say to see Bulkhead work.
func (i *installation) follow(t *testing.T, notes string) {
	t.Helper()
	_, rest, found := strings.Cut(notes, "  kubectl create --dry-run=server -n default -f - <<EOF\n")
	policy, _, ended := strings.Cut(rest, "\n  EOF\n")
	if !found || !ended {
		t.Fatalf("the notes have no policy to try:\n%s", notes)
	}
	a := i.as(t, platformUser, policy, "create", "--dry-run=server", "-n", "default", "-f", "-")
	wantWarned(t, "the policy of the notes", a, "rules-ignored: ")
}

// testHelmLockedOut: with every replica dead and NetworkPolicies failing closed, whoever has the release can change it, take it back and
// open it again, and nothing but the change of a NetworkPolicy waits.
func (i *installation) testHelmLockedOut(t *testing.T, chart string) {
	if err := refusedUnjudged(i.propose(t, allowDNS), "no endpoints available"); err != nil {
		t.Errorf("with no replica a policy was to be refused: %v", err)
	}
	i.namespaceEnds(t, "with no replica")
	closed := []string{"--set", "config.maximumAction=Deny,failurePolicy=Fail"}
	i.helmDoes(t, append([]string{"upgrade", release, chart, "--set", "replicas=4,networkPolicy.apiServerPorts={6443}"}, closed...)...)
	i.helmDoes(t, "rollback", release)
	i.helmDoes(t, append([]string{"upgrade", release, chart, "--set", "networkPolicy.enabled=false"}, closed...)...)
	i.helmDoes(t, append([]string{"upgrade", release, chart}, closed...)...)
	if err := refusedUnjudged(i.propose(t, allowDNS), "no endpoints available"); err != nil {
		t.Errorf("a policy was still to be refused: %v", err)
	}
	i.helmDoes(t, "upgrade", release, chart, "--set", "config.maximumAction=Deny")
	i.unlocked(t, "with failurePolicy: Ignore")
}

// testHelmCertificates changes who makes the certificate. In the modes in which somebody else keeps caBundle up, Helm owns none of it.
func (i *installation) testHelmCertificates(t *testing.T, chart string) {
	mode := func(values ...string) []string {
		return append([]string{"upgrade", release, chart, "--set", "config.maximumAction=Warn"}, values...)
	}
	i.owners(t, "with selfSigned", "bulkhead")
	i.helmDoes(t, mode("--set", "certificates.mode=certManager")...)
	i.owners(t, "with certManager", "bulkhead") // until cainjector, which takes fields over by force, writes its own
	c := i.configuration(t)
	if got := c.Annotations["cert-manager.io/inject-ca-from"]; got != releaseNamespace+"/"+release {
		t.Errorf("cainjector is told %q", got)
	}
	for _, verb := range []string{"patch validatingwebhookconfigurations.admissionregistration.k8s.io/" + release, "get secrets/bulkhead-tls"} {
		words := strings.Fields(verb)
		a := i.kubectlAs(t, []string{"--as", "system:serviceaccount:" + releaseNamespace + ":" + release}, "", "auth", "can-i", words[0], words[1], "-n", releaseNamespace)
		if strings.TrimSpace(a.stdout) != "no" {
			t.Errorf("with certManager Bulkhead may still %s: %s", verb, a.text())
		}
	}

	path := filepath.Join(i.dir, "ca.crt")
	if err := os.WriteFile(path, i.foreignBundle(t), 0o600); err != nil {
		t.Fatal(err)
	}
	files := mode("--set", "certificates.mode=files,certificates.files.secretName=pair", "--set-file", "certificates.files.caBundle="+path)
	if a := i.helm(t, files...); a.ok || !strings.Contains(a.stderr, "conflict") {
		t.Errorf("without --force-conflicts Helm was not to take caBundle over:\n%s", a.text())
	}
	i.helmDoes(t, append(files, "--force-conflicts")...)
	i.owners(t, "with files", "helm")
	if got := i.bundle(t); got != string(i.foreignBundle(t)) {
		t.Errorf("caBundle is\n%s", got)
	}

	// Back: Helm lets go of the field, and Bulkhead fills it in again.
	i.helmDoes(t, mode()...)
	live := i.serve(t, releaseNamespace, release, 1)
	i.warned(t, "with selfSigned again")
	live.stop()
	i.owners(t, "with selfSigned again", "bulkhead")
}

// testHelmUninstall removes the release, with no replica alive, and installs another one.
func (i *installation) testHelmUninstall(t *testing.T, chart string, before []string) {
	namespace := []string{"Namespace /" + releaseNamespace, "ServiceAccount " + releaseNamespace + "/default", "ConfigMap " + releaseNamespace + "/kube-root-ca.crt"}
	kept := append(namespace, "Secret "+releaseNamespace+"/bulkhead-tls") // which Bulkhead made itself
	i.helmDoes(t, "upgrade", release, chart, "--set", "failurePolicy=Fail")
	i.helmDoes(t, "uninstall", release)
	i.left(t, before, kept...)
	i.unlocked(t, "after helm uninstall")

	i.helmDoes(t, "install", release, chart)
	live := i.serve(t, releaseNamespace, release, 1)
	i.warned(t, "by a second installation")
	i.helmDoes(t, "uninstall", release) // with a replica that still lives
	live.stop()
	i.left(t, before, kept...)
	i.must(t, "delete", "namespace", releaseNamespace, "--timeout=60s")
	i.left(t, before)
}

// configuration reads the registration of the release.
func (i *installation) configuration(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	c, err := i.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), release, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bundle gives the caBundle that all webhooks have.
func (i *installation) bundle(t *testing.T) string {
	t.Helper()
	c := i.configuration(t)
	for k := range c.Webhooks {
		if !bytes.Equal(c.Webhooks[k].ClientConfig.CABundle, c.Webhooks[0].ClientConfig.CABundle) {
			t.Errorf("%s has another caBundle than %s", c.Webhooks[k].Name, c.Webhooks[0].Name)
		}
	}
	return string(c.Webhooks[0].ClientConfig.CABundle)
}

func (i *installation) failurePolicies(t *testing.T) string {
	t.Helper()
	var out []string
	for _, w := range i.configuration(t).Webhooks {
		out = append(out, string(*w.FailurePolicy))
	}
	return strings.Join(out, " ")
}

// owners fails unless the field manager, and nobody else, owns caBundle.
func (i *installation) owners(t *testing.T, when, want string) {
	t.Helper()
	var got []string
	for _, m := range i.configuration(t).ManagedFields {
		if strings.Contains(m.FieldsV1.GetRawString(), `"f:caBundle"`) {
			got = append(got, m.Manager)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint([]string{want}) {
		t.Errorf("%s caBundle is owned by %v, want %s", when, got, want)
	}
}
