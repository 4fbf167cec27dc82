// Command demo shows Bulkhead at work: a real control plane, the real binary, real kubectl.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is a running cluster with Bulkhead in it.
type demo struct {
	plane   *controlplane.ControlPlane
	replica *replica.Replica
	binary  string // of bulkhead
	shop    string // folder of the manifests
	out     io.Writer
}

func run(ctx context.Context) (err error) {
	root, err := repository()
	if err != nil {
		return err
	}
	progress := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	progress("building bulkhead")
	binary, err := replica.Build(ctx, root, filepath.Join(root, "bin"))
	if err != nil {
		return err
	}
	begun := time.Now()
	plane, err := controlplane.Start(ctx, controlplane.Options{AuditLog: true, Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	if err := plane.InstallDNS(ctx); err != nil {
		return err
	}
	progress("Kubernetes %s with its DNS is up after %.1f s", plane.Binaries().KubernetesVersion(), time.Since(begun).Seconds())
	d := &demo{plane: plane, binary: binary, shop: filepath.Join(root, "deploy", "examples", "shop"), out: os.Stdout}
	if err := d.startBulkhead(ctx, binary); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.replica.Stop()) }()
	progress("bulkhead is up at %s and registered with the API server\n", d.replica.URL)

	if err := d.tell(ctx); err != nil {
		return err
	}
	if os.Getenv("DEMO_EXIT") == "1" {
		return nil
	}
	fmt.Fprintf(d.out, "\nThe cluster stays up. In another terminal:\n\n  export KUBECONFIG=%s\n  export PATH=%s:%s:$PATH\n  cd %s\n\nTry there: bulkhead connections --context %s -o html --output-file reach.html\n\nCtrl-C ends it.\n",
		plane.KubeconfigPath(), filepath.Dir(plane.KubectlPath()), filepath.Dir(binary), d.shop, controlplane.Context)
	return plane.Wait(ctx)
}

// repository finds the folder with go.mod above the working directory.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// demoConfig lets guardrails deny: the one line that a fresh install does not have.
const demoConfig = "apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\nmaximumAction: Deny\n"

func (d *demo) startBulkhead(ctx context.Context, binary string) error {
	client, err := kubernetes.NewForConfig(d.plane.RESTConfig())
	if err != nil {
		return err
	}
	if err := replica.Install(ctx, client); err != nil {
		return err
	}
	identity := filepath.Join(d.plane.Dir(), "bulkhead.kubeconfig")
	if err := replica.WriteIdentity(ctx, client, d.plane.RESTConfig(), replica.Namespace, replica.ServiceAccount, identity); err != nil {
		return err
	}
	config := filepath.Join(d.plane.Dir(), "bulkhead.yaml")
	if err := os.WriteFile(config, []byte(demoConfig), 0o600); err != nil {
		return err
	}
	startCtx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d.replica, err = replica.Start(startCtx, replica.Options{
		Binary: binary, Kubeconfig: identity, Config: config, Log: filepath.Join(d.plane.Dir(), "bulkhead.log"),
	})
	if err != nil {
		return err
	}
	if err := replica.Register(ctx, client, d.replica.URL, nil, true); err != nil {
		return errors.Join(err, d.replica.Stop())
	}
	if err := replica.AwaitRegistration(startCtx, d.plane.RESTConfig()); err != nil {
		return errors.Join(err, d.replica.Stop())
	}
	return nil
}

// kubectl runs kubectl as a developer would type it.
func (d *demo) kubectl(ctx context.Context, args ...string) (string, bool) {
	return d.execute(ctx, d.plane.KubectlPath(), args...)
}

// execute runs a program on the demo's cluster and gives what it prints, as a terminal shows it, and whether it
// succeeded.
func (d *demo) execute(ctx context.Context, program string, args ...string) (string, bool) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = d.shop
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.plane.KubeconfigPath())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err == nil
}
