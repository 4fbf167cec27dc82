//go:build node && linux

package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bundle gives the CAs by which the API server knows the webhook, once all of its entries have the same.
func (s *suite) bundle(ctx context.Context) ([]byte, error) {
	c, err := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, release, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	first := c.Webhooks[0].ClientConfig.CABundle
	for _, w := range c.Webhooks {
		if len(w.ClientConfig.CABundle) == 0 || string(w.ClientConfig.CABundle) != string(first) {
			return nil, fmt.Errorf("the webhook %s has the caBundle %q", w.Name, w.ClientConfig.CABundle)
		}
	}
	return first, nil
}

// served gives the certificate that a replica shows behind the Service, as the API server sees it: verified by the registration's
// CAs and under the Service's name.
func (s *suite) served(ctx context.Context) (*x509.Certificate, error) {
	bundle, err := s.bundle(ctx)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, errors.New("the caBundle holds no certificate")
	}
	service, err := s.clients.CoreV1().Services(namespace).Get(ctx, release, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: release + "." + namespace + ".svc", MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(service.Spec.ClusterIP, "443"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// testSelfSigned waits until the replicas have made a certificate and registered its authority.
func (s *suite) testSelfSigned(t *testing.T) {
	var leaf *x509.Certificate
	eventually(t, "a certificate that the registration vouches for", func(ctx context.Context) (err error) {
		leaf, err = s.served(ctx)
		return err
	})
	secret, err := s.clients.CoreV1().Secrets(namespace).Get(t.Context(), "bulkhead-tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	if !leaf.Equal(pair.Leaf) {
		t.Errorf("%s is served, and the Secret holds %s", leaf.SerialNumber, pair.Leaf.SerialNumber)
	}
}

// probe is a NetworkPolicy that is judged and passes: it only ever is created as a dry run.
func probe(name string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "nobody"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
	}
}

// ask has the API server ask a replica about a probe.
func (s *suite) ask(ctx context.Context, name string) error {
	_, err := s.clients.NetworkingV1().NetworkPolicies("default").Create(ctx, probe(name), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// callers is how many requests are under way at a time: each has the API server open a connection, to a replica of kube-proxy's choice.
const callers = 50

// testService has the API server call the Service until both replicas have answered.
func (s *suite) testService(t *testing.T) {
	pods := s.mustPods(t)
	judged := make([]int, len(pods))
	eventually(t, "both replicas to be asked", func(ctx context.Context) error {
		var asking sync.WaitGroup
		errs := make([]error, callers)
		for i := range callers {
			asking.Go(func() { errs[i] = s.ask(ctx, fmt.Sprintf("probe-%d", i)) })
		}
		asking.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		for i, p := range pods {
			n, err := decisions(ctx, p.Status.PodIP)
			if err != nil {
				return err
			}
			if judged[i] = n; n == 0 {
				return fmt.Errorf("%s has judged nothing", p.Name)
			}
		}
		return nil
	})
	t.Logf("the replicas have judged %v requests", judged)
}

// decisions gives how many requests a replica has judged.
func decisions(ctx context.Context, address string) (int, error) {
	text, err := metrics(ctx, address)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, match := range regexp.MustCompile(`(?m)^bulkhead_decisions_total\{.*\} (\S+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			return 0, err
		}
		sum += int(n)
	}
	return sum, nil
}

// metrics reads a replica's metrics, from the node.
func metrics(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "8081")+"/metrics", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
