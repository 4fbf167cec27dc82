//go:build node && linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/hack/node"
)

func TestMain(m *testing.M) { os.Exit(node.Run(prepare, m.Run)) }

// root is the repository.
var root = filepath.Join("..", "..")

// inRepository gives the path of a file of the repository, and an error that says how to make it where it is not there.
func inRepository(target string, names ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join(append([]string{root}, names...)...))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not there: run \"make %s\"", path, target)
	} else if err != nil {
		return "", err
	}
	return path, nil
}

func helmPath() (string, error) { return inRepository("e2e-node", "bin", "tools", "helm") }

func certManagerPath() (string, error) {
	return inRepository("controlplane", "bin", "controlplane", "cert-manager")
}

func imagePath() (string, error) {
	return inRepository("image", "bin", "image", "bulkhead-"+runtime.GOARCH+".tar")
}

// definitionsDir is below the node's directory and holds the kinds of cert-manager.
const definitionsDir = "cert-manager"

// prepare provides what the tests need, while there is a network.
func prepare(ctx context.Context, dir string) error {
	for _, find := range []func() (string, error){helmPath, imagePath} {
		if _, err := find(); err != nil {
			return err
		}
	}
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		return fmt.Errorf("find cert-manager's module: %w", err)
	}
	definitions := os.DirFS(filepath.Join(strings.TrimSpace(string(module)), "deploy", "crds"))
	if err := os.CopyFS(filepath.Join(dir, definitionsDir), definitions); err != nil {
		return err
	}
	return node.Prepare(ctx, dir, os.Stderr)
}

// suite is a node with what the scenes share.
type suite struct {
	node    *node.Node
	clients kubernetes.Interface
	helm    string
	dir     string
}

const (
	// startWithin bounds the start of the node, with everything built.
	startWithin = 5 * time.Minute
	// patience is how long a condition may take to come true.
	patience = 2 * time.Minute
)

func TestNode(t *testing.T) {
	s := newSuite(t)
	for _, scene := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"DNS", s.testDNS},
		{"Install", s.testInstall},
		{"Pods", s.testPods},
		{"SelfSigned", s.testSelfSigned},
		{"Service", s.testService},
		{"Denial", s.testDenial},
		{"Upgrade", s.testUpgrade},
		{"Eviction", s.testEviction},
		{"Uninstall", s.testUninstall},
		{"CertManager", s.testCertManager},
	} {
		begun := time.Now()
		if !t.Run(scene.name, scene.run) {
			t.Fatalf("what follows needs the scene %s", scene.name)
		}
		t.Logf("%s: %.1f s", scene.name, time.Since(begun).Seconds())
	}
	t.Logf("memory of all processes on the node: %d MiB", memory(t)>>20)
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	helm, err := helmPath()
	if err != nil {
		t.Fatal(err)
	}
	image, err := imagePath()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	n, err := node.Start(ctx, os.Stderr)
	s := &suite{node: n, helm: helm, dir: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			s.describe(t)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up in %.1f s; memory of all processes: %d MiB", time.Since(begun).Seconds(), memory(t)>>20)
	if err := n.Import(ctx, image); err != nil {
		t.Fatal(err)
	}
	admin := n.Plane.RESTConfig()
	admin.WarningHandler = rest.NoWarnings{}
	if s.clients, err = kubernetes.NewForConfig(admin); err != nil {
		t.Fatal(err)
	}
	return s
}

// describe logs what explains most failures.
func (s *suite) describe(t *testing.T) {
	if s.clients != nil {
		for _, command := range []string{
			"get pods -A -o wide", "get events -A --sort-by=.lastTimestamp", "-n " + namespace + " logs -l app.kubernetes.io/name=bulkhead --tail=10 --prefix",
		} {
			out, err := s.command(context.Background(), s.node.Plane.KubectlPath(), "", strings.Fields(command)...)
			t.Logf("kubectl %s: %v\n%s", command, err, out)
		}
	}
	t.Log(s.node.Tails(15))
}

// memory sums up the proportional set sizes of all processes, the test's own included: pages that several have count once.
func memory(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil { // it has ended
			continue
		}
		for line := range strings.Lines(string(text)) {
			var kib int
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kib); err == nil {
				sum += kib << 10
			}
		}
	}
	return sum
}
