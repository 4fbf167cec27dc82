package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// suite is a cluster with two registered replicas of Bulkhead.
type suite struct {
	// plane is the control plane that the suite started, nil where the cluster was there.
	plane       *controlplane.ControlPlane
	kubeconfig  string // the administrator's
	kubectlPath string
	host        string // where the replicas and the balancer listen
	dir         string

	binary   string
	identity string // kubeconfig of Bulkhead's own service account
	config   string // path of the BulkheadConfig that both replicas read
	replicas []*replica.Replica
	balancer *balancer
	// shown is the client certificate of the API server, nil where the cluster was there.
	shown *shownCertificate

	admin   *rest.Config
	clients kubernetes.Interface
	author  dynamic.Interface // acts as the user author

	closing sync.Once
	closed  error
}

// The users of the tests. All may do everything, past RBAC: what stops them is Bulkhead alone.
const (
	dev    = "bulkhead-e2e-dev"    // what Bulkhead judges
	author = "bulkhead-e2e-author" // exempt by baseConfig: makes the situations that dev acts in
)

const masters = "system:masters"

// baseConfig lets guardrails deny, and lets author make situations that they would deny.
const baseConfig = `apiVersion: bulkhead.dev/v1alpha1
kind: BulkheadConfig
maximumAction: Deny
exempt:
  users: [` + author + `]
`

// startWithin bounds the start of everything, builds from an empty cache included.
const startWithin = 15 * time.Minute

func TestE2E(t *testing.T) {
	s := newSuite(t)
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"Order", s.testOrder},
		{"Fix", s.testFix},
		{"Union", s.testUnion},
		{"Update", s.testUpdate},
		{"DryRun", s.testDryRun},
		{"GenerateName", s.testGenerateName},
		{"Deployment", s.testDeployment},
		{"Force", s.testForce},
		{"Finalizer", s.testFinalizer},
		{"Collections", s.testCollections},
		{"NamespaceDeletion", s.testNamespaceDeletion},
		{"GarbageCollection", s.testGarbageCollection},
		{"AddedOwner", s.testAddedOwner},
		{"ClaimedController", s.testClaimedController},
		{"PodStatus", s.testPodStatus},
		{"Bindings", s.testBindings},
		{"Harmless", s.testHarmless},
		{"NamespaceLabels", s.testNamespaceLabels},
		{"TerminatingNamespace", s.testTerminatingNamespace},
		{"SystemNamespaceLabels", s.testSystemNamespaceLabels},
		{"LabelOrder", s.testLabelOrder},
		{"Tiers", s.testTiers},
		{"Needs", s.testNeeds},
		{"Connectivity", s.testConnectivity},
		{"AuditOnce", s.testAuditOnce},
		{"NodeAgent", s.testNodeAgent},
		{"MirrorPod", s.testMirrorPod},
		{"Impersonation", s.testImpersonation},
		{"Registration", s.testRegistration},
		{"FailurePolicy", s.testFailurePolicy},
		{"Unreachable", s.testUnreachable},
		{"BadStart", s.testBadStart},
		{"BadReload", s.testBadReload},
		{"Drain", s.testDrain},
		{"Certificate", s.testCertificate},
		{"ClientCertificates", s.testClientCertificates},
		{"LargePolicy", s.testLargePolicy},
		{"Size", s.testSize},
		{"Deadline", s.testDeadline},
		{"OddNames", s.testOddNames},
		{"Armour", s.testArmour},
		{"Chart", s.testChart},
		{"Fixtures", s.testFixtures},
		{"Denials", s.testDenials},
		{"Events", s.testEvents},
		{"Cardinality", s.testCardinality},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
	if s.plane != nil {
		t.Run("AuditLog", s.testAuditLog)
	}
}

// newSuite starts everything; it is stopped when t ends.
func newSuite(t *testing.T) *suite {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	s := &suite{dir: t.TempDir(), host: "127.0.0.1"}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		for i, r := range s.replicas {
			if t.Failed() {
				t.Logf("the end of replica %d's log:\n%s", i, lastLines(r.LogPath, 40))
			}
		}
	})
	s.closeOnInterrupt(t)
	if err := s.findCluster(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.startBulkhead(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

// closeOnInterrupt makes Ctrl-C leave nothing behind: a fail-closed registration least of all.
func (s *suite) closeOnInterrupt(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
		case <-interrupts:
			if err := s.close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			os.Exit(130)
		}
	}()
	t.Cleanup(func() { signal.Stop(interrupts); close(done) })
}

// findCluster uses the cluster of $BULKHEAD_E2E_KUBECONFIG where it is set, and starts a control plane otherwise. Plain
// $KUBECONFIG is left alone: whoever has it set for their daily work does not mean these tests by it.
func (s *suite) findCluster(ctx context.Context) (err error) {
	if s.kubeconfig = os.Getenv("BULKHEAD_E2E_KUBECONFIG"); s.kubeconfig != "" {
		if host := os.Getenv("BULKHEAD_E2E_HOST"); host != "" {
			s.host = host
		}
		if s.kubectlPath, err = exec.LookPath("kubectl"); err != nil {
			return err
		}
		if s.admin, err = clientcmd.BuildConfigFromFlags("", s.kubeconfig); err != nil {
			return err
		}
		s.admin.QPS = -1
	} else {
		if s.shown, err = showCertificate(s.dir, s.host); err != nil {
			return err
		}
		s.plane, err = controlplane.Start(ctx, controlplane.Options{AuditLog: true, AdmissionConfig: s.shown.config, Progress: os.Stderr})
		if err != nil {
			return err
		}
		if err := s.plane.InstallDNS(ctx); err != nil {
			return err
		}
		s.kubeconfig, s.kubectlPath, s.admin = s.plane.KubeconfigPath(), s.plane.KubectlPath(), s.plane.RESTConfig()
	}
	return s.connect()
}

// connect makes the clients of the cluster.
func (s *suite) connect() (err error) {
	if s.clients, err = kubernetes.NewForConfig(s.admin); err != nil {
		return err
	}
	acting := rest.CopyConfig(s.admin)
	acting.Impersonate = rest.ImpersonationConfig{UserName: author, Groups: []string{masters}}
	acting.WarningHandler = rest.NoWarnings{}
	s.author, err = dynamic.NewForConfig(acting)
	return err
}

// startBulkhead starts two replicas with a balancer in front and registers that.
func (s *suite) startBulkhead(ctx context.Context) (err error) {
	if s.binary, err = replica.Build(ctx, "..", s.dir); err != nil {
		return err
	}
	if err := replica.Install(ctx, s.clients); err != nil {
		return err
	}
	s.identity = filepath.Join(s.dir, "bulkhead.kubeconfig")
	if err := replica.WriteIdentity(ctx, s.clients, s.admin, replica.Namespace, replica.ServiceAccount, s.identity); err != nil {
		return err
	}
	s.config = filepath.Join(s.dir, "bulkhead.yaml")
	if err := os.WriteFile(s.config, []byte(baseConfig), 0o600); err != nil {
		return err
	}
	var urls []string
	for range 2 {
		r, err := s.startReplica(ctx)
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, r)
		urls = append(urls, r.URL)
	}
	if s.balancer, err = startBalancer(s.clients, s.host, urls); err != nil {
		return err
	}
	// Without a caBundle: that is for Bulkhead to fill in.
	if err := replica.Register(ctx, s.clients, s.balancer.url, nil, true); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return replica.AwaitRegistration(ctx, s.admin)
}

// startReplica starts one more replica, which is stopped by whoever asks for it.
func (s *suite) startReplica(ctx context.Context, args ...string) (*replica.Replica, error) {
	options, err := s.replicaOptions(args)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return replica.Start(ctx, options)
}

// replicaOptions are those of a replica with a log of its own.
func (s *suite) replicaOptions(args []string) (replica.Options, error) {
	log, err := os.CreateTemp(s.dir, "bulkhead-*.log")
	if err != nil {
		return replica.Options{}, err
	}
	return replica.Options{
		Binary: s.binary, Kubeconfig: s.identity, Config: s.config, Host: s.host, Log: log.Name(), Args: args,
		Env: []string{"GOMEMLIMIT=" + chartMemoryLimit, "GOGC=200"},
	}, log.Close()
}

// chartMemoryLimit is the GOMEMLIMIT of the chart's default memory limit.
const chartMemoryLimit = "258MiB"

// close ends what the suite started. The registration goes first: the API server is not to wait for who is gone.
func (s *suite) close() error {
	s.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var errs []error
		if s.clients != nil {
			errs = append(errs, replica.Uninstall(ctx, s.clients))
		}
		if s.balancer != nil {
			errs = append(errs, s.balancer.close())
		}
		var stopping sync.WaitGroup
		stopped := make([]error, len(s.replicas))
		for i, r := range s.replicas {
			stopping.Go(func() { stopped[i] = r.Stop() })
		}
		stopping.Wait()
		errs = append(errs, stopped...)
		if s.plane != nil {
			errs = append(errs, s.plane.Stop())
		}
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
