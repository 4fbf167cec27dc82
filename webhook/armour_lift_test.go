package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// decodeWhole and decodeLifted read a review's request in both ways.
func decodeWhole(body []byte) (*admissionv1.AdmissionRequest, error) {
	out := admissionv1.AdmissionReview{}
	err := utiljson.Unmarshal(body, &out)
	return out.Request, err
}

func decodeLifted(body []byte) (*admissionv1.AdmissionRequest, *requestState, error) {
	shape, refused := inspectReview(body)
	if refused != nil {
		return nil, nil, &httpError{refused.status, refused.message}
	}
	state := &requestState{}
	out := admissionv1.AdmissionReview{}
	if err := utiljson.Unmarshal(state.lift(body, shape), &out); err != nil || out.Request == nil {
		return nil, state, err
	}
	putBack(context.WithValue(context.Background(), requestStateKey{}, state), out.Request)
	return out.Request, state, nil
}

func TestLiftedObjectsAreThoseThatTheDecoderReads(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		lifted        int // objects that go past the decoder
	}{
		{"both", `{"uid":"u","object":{"a":{"b":[1,"}"]}},"oldObject":{"c":"\"{"},"name":"n"}`, 2},
		{"old one first", `{"oldObject":{"c":1},"uid":"u","object":{"a":2}}`, 2},
		{"one", `{"uid":"u","object": {"a":1} ,"oldObject":null}`, 1},
		{"none", `{"uid":"u","object":null}`, 0},
		{"of other types", `{"uid":"u","object":[{"a":1}],"oldObject":"{}"}`, 0},
		{"deeper ones", `{"uid":"u","userInfo":{"extra":{"object":["x"]}},"options":{"object":{"a":1},"oldObject":{"b":2}}}`, 0},
		{"twice", `{"uid":"u","object":{"a":1},"object":{"b":2}}`, 0},
		{"with escapes", `{"uid":"u","object":{"a":1},"\u006fbject":{"b":2}}`, 0},
		{"in another case", `{"uid":"u","object":{"a":1},"Object":{"b":2}}`, 1},
		{"empty", `{"uid":"u","object":{},"oldObject":{}}`, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(reviewOf(tt.request))
			want, err := decodeWhole(body)
			if err != nil {
				t.Fatal(err)
			}
			got, state, err := decodeLifted(body)
			if err != nil {
				t.Fatal(err)
			}
			assertSameRequest(t, got, want)
			lifted := 0
			for _, o := range [][]byte{state.object, state.oldObject} {
				if o != nil {
					lifted++
				}
			}
			if lifted != tt.lifted {
				t.Errorf("%d objects were lifted, want %d", lifted, tt.lifted)
			}
		})
	}
	// Where the request stands twice the decoder merges both.
	twice := strings.Replace(plainReview, `"request":`, `"request":{"uid":"u","object":{"a":1}},"request":`, 1)
	if _, state, err := decodeLifted([]byte(twice)); err != nil || state.object != nil {
		t.Errorf("lifted %s out of a review with two requests, error %v", state.object, err)
	}
}

func assertSameRequest(t *testing.T, got, want *admissionv1.AdmissionRequest) {
	t.Helper()
	if got == nil {
		t.Fatal("no request")
	}
	gotJSON, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(gotJSON, wantJSON) {
		t.Errorf("lifting changed the request:\n%s\nwant\n%s", gotJSON, wantJSON)
	}
}

// FuzzLift proves that going past the decoder changes nothing about what the handler gets: whatever decodes at all
// decodes to the same.
func FuzzLift(f *testing.F) {
	for _, seed := range []string{
		`{"uid":"u","object":{"a":{"b":[1,"}"]}},"oldObject":{"c":"\"{"}}`, `{"uid":"u","object":{"a":1},"object":{"b":2}}`,
		`{"uid":"u","\u006fbject":{"b":2},"object":{}}`, `{"uid":"u","object":[{"a":1}]}`, `{"object":{"a":1},"uid":"u","oldObject":null}`,
	} {
		f.Add([]byte(reviewOf(seed)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, err := decodeWhole(body)
		if err != nil || want == nil {
			return
		}
		got, _, err := decodeLifted(body)
		if refused := new(httpError); errors.As(err, &refused) {
			return // before it is decoded
		}
		if err != nil {
			t.Fatalf("decodes as a whole, but not lifted: %v", err)
		}
		assertSameRequest(t, got, want)
	})
}
