package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// fieldManager owns the caBundle fields in the managed fields of the
// configuration, so that a GitOps tool that applies server-side leaves them alone.
const fieldManager = "bulkhead"

// configuration reads the ValidatingWebhookConfiguration; nil when there is none
// yet or none was named.
func (s *SelfSigned) configuration(ctx context.Context) (*admissionv1.ValidatingWebhookConfiguration, error) {
	if s.options.Configuration == "" {
		return nil, nil
	}
	found, err := s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(ctx, s.options.Configuration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ValidatingWebhookConfiguration %s (needs the verbs get, list, watch and patch on that name): %w",
			s.options.Configuration, err)
	}
	return found, nil
}

// holds says whether every webhook of the configuration trusts certPEM.
func (s *SelfSigned) holds(config *admissionv1.ValidatingWebhookConfiguration) func(certPEM []byte) bool {
	return func(certPEM []byte) bool {
		if s.options.Configuration == "" {
			return true // somebody else publishes the bundle, nothing to wait for
		}
		if config == nil || len(config.Webhooks) == 0 {
			return false
		}
		for _, hook := range config.Webhooks {
			if !bytes.Contains(hook.ClientConfig.CABundle, certPEM) {
				return false
			}
		}
		return true
	}
}

type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// publish puts the bundle into every webhook of config where it differs and
// says whether it wrote. It is a patch, not an update, because an update would
// drop the fields that this version of the API types does not know; the resource
// version in it makes the API server answer Conflict when config is out of date.
func (s *SelfSigned) publish(ctx context.Context, config *admissionv1.ValidatingWebhookConfiguration, current state) (bool, error) {
	if config == nil {
		return false, nil
	}
	bundle := current.bundle()
	patch := []patchOperation{{Op: "add", Path: "/metadata/resourceVersion", Value: config.ResourceVersion}}
	var foreign []string
	for i, hook := range config.Webhooks {
		if bytes.Equal(hook.ClientConfig.CABundle, bundle) {
			continue
		}
		if s.foreignBundle(hook.ClientConfig.CABundle, current) {
			foreign = append(foreign, hook.Name)
		}
		patch = append(patch, patchOperation{
			Op: "add", Path: fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), Value: bundle,
		})
	}
	if len(patch) == 1 {
		return false, nil
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return false, fmt.Errorf("encoding the caBundle patch: %w", err)
	}
	_, err = s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Patch(ctx, config.Name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return false, fmt.Errorf("writing caBundle into ValidatingWebhookConfiguration %s (needs the verb patch on that name): %w",
			config.Name, err)
	}
	for _, name := range foreign {
		s.options.Logger.Warn("caBundle had been changed or removed by somebody else and was put right",
			"configuration", config.Name, "webhook", name)
		s.options.Observer.repaired(RepairBundle)
	}
	return true, nil
}

// foreignBundle tells somebody else's edit from the rotation's own traces: a
// bundle that no longer verifies what is served, or that trusts a certificate
// which never was ours. Before the first publication an empty one is normal.
func (s *SelfSigned) foreignBundle(found []byte, current state) bool {
	issuer := current.issuer()
	if issuer < 0 || current.authorities[issuer].published.IsZero() {
		return false
	}
	if !bytes.Contains(found, encodeCertificate(current.authorities[issuer].cert.Raw)) {
		return true
	}
	for rest := found; ; {
		block, next := pem.Decode(rest)
		if block == nil {
			return len(bytes.TrimSpace(rest)) > 0
		}
		if !s.known[string(block.Bytes)] {
			return true
		}
		rest = next
	}
}
