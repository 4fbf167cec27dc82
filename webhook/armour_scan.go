package webhook

import (
	"bytes"
	"fmt"
	"net/http"
)

// maxJSONDepth is far above what any object in an AdmissionReview nests
// (managedFields reach about 20) and far below what hurts a decoder.
const maxJSONDepth = 256

// maxParts bounds what decoding takes: a list of empty rules becomes some seventy
// times as large. The update of a policy of 9,000 rules has a quarter million.
// As many may be in work at a time, not counting the first freeParts of each
// review, which is more than nearly all have.
const (
	maxParts  = 300_000
	freeParts = 4_000
)

// inspectReview refuses, in one pass and without decoding, what is no
// AdmissionReview of admission.k8s.io/v1 with a request and a uid, and finds
// where the request's objects are. It looks only at brackets, strings and the
// keys of the two outer levels; whether the rest is JSON at all is left to the
// decoder. Where a key stands twice the last one counts, as in the decoder.
func inspectReview(body []byte) (reviewShape, *refusal) {
	start := bytes.IndexFunc(body, func(r rune) bool { return r != ' ' && r != '\t' && r != '\r' && r != '\n' })
	if start < 0 || body[start] != '{' {
		// controller-runtime would take YAML, at seconds and hundreds of megabytes for a large one.
		return reviewShape{}, &refusal{refusedNoObject, http.StatusBadRequest, "the body is not a JSON object", ""}
	}
	found, tooDeep := scanReview(body, start)
	switch {
	case tooDeep:
		return found, &refusal{refusedDepth, http.StatusBadRequest, "JSON is nested too deeply", ""}
	case found.parts > maxParts:
		return found, &refusal{refusedParts, http.StatusRequestEntityTooLarge, fmt.Sprintf("JSON has more than %d parts", maxParts), ""}
	case !found.version || !found.kind:
		return found, &refusal{refusedVersion, http.StatusBadRequest, "the body is not an AdmissionReview of admission.k8s.io/v1", ""}
	case !found.request:
		return found, &refusal{refusedRequest, http.StatusBadRequest, "the AdmissionReview has no request", ""}
	case !found.uid:
		return found, &refusal{refusedRequest, http.StatusBadRequest, "the request has no uid", ""}
	}
	return found, nil
}

// reviewShape is what the outer levels of a review hold.
type reviewShape struct {
	version, kind, request, uid bool
	// object and oldObject are where the request's objects stand.
	object, oldObject span
	// parts counts objects, arrays and what stands between commas: what it takes to decode the body grows with them and
	// not with its size.
	parts int
	// unsure says that a decoder may see other objects there: a key is written with
	// escapes, or stands twice. The API server writes no such review.
	unsure bool
}

func scanReview(body []byte, start int) (found reviewShape, tooDeep bool) {
	depth, inRequest := 0, false
	var outerKey, requestKey []byte
	var open *span
	for i := start; i < len(body); i++ {
		switch body[i] {
		case ',':
			found.parts++
		case '{', '[':
			found.parts++
			if depth == 1 {
				inRequest = body[i] == '{' && string(outerKey) == "request"
				found.unsure = found.unsure || inRequest && found.request
				found.request = found.request || inRequest
			}
			if depth == 2 && inRequest && body[i] == '{' {
				open = found.begin(requestKey, i)
			}
			if depth++; depth > maxJSONDepth {
				return found, true
			}
		case '}', ']':
			if depth--; depth == 2 && open != nil {
				open.to, open = i+1, nil
			}
		case '"':
			end := stringEnd(body, i)
			if end < 0 {
				return found, false
			}
			text := body[i+1 : end]
			i = end
			switch {
			case depth == 1 && isKey(body[end+1:]):
				outerKey = text
				found.unsure = found.unsure || escaped(text)
				found.forget(outerKey)
			case depth == 1:
				found.note(outerKey, text)
			case depth == 2 && inRequest && isKey(body[end+1:]):
				if requestKey = text; string(requestKey) == "uid" {
					found.uid = false
				}
				found.unsure = found.unsure || escaped(text)
			case depth == 2 && inRequest && string(requestKey) == "uid":
				found.uid = len(text) > 0
			}
		}
	}
	return found, false
}

// forget drops what an earlier occurrence of key had set.
func (s *reviewShape) forget(key []byte) {
	switch string(key) {
	case "apiVersion":
		s.version = false
	case "kind":
		s.kind = false
	case "request":
		s.unsure = s.unsure || s.request
		s.request, s.uid = false, false
	}
}

// begin notes that the value of the request's key begins, and gives where to note its end if it is one of the objects.
func (s *reviewShape) begin(key []byte, at int) *span {
	var out *span
	switch string(key) {
	case "object":
		out = &s.object
	case "oldObject":
		out = &s.oldObject
	default:
		return nil
	}
	if *out != (span{}) {
		s.unsure = true
	}
	out.from = at
	return out
}

func escaped(key []byte) bool { return bytes.IndexByte(key, '\\') >= 0 }

func (s *reviewShape) note(key, text []byte) {
	switch string(key) {
	case "apiVersion":
		s.version = string(text) == "admission.k8s.io/v1"
	case "kind":
		s.kind = string(text) == "AdmissionReview"
	}
}

// stringEnd is the index of the quote that closes the string opened at open, -1
// when none does.
func stringEnd(body []byte, open int) int {
	for from := open + 1; ; {
		offset := bytes.IndexByte(body[from:], '"')
		if offset < 0 {
			return -1
		}
		quote := from + offset
		escapes := 0
		for quote-escapes-1 > open && body[quote-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return quote
		}
		from = quote + 1
	}
}

// isKey says whether the string just before rest is the key of a member.
func isKey(rest []byte) bool {
	for _, c := range rest {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ':'
		}
	}
	return false
}
