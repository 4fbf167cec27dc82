package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// readyDeadline is for one condition. A start takes seconds; a machine that compiles something else at the same time,
	// or an API server that has to list 150,000 pods first, may need much longer.
	readyDeadline = 5 * time.Minute
	pollInterval  = 25 * time.Millisecond
	probeTimeout  = 5 * time.Second
	// maxProbeBody bounds how much of a failed probe's answer an error repeats.
	maxProbeBody = 2 << 10
)

// await polls a condition until it holds. It gives up with the condition's last error when ctx or readyDeadline ends,
// and at once when one of the processes, without which it cannot come true, ends.
func await(ctx context.Context, what string, processes []*process, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyDeadline, fmt.Errorf("not within %s", readyDeadline))
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		for _, p := range processes {
			if !p.running() {
				return fmt.Errorf("waiting for %s: %w", what, p.ended())
			}
		}
		select {
		case <-ctx.Done():
			tails := ""
			for _, p := range processes {
				tails += p.tail()
			}
			return fmt.Errorf("waiting for %s: %w: %w%s", what, context.Cause(ctx), err, tails)
		case <-ticker.C:
		}
	}
}

// awaitReady waits until a component says of itself that it is ready.
func (c *ControlPlane) awaitReady(ctx context.Context, p *process) error {
	var path string
	var client keyPair
	authority, listens := c.pki.ca, port{}
	switch p.component {
	case Etcd:
		// etcd tells nothing to strangers.
		pair, err := c.pki.etcd.client("readiness-probe")
		if err != nil {
			return err
		}
		path, client, authority, listens = "/health", pair, c.pki.etcd, c.ports.etcdClient
	case APIServer:
		path, listens = "/readyz", c.ports.apiServer
		client = keyPair{cert: c.admin.CertData, key: c.admin.KeyData}
	case ControllerManager:
		path, listens = "/healthz", c.ports.controllerManager
	case Scheduler:
		path, listens = "/healthz", c.ports.scheduler
	default:
		return nil
	}
	get, err := newProbe("https://"+listens.address()+path, authority.pair.cert, client)
	if err != nil {
		return err
	}
	return await(ctx, string(p.component)+" to be ready", []*process{p}, get)
}

// newProbe returns a condition: that a GET of url answers 200. A probe keeps no connection open.
func newProbe(url string, ca []byte, client keyPair) (func(context.Context) error, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if client.cert != nil {
		certificate, err := tls.X509KeyPair(client.cert, client.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	httpClient := &http.Client{
		Timeout:   probeTimeout,
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := httpClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }() // only read from
		if response.StatusCode == http.StatusOK {
			return nil
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxProbeBody))
		return errors.Join(fmt.Errorf("%s answers %s: %s", url, response.Status, body), err)
	}, nil
}

// awaitCluster waits for what users of a cluster take for granted. c.mu is held.
func (c *ControlPlane) awaitCluster(ctx context.Context) error {
	if manager, runs := c.processes[ControllerManager]; runs {
		err := await(ctx, "the service account of the namespace default", []*process{manager}, func(ctx context.Context) error {
			_, err := c.clients.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
		if err != nil {
			return err
		}
	}
	if kwok, runs := c.processes[Kwok]; runs {
		return await(ctx, "the nodes to be ready", []*process{kwok}, c.nodesReady)
	}
	return nil
}

// nodesReady fails while a node that Start made is not Ready or still bears a taint, which kube-controller-manager takes
// off a Ready node.
func (c *ControlPlane) nodesReady(ctx context.Context) error {
	_, untainted := c.processes[ControllerManager]
	nodes, err := c.clients.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	ready := 0
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if isReady(node) && (!untainted || len(node.Spec.Taints) == 0) {
			ready++
		}
	}
	if ready < c.options.Nodes {
		return fmt.Errorf("%d of %d nodes are ready", ready, c.options.Nodes)
	}
	return nil
}

func isReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
