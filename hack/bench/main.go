// Command bench measures the running webhook at the size of a large cluster: how much memory it takes, how soon it is
// ready, and how many reviews it answers compared with controller-runtime's webhook doing nothing. docs/performance.md
// says what the figures mean.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
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
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// settings are the flags.
type settings struct {
	Namespaces  int           `json:"namespaces"`
	Pods        int           `json:"pods"`
	Policies    int           `json:"policies"`
	Rounds      int           `json:"rounds"`
	Round       time.Duration `json:"roundNanoseconds"`
	Settle      time.Duration `json:"settleNanoseconds"`
	Connections int           `json:"connections"`
	Relists     int           `json:"relists"`
	Audit       bool          `json:"audit"`
	AuditRounds int           `json:"auditRounds"`
	AuditRate   int           `json:"auditRate"`
	MemoryLimit string        `json:"GOMEMLIMIT"`
	GCPercent   string        `json:"GOGC"`
	Output      string        `json:"-"`
	Binary      string        `json:"-"`
	Hold        time.Duration `json:"-"`
	Timeout     time.Duration `json:"-"`
}

func main() {
	var s settings
	flag.IntVar(&s.Namespaces, "namespaces", 2000, "namespaces of the cluster")
	flag.IntVar(&s.Pods, "pods", 150_000, "pods of the cluster")
	flag.IntVar(&s.Policies, "policies", 10_000, "NetworkPolicies of the cluster")
	flag.IntVar(&s.Rounds, "rounds", 7, "rounds on each webhook, alternating; 0 measures memory alone")
	flag.DurationVar(&s.Round, "round", 10*time.Second, "length of a round")
	flag.DurationVar(&s.Settle, "settle", 35*time.Second, "how long the webhook is left alone before its steady memory is read")
	flag.IntVar(&s.Connections, "connections", 16, "connections to the webhook under load, each with one request at a time")
	flag.IntVar(&s.Relists, "relists", 0, "how often the API server is restarted, so that everything is listed anew")
	flag.BoolVar(&s.Audit, "audit", false, "measure \"bulkhead audit serve\", and the webhook with and without it beside")
	flag.IntVar(&s.AuditRounds, "audit-rounds", 7, "with -audit: rounds with and without it, alternating")
	flag.IntVar(&s.AuditRate, "audit-rate", 200, "with -audit: reviews a second in all")
	flag.StringVar(&s.MemoryLimit, "gomemlimit", "215MiB", "GOMEMLIMIT of the webhook; empty for none")
	flag.StringVar(&s.GCPercent, "gogc", "200", "GOGC of the webhook; empty for Go's default")
	flag.StringVar(&s.Output, "o", "table", "what is printed: table or json")
	flag.StringVar(&s.Binary, "bulkhead", "", "binary to measure; empty builds it from this tree")
	flag.DurationVar(&s.Hold, "hold", 0, "keep everything running that long afterwards, for a profiler")
	flag.DurationVar(&s.Timeout, "timeout", 15*time.Minute, "give up after that long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, s.Timeout+s.Hold)
	defer cancel()
	if err := run(ctx, s, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, out, progress io.Writer) (err error) {
	if s.Output != "table" && s.Output != "json" {
		return fmt.Errorf("-o %q: use table or json", s.Output)
	}
	dir, err := os.MkdirTemp("", "bulkhead-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{settings: s, dir: dir, progress: progress, result: &result{Settings: s, Machine: machine()}}
	defer func() { err = errors.Join(err, b.stop()) }()
	for _, step := range []func(context.Context) error{b.build, b.startCluster, b.startWebhooks, b.measureMemory, b.measureRelist, b.measureLoad, b.measureAudit} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if s.Output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(b.result)
	} else {
		err = b.result.table(out)
	}
	if err != nil || s.Hold == 0 {
		return err
	}
	b.say("holding for %s: bulkhead is process %d, the no-op is %d", s.Hold, b.replica.PID(), b.noop.pid())
	return b.hold(ctx)
}

// bench is one run.
type bench struct {
	settings
	dir, root      string
	progress       io.Writer
	binary, noopAt string // the built programs
	certificates   *certificates
	plane          *controlplane.ControlPlane
	link           *replica.Link // between the webhook and the API server
	identity       string        // kubeconfig file of the webhook
	scaled         *policytest.Scaled
	replica        *replica.Replica
	noop           *noop
	result         *result
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

// seedOf the cluster and of the reviews: every run measures the same.
const seedOf = 1

// build compiles both webhooks.
func (b *bench) build(ctx context.Context) (err error) {
	here, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	module := filepath.Dir(strings.TrimSpace(string(here)))
	b.root = filepath.Join(module, "..", "..")
	if _, err := os.Stat(filepath.Join(module, "noop")); err != nil {
		return fmt.Errorf("run this within its own module, with go run -C hack/bench . from the repository: %w", err)
	}
	b.say("building the webhooks")
	if b.binary = b.Binary; b.binary == "" {
		if b.binary, err = replica.Build(ctx, b.root, b.dir); err != nil {
			return err
		}
	}
	b.noopAt = filepath.Join(b.dir, "noop")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.noopAt, "./noop")
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./noop: %w\n%s", err, text)
	}
	b.certificates, err = newCertificates(filepath.Join(b.dir, "certificates"))
	return err
}

// startCluster starts etcd, fills it, and starts a kube-apiserver that serves what is in it.
func (b *bench) startCluster(ctx context.Context) (err error) {
	b.plane, err = controlplane.Start(ctx, controlplane.Options{
		Omit:     []controlplane.Component{controlplane.ControllerManager, controlplane.Scheduler, controlplane.Kwok},
		Progress: b.progress, BinDir: filepath.Join(b.root, "bin", "controlplane"),
	})
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(b.plane.RESTConfig())
	if err != nil {
		return err
	}
	if err := replica.Install(ctx, client); err != nil {
		return err
	}
	// A running API server would only be slowed down by the flood.
	if err := b.plane.StopComponent(controlplane.APIServer); err != nil {
		return err
	}
	b.say("writing %d namespaces, %d pods and %d policies into etcd", b.Namespaces, b.Pods, b.Policies)
	b.scaled = policytest.Scale(b.Namespaces, b.Pods, b.Policies, seedOf)
	if b.result.Seeding, err = seed(ctx, b.plane.Etcd(), b.scaled); err != nil {
		return err
	}
	b.say("%d MiB written in %.0f s; starting kube-apiserver on them", b.result.Seeding.Bytes>>20, b.result.Seeding.Seconds)
	return b.plane.StartComponent(ctx, controlplane.APIServer)
}

// webhookConfig lets guardrails deny, so that all of the work is done.
const webhookConfig = "apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\nmaximumAction: Deny\n"

// startWebhooks starts Bulkhead as a Deployment would, and the webhook that it is compared with.
func (b *bench) startWebhooks(ctx context.Context) (err error) {
	client, err := kubernetes.NewForConfig(b.plane.RESTConfig())
	if err != nil {
		return err
	}
	identity := filepath.Join(b.dir, "bulkhead.kubeconfig")
	if err := replica.WriteIdentity(ctx, client, b.plane.RESTConfig(), replica.Namespace, replica.ServiceAccount, identity); err != nil {
		return err
	}
	if b.link, err = replica.NewLink(b.plane.URL()); err != nil {
		return err
	}
	if b.identity, err = b.link.Kubeconfig(identity); err != nil {
		return err
	}
	if err := os.WriteFile(b.config(), []byte(webhookConfig), 0o600); err != nil {
		return err
	}
	restore, err := setenv(map[string]string{"GOMEMLIMIT": b.MemoryLimit, "GOGC": b.GCPercent})
	if err != nil {
		return err
	}
	b.say("starting bulkhead")
	startCtx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	start := time.Now()
	b.replica, err = replica.Start(startCtx, b.options(filepath.Join(b.dir, "bulkhead.log")))
	if err := errors.Join(err, restore()); err != nil {
		return err
	}
	b.result.SecondsToReady = time.Since(start).Seconds()
	b.say("bulkhead is ready after %.1f s", b.result.SecondsToReady)
	b.noop, err = startNoop(ctx, b.noopAt, b.certificates, filepath.Join(b.dir, "noop.log"))
	return err
}

func (b *bench) config() string { return filepath.Join(b.dir, "bulkhead.yaml") }

// options are those of a webhook that logs into a file.
func (b *bench) options(log string) replica.Options {
	return replica.Options{
		Binary: b.binary, Kubeconfig: b.identity, Config: b.config(), Log: log, Args: []string{"--certificate-dir", b.certificates.dir},
	}
}

// setenv sets the environment that the next process inherits, and gives what puts it back.
func setenv(values map[string]string) (restore func() error, err error) {
	before := map[string]string{}
	set := func(values map[string]string) error {
		var errs []error
		for name, value := range values {
			if value == "" {
				errs = append(errs, os.Unsetenv(name))
			} else {
				errs = append(errs, os.Setenv(name, value))
			}
		}
		return errors.Join(errs...)
	}
	for name := range values {
		before[name] = os.Getenv(name)
	}
	return func() error { return set(before) }, set(values)
}

func (b *bench) hold(ctx context.Context) error {
	timer := time.NewTimer(b.Hold)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends everything that runs.
func (b *bench) stop() error {
	var errs []error
	if b.noop != nil {
		errs = append(errs, b.noop.stop())
	}
	if b.replica != nil {
		errs = append(errs, b.replica.Stop())
	}
	if b.link != nil {
		errs = append(errs, b.link.Close())
	}
	if b.plane != nil {
		errs = append(errs, b.plane.Stop())
	}
	return errors.Join(errs...)
}
