package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// seeding is what was written to etcd.
type seeding struct {
	Objects  map[string]int `json:"objects"`
	Bytes    int64          `json:"bytes"`
	PodBytes int64          `json:"podBytes"` // a pod's mean size in etcd, as protobuf
	Seconds  float64        `json:"seconds"`
}

const (
	seedWriters = 4
	// etcd takes 128 operations and 1.5 MiB in a transaction.
	seedBatch      = 100
	seedBatchBytes = 1 << 20
)

// entry is one key of etcd.
type entry struct{ resource, key, value string }

// seed writes the cluster into etcd in the form in which kube-apiserver stores it. Through the API server it would take
// many times longer.
func seed(ctx context.Context, access controlplane.EtcdAccess, scaled *policytest.Scaled) (*seeding, error) {
	start := time.Now()
	client, err := etcdClient(access)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	entries := make(chan entry, 4*seedBatch)
	group, ctx := errgroup.WithContext(ctx)
	out := &seeding{Objects: map[string]int{}}
	group.Go(func() error {
		defer close(entries)
		var pods int64
		s := &seeder{ctx: ctx, out: entries, count: func(e entry) {
			out.Objects[e.resource]++
			out.Bytes += int64(len(e.value))
			if e.resource == "pods" {
				pods += int64(len(e.value))
			}
		}}
		for i := range scaled.Namespaces() {
			if err := s.namespace(scaled, i); err != nil {
				return err
			}
		}
		out.PodBytes = pods / int64(max(out.Objects["pods"], 1))
		return nil
	})
	for range seedWriters {
		group.Go(func() error { return write(ctx, client, entries) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("seeding etcd: %w", err)
	}
	out.Seconds = time.Since(start).Seconds()
	return out, nil
}

func etcdClient(access controlplane.EtcdAccess) (*clientv3.Client, error) {
	pair, err := tls.LoadX509KeyPair(access.CertFile, access.KeyFile)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(access.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", access.CAFile)
	}
	return clientv3.New(clientv3.Config{
		Endpoints: []string{access.Endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
	})
}

// write puts what comes, many keys in a transaction.
func write(ctx context.Context, client *clientv3.Client, entries <-chan entry) error {
	var batch []clientv3.Op
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := client.Txn(ctx).Then(batch...).Commit()
		batch, size = batch[:0], 0
		return err
	}
	for e := range entries {
		batch, size = append(batch, clientv3.OpPut(e.key, e.value)), size+len(e.value)
		if len(batch) == seedBatch || size > seedBatchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// seeder turns the cluster's objects into etcd's keys and values.
type seeder struct {
	ctx   context.Context
	out   chan<- entry
	count func(entry)
	pods  atomic.Int64
}

// encode gives the storage form of built-in objects: protobuf within runtime.Unknown, behind the prefix "k8s\x00".
// Source: k8s.io/apimachinery/pkg/runtime/serializer/protobuf.
func encode(obj runtime.Object) (string, error) {
	serializer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	data, err := runtime.Encode(serializer, obj)
	return string(data), err
}

func (s *seeder) put(resource, key string, obj runtime.Object) error {
	value, err := encode(obj)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	e := entry{resource: resource, key: "/registry/" + key, value: value}
	s.count(e)
	select {
	case s.out <- e:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// namespace writes all that is in one namespace.
func (s *seeder) namespace(scaled *policytest.Scaled, i int) error {
	ns := scaled.Namespace(i)
	if i > 0 { // kube-system is there already
		ns.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}
		ns.Spec.Finalizers, ns.Status.Phase = []corev1.FinalizerName{corev1.FinalizerKubernetes}, corev1.NamespaceActive
		stored("Namespace", &ns.ObjectMeta, "kubectl-create", `{"f:metadata":{"f:labels":{".":{},"f:kubernetes.io/metadata.name":{}}}}`)
		if err := s.put("namespaces", "namespaces/"+ns.Name, ns); err != nil {
			return err
		}
	}
	var errs []error
	for _, obj := range scaled.Templates(i) {
		errs = append(errs, s.template(obj))
	}
	for _, p := range scaled.Pods(i) {
		fillPod(p, int(s.pods.Add(1)))
		errs = append(errs, s.put("pods", "pods/"+p.Namespace+"/"+p.Name, p))
	}
	for _, np := range scaled.Policies(i) {
		fillPolicy(np)
		errs = append(errs, s.put("networkpolicies", "networkpolicies/"+np.Namespace+"/"+np.Name, np))
	}
	for _, x := range scaled.Services(i) {
		x.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}
		x.Spec.Type, x.Spec.ClusterIP = corev1.ServiceTypeClusterIP, x.Spec.ClusterIPs[0]
		stored("Service", &x.ObjectMeta, "kubectl-create", `{"f:spec":{"f:selector":{}}}`)
		errs = append(errs, s.put("services", "services/specs/"+x.Namespace+"/"+x.Name, x))
	}
	return errors.Join(errs...)
}

// oldReplicaSets is how many ReplicaSets of earlier rollouts a Deployment has.
const oldReplicaSets = 2

func (s *seeder) template(obj metav1.Object) error {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		fillDeployment(o)
		errs := []error{s.put("deployments", "deployments/"+o.Namespace+"/"+o.Name, o), s.service(o.Namespace, o.Name)}
		for k := range oldReplicaSets + 1 {
			replicas := int32(0)
			if k == 0 {
				replicas = *o.Spec.Replicas
			}
			rs := replicaSet(o, fmt.Sprintf("5d8f6c%02d", k), replicas)
			errs = append(errs, s.put("replicasets", "replicasets/"+rs.Namespace+"/"+rs.Name, rs))
		}
		return errors.Join(errs...)
	case *appsv1.StatefulSet:
		fillStatefulSet(o)
		return errors.Join(s.put("statefulsets", "statefulsets/"+o.Namespace+"/"+o.Name, o), s.service(o.Namespace, o.Name))
	}
	return fmt.Errorf("no way to store a %T", obj)
}

func (s *seeder) service(namespace, name string) error {
	return s.put("services", "services/specs/"+namespace+"/"+name, service(namespace, name))
}
