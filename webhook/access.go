package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Right is one permission that Bulkhead needs.
type Right struct {
	Verb, Group, Resource string
	// Namespace and Name narrow the right; empty means all.
	Namespace, Name string
}

// String writes the right as a person would grant it: "list pods", "update secrets bulkhead-tls in namespace bulkhead-system".
func (r Right) String() string {
	s := r.Verb + " " + r.Resource
	if r.Group != "" {
		s += "." + r.Group
	}
	if r.Name != "" {
		s += " " + r.Name
	}
	if r.Namespace != "" {
		s += " in namespace " + r.Namespace
	}
	return s
}

// WatchRights are what the snapshot needs.
func WatchRights() []Right {
	var out []Right
	for _, f := range feeds() {
		for _, verb := range []string{"list", "watch"} {
			out = append(out, Right{Verb: verb, Group: f.group, Resource: f.resource})
		}
	}
	return out
}

// SnapshotRights are what the snapshot and its live reads need.
func SnapshotRights() []Right {
	return append(WatchRights(), Right{Verb: "get", Resource: "namespaces"}, Right{Verb: "get", Resource: "pods"})
}

// TierRights are what cluster-wide policies need. A cluster may lack their kinds; where it has them and Bulkhead lacks a
// right, it says so and judges without that kind.
func TierRights() []Right {
	var out []Right
	for _, f := range tierFeeds() {
		out = append(out, f.rights()...)
	}
	return out
}

// accessQuestions is how many rights are asked about at a time: a start is not to take a round trip for each of them, and no API server
// is to be bothered by all at once.
const accessQuestions = 8

// CheckAccess asks the API server whether the client has all the rights. The error names each one that it lacks, in their order.
func CheckAccess(ctx context.Context, client kubernetes.Interface, rights []Right) error {
	allowed := make([]bool, len(rights))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(accessQuestions)
	for i, r := range rights {
		group.Go(func() error {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: r.Verb, Group: r.Group, Resource: r.Resource, Namespace: r.Namespace, Name: r.Name,
				},
			}}
			answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("asking the API server for this identity's rights: %w", err)
			}
			allowed[i] = answer.Status.Allowed
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var missing []string
	for i, r := range rights {
		if !allowed[i] {
			missing = append(missing, r.String())
		}
	}
	if len(missing) > 0 {
		return errors.New("this identity lacks rights; grant it with RBAC:\n  " + strings.Join(missing, "\n  "))
	}
	return nil
}

// SelfSignedRights are what the self-signed certificate needs: one Secret of Bulkhead's own namespace and its own
// webhook configuration, unless the name of that is empty. "create" cannot be narrowed to a name.
func SelfSignedRights(namespace, secret, configuration string) []Right {
	out := []Right{{Verb: "create", Resource: "secrets", Namespace: namespace}}
	for _, verb := range []string{"get", "list", "watch", "update"} {
		out = append(out, Right{Verb: verb, Resource: "secrets", Namespace: namespace, Name: secret})
	}
	if configuration == "" {
		return out
	}
	for _, verb := range []string{"get", "list", "watch", "patch"} {
		out = append(out, Right{
			Verb: verb, Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: configuration,
		})
	}
	return out
}

// DenialsRights are what asking the API server needs who reads the denials. "create" only asks; nothing is stored.
func DenialsRights() []Right {
	return []Right{
		{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"},
		{Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
	}
}

// EventRights are what Events need, in every namespace that changes are made in.
func EventRights() []Right {
	return []Right{{Verb: "create", Group: "events.k8s.io", Resource: "events"}, {Verb: "patch", Group: "events.k8s.io", Resource: "events"}}
}

// CertManagerRights are what telling cert-manager's reasons needs, all in Bulkhead's own namespace: its Certificate and the
// requests that are made for it, whose names cert-manager chooses. Whether the API servers trust a new certificate is read
// from the webhook configuration. None of them stops Bulkhead from starting: they are not needed to serve.
func CertManagerRights(namespace, certificate, configuration string) []Right {
	out := []Right{
		{Verb: "get", Group: certManagerGroup, Resource: "certificates", Namespace: namespace, Name: certificate},
		{Verb: "get", Group: certManagerGroup, Resource: "certificaterequests", Namespace: namespace},
	}
	if configuration != "" {
		out = append(out, Right{
			Verb: "get", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: configuration,
		})
	}
	return out
}

// IssuerRight is what reading the issuer of that Certificate needs; a ClusterIssuer is in no namespace.
func IssuerRight(namespace, issuer string) Right {
	if namespace == "" {
		return Right{Verb: "get", Group: certManagerGroup, Resource: "clusterissuers", Name: issuer}
	}
	return Right{Verb: "get", Group: certManagerGroup, Resource: "issuers", Namespace: namespace, Name: issuer}
}

const certManagerGroup = "cert-manager.io"
