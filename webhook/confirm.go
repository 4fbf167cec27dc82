package webhook

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// liveBudget bounds the live reads for one denial; they also never take more than half of the time that the request
// has left, so that judging again fits in.
const liveBudget = 2 * time.Second

// The outcomes of a confirmation. They are metric labels, so the set is closed.
const (
	confirmationConfirmed  = "confirmed"
	confirmationOverturned = "overturned"
	confirmationFailed     = "failed"
)

// confirm judges again with the namespace as the API server has it now, and with the labels of those that matter beyond
// it. Where it cannot be read, or no time is left to judge, the first decision stands: a denial that nobody can check is
// still what the last snapshot says. Another namespace that cannot be read counts as the snapshot has it.
func (h *Handler) confirm(ctx context.Context, r *review, s *cluster.Snapshot, reviewed *reviewed, first *verdict) (*verdict, error) {
	fresh, ns, unread, err := h.refresh(ctx, s, r.Namespace)
	var again *verdict
	switch {
	case err != nil:
	case ns != nil && terminating(ns):
		return exempt(r, exemptNamespaceTermination), nil
	default:
		if again, err = h.decide(ctx, r, fresh, reviewed); err != nil {
			return nil, err
		}
		if len(again.policy.Failures) > len(first.policy.Failures) {
			err = errors.New("guardrails that had an opinion on the snapshot have none on what was read live")
		}
	}
	if err != nil {
		h.unsettled(r, "live reads could not settle a denial; the decision on the snapshot stands", err)
		h.metrics.confirmations.WithLabelValues(confirmationFailed).Inc()
		first.confirmed = confirmationFailed
		return first, nil
	}
	switch {
	case !denies(again):
		again.confirmed = confirmationOverturned
	case unread != nil:
		h.unsettled(r, "a denial was settled without all live reads; another namespace counts as the snapshot has it", unread)
		again.confirmed = confirmationFailed
	default:
		again.confirmed = confirmationConfirmed
	}
	h.metrics.confirmations.WithLabelValues(again.confirmed).Inc()
	return again, nil
}

// unsettled logs what live reads of a denial lacked.
func (h *Handler) unsettled(r *review, message string, err error) {
	h.logger.Warn(message, "uid", clip(printable(string(r.UID)), maxLine), "namespace", shownName(r.Namespace), "error", clip(printable(err.Error()), maxLine))
}

// refresh gives the snapshot with one namespace as the API server has it now, and its Namespace object, nil where there
// is none. Of other namespaces it reads the labels where a denial may rest on them and the snapshot be behind: the
// resolver's, and those whose change this replica has just allowed. One of those that cannot be read fails nothing, since
// the change may be made up: unread says why.
func (h *Handler) refresh(ctx context.Context, s *cluster.Snapshot, namespace string) (
	fresh *cluster.Snapshot, ns *corev1.Namespace, unread, err error,
) {
	budget := liveBudget
	if deadline, ok := ctx.Deadline(); ok {
		budget = min(budget, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if fresh, err = h.live.Refresh(ctx, s, namespace); err != nil {
		return nil, nil, nil, err
	}
	if fresh, ns, err = h.relabel(ctx, fresh, namespace); err != nil {
		return nil, nil, nil, err
	}
	others := append(h.recent.relabelled(time.Now()), s.Resolver().Namespace)
	slices.Sort(others)
	for _, other := range slices.Compact(others) {
		if other == "" || other == namespace {
			continue
		}
		relabelled, _, err := h.relabel(ctx, fresh, other)
		if err != nil {
			unread = errors.Join(unread, err)
			continue
		}
		fresh = relabelled
	}
	return fresh, ns, unread, nil
}

// relabel gives the snapshot with the Namespace object as the API server has it now, and that; nil where there is none.
func (h *Handler) relabel(ctx context.Context, s *cluster.Snapshot, name string) (*cluster.Snapshot, *corev1.Namespace, error) {
	ns, err := h.live.Namespace(ctx, name)
	if err != nil || ns == nil {
		return s, nil, err
	}
	return s.WithNamespace(ns), ns, nil
}

func terminating(ns *corev1.Namespace) bool {
	return ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating
}

// withNamespace makes sure that the snapshot knows the namespace: it may be younger than the last event.
func (h *Handler) withNamespace(ctx context.Context, s *cluster.Snapshot, name string) (*cluster.Snapshot, bool, error) {
	if n := s.Namespace(name); n != nil && n.Known {
		return s, n.Terminating, nil
	}
	ns, err := h.live.Namespace(ctx, name)
	switch {
	case err != nil:
		return nil, false, unjudgeable(http.StatusServiceUnavailable, "%v", err)
	case ns == nil:
		return s, false, nil // the API server refuses the request by itself
	}
	return s.WithNamespace(ns), terminating(ns), nil
}

// bindingToPod turns a binding that sets labels into the update of the pod that it is. The pod is read only where some policy
// selects on one of these labels: of its namespace, of another one, or of the whole cluster.
func (h *Handler) bindingToPod(ctx context.Context, s *cluster.Snapshot, r *reviewed) error {
	if !s.Reads(r.binding.Namespace, r.binding.Labels) {
		r.skip = skipUnchanged
		return nil
	}
	old, err := h.live.Pod(ctx, r.binding.Namespace, r.binding.Name)
	switch {
	case err != nil:
		return unjudgeable(http.StatusServiceUnavailable, "%v", err)
	case old == nil || !cluster.Governed(old):
		r.skip = skipDeletion // the API server refuses the binding by itself
		return nil
	}
	r.oldPod, r.newPod = old, mergeLabels(old, r.binding)
	return nil
}
