package webhook

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
)

// span is where something stands in a body: from and up to, without the latter. It is empty where the thing is not there.
type span struct{ from, to int }

func (s span) in(body []byte) []byte {
	if s.to <= s.from {
		return nil
	}
	return body[s.from:s.to]
}

// lift takes the request's objects out of a review and gives what is left of it, with null in their place.
// controller-runtime's decoder goes over every byte of a review four times and copies it, only to hand the objects on
// as they came; they are most of a review, and Bulkhead reads little of them. So they go past that decoder to the
// handler. The body has to stay as it is for as long as the request lasts.
func (s *requestState) lift(body []byte, found reviewShape) (rest []byte) {
	if found.unsure {
		return body
	}
	first, second := found.object, found.oldObject
	s.object, s.oldObject = first.in(body), second.in(body)
	if first.from > second.from {
		first, second = second, first
	}
	rest = make([]byte, 0, len(body)-len(s.object)-len(s.oldObject)+2*len(null))
	at := 0
	for _, lifted := range [...]span{first, second} {
		if lifted.to > lifted.from {
			rest = append(append(rest, body[at:lifted.from]...), null...)
			at = lifted.to
		}
	}
	return append(rest, body[at:]...)
}

const null = "null"

// putBack gives r the objects that were lifted out of its review.
func putBack(ctx context.Context, r *admissionv1.AdmissionRequest) {
	state, ok := ctx.Value(requestStateKey{}).(*requestState)
	if !ok {
		return
	}
	if state.object != nil {
		r.Object.Raw = state.object
	}
	if state.oldObject != nil {
		r.OldObject.Raw = state.oldObject
	}
}
