package events

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsapi "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	eventsv1 "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// controller is who reports the Events.
const controller = "bulkhead.dev/bulkhead"

const fieldManager = "bulkhead"

// maxNote is the API's bound of an Event's note, in bytes.
const maxNote = 1024

var createOptions = metav1.CreateOptions{FieldManager: fieldManager}

type seriesKey struct{ namespace, guardrail, decision string }

// series is one Event with what has been counted in it since it was written last.
type series struct {
	key            seriesKey
	name           string // of the Event
	count, written int32
	first, last    time.Time
	updated        time.Time // when the count was stored
}

// event is the Event of the first note. It is about the Namespace, and names that as its namespace too: only so may it be in it,
// where its people see it.
func (s *series) event(n Note, instance string) *eventsapi.Event {
	kind, action, reason := corev1.EventTypeNormal, "Warn", "ChangeWarned"
	if n.Decision == config.EventDenied {
		kind, action, reason = corev1.EventTypeWarning, "Deny", "ChangeDenied"
	}
	return &eventsapi.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: fmt.Sprintf("bulkhead-%s.%x", n.Guardrail, s.first.UnixNano()), Namespace: n.Namespace},
		EventTime:           metav1.NewMicroTime(s.first),
		ReportingController: controller, ReportingInstance: cut(instance, 128),
		Action: action, Reason: reason, Type: kind,
		Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: n.Namespace, Namespace: n.Namespace},
		Note:      cut(n.Text, maxNote),
	}
}

// patch stores the count.
func (s *series) patch(ctx context.Context, client eventsv1.EventInterface) error {
	patch, err := json.Marshal(map[string]any{"series": eventsapi.EventSeries{Count: s.count, LastObservedTime: metav1.NewMicroTime(s.last)}})
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, s.name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	return err
}

// inOrder gives the series, those whose count was stored longest ago first: all get their turn.
func (w *Writer) inOrder() []*series {
	return slices.SortedFunc(maps.Values(w.series), func(a, b *series) int {
		return cmp.Or(a.updated.Compare(b.updated), strings.Compare(a.key.namespace, b.key.namespace),
			strings.Compare(a.key.guardrail, b.key.guardrail), strings.Compare(a.key.decision, b.key.decision))
	})
}

// cut shortens s to that many bytes; what is left of a character goes too.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
