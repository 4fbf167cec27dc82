//go:build e2e

package controlplane_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
)

// withoutControllers leaves etcd and kube-apiserver.
func withoutControllers() controlplane.Options {
	return controlplane.Options{
		Omit: []controlplane.Component{controlplane.ControllerManager, controlplane.Scheduler, controlplane.Kwok},
	}
}

func start(t *testing.T, options controlplane.Options) *controlplane.ControlPlane {
	t.Helper()
	options.Progress = os.Stderr
	plane, err := controlplane.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	return plane
}

func newClients(t *testing.T, plane *controlplane.ControlPlane) kubernetes.Interface {
	t.Helper()
	clients, err := kubernetes.NewForConfig(plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// stopAndLookAround stops the control plane and looks for processes, files and ports that it left.
func stopAndLookAround(t *testing.T, plane *controlplane.ControlPlane) {
	t.Helper()
	if len(processesIn(t, plane.Dir())) == 0 {
		t.Error("no process was found before the stop: the search is broken")
	}
	if err := plane.Stop(); err != nil {
		t.Fatal(err)
	}
	wantNoProcess(t, plane.Dir())
	if _, err := os.Stat(plane.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", plane.Dir(), err)
	}
	for _, address := range []string{plane.URL(), plane.Etcd().Endpoint} {
		parsed, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", parsed.Host)
		if err != nil {
			t.Errorf("a port is still busy: %v", err)
			continue
		}
		listener.Close()
	}
	if err := plane.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	if err := plane.StartComponent(t.Context(), controlplane.Etcd); err == nil {
		t.Error("a component started after Stop")
	}
}

func wantNoProcess(t *testing.T, dir string) {
	t.Helper()
	if left := processesIn(t, dir); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// processesIn returns the command lines, by process id, of the processes that name dir in theirs.
func processesIn(t *testing.T, dir string) map[int]string {
	t.Helper()
	found := map[int]string{}
	for pid, commandLine := range processes(t) {
		if strings.Contains(commandLine, dir+string(filepath.Separator)) {
			found[pid] = commandLine
		}
	}
	return found
}

// processes lists all processes: from /proc where there is one, since a bare Linux machine has no ps, and with ps
// elsewhere.
func processes(t *testing.T) map[int]string {
	t.Helper()
	all := map[int]string{}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		commandLine, err := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil { // it may have ended since
			all[pid] = strings.ReplaceAll(string(commandLine), "\x00", " ")
		}
	}
	if len(files) > 0 {
		return all
	}
	output, err := exec.CommandContext(t.Context(), "ps", "-A", "-ww", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(output)) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 2)
		if pid, err := strconv.Atoi(fields[0]); err == nil && len(fields) == 2 {
			all[pid] = fields[1]
		}
	}
	return all
}

func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = condition()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v: %v", what, err, last)
	}
}
