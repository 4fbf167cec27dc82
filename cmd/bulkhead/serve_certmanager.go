package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	certmanagerclient "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/typed/certmanager/v1"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/certmanager"
	"github.com/bulkhead-dev/bulkhead/webhook/certs"
)

// issuedCertificate is the files into which the kubelet puts what cert-manager issues, and what cert-manager says about that.
type issuedCertificate struct {
	*certs.Files
	monitor *certmanager.Monitor
	logger  *slog.Logger
}

// newIssuedCertificate waits for files of the Certificate that the options name, rather than to fail without them.
func newIssuedCertificate(o serveOptions, client kubernetes.Interface, files certs.FilesOptions) (*issuedCertificate, error) {
	if o.certificateDirectory == "" {
		return nil, usageError{errors.New("--certificate-name needs --certificate-dir, where the Secret of that Certificate is mounted")}
	}
	connection, ok := client.Discovery().RESTClient().(*rest.RESTClient)
	if !ok {
		return nil, fmt.Errorf("a client of the type %T has no connection to share", client)
	}
	cfg := &rest.Config{Host: connection.Get().AbsPath("/").URL().String(), QPS: -1}
	issued, err := certmanagerclient.NewForConfigAndClient(cfg, connection.Client)
	if err != nil {
		return nil, err
	}
	files.Await, files.Client, files.Configuration = true, client, o.configuration
	c := &issuedCertificate{logger: files.Logger, monitor: certmanager.NewMonitor(certmanager.Options{
		Client: issued, Namespace: o.namespace, Name: o.certificateName, Logger: files.Logger,
	})}
	c.Files, err = certs.NewFiles(files)
	return c, err
}

// Ready tells why there is nothing usable to serve, in cert-manager's words.
func (c *issuedCertificate) Ready() error {
	err := c.Files.Ready()
	if err == nil {
		return nil
	}
	problem := c.monitor.Problem()
	switch {
	case problem != "":
		return fmt.Errorf("%w; %s", err, problem)
	case time.Now().Before(c.NotAfter()):
		return err // the certificate is good, and not trusted yet
	}
	return fmt.Errorf("%w; Certificate %s is issued, and the kubelet puts its Secret into a running pod within about two minutes", err, c.monitor.Name())
}

// Run looks for a new pair and asks cert-manager until ctx ends.
func (c *issuedCertificate) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.Files.Run(ctx) })
	group.Go(func() error { return c.monitor.Run(ctx) })
	err := group.Wait()
	if why := c.Ready(); why != nil {
		c.logger.Error("ended without a usable serving certificate", "reason", why.Error())
	}
	return err
}

// issued says whether nothing is wrong with the certificate and its renewal.
func (c *issuedCertificate) issued() bool { return c.monitor.Problem() == "" }

// observeIssuance exports what cert-manager says, where it is asked.
func observeIssuance(registry prometheus.Registerer, certificate certificateSource) {
	if c, ok := certificate.(*issuedCertificate); ok {
		webhook.ObserveIssuance(registry, c.issued)
	}
}
