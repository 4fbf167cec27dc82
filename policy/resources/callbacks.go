package resources

import (
	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// httpsPort is what a webhook's or APIService's Service is called on unless it says otherwise.
// Source: admissionregistration.k8s.io/v1 ServiceReference.port.
const httpsPort = 443

func validating(o *admissionregistrationv1.ValidatingWebhookConfiguration) *cluster.Extra {
	out := &cluster.Callback{Kind: "ValidatingWebhookConfiguration", Name: o.Name}
	for i := range o.Webhooks {
		out.Services = appendWebhook(out.Services, o.Webhooks[i].Name, o.Webhooks[i].ClientConfig.Service, o.Webhooks[i].FailurePolicy)
	}
	return callback(cluster.ValidatingWebhookConfigurations, o, out)
}

func mutating(o *admissionregistrationv1.MutatingWebhookConfiguration) *cluster.Extra {
	out := &cluster.Callback{Kind: "MutatingWebhookConfiguration", Name: o.Name}
	for i := range o.Webhooks {
		out.Services = appendWebhook(out.Services, o.Webhooks[i].Name, o.Webhooks[i].ClientConfig.Service, o.Webhooks[i].FailurePolicy)
	}
	return callback(cluster.MutatingWebhookConfigurations, o, out)
}

func appendWebhook(to []cluster.CallbackService, name string, s *admissionregistrationv1.ServiceReference,
	failure *admissionregistrationv1.FailurePolicyType,
) []cluster.CallbackService {
	if s == nil {
		return to // it is called by URL
	}
	port := int32(httpsPort)
	if s.Port != nil {
		port = *s.Port
	}
	return append(to, cluster.CallbackService{
		ServicePortReference: cluster.ServicePortReference{Namespace: s.Namespace, Service: s.Name, Port: intstr.FromInt32(port)},
		Webhook:              name,
		// The API's default is Fail.
		FailClosed: failure == nil || *failure == admissionregistrationv1.Fail,
	})
}

func apiService(o *apiregistrationv1.APIService) *cluster.Extra {
	s := o.Spec.Service
	if s == nil {
		return nil // the API server serves it itself
	}
	port := int32(httpsPort)
	if s.Port != nil {
		port = *s.Port
	}
	return callback(cluster.APIServices, o, &cluster.Callback{Kind: "APIService", Name: o.Name, Services: []cluster.CallbackService{{
		ServicePortReference: cluster.ServicePortReference{Namespace: s.Namespace, Service: s.Name, Port: intstr.FromInt32(port)},
		FailClosed:           true,
	}}})
}

// callback looks what the API server calls up by the namespaces of the Services; nil where it calls none.
func callback(r cluster.Resource, o metav1.Object, c *cluster.Callback) *cluster.Extra {
	var keys []string
	for _, s := range c.Services {
		keys = appendNew(keys, s.Namespace)
	}
	return in(r, o, c, keys...)
}

func issuer(kind string, o certmanagerv1.GenericIssuer) *cluster.Issuer {
	out := &cluster.Issuer{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
	acme := o.GetSpec().ACME
	if acme == nil {
		return out
	}
	for i := range acme.Solvers {
		http01 := acme.Solvers[i].HTTP01
		if http01 == nil {
			continue
		}
		added := labels.Set{}
		switch {
		case http01.Ingress != nil && http01.Ingress.PodTemplate != nil:
			added = http01.Ingress.PodTemplate.Labels
		case http01.GatewayHTTPRoute != nil && http01.GatewayHTTPRoute.PodTemplate != nil:
			added = http01.GatewayHTTPRoute.PodTemplate.Labels
		}
		out.HTTP01 = append(out.HTTP01, added)
	}
	return out
}
