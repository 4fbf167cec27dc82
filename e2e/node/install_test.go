//go:build node && linux

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/node"
)

// Names of the installation.
const (
	namespace = "bulkhead-system"
	release   = "bulkhead"
)

// testDNS asks the resolver of the cluster, through its Service, for the API server's name.
func (s *suite) testDNS(t *testing.T) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(node.DNSAddress, "53"))
	}}
	eventually(t, "DNS through the Service kube-dns", func(ctx context.Context) error {
		addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
		if err == nil && !slices.Equal(addresses, []string{"10.96.0.1"}) {
			err = fmt.Errorf("the API server is at %v", addresses)
		}
		return err
	})
}

// testInstall installs as the chart's README says, without a word about values, and does what Helm says then.
func (s *suite) testInstall(t *testing.T) {
	out := s.runHelm(t, "install", release, chart(), "--namespace", namespace, "--create-namespace", "--wait", "--timeout", "2m")
	wantWords(t, "what helm install prints", out, "STATUS: deployed", "Bulkhead is installed.", "See it work.",
		"It warns and refuses nothing. To let guardrails refuse, set config.maximumAction: Deny.",
		"NetworkPolicy changes go ahead while no replica answers.", "kubectl delete validatingwebhookconfiguration bulkhead")
	wantWords(t, "kubectl rollout status", s.kubectl(t, "", "-n", namespace, "rollout", "status", "deployment/bulkhead"), "successfully rolled out")

	// The API server asks nobody whom it cannot trust yet.
	eventually(t, "the registration's CA", func(ctx context.Context) error { _, err := s.served(ctx); return err })
	tried := s.shell(t, advice(t, out))
	wantWords(t, "what Helm advised to try", tried, "Warning: rules-ignored: ", "networkpolicy.networking.k8s.io/try-bulkhead created (server dry run)")
}

// advice cuts the command with which to see Bulkhead work out of the notes.
func advice(t *testing.T, notes string) string {
	t.Helper()
	_, after, found := strings.Cut(notes, "\n  kubectl create ")
	command, _, ended := strings.Cut(after, "\n  EOF\n")
	if !found || !ended {
		t.Fatalf("there is no command to try in:\n%s", notes)
	}
	return strings.ReplaceAll("kubectl create "+command, "\n  ", "\n") + "\nEOF\n"
}

func chart() string { return filepath.Join(root, "deploy", "chart") }

// pods gives the replicas' pods that are not on their way out, and an error unless there are two and both are Ready.
func (s *suite) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := s.clients.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=bulkhead"})
	if err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods) != 2 {
		return pods, fmt.Errorf("%d pods are there, want 2", len(pods))
	}
	for _, p := range pods {
		if !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			return pods, fmt.Errorf("the pod %s is not Ready", p.Name)
		}
	}
	return pods, nil
}

// mustPods gives the replicas' pods, which are to be there and Ready.
func (s *suite) mustPods(t *testing.T) []corev1.Pod {
	t.Helper()
	pods, err := s.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// testPods looks at what the kubelet and runc have made of the chart's words: from outside of the containers, in the kernel's own.
func (s *suite) testPods(t *testing.T) {
	for _, p := range s.mustPods(t) {
		if n := p.Status.ContainerStatuses[0].RestartCount; n != 0 {
			t.Errorf("%s was restarted %d times: by a probe?", p.Name, n)
		}
	}
	processes := processesOf(t, "/bulkhead")
	if len(processes) != 2 {
		t.Fatalf("%d processes run /bulkhead, want 2", len(processes))
	}
	for _, dir := range processes {
		status := read(t, filepath.Join(dir, "status")) // proc_pid_status(5)
		for _, want := range []string{
			"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532", "NoNewPrivs:\t1", "CapEff:\t0000000000000000",
			"CapBnd:\t0000000000000000", "Seccomp:\t2",
		} {
			if !strings.Contains(status, want+"\n") {
				t.Errorf("the container's process is to have %q, and has:\n%s", want, status)
			}
		}
		if err := readOnlyRoot(dir); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(filepath.Join(dir, "root"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if want := []string{"bulkhead", "dev", "etc", "proc", "sys", "var"}; !slices.Equal(names, want) {
			t.Errorf("the container's root holds %v, want %v: the binary and what is mounted", names, want)
		}
	}
}

// processesOf gives the directories below /proc of the processes that run a program, by its path in their own root.
func processesOf(t *testing.T, program string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && path == program {
			found = append(found, filepath.Dir(link))
		}
	}
	return found
}

// readOnlyRoot gives an error unless the root file system of a process is mounted read-only.
func readOnlyRoot(dir string) error {
	mounts, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line) // proc_pid_mountinfo(5): the fifth is the mount point, the sixth its options
		if fields[4] == "/" {
			if !slices.Contains(strings.Split(fields[5], ","), "ro") {
				return fmt.Errorf("the root is mounted with %s", fields[5])
			}
			return nil
		}
	}
	return errors.New("no root is mounted")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
