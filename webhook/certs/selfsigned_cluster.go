package certs

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

const (
	// maxWait bounds the time between two reconciliations, should a watch have
	// missed something.
	maxWait = 10 * time.Minute
	// Failed reconciliations are repeated after minRetry, doubling up to maxRetry.
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// load reads the Secret. When it is gone or broken, what this process serves is
// taken as the state to write back: it is trusted already, a fresh CA would not be.
func (s *SelfSigned) load(ctx context.Context) (*corev1.Secret, draft, error) {
	secret, err := s.client.CoreV1().Secrets(s.options.Namespace).Get(ctx, s.options.SecretName, metav1.GetOptions{})
	current := s.current.Load()
	switch {
	case apierrors.IsNotFound(err):
		if current == nil {
			return nil, draft{}, nil
		}
		return nil, draft{state: *current, changed: true, repair: true}, nil
	case err != nil:
		return nil, draft{}, fmt.Errorf("reading Secret %s/%s (needs the verbs get, list, watch and update on that name, and create): %w",
			s.options.Namespace, s.options.SecretName, err)
	}
	stored, err := decodeState(secret.Data)
	switch {
	case err == nil && len(stored.authorities) > 0:
		return secret, draft{state: stored}, nil
	case current != nil:
		return secret, draft{state: *current, changed: true, repair: true}, nil
	case err != nil:
		s.options.Logger.Warn("the certificate Secret is unreadable, a new CA is made",
			"secret", s.options.Namespace+"/"+s.options.SecretName, "error", err)
		return secret, draft{repair: true}, nil
	}
	return secret, draft{}, nil
}

// store writes next over secret, which must be what load returned.
func (s *SelfSigned) store(ctx context.Context, secret *corev1.Secret, next state) error {
	data, err := next.encode()
	if err != nil {
		return err
	}
	secrets := s.client.CoreV1().Secrets(s.options.Namespace)
	if secret == nil {
		created := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.options.Namespace, Name: s.options.SecretName},
			Type:       corev1.SecretTypeOpaque,
			Data:       data,
		}
		_, err = secrets.Create(ctx, created, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		updated := secret.DeepCopy()
		updated.Data = data
		_, err = secrets.Update(ctx, updated, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s/%s (needs the verbs create and update): %w",
			s.options.Namespace, s.options.SecretName, err)
	}
	return nil
}

// Run keeps certificate and caBundle up until ctx ends. It reacts to changes of
// Secret and webhook configuration, to the clock, and retries what fails.
func (s *SelfSigned) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	stop, err := s.watch(ctx, changed)
	if err != nil {
		return err
	}
	defer stop()
	retry := minRetry
	for ctx.Err() == nil {
		due, err := s.reconcile(ctx)
		wait := min(max(due.Sub(s.options.Clock.Now()), 0), maxWait)
		if err == nil {
			retry = minRetry
		} else if ctx.Err() == nil {
			s.options.Logger.Warn("certificate upkeep failed, the last good certificate stays in use", "error", err)
			s.options.Observer.failed(err)
			wait, retry = retry, min(2*retry, maxRetry)
		}
		timer := s.options.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C():
		}
		timer.Stop()
	}
	return nil
}

// watch sends on changed after each event on the Secret or the configuration.
func (s *SelfSigned) watch(ctx context.Context, changed chan<- struct{}) (stop func(), err error) {
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}
	only := func(name string) informers.SharedInformerOption {
		return informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
		})
	}
	watched := []informers.SharedInformerFactory{
		informers.NewSharedInformerFactoryWithOptions(s.client, 0,
			informers.WithNamespace(s.options.Namespace), only(s.options.SecretName)),
	}
	own := []cache.SharedIndexInformer{watched[0].Core().V1().Secrets().Informer()}
	if s.options.Configuration != "" {
		factory := informers.NewSharedInformerFactoryWithOptions(s.client, 0, only(s.options.Configuration))
		watched = append(watched, factory)
		own = append(own, factory.Admissionregistration().V1().ValidatingWebhookConfigurations().Informer())
	}
	for _, informer := range own {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, fmt.Errorf("watching the certificate objects: %w", err)
		}
	}
	watching, cancel := context.WithCancel(ctx)
	for _, factory := range watched {
		factory.Start(watching.Done())
	}
	return func() {
		cancel()
		for _, factory := range watched {
			factory.Shutdown()
		}
	}, nil
}
