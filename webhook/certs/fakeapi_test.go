package certs

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
)

const (
	testNamespace     = "bulkhead-system"
	testSecret        = "bulkhead-certs"
	testConfiguration = "bulkhead"
)

// fakeAPI adds to client-go's fake tracker the API server's optimistic locking,
// which the fake leaves out: a write with an old resource version is a Conflict,
// for an update and for a patch that carries one. Each replica gets a clientset
// of its own, because the fake serializes the calls of one.
type fakeAPI struct {
	*fake.Clientset
	tracker clienttesting.ObjectTracker
	mu      sync.Mutex
	version int
	// down makes every call fail.
	down bool
}

func newFakeAPI(objects ...runtime.Object) *fakeAPI {
	api := &fakeAPI{tracker: clienttesting.NewObjectTracker(scheme.Scheme, scheme.Codecs.UniversalDecoder()), version: 100}
	for _, object := range objects {
		if err := api.tracker.Add(object); err != nil {
			panic(err)
		}
	}
	api.Clientset = api.client(nil)
	return api
}

// client makes a clientset. Before its first write it runs interfere, when given,
// and again before each write as long as interfere returns true.
func (f *fakeAPI) client(interfere func() bool) *fake.Clientset {
	clientset := &fake.Clientset{}
	clientset.AddReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		verb := action.GetVerb()
		if write := verb == "create" || verb == "update" || verb == "patch"; write && interfere != nil && !interfere() {
			interfere = nil
		}
		return f.react(action)
	})
	clientset.AddWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		started, err := f.tracker.Watch(action.GetResource(), action.GetNamespace())
		return true, started, err
	})
	return clientset
}

func (f *fakeAPI) react(action clienttesting.Action) (bool, runtime.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return true, nil, errors.New("the API server is down")
	}
	switch a := action.(type) {
	case clienttesting.CreateActionImpl:
		f.stamp(a.GetObject())
	case clienttesting.UpdateActionImpl:
		accessor, err := meta.Accessor(a.GetObject())
		if err != nil {
			return true, nil, err
		}
		if err := f.check(a.GetResource(), a.GetNamespace(), accessor.GetName(), accessor.GetResourceVersion()); err != nil {
			return true, nil, err
		}
		f.stamp(a.GetObject())
	case clienttesting.PatchActionImpl:
		return f.patch(a)
	}
	return clienttesting.ObjectReaction(f.tracker)(action)
}

// patch checks the resource version in a JSON patch and replaces it by a new one.
func (f *fakeAPI) patch(a clienttesting.PatchActionImpl) (bool, runtime.Object, error) {
	var operations []map[string]any
	if err := json.Unmarshal(a.GetPatch(), &operations); err != nil {
		return true, nil, err
	}
	for _, operation := range operations {
		if operation["path"] != "/metadata/resourceVersion" {
			continue
		}
		if err := f.check(a.GetResource(), a.GetNamespace(), a.GetName(), operation["value"].(string)); err != nil {
			return true, nil, err
		}
		f.version++
		operation["value"] = strconv.Itoa(f.version)
	}
	body, err := json.Marshal(operations)
	if err != nil {
		return true, nil, err
	}
	a.Patch = body
	return clienttesting.ObjectReaction(f.tracker)(a)
}

func (f *fakeAPI) stamp(object runtime.Object) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		panic(err)
	}
	f.version++
	accessor.SetResourceVersion(strconv.Itoa(f.version))
}

func (f *fakeAPI) check(resource schema.GroupVersionResource, namespace, name, version string) error {
	stored, err := f.tracker.Get(resource, namespace, name)
	if err != nil {
		return err
	}
	accessor, err := meta.Accessor(stored)
	if err != nil {
		return err
	}
	if accessor.GetResourceVersion() != version {
		return apierrors.NewConflict(resource.GroupResource(), name, errors.New("the object has been modified"))
	}
	return nil
}

func (f *fakeAPI) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeAPI) configuration(t *testing.T) *admissionv1.ValidatingWebhookConfiguration {
	t.Helper()
	found, err := f.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), testConfiguration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (f *fakeAPI) setBundle(t *testing.T, webhook int, bundle []byte) {
	t.Helper()
	config := f.configuration(t)
	config.Webhooks[webhook].ClientConfig.CABundle = bundle
	if _, err := f.AdmissionregistrationV1().ValidatingWebhookConfigurations().Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeAPI) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	found, err := f.CoreV1().Secrets(testNamespace).Get(t.Context(), testSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (f *fakeAPI) setSecret(t *testing.T, data map[string][]byte) {
	t.Helper()
	secret := f.secret(t)
	secret.Data = data
	if _, err := f.CoreV1().Secrets(testNamespace).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeAPI) deleteSecret(t *testing.T) {
	t.Helper()
	if err := f.CoreV1().Secrets(testNamespace).Delete(t.Context(), testSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func testConfigurationObject() *admissionv1.ValidatingWebhookConfiguration {
	return &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: testConfiguration, ResourceVersion: "1"},
		Webhooks: []admissionv1.ValidatingWebhook{
			{Name: "networkpolicies.bulkhead.dev"}, {Name: "pods.bulkhead.dev"},
		},
	}
}
