package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// insideCommand is the first argument that makes this program confine itself and become the image's.
const insideCommand = "inside"

// emulators run the programs of other architectures.
var emulators = map[string]string{"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}

// start runs the image: the one of this machine's architecture on its own root file system and against a real API server, another
// one as far as an emulator goes.
func (m *maker) start(ctx context.Context, arch, fs string) error {
	if arch != runtime.GOARCH {
		return m.emulate(ctx, arch, fs)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	launcher := []string{self, insideCommand, fs}
	if err := m.checkVersion(ctx, arch, append(launcher, "", "/bulkhead")...); err != nil {
		return err
	}
	help, code := m.outcome(ctx, append(launcher, "", "/bulkhead", "serve", "--help")...)
	if code != 0 || !strings.Contains(help, "--kubeconfig") {
		return fmt.Errorf("serve --help ends with %d:\n%s", code, help)
	}
	refusal, code := m.outcome(ctx, append(launcher, "", "/bulkhead", "serve", "--kubeconfig", "/nowhere")...)
	if code == 0 || !strings.Contains(refusal, "/nowhere") {
		return fmt.Errorf("serve with a kubeconfig that is not there ends with %d:\n%s", code, refusal)
	}
	m.say("%s: serve with a kubeconfig that is not there ends with %d: %s", arch, code, lastLine(refusal))
	return m.serve(ctx, arch, launcher)
}

// emulate asks the image for its version through an emulator, where there is one.
func (m *maker) emulate(ctx context.Context, arch, fs string) error {
	emulator, err := exec.LookPath(emulators[arch])
	if err != nil {
		m.say("%s: NOT STARTED: no %s here", arch, emulators[arch])
		return nil
	}
	return m.checkVersion(ctx, arch, emulator, filepath.Join(fs, "bulkhead"))
}

func (m *maker) checkVersion(ctx context.Context, arch string, command ...string) error {
	got, code := m.outcome(ctx, append(command, "version")...)
	wanted := fmt.Sprintf("bulkhead %s (commit %s, %s linux/%s)\n", m.release.version, m.release.commit, m.builder.goVersion, arch)
	if code != 0 || got != wanted {
		return fmt.Errorf("version ends with %d: %q and not %q", code, got, wanted)
	}
	m.say("%s: started through %s: %s", arch, filepath.Base(command[0]), strings.TrimSpace(got))
	return nil
}

// outcome runs a program to its end and gives what it prints and its exit code.
func (m *maker) outcome(ctx context.Context, command ...string) (string, int) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{} // a container gets nothing of the machine's
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// serve has the image's process answer the reviews of a real API server.
func (m *maker) serve(ctx context.Context, arch string, launcher []string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	client, err := kubernetes.NewForConfig(plane.RESTConfig())
	if err != nil {
		return err
	}
	if err := replica.Install(ctx, client); err != nil {
		return err
	}
	mounted, options, err := m.mount(plane)
	if err != nil {
		return err
	}
	options.Launcher = append(launcher, mounted)
	r, err := replica.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() {
		if r != nil {
			err = errors.Join(err, r.Stop())
		}
	}()
	if err := replica.Register(ctx, client, r.URL, nil, true); err != nil {
		return err
	}
	if err := replica.AwaitRegistration(ctx, plane.RESTConfig()); err != nil {
		return err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID()))
	if err != nil {
		return err
	}
	if err := checkConfinement(string(status)); err != nil {
		return err
	}
	stopped := r
	r = nil
	if err := stopped.Stop(); err != nil {
		return fmt.Errorf("SIGTERM: %w", err)
	}
	m.say("%s: as %s on its own read-only root, no capabilities, no new privileges: ready, answered Kubernetes %s, ended well on SIGTERM",
		arch, user, plane.Binaries().KubernetesVersion())
	return nil
}

// mount makes what a Deployment would mount: a folder with the config and the identity, which only the image's user can read.
func (m *maker) mount(plane *controlplane.ControlPlane) (string, replica.Options, error) {
	dir := filepath.Join(m.work, "mounted")
	o := replica.Options{
		Binary: "/bulkhead", Kubeconfig: filepath.Join(dir, "kubeconfig"), Config: filepath.Join(dir, "bulkhead.yaml"),
		Log: filepath.Join(m.work, "bulkhead.log"),
	}
	identity, err := plane.KubeconfigFor(replica.User, "system:serviceaccounts", "system:serviceaccounts:"+replica.Namespace, "system:authenticated")
	if err != nil {
		return "", o, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", o, err
	}
	if err := copyFile(identity, o.Kubeconfig, 0o400); err != nil {
		return "", o, err
	}
	config := "apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\n"
	if err := os.WriteFile(o.Config, []byte(config), 0o400); err != nil {
		return "", o, err
	}
	for _, file := range []string{o.Kubeconfig, o.Config} {
		if err := os.Chown(file, userID, userID); err != nil {
			return "", o, err
		}
	}
	return dir, o, nil
}

// checkConfinement reads a process's status. Source: proc_pid_status(5)
func checkConfinement(status string) error {
	fields := map[string]string{}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	const nobody, none = "65532 65532 65532 65532", "0000000000000000"
	for name, wanted := range map[string]string{
		"Uid": nobody, "Gid": nobody, "Groups": "", "CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1",
	} {
		if got, told := fields[name]; !told || got != wanted {
			return fmt.Errorf("the image's process has %s %q and not %q", name, got, wanted)
		}
	}
	return nil
}
