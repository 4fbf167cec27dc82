package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
)

// Prepare builds what a node and its control plane need, outside of their namespaces: the network is there. Progress is shown on
// progress. dir is the one that Run gives.
func Prepare(ctx context.Context, dir string, progress io.Writer) error {
	if err := installPackages(ctx); err != nil {
		return err
	}
	if _, err := controlplane.Build(ctx, "", progress); err != nil {
		return err
	}
	built, err := controlplane.BuildNode(ctx, "", progress)
	if err != nil {
		return err
	}
	pause := filepath.Join(dir, "pause")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", pause, "github.com/bulkhead-dev/bulkhead/hack/node/pause")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go build pause: %w\n%s", err, out)
	}
	return errors.Join(
		WriteImage(filepath.Join(dir, "pause.tar"), PauseImage, pause),
		WriteImage(filepath.Join(dir, "coredns.tar"), dnsImage, built.Path(controlplane.CoreDNS)),
	)
}

// Node is a running node with its control plane.
type Node struct {
	// Plane is the control plane.
	Plane *controlplane.ControlPlane

	dir       string
	binaries  controlplane.Binaries
	clients   kubernetes.Interface
	processes []*process
}

// Start starts a control plane and a node of it, and returns once the node is Ready and its DNS answers. It runs in the namespaces
// that Run makes, after Prepare; all that it starts ends with them. Also where it fails the node can tell of itself, by Tails.
func Start(ctx context.Context, progress io.Writer) (n *Node, err error) {
	n = &Node{dir: filepath.Join(Dir(), "node")}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return n, err
	}
	if n.binaries, err = controlplane.BuildNode(ctx, "", progress); err != nil {
		return n, err
	}
	n.Plane, err = controlplane.Start(ctx, controlplane.Options{
		Omit: []controlplane.Component{controlplane.Kwok}, Progress: progress, Dir: filepath.Join(Dir(), "controlplane"),
		APIServerArgs: []string{"--bind-address=0.0.0.0"}, // pods are to reach it
	})
	if err != nil {
		return n, err
	}
	if n.clients, err = kubernetes.NewForConfig(n.Plane.RESTConfig()); err != nil {
		return n, err
	}
	if err := n.configure(); err != nil {
		return n, err
	}
	if err := n.startRuntime(ctx); err != nil {
		return n, err
	}
	if err := n.startAgents(); err != nil {
		return n, err
	}
	if err := n.await(ctx, "the node to be Ready", n.ready); err != nil {
		return n, err
	}
	return n, n.startDNS(ctx)
}

// configure writes the files that the programs read.
func (n *Node) configure() error {
	plugins, err := findNetworkPlugins()
	if err != nil {
		return err
	}
	proxy, err := n.Plane.KubeconfigFor("system:kube-proxy")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "ca.crt"), n.Plane.CABundle(), 0o600); err != nil {
		return err
	}
	// The node has nobody to ask for names outside of the cluster.
	if err := os.WriteFile(filepath.Join(n.dir, "resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		return err
	}
	return settings{Dir: n.dir, Cgroup: os.Getenv(cgroupEnv), NetworkPlugins: plugins, ProxyKubeconfig: proxy}.write()
}

// startRuntime starts containerd and gives it the images that every node has.
func (n *Node) startRuntime(ctx context.Context) error {
	if err := n.Run(n.binaries.Path(controlplane.Containerd), "--config", filepath.Join(n.dir, "containerd.toml")); err != nil {
		return err
	}
	err := n.await(ctx, "containerd to answer", func(ctx context.Context) error {
		_, err := n.ctr(ctx, "version")
		return err
	})
	if err != nil {
		return err
	}
	for _, archive := range []string{"pause.tar", "coredns.tar"} {
		if err := n.Import(ctx, filepath.Join(Dir(), archive)); err != nil {
			return err
		}
	}
	return nil
}

// startAgents starts kubelet and kube-proxy.
func (n *Node) startAgents() error {
	kubeconfig, err := n.Plane.KubeconfigFor("system:node:"+Name, "system:nodes")
	if err != nil {
		return err
	}
	err = n.Run(n.binaries.Path(controlplane.Kubelet), "--config", filepath.Join(n.dir, "kubelet.yaml"), "--kubeconfig", kubeconfig,
		"--hostname-override", Name, "--node-ip", controlplane.AdvertiseAddress, "--root-dir", "/var/lib/kubelet")
	if err != nil {
		return err
	}
	return n.Run(n.binaries.Path(controlplane.KubeProxy), "--config", filepath.Join(n.dir, "kube-proxy.yaml"))
}

// startDNS installs CoreDNS as kubeadm does, and waits until it is ready.
func (n *Node) startDNS(ctx context.Context) error {
	apply := exec.CommandContext(ctx, n.Plane.KubectlPath(), "--kubeconfig", n.Plane.KubeconfigPath(), "apply", "-f", filepath.Join(n.dir, "dns.yaml"))
	if out, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("install CoreDNS: %w\n%s", err, out)
	}
	return n.await(ctx, "CoreDNS to be ready", func(ctx context.Context) error {
		dns, err := n.clients.AppsV1().Deployments(metav1.NamespaceSystem).Get(ctx, "coredns", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if dns.Status.AvailableReplicas == 0 {
			return fmt.Errorf("no replica is available: %v", dns.Status.Conditions)
		}
		return nil
	})
}

// ready fails while the node is not Ready, or kube-controller-manager has not seen so.
func (n *Node) ready(ctx context.Context) error {
	node, err := n.clients.CoreV1().Nodes().Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && (condition.Status != corev1.ConditionTrue || len(node.Spec.Taints) > 0) {
			return fmt.Errorf("the node is not Ready: %s; taints %v", condition.Message, node.Spec.Taints)
		}
	}
	return nil
}

// Import gives the node the images of an archive: the kubelet then finds them there and pulls nothing.
func (n *Node) Import(ctx context.Context, archive string) error {
	out, err := n.ctr(ctx, "-n", "k8s.io", "images", "import", "--local", archive)
	if err != nil {
		return fmt.Errorf("import %s: %w\n%s", archive, err, out)
	}
	return nil
}

func (n *Node) ctr(ctx context.Context, arguments ...string) ([]byte, error) {
	return exec.CommandContext(ctx, n.binaries.Path(controlplane.Ctr), arguments...).CombinedOutput()
}

// Run starts a further program. Its working directory and its log are the node's.
func (n *Node) Run(program string, arguments ...string) error {
	p, err := startProcess(n.dir, program, arguments...)
	if err == nil {
		n.processes = append(n.processes, p)
	}
	return err
}

// Tails gives the last lines of every program's log, for a test that has failed.
func (n *Node) Tails(lines int) string {
	text := ""
	for _, p := range n.processes {
		text += fmt.Sprintf("the end of %s's log:\n%s\n", p.name, p.tail(lines))
	}
	return text
}

const (
	patience = 2 * time.Minute
	pause    = 100 * time.Millisecond
)

// await polls a condition until it holds, with the last error where ctx or the patience ends, and at once where one of the node's
// programs does.
func (n *Node) await(ctx context.Context, what string, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		for _, p := range n.processes {
			if ended := p.running(); ended != nil {
				return fmt.Errorf("waiting for %s: %w", what, ended)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w\n%s", what, ctx.Err(), err, n.Tails(15))
		case <-ticker.C:
		}
	}
}
