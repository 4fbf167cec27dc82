package controlplane

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	dnsReplicas = 2
	dnsImage    = "registry.k8s.io/coredns/coredns:v1.12.1"
)

// InstallDNS creates the objects of a kubeadm cluster's resolver in kube-system, the Service kube-dns and the Deployment
// coredns, and waits until its EndpointSlice holds the ready pods. Nothing answers queries: the pods are kwok's. What
// is there already stays as it is.
func (c *ControlPlane) InstallDNS(ctx context.Context) error {
	for _, component := range []Component{ControllerManager, Scheduler, Kwok} {
		if !c.options.includes(component) {
			return fmt.Errorf("DNS needs %s, which Options.Omit leaves out", component)
		}
	}
	core := c.clients.CoreV1()
	// The Service marks a finished installation. Creating it again would fail on its address, not on its name.
	_, err := core.Services(metav1.NamespaceSystem).Get(ctx, "kube-dns", metav1.GetOptions{})
	switch {
	case err == nil:
		return c.awaitDNS(ctx)
	case !errors.IsNotFound(err):
		return fmt.Errorf("look for kube-system/kube-dns: %w", err)
	}
	labels := map[string]string{"k8s-app": "kube-dns"}
	_, accountErr := core.ServiceAccounts(metav1.NamespaceSystem).Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "coredns"},
	}, metav1.CreateOptions{})
	_, deploymentErr := c.clients.AppsV1().Deployments(metav1.NamespaceSystem).Create(ctx, dnsDeployment(labels), metav1.CreateOptions{})
	_, serviceErr := core.Services(metav1.NamespaceSystem).Create(ctx, dnsService(labels), metav1.CreateOptions{})
	for _, err := range []error{accountErr, deploymentErr, serviceErr} {
		if err != nil && !errors.IsAlreadyExists(err) {
			return fmt.Errorf("install DNS: %w", err)
		}
	}
	return c.awaitDNS(ctx)
}

func (c *ControlPlane) awaitDNS(ctx context.Context) error {
	return await(ctx, "the endpoints of kube-system/kube-dns", nil, c.dnsReady)
}

// dnsReady fails while the EndpointSlices of kube-dns hold fewer ready endpoints than the Deployment has pods.
func (c *ControlPlane) dnsReady(ctx context.Context) error {
	slices, err := c.clients.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=kube-dns",
	})
	if err != nil {
		return err
	}
	ready := 0
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
				ready++
			}
		}
	}
	if ready < dnsReplicas {
		return fmt.Errorf("%d of %d endpoints are ready", ready, dnsReplicas)
	}
	return nil
}

func dnsService(labels map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kube-dns",
			Labels: map[string]string{
				"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
			},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: dnsServiceIP,
			Selector:  labels,
			Ports: []corev1.ServicePort{
				{Name: "dns", Port: 53, TargetPort: intstr.FromInt32(53), Protocol: corev1.ProtocolUDP},
				{Name: "dns-tcp", Port: 53, TargetPort: intstr.FromInt32(53), Protocol: corev1.ProtocolTCP},
				{Name: "metrics", Port: 9153, TargetPort: intstr.FromInt32(9153), Protocol: corev1.ProtocolTCP},
			},
		},
	}
}

func dnsDeployment(labels map[string]string) *appsv1.Deployment {
	replicas := int32(dnsReplicas)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "coredns", Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					ServiceAccountName: "coredns",
					PriorityClassName:  "system-cluster-critical",
					DNSPolicy:          corev1.DNSDefault, // it is the cluster's resolver, so it asks the node's
					Containers: []corev1.Container{{
						Name:  "coredns",
						Image: dnsImage,
						Ports: []corev1.ContainerPort{
							{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP},
							{Name: "dns-tcp", ContainerPort: 53, Protocol: corev1.ProtocolTCP},
							{Name: "metrics", ContainerPort: 9153, Protocol: corev1.ProtocolTCP},
						},
					}},
				},
			},
		},
	}
}
