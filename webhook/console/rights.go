package console

import "github.com/bulkhead-dev/bulkhead/webhook"

// Rights are what finding the webhook's replicas needs. What they are asked for, to get the path /denials, is no resource's.
func Rights(namespace, configuration string) []webhook.Right {
	return []webhook.Right{
		{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: namespace},
		{Verb: "get", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: configuration},
	}
}

// AuthRights are what signing people in needs.
func AuthRights() []webhook.Right {
	return []webhook.Right{
		{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"},
		{Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
	}
}
