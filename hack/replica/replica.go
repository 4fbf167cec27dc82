// Package replica builds Bulkhead's binary and runs it as a process of this machine against a cluster, for the demo and
// the end-to-end tests. What it runs is what is shipped; only the network in front of it differs from a Deployment.
package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Namespace is where Bulkhead's own objects are.
const Namespace = "bulkhead-system"

// Options say how a replica runs.
type Options struct {
	// Binary is what Build made.
	Binary string
	// Kubeconfig is the identity that the replica runs under.
	Kubeconfig string
	// Config is the path of the BulkheadConfig file.
	Config string
	// Host is the address that the replica listens on and that the API server reaches; 127.0.0.1 where empty.
	Host string
	// Log is the file that the replica's log goes to.
	Log string
	// Args are further flags of "bulkhead serve".
	Args []string
	// Launcher is a command line that Binary and its arguments are added to, such as one that confines it; usually empty.
	Launcher []string
	// Env is added to the environment, such as "GOGC=200".
	Env []string
}

// Replica is a running process.
type Replica struct {
	// URL is where reviews are answered, ProbeURL where health and metrics are.
	URL, ProbeURL string
	// LogPath is the file with the replica's log, one JSON object a line.
	LogPath string

	cmd    *exec.Cmd
	exited chan error
}

// Build compiles Bulkhead into dir. root is the repository.
func Build(ctx context.Context, root, dir string) (string, error) {
	binary := filepath.Join(dir, "bulkhead")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/bulkhead")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/bulkhead: %w\n%s", err, out)
	}
	return binary, nil
}

// Start runs a replica and returns once it is ready. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Replica, error) {
	r, err := Launch(o)
	if err != nil {
		return nil, err
	}
	if err := r.AwaitReady(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// Launch runs a replica and does not wait for it.
func Launch(o Options) (*Replica, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	webhookPort, err := freePort(o.Host)
	if err != nil {
		return nil, err
	}
	probePort, err := freePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	r := &Replica{
		URL: "https://" + net.JoinHostPort(o.Host, webhookPort), ProbeURL: "http://" + net.JoinHostPort("127.0.0.1", probePort),
		LogPath: o.Log, exited: make(chan error, 1),
	}
	args := append([]string{
		"serve", "--kubeconfig", o.Kubeconfig, "--config", o.Config, "--namespace", Namespace,
		"--webhook-address", net.JoinHostPort(o.Host, webhookPort), "--probe-address", net.JoinHostPort("127.0.0.1", probePort),
		"--certificate-names", o.Host,
	}, o.Args...)
	return r, r.launch(o, args)
}

// launch runs the binary with the arguments.
func (r *Replica) launch(o Options, args []string) error {
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Not CommandContext: ctx bounds the start, not the life.
	command := slices.Concat(o.Launcher, []string{o.Binary}, args)
	r.cmd = exec.Command(command[0], command[1:]...)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Env = append(os.Environ(), o.Env...)
	r.cmd.SysProcAttr = childAttributes()
	return r.run()
}

// AwaitReady waits until the replica is ready; the error holds the end of its log.
func (r *Replica) AwaitReady(ctx context.Context) error {
	if err := r.awaitReady(ctx); err != nil {
		return fmt.Errorf("bulkhead did not become ready: %w\n%s", err, tail(r.LogPath))
	}
	return nil
}

// run starts the process and waits for its end on one thread, which lives as long: the system ends the child with the
// thread that started it.
func (r *Replica) run() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.cmd.Start()
		started <- err
		if err == nil {
			r.exited <- r.cmd.Wait()
		}
	}()
	return <-started
}

func (r *Replica) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := "no answer yet"
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", ctx.Err(), last)
		case err := <-r.exited:
			r.exited <- err
			return fmt.Errorf("the process ended: %w", err)
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ProbeURL+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		last = string(body)
	}
}

// PID is the process's.
func (r *Replica) PID() int { return r.cmd.Process.Pid }

// Metrics gives the replica's metrics in the Prometheus text format.
func (r *Replica) Metrics(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ProbeURL+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// stopWithin is how long a replica may take to drain and finish what is in flight.
const stopWithin = 30 * time.Second

// Stop ends the replica as a Deployment would, by SIGTERM, and waits for it.
func (r *Replica) Stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-r.exited:
		r.exited <- err
		return err
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("bulkhead did not stop within %s", stopWithin), r.cmd.Process.Kill())
	}
}

// Kill ends the replica at once, as a node that fails does, and waits for it.
func (r *Replica) Kill() error {
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	r.exited <- <-r.exited
	return nil
}

func freePort(host string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
