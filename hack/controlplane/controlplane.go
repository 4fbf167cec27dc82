// Package controlplane runs a real Kubernetes control plane on the loopback interface, for the demo and the end-to-end
// tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, built from pinned Go modules, and kwok, which
// plays the nodes' kubelets so that Pods run.
//
//	plane, err := controlplane.Start(ctx, controlplane.Options{Progress: os.Stderr})
//	...
//	defer plane.Stop()
//	clients, err := kubernetes.NewForConfig(plane.RESTConfig())
//
// What it lacks of a cluster is what happens on nodes: no container runs, no packet flows, no NetworkPolicy is enforced.
package controlplane

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

//go:embed audit-policy.yaml
var auditPolicy []byte

//go:embed kwok.yaml
var kwokStages []byte

// ControlPlane is a running control plane. Its methods may be called concurrently.
type ControlPlane struct {
	options  Options
	binaries Binaries
	workdir  *workdir
	dir      string
	pki      *pki
	ports    ports
	admin    *rest.Config
	clients  kubernetes.Interface
	launcher *launcher
	// failed receives the components that end without being asked to.
	failed chan error

	mu        sync.Mutex // serializes start and stop
	processes map[Component]*process
	stopped   bool
}

// ports are the control plane's listening ports.
type ports struct{ etcdClient, etcdPeer, apiServer, controllerManager, scheduler port }

func (p *ports) all() []*port {
	return []*port{&p.etcdClient, &p.etcdPeer, &p.apiServer, &p.controllerManager, &p.scheduler}
}

// startOrder lists the components that run, each after those that it needs.
func startOrder() []Component {
	return []Component{Etcd, APIServer, ControllerManager, Scheduler, Kwok}
}

// Start builds what is missing, starts a control plane and returns once it is ready: the API server answers, the nodes
// are Ready and the namespace default has its service account. ctx bounds the start alone; the control plane runs until
// Stop. If a component fails, the error names it and holds the end of its log, and nothing is left running.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	binaries, err := Build(ctx, options.BinDir, options.Progress)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{
		options: options, binaries: binaries, failed: make(chan error, len(startOrder())),
		processes: map[Component]*process{},
	}
	err = c.prepare()
	if err == nil {
		err = c.startAll(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// prepare makes the working directory with all files, reserves the ports and makes the clients.
func (c *ControlPlane) prepare() error {
	workdir, err := newWorkdir(c.options.Dir)
	if err != nil {
		return err
	}
	c.workdir, c.dir = workdir, workdir.path
	for _, dir := range []string{etcdDataDir, homeDir, kubeconfigDir, logDir} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return err
		}
	}
	if c.pki, err = newPKI(c.path(pkiDir)); err != nil {
		return err
	}
	for _, p := range c.ports.all() {
		if *p, err = reservePort(); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.path(auditPolicyFile), auditPolicy, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(c.path(stagesFile), kwokStages, 0o600); err != nil {
		return err
	}
	if err := c.makeClients(); err != nil {
		return err
	}
	c.launcher = newLauncher()
	return nil
}

// makeClients writes the components' kubeconfig files and makes the administrator's client.
func (c *ControlPlane) makeClients() error {
	for component, who := range users() {
		pair, err := c.pki.ca.client(who.user, who.groups...)
		if err != nil {
			return err
		}
		err = writeKubeconfig(c.componentKubeconfig(component), c.URL(), who.user, c.pki.ca.pair.cert, pair)
		if err != nil {
			return err
		}
		if component == Kubectl {
			c.admin = &rest.Config{
				Host: c.URL(),
				QPS:  -1, // no limit on the client's side
				TLSClientConfig: rest.TLSClientConfig{
					CAData: c.pki.ca.pair.cert, CertData: pair.cert, KeyData: pair.key,
				},
			}
		}
	}
	clients, err := kubernetes.NewForConfig(c.admin)
	c.clients = clients
	return err
}

// startAll starts etcd, then kube-apiserver, then all the rest at once.
func (c *ControlPlane) startAll(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, component := range []Component{Etcd, APIServer} {
		if err := c.startComponent(ctx, component); err != nil {
			return err
		}
	}
	var rest []*process
	for _, component := range []Component{ControllerManager, Scheduler, Kwok} {
		if !c.options.includes(component) {
			continue
		}
		p, err := c.launch(component, c.arguments(component)...)
		if err != nil {
			return err
		}
		rest = append(rest, p)
	}
	if c.options.includes(Kwok) {
		if err := c.createNodes(ctx); err != nil {
			return err
		}
	}
	for _, p := range rest {
		if err := c.awaitReady(ctx, p); err != nil {
			return err
		}
	}
	return c.awaitCluster(ctx)
}

// launch starts a component's process and watches over it. c.mu is held.
func (c *ControlPlane) launch(component Component, arguments ...string) (*process, error) {
	command := exec.Command(c.binaries.Path(component), arguments...)
	command.Dir = c.path(homeDir)
	command.Env = c.environment()
	p, err := startProcess(c.launcher, component, command, c.LogPath(component))
	if err != nil {
		return nil, err
	}
	c.processes[component] = p
	go func() {
		<-p.exited
		if p.stopping.Load() {
			return
		}
		select {
		case c.failed <- p.ended():
		default: // one failure is enough to report
		}
	}()
	return p, nil
}

// startComponent starts a component and waits until it is ready. c.mu is held.
func (c *ControlPlane) startComponent(ctx context.Context, component Component) error {
	p, err := c.launch(component, c.arguments(component)...)
	if err != nil {
		return err
	}
	return c.awaitReady(ctx, p)
}

// StartComponent starts a component that StopComponent stopped, with the same port, data and identity, and waits until
// it is ready. Kwok has no readiness of its own: it counts as ready when it runs.
func (c *ControlPlane) StartComponent(ctx context.Context, component Component) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, known := c.processes[component]
	switch {
	case c.stopped:
		return errors.New("the control plane is stopped")
	case !known:
		return fmt.Errorf("%q is no component of this control plane", component)
	case p.running():
		return fmt.Errorf("%s runs already", component)
	}
	return c.startComponent(ctx, component)
}

// StopComponent stops one component, as an outage. Stopping a stopped one does nothing.
func (c *ControlPlane) StopComponent(component Component) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, known := c.processes[component]
	if !known {
		return fmt.Errorf("%q is no component of this control plane", component)
	}
	return p.stop(stopDeadline)
}

// Wait blocks until ctx is done, and returns nil then, or until a component ends by itself, and returns which and why.
func (c *ControlPlane) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-c.failed:
		return err
	}
}

// Stop stops the components in reverse order and removes everything but what Options.KeepLogs keeps. It may be called
// again and does nothing then.
func (c *ControlPlane) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true

	var errs []error
	order := append(startOrder(), CertManager)
	for i := len(order) - 1; i >= 0; i-- {
		if p, known := c.processes[order[i]]; known {
			errs = append(errs, p.stop(stopDeadline))
		}
	}
	if c.launcher != nil {
		c.launcher.close()
	}
	for _, p := range c.ports.all() {
		errs = append(errs, p.release())
	}
	if c.workdir != nil {
		var keep []string
		if c.options.KeepLogs {
			keep = []string{logDir}
		}
		errs = append(errs, c.workdir.remove(keep...))
	}
	return errors.Join(errs...)
}
