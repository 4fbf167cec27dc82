package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// protecting says who may change the policies of the platform's team.
const protecting = baseConfig + "guardrails: {protected-policy: {parameters: {owners: {platform: {users: [bulkhead-e2e-platform]}}}}}\n"

// testAddedOwner gives policies an owner, with which the garbage collector deletes them.
func (s *suite) testAddedOwner(t *testing.T) {
	namespace := s.newNamespace(t)
	marked := func(metadata string) string {
		return strings.Replace(networkPolicy("guarded", "podSelector: {matchLabels: {app: guarded}}, policyTypes: [Ingress]"), "name: guarded", metadata, 1)
	}
	s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("allow-dns", allowDNS), networkPolicy("default-deny", denyAll),
		marked("name: guarded, annotations: {bulkhead.dev/managed-by: platform}"),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: trap}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n")
	owner := func(name string) string {
		c, err := s.clients.CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","name":%q,"uid":%q}`, name, c.UID)
	}
	patch := func(user, name, body string) answer {
		return s.kubectl(t, user, "", "patch", "networkpolicy", name, "-n", namespace, "--type=merge", "-p", body)
	}
	owners := func(list ...string) string {
		return `{"metadata":{"ownerReferences":[` + strings.Join(list, ",") + `]}}`
	}
	const gone = "will be deleted by the garbage collector with ConfigMap "
	trap, other := owner("trap"), owner("other")
	wantWarned(t, "an owner", patch(dev, "default-deny", owners(trap)), "isolation-lost: "+gone+"trap; ")
	judged := func() float64 {
		return s.metric(t, "bulkhead_decisions_total", `resource="networkpolicies"`, `operation="UPDATE"`)
	}
	before := judged()
	wantPassed(t, "a finalizer beside the owner", patch(dev, "default-deny", `{"metadata":{"finalizers":["bulkhead.dev/e2e"]}}`))
	wantPassed(t, "the end of the finalizer", patch(dev, "default-deny", `{"metadata":{"finalizers":null}}`))
	wantPassed(t, "the owner blocks its deletion", patch(dev, "default-deny", owners(strings.TrimSuffix(trap, "}")+`,"blockOwnerDeletion":true}`)))
	wantPassed(t, "no owner", patch(dev, "default-deny", owners()))
	if got := judged(); got != before {
		t.Errorf("the API server asked %.0f times about updates that give a policy no owner", got-before)
	}
	wantWarned(t, "two owners", patch(dev, "default-deny", owners(trap, other)), "isolation-lost: "+gone+"trap; ")
	wantWarned(t, "an owner by the wrong name", patch(dev, "default-deny", owners(strings.Replace(trap, `"trap"`, `"gone"`, 1), other)), "isolation-lost: "+gone+"gone; ")
	wantPassed(t, "no owner again", patch(dev, "default-deny", owners()))
	wantDenied(t, "an owner and a spec that cuts DNS", patch(dev, "allow-dns",
		strings.TrimSuffix(owners(trap), "}")+`,"spec":{"egress":[]}}`), "networkpolicies", losesDNS)

	s.setConfig(t, protecting)
	defer s.setConfig(t, baseConfig)
	wantDenied(t, "an owner for what somebody else manages", patch(dev, "guarded", owners(trap)), "networkpolicies",
		"protected-policy: "+gone+"trap; guarded is managed by platform")
	wantWarned(t, "an owner by who manages it", patch("bulkhead-e2e-platform", "default-deny", owners(trap)), "isolation-lost: "+gone+"trap; ")
	wantPassed(t, "the owner's deletion", s.dev(t, "", "delete", "configmap", "trap", "-n", namespace))
	eventually(t, "the policy to be collected", func(ctx context.Context) error {
		_, err := s.clients.NetworkingV1().NetworkPolicies(namespace).Get(ctx, "default-deny", metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return errors.New("it is still there")
		}
		return err
	})
	if s.policy(t, namespace, "guarded") == nil {
		t.Error("the managed policy went too")
	}
}

// testClaimedController creates pods and templates that say that a controller made them.
func (s *suite) testClaimedController(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, networkPolicy("wall", wall))
	const controlled = "name: claimed, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: %s, name: web, uid: 5b7c1a52-0000-4000-8000-000000000000, controller: true}]"
	claim := pod(fmt.Sprintf(controlled, "ReplicaSet"), "")
	replicaSet := fmt.Sprintf(`apiVersion: apps/v1
kind: ReplicaSet
metadata: {%s}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "%s"}]}}}
`, fmt.Sprintf(controlled, "Deployment"), image)
	for user, believed := range map[string]bool{
		dev: false, "system:serviceaccount:" + namespace + ":replicaset-controller": false,
		"system:kube-controller-manager": true, "system:serviceaccount:kube-system:replicaset-controller": true,
	} {
		for what, text := range map[string]string{"a pod": claim, "a ReplicaSet": replicaSet} {
			a := s.kubectl(t, user, text, "create", "-n", namespace, "--dry-run=server", "-f", "-")
			if believed {
				wantPassed(t, what+" by "+user, a)
			} else {
				wantWarned(t, what+" by "+user, a, "dns-cut: ")
			}
		}
	}

	// What controllers really make is still in nobody's way, whatever would be said about it.
	s.given(t, namespace, madeByControllers)
	kinds := map[string]bool{}
	eventually(t, "pods of all controllers", func(ctx context.Context) error {
		pods, err := s.clients.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			if maker := metav1.GetControllerOf(&pods.Items[i]); maker != nil {
				kinds[maker.Kind] = true
			}
		}
		if len(kinds) < 4 {
			return fmt.Errorf("only %v made pods", kinds)
		}
		return nil
	})
	for _, d := range s.allDecisions(t, namespace) {
		if strings.HasPrefix(d.User, "system:") && !d.DryRun {
			t.Errorf("%s was asked about: %+v", d.User, d)
		}
	}
}

// madeByControllers are templates of all kinds whose pods the wall hits.
const madeByControllers = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "` + image + `"}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {selector: {matchLabels: {app: db}}, serviceName: db, template: {metadata: {labels: {app: db}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "` + image + `"}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "` + image + `"}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {metadata: {labels: {app: once}}, spec: {restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{name: main, image: "` + image + `"}]}}}
`

// warningsHeard keeps the warnings of the API server.
type warningsHeard struct{ lines []string }

// HandleWarningHeader implements rest.WarningHandler.
func (w *warningsHeard) HandleWarningHeader(_ int, _ string, text string) {
	w.lines = append(w.lines, text)
}

// testMirrorPod has a kubelet show a static pod, which runs whether anybody likes it or not.
func (s *suite) testMirrorPod(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, networkPolicy("wall", wall))
	nodes, err := s.clients.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		t.Fatalf("the nodes: %v", err)
	}
	node, yes := nodes.Items[0], true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "like-it-", Labels: map[string]string{"app": "static"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
	}
	mirror := pod.DeepCopy()
	mirror.GenerateName, mirror.Name, mirror.Spec.NodeName = "", "static-"+node.Name, node.Name
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "0123456789abcdef", "kubernetes.io/config.source": "file"}
	mirror.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: &yes}}
	create := func(p *corev1.Pod, user string, groups ...string) ([]string, error) {
		heard := &warningsHeard{}
		acting := rest.CopyConfig(s.admin)
		acting.Impersonate, acting.WarningHandler = rest.ImpersonationConfig{UserName: user, Groups: groups}, heard
		client, err := kubernetes.NewForConfig(acting)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{})
		return heard.lines, err
	}
	if heard, err := create(pod, dev, masters); err != nil || !strings.Contains(strings.Join(heard, "\n"), "dns-cut: ") {
		t.Fatalf("the same pod by a person was to be warned about: %v, %q", err, heard)
	}
	if heard, err := create(mirror, "system:node:"+node.Name, "system:nodes"); err != nil || len(heard) > 0 {
		t.Errorf("the mirror pod was to pass: %v, %q", err, heard)
	}
}

// testImpersonation has an exempt account act as somebody who is not: whom it acts as is judged. The review names nobody else; the
// API server's audit log has both.
func (s *suite) testImpersonation(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"), "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: pipeline}\n")
	pipeline := "system:serviceaccount:" + namespace + ":pipeline"
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "pipeline"}},
	}
	if _, err := s.clients.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.clients.RbacV1().ClusterRoleBindings().Delete(context.WithoutCancel(t.Context()), namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}()
	token, err := s.clients.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "pipeline", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := s.kubeconfigWithToken(t, token.Status.Token)
	s.setConfig(t, strings.Replace(baseConfig, author, author+", "+pipeline, 1))
	defer s.setConfig(t, baseConfig)
	apply := func(name string, who ...string) answer {
		return s.kubectlAs(t, append([]string{"--kubeconfig", kubeconfig}, who...), networkPolicy(name, denyAll), "create", "-n", namespace, "-f", "-")
	}
	wantDenied(t, "as the developer", apply("as-dev", "--as", dev, "--as-group", masters), "networkpolicies", losesDNS)
	wantPassed(t, "the pipeline itself", apply("as-itself"))
	for _, d := range s.allDecisions(t, namespace) {
		if d.Name == "as-dev" && (d.User != dev || d.Decision != "denied") {
			t.Errorf("the log says %+v", d)
		}
	}
	if s.plane == nil {
		return
	}
	log, err := os.ReadFile(s.plane.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		var event struct {
			User             struct{ Username string } `json:"user"`
			ImpersonatedUser struct{ Username string } `json:"impersonatedUser"`
			ObjectRef        struct{ Namespace, Name string }
			Annotations      map[string]string
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		if event.ObjectRef.Namespace != namespace || event.Annotations["networkpolicies.bulkhead.dev/decision"] != "denied" {
			continue
		}
		if event.User.Username != pipeline || event.ImpersonatedUser.Username != dev {
			t.Errorf("the audit log names %q and %q", event.User.Username, event.ImpersonatedUser.Username)
		}
		return
	}
	t.Error("the audit log lacks the denial")
}

// kubeconfigWithToken writes a kubeconfig file for the holder of a token.
func (s *suite) kubeconfigWithToken(t *testing.T, token string) string {
	t.Helper()
	ca, err := s.authority()
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/token.kubeconfig"
	err = clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: s.admin.Host, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x", Extensions: map[string]runtime.Object{},
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// authority gives the CA of the API server.
func (s *suite) authority() ([]byte, error) {
	if len(s.admin.CAData) > 0 {
		return s.admin.CAData, nil
	}
	return os.ReadFile(s.admin.CAFile)
}
