// Package webhook is Bulkhead's imperative shell: the only code that talks to the API server, to the network and to
// the clock. It turns admission reviews into changes for package policy and decisions back into answers.
package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
	"github.com/bulkhead-dev/bulkhead/webhook/events"
)

// Handler answers admission reviews. It implements controller-runtime's admission.Handler.
type Handler struct {
	guardrails []policy.Guardrail
	config     func() *config.Config
	snapshot   func() *cluster.Snapshot
	live       *Live
	recent     *recent
	metrics    *Metrics
	logger     *slog.Logger
	namespace  string // Bulkhead's own
	env        *environment
	denied     *recorder      // nil where nothing is kept
	events     *events.Writer // nil where none are made
}

// HandlerOptions say what a Handler works with.
type HandlerOptions struct {
	Guardrails []policy.Guardrail
	// Config gives the config in force, nil where there is none yet.
	Config func() *config.Config
	// Snapshot gives the cluster as it was a moment ago, nil where it is not known yet.
	Snapshot func() *cluster.Snapshot
	Live     *Live
	Metrics  *Metrics
	Logger   *slog.Logger
	// Namespace is Bulkhead's own; nothing in it is ever refused.
	Namespace string
	// Denials keeps the decisions that found violations; nil keeps none.
	Denials *denials.Ring
	// Events takes what Events are made of; nil makes none, whatever the config says.
	Events *events.Writer
}

// NewHandler makes a Handler.
func NewHandler(o HandlerOptions) *Handler {
	o.Metrics.expect(o.Guardrails)
	return &Handler{
		guardrails: o.Guardrails, config: o.Config, snapshot: o.Snapshot, live: o.Live, recent: newRecent(),
		metrics: o.Metrics, logger: o.Logger, namespace: o.Namespace, denied: newRecorder(o.Denials), events: o.Events,
		env: &environment{budget: guardrailBudget, observe: o.Metrics.guardrail, overruns: newOverruns(o.Metrics.overruns)},
	}
}

// review is one request together with the config that it is judged by, which is taken once.
type review struct {
	*admissionv1.AdmissionRequest
	cfg *config.Config
	// traceID is that of the API server's trace, empty where it sends none.
	traceID string
}

func (r *review) dryRun() bool { return r.DryRun != nil && *r.DryRun }

// The decisions about a request. They are metric labels, so the set is closed.
const (
	decisionAllowed = "allowed"
	decisionWarned  = "warned"
	decisionDenied  = "denied"
	decisionExempt  = "exempt"  // not judged, because of who asks or where
	decisionSkipped = "skipped" // not judged, because it changes nothing that a guardrail reads
	decisionFailed  = "failed"  // left as an HTTP error
)

// verdict is what came out of one request.
type verdict struct {
	decision  string
	reason    string // why it was exempt or skipped
	confirmed string // what a live read said
	change    *policy.Change
	policy    policy.Decision
	response  admissionv1.AdmissionResponse
}

// Handle answers one review. What cannot be judged leaves as an HTTP error, so that the webhook's failurePolicy holds.
func (h *Handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	start := time.Now()
	putBack(ctx, &req.AdmissionRequest)
	r := &review{AdmissionRequest: &req.AdmissionRequest, cfg: h.config(), traceID: traceOf(ctx)}
	v, err := h.judge(ctx, r)
	if err != nil {
		h.fail(ctx, r, err, time.Since(start))
		return admission.Response{}
	}
	h.report(ctx, r, v, time.Since(start))
	// Last, so that a panic anywhere above is not taken for an answer.
	answered(ctx)
	return admission.Response{AdmissionResponse: v.response}
}

// errNotReady asks the API server to try again, which it does within the same call.
var errNotReady = &httpError{http.StatusServiceUnavailable, "bulkhead has not read the cluster or its config yet"}

// judge decides about one review, on one snapshot.
func (h *Handler) judge(ctx context.Context, r *review) (*verdict, error) {
	snapshot := h.snapshot()
	switch {
	case r.UID == "" || r.Resource.Resource == "":
		return nil, unjudgeable(http.StatusBadRequest, "the review has no request.uid or no request.resource")
	case r.cfg == nil || snapshot == nil:
		return nil, errNotReady
	}
	if reason := exemption(r.cfg, r.AdmissionRequest); reason != "" {
		return exempt(r, reason), nil
	}
	reviewed, err := decodeRequest(r.AdmissionRequest)
	if err != nil {
		return nil, err
	}
	if reviewed.binding != nil {
		if err := h.bindingToPod(ctx, snapshot, reviewed); err != nil {
			return nil, err
		}
	}
	if reviewed.skip != "" {
		// Without annotations: most requests are, and the audit log has them anyway.
		return &verdict{decision: decisionSkipped, reason: reviewed.skip, response: admissionv1.AdmissionResponse{Allowed: true}}, nil
	}
	if reviewed.newNamespace == nil { // else the review itself says how the namespace is
		var terminating bool
		if snapshot, terminating, err = h.withNamespace(ctx, snapshot, r.Namespace); err != nil {
			return nil, err
		}
		if terminating {
			return exempt(r, exemptNamespaceTermination), nil
		}
	}
	return h.evaluate(ctx, r, snapshot, reviewed)
}

// evaluate judges the change on the snapshot. A denial, or the suspicion of one because of what this replica has just
// allowed, is judged again on live reads before it is answered; an allowed change pays nothing for that.
func (h *Handler) evaluate(ctx context.Context, r *review, snapshot *cluster.Snapshot, reviewed *reviewed) (*verdict, error) {
	v, err := h.decide(ctx, r, snapshot, reviewed)
	if err != nil {
		return nil, err
	}
	suspicious := denies(v)
	if newer, some := h.recent.apply(time.Now(), snapshot, r.Namespace); some && !suspicious {
		second, err := h.decide(ctx, r, newer, reviewed)
		if err != nil {
			return nil, err
		}
		suspicious = denies(second)
	}
	if suspicious {
		if v, err = h.confirm(ctx, r, snapshot, reviewed, v); err != nil {
			return nil, err
		}
	}
	if v.decision == decisionExempt {
		return v, nil
	}
	if v.policy.Undecided {
		h.reportFailures(ctx, r, &v.policy)
		return nil, unjudgeable(http.StatusInternalServerError, "no guardrail could be evaluated; see bulkhead's log")
	}
	if v.policy.Allowed && !r.dryRun() {
		h.recent.remember(time.Now(), v.change)
	}
	v.response = respond(r.cfg, v.change, &v.policy)
	v.decision = outcome(&v.policy)
	return v, nil
}

// denies reports whether a violation, and not just a guardrail's failure, speaks for a denial.
func denies(v *verdict) bool { return count(&v.policy, config.Deny) > 0 }

// decide evaluates the change in one view of the cluster.
func (h *Handler) decide(ctx context.Context, r *review, s *cluster.Snapshot, reviewed *reviewed) (*verdict, error) {
	start := time.Now()
	changes, err := reviewed.changes(s)
	if err != nil {
		return nil, err
	}
	var out *verdict
	for _, c := range changes {
		c.Disclose = r.cfg.DiscloseOtherNamespaces
		c.Requester = policy.Requester{Name: r.UserInfo.Username, Groups: r.UserInfo.Groups}
		if mustPass(r.Namespace, h.namespace) {
			c.Cap = config.Warn
		}
		d := evaluate(ctx, r.cfg, h.guardrails, c, h.env)
		if out == nil {
			out = &verdict{change: c, policy: d}
		} else {
			out.policy = policy.Both(out.policy, d)
		}
	}
	h.metrics.evaluated(time.Since(start), r)
	return out, nil
}

// exempt allows a request that is not judged because of who asks or where.
func exempt(r *review, reason string) *verdict {
	return &verdict{decision: decisionExempt, reason: reason, response: admissionv1.AdmissionResponse{
		Allowed: true, AuditAnnotations: map[string]string{
			auditDecision: decisionExempt, auditExemption: reason, auditConfig: r.cfg.Hash(),
		},
	}}
}
