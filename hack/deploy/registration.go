package main

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// webhooksFile is files/webhooks.yaml: what the template makes the ValidatingWebhookConfiguration of.
type webhooksFile struct {
	// MayFailClosed names the webhooks that the value failurePolicy is for.
	MayFailClosed []string                                    `json:"mayFailClosed"`
	Webhooks      []admissionregistrationv1.ValidatingWebhook `json:"webhooks"`
}

func registration() webhooksFile {
	options := webhook.RegistrationOptions{Name: namePlace, Namespace: namespacePlace, Service: namePlace}
	open := webhook.Registration(options)
	options.FailClosed = true
	closed := webhook.Registration(options)
	out := webhooksFile{Webhooks: open.Webhooks}
	for i := range closed.Webhooks {
		if *closed.Webhooks[i].FailurePolicy == admissionregistrationv1.Fail {
			out.MayFailClosed = append(out.MayFailClosed, closed.Webhooks[i].Name)
		}
	}
	return out
}
