package webhook

import (
	"bytes"
	"net/http"
)

// maxJSONDepth is far above what any object in an AdmissionReview nests
// (managedFields reach about 20) and far below what hurts a decoder.
const maxJSONDepth = 256

// inspectReview refuses, in one pass and without decoding, what is no
// AdmissionReview of admission.k8s.io/v1 with a request and a uid. It looks only
// at brackets, strings and the keys of the two outer levels; whether the rest is
// JSON at all is left to the decoder. Where a key stands twice the last one
// counts, as in the decoder.
func inspectReview(body []byte) *refusal {
	start := bytes.IndexFunc(body, func(r rune) bool { return r != ' ' && r != '\t' && r != '\r' && r != '\n' })
	if start < 0 || body[start] != '{' {
		// controller-runtime would take YAML, at seconds and hundreds of megabytes for a large one.
		return &refusal{refusedNoObject, http.StatusBadRequest, "the body is not a JSON object", ""}
	}
	found, tooDeep := scanReview(body[start:])
	switch {
	case tooDeep:
		return &refusal{refusedDepth, http.StatusBadRequest, "JSON is nested too deeply", ""}
	case !found.version || !found.kind:
		return &refusal{refusedVersion, http.StatusBadRequest, "the body is not an AdmissionReview of admission.k8s.io/v1", ""}
	case !found.request:
		return &refusal{refusedRequest, http.StatusBadRequest, "the AdmissionReview has no request", ""}
	case !found.uid:
		return &refusal{refusedRequest, http.StatusBadRequest, "the request has no uid", ""}
	}
	return nil
}

// reviewShape is what the outer levels of a review hold.
type reviewShape struct {
	version, kind, request, uid bool
}

func scanReview(body []byte) (found reviewShape, tooDeep bool) {
	depth, inRequest := 0, false
	var outerKey, requestKey []byte
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			if depth == 1 {
				inRequest = body[i] == '{' && string(outerKey) == "request"
				found.request = found.request || inRequest
			}
			if depth++; depth > maxJSONDepth {
				return found, true
			}
		case '}', ']':
			depth--
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
				found.forget(outerKey)
			case depth == 1:
				found.note(outerKey, text)
			case depth == 2 && inRequest && isKey(body[end+1:]):
				if requestKey = text; string(requestKey) == "uid" {
					found.uid = false
				}
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
		s.request, s.uid = false, false
	}
}

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
