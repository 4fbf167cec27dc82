package console

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// CollectorOptions say where the webhook's replicas are and how they are asked.
type CollectorOptions struct {
	Client kubernetes.Interface
	// Namespace and Service are the webhook's; its EndpointSlices name the replicas. Port is the name of the Service's port on
	// which they answer.
	Namespace, Service, Port string
	// Configuration is the ValidatingWebhookConfiguration whose caBundle the replicas' certificates have to fit.
	Configuration string
	// Token gives the token by which the replicas know who asks. It is read anew for every request, because tokens rotate.
	Token  func() (string, error)
	Logger *slog.Logger
}

// maxAnswer bounds one answer of a replica, in bytes.
const maxAnswer = 16 << 20

// NewCollector makes a collector of what the webhook's replicas keep.
func NewCollector(o CollectorOptions) *Collector {
	return newCollector(o.find, o.ask, time.Now, o.Logger)
}

// replicas are those that are there, and how to talk to them.
type replicas struct {
	addresses []string // host:port, sorted
	client    *http.Client
}

// find looks the replicas and their certificate authority up.
func (o CollectorOptions) find(ctx context.Context) (*replicas, error) {
	list, err := o.Client.DiscoveryV1().EndpointSlices(o.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + o.Service,
	})
	if err != nil {
		return nil, fmt.Errorf("the EndpointSlices of the Service %s/%s cannot be listed: %w", o.Namespace, o.Service, err)
	}
	addresses, ready := o.addresses(list.Items)
	if ready > 0 && len(addresses) == 0 {
		return nil, fmt.Errorf("the Service %s/%s has no port %s; install Bulkhead with denials.enabled=true", o.Namespace, o.Service, o.Port)
	}
	pool, err := o.authorities(ctx)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{
			RootCAs: pool, ServerName: o.Service + "." + o.Namespace + ".svc", MinVersion: tls.VersionTLS12,
		},
		DisableKeepAlives: true, TLSHandshakeTimeout: askWithin, ResponseHeaderTimeout: askWithin,
	}
	return &replicas{addresses, &http.Client{
		Transport: transport, Timeout: askWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("a replica redirects, which it never does")
		},
	}}, nil
}

// addresses gives where the ready replicas answer, and how many endpoints are ready.
func (o CollectorOptions) addresses(list []discoveryv1.EndpointSlice) (out []string, ready int) {
	for i := range list {
		port := int32(0)
		for _, p := range list[i].Ports {
			if p.Name != nil && *p.Name == o.Port && p.Port != nil {
				port = *p.Port
			}
		}
		for _, e := range list[i].Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || len(e.Addresses) == 0 {
				continue
			}
			if ready++; port != 0 {
				out = append(out, net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(port))))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), ready
}

// authorities gives whom the API server trusts to be the webhook: nobody else is to get our token.
func (o CollectorOptions) authorities(ctx context.Context) (*x509.CertPool, error) {
	cfg, err := o.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, o.Configuration, metav1.GetOptions{})
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("there is no ValidatingWebhookConfiguration %s; name Bulkhead's with --console-webhook-configuration", o.Configuration)
		}
		return nil, fmt.Errorf("the ValidatingWebhookConfiguration %s cannot be read: %w", o.Configuration, err)
	}
	pool, some := x509.NewCertPool(), false
	for i := range cfg.Webhooks {
		some = pool.AppendCertsFromPEM(cfg.Webhooks[i].ClientConfig.CABundle) || some
	}
	if !some {
		return nil, fmt.Errorf("the ValidatingWebhookConfiguration %s has no caBundle yet", o.Configuration)
	}
	return pool, nil
}

// ask asks one replica.
func (o CollectorOptions) ask(ctx context.Context, to *replicas, address string, after uint64) (*denials.Page, error) {
	token, err := o.Token()
	if err != nil {
		return nil, fmt.Errorf("the token of this service account cannot be read: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s/denials?after=%d", address, after), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := to.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		words := strings.TrimSpace(string(body[:min(len(body), 300)]))
		return nil, fmt.Errorf("it answers %s: %s", answer.Status, words)
	}
	page := &denials.Page{}
	if err := json.Unmarshal(body, page); err != nil {
		return nil, fmt.Errorf("its answer is not what /denials says: %w", err)
	}
	return page, nil
}
