package audit

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Election decides which replica leads, by a Lease.
type Election struct {
	Client kubernetes.Interface
	// Namespace and Name of the Lease.
	Namespace, Name string
	// Identity is who this replica is in it; see Identity.
	Identity string
	// Duration is for how long a leader that is not heard of stays one.
	Duration time.Duration
	// Lead does the leader's work and returns soon after its context ends.
	Lead   func(ctx context.Context)
	Logger *slog.Logger

	working sync.Mutex // held while Lead runs
}

// Identity gives a name for this process that no other has: that of its host, which in a pod is the pod's, and a
// random part, because a container that is started anew is on the same host.
func Identity() (string, error) {
	host, err := os.Hostname()
	return host + "_" + string(uuid.NewUUID()), err
}

// Run stands for election, and leads when elected, until ctx ends. The Lease is released then, after Lead has returned, so
// that another replica takes over at once.
func (e *Election) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := e.term(ctx); err != nil {
			return err
		}
	}
	e.working.Lock()
	defer e.working.Unlock()
	return nil
}

// term stands for election once, and ends with the leadership.
func (e *Election) term(ctx context.Context) error {
	electing, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name}, Client: e.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity},
		},
		// The proportions are those of Kubernetes' own components.
		LeaseDuration: e.Duration, RenewDeadline: e.Duration * 2 / 3, RetryPeriod: e.Duration * 2 / 15,
		ReleaseOnCancel: true, Name: e.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { e.work(ctx, leading) },
			OnStoppedLeading: func() {},
			OnNewLeader:      func(who string) { e.Logger.Info("the audit has a leader", "leader", who, "self", who == e.Identity) },
		},
	})
	if err != nil {
		return err
	}
	// The Lease is held until the work has ended.
	defer context.AfterFunc(ctx, func() {
		e.working.Lock()
		defer e.working.Unlock()
		release()
	})()
	elector.Run(electing)
	return nil
}

// work leads until either the process is to end or the Lease is lost.
func (e *Election) work(ctx, leading context.Context) {
	e.working.Lock() // until a former term's work has ended
	defer e.working.Unlock()
	both, cancel := context.WithCancel(leading)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if both.Err() == nil {
		e.Lead(both)
	}
}
