//go:build e2e

package controlplane_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
)

// TestLifecycle takes a complete control plane through its life, twice, and looks for what it leaves behind.
func TestLifecycle(t *testing.T) {
	for _, name := range []string{"first start", "second start"} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			plane := start(t, controlplane.Options{AuditLog: true})
			t.Logf("ready after %.1f s", time.Since(begun).Seconds())
			clients := newClients(t, plane)

			runWorkloads(t, plane, clients)
			stopAndLookAround(t, plane)
		})
	}
}

func runWorkloads(t *testing.T, plane *controlplane.ControlPlane, clients kubernetes.Interface) {
	ctx := t.Context()
	if err := plane.InstallDNS(ctx); err != nil {
		t.Fatal(err)
	}
	if err := plane.InstallDNS(ctx); err != nil {
		t.Errorf("a second InstallDNS: %v", err)
	}
	const namespace = "shop"
	_, err := clients.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "web"}
	replicas := int32(3)
	_, err = clients.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec("")},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = clients.BatchV1().Jobs(namespace).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "once"},
		Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: podSpec(corev1.RestartPolicyNever)}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	eventually(t, "3 pods of web to be ready with addresses", func() error { return podsReady(ctx, clients, namespace, 3) })
	eventually(t, "the Job to be complete", func() error {
		job, err := clients.BatchV1().Jobs(namespace).Get(ctx, "once", metav1.GetOptions{})
		if err == nil && job.Status.Succeeded != 1 {
			err = fmt.Errorf("its status is %+v", job.Status)
		}
		return err
	})
	if err := clients.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace to be gone", func() error {
		_, err := clients.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return errors.New("it is still there")
		default:
			return err
		}
	})
	wantAudited(t, plane.AuditLogPath(), "create", "deployments", "web")
}

func podsReady(ctx context.Context, clients kubernetes.Interface, namespace string, want int) error {
	pods, err := clients.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		return err
	}
	podRange := netip.MustParsePrefix("10.244.0.0/16")
	addresses := map[netip.Addr]bool{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		address, err := netip.ParseAddr(pod.Status.PodIP)
		if err != nil || pod.Status.Phase != corev1.PodRunning || !conditionTrue(pod, corev1.PodReady) {
			return fmt.Errorf("pod %s has the status %+v", pod.Name, pod.Status)
		}
		if !podRange.Contains(address) {
			return fmt.Errorf("pod %s has the address %s, outside of %s", pod.Name, address, podRange)
		}
		addresses[address] = true
	}
	if len(addresses) != want {
		return fmt.Errorf("%d pods have %d addresses, want %d", len(pods.Items), len(addresses), want)
	}
	return nil
}

func conditionTrue(pod *corev1.Pod, wanted corev1.PodConditionType) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == wanted {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podSpec has no grace period: with one, the deletion of a namespace waits for half of it, however fast the pods end.
func podSpec(restart corev1.RestartPolicy) corev1.PodSpec {
	none := int64(0)
	return corev1.PodSpec{
		RestartPolicy: restart, TerminationGracePeriodSeconds: &none,
		Containers: []corev1.Container{{Name: "main", Image: "example.com/main:1"}},
	}
}

func wantAudited(t *testing.T, path, verb, resource, name string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb      string
			ObjectRef struct{ Resource, Name string }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		if event.Verb == verb && event.ObjectRef.Resource == resource && event.ObjectRef.Name == name {
			return
		}
	}
	t.Errorf("the audit log lacks the %s of %s/%s (%v)", verb, resource, name, lines.Err())
}

// TestIdentities has an administrator and a user without rights use kubectl.
func TestIdentities(t *testing.T) {
	plane := start(t, withoutControllers())
	kubectl := func(kubeconfig string, arguments ...string) (string, error) {
		command := exec.CommandContext(t.Context(), plane.KubectlPath(), arguments...)
		command.Env = []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + kubeconfig}
		output, err := command.CombinedOutput()
		return string(output), err
	}
	if output, err := kubectl(plane.KubeconfigPath(), "auth", "can-i", "*", "*"); err != nil || output != "yes\n" {
		t.Errorf("the administrator may not do everything: %v: %s", err, output)
	}
	alice, err := plane.KubeconfigFor("alice", "dev")
	if err != nil {
		t.Fatal(err)
	}
	output, err := kubectl(alice, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
	if err != nil || output != `alice ["dev","system:authenticated"]` {
		t.Errorf("alice is %q, %v", output, err)
	}
	if output, err := kubectl(alice, "get", "pods"); err == nil || !strings.Contains(output, `User "alice" cannot list resource "pods"`) {
		t.Errorf("alice without rights: %v: %s", err, output)
	}
	stopAndLookAround(t, plane)
}

// TestOutage stops and restarts single components.
func TestOutage(t *testing.T) {
	plane := start(t, withoutControllers())
	clients := newClients(t, plane)
	ctx := t.Context()
	_, err := clients.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "lasting"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, component := range []controlplane.Component{controlplane.APIServer, controlplane.Etcd} {
		if err := plane.StopComponent(component); err != nil {
			t.Fatal(err)
		}
		if err := plane.StopComponent(component); err != nil {
			t.Errorf("a second stop of %s: %v", component, err)
		}
		get, cancel := context.WithTimeout(ctx, 3*time.Second)
		if _, err := clients.CoreV1().Namespaces().Get(get, "lasting", metav1.GetOptions{}); err == nil {
			t.Errorf("the API answers without %s", component)
		}
		cancel()
		if err := plane.StartComponent(ctx, component); err != nil {
			t.Fatal(err)
		}
		if err := plane.StartComponent(ctx, component); err == nil {
			t.Errorf("%s was started twice", component)
		}
		eventually(t, "the API to answer again after the outage of "+string(component), func() error {
			_, err := clients.CoreV1().Namespaces().Get(ctx, "lasting", metav1.GetOptions{})
			return err
		})
	}
	if err := plane.StopComponent(controlplane.Kwok); err == nil {
		t.Error("an omitted component could be stopped")
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := plane.Wait(done); err != nil {
		t.Errorf("a planned outage counts as a failure: %v", err)
	}
	stopAndLookAround(t, plane)
}

// TestStartFailure gives kube-apiserver a flag that it refuses.
func TestStartFailure(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	options := withoutControllers()
	options.APIServerArgs = []string{"--no-such-flag"}
	plane, err := controlplane.Start(t.Context(), options)
	if err == nil {
		t.Fatal(errors.Join(errors.New("it started"), plane.Stop()))
	}
	for _, want := range []string{"kube-apiserver", "unknown flag: --no-such-flag", "kube-apiserver.log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	wantNoProcess(t, temporary)
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("a failed start left %v, %v", left, err)
	}
}

// TestCrash kills a component behind the control plane's back.
func TestCrash(t *testing.T) {
	plane := start(t, withoutControllers())
	pids := processesIn(t, plane.Dir())
	if len(pids) != 2 {
		t.Fatalf("the processes are %v, want etcd and kube-apiserver", pids)
	}
	for pid, commandLine := range pids {
		if strings.Contains(commandLine, "--data-dir") { // etcd
			if process, err := os.FindProcess(pid); err != nil || process.Kill() != nil {
				t.Fatalf("cannot kill etcd: %v", err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := plane.Wait(ctx); err == nil || !strings.Contains(err.Error(), "etcd ended by itself (signal: killed)") {
		t.Errorf("Wait returned %v", err)
	}
	stopAndLookAround(t, plane)
}
