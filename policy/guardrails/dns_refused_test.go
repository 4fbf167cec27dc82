package guardrails

import (
	"fmt"
	"strings"
	"testing"
)

// TestBoundIsDocumented keeps the number in the documentation that of the code.
func TestBoundIsDocumented(t *testing.T) {
	if want := fmt.Sprintf("At most %d workloads", maxClients); !strings.Contains(dnsCut.Documentation.Judged, want) {
		t.Errorf("the documentation of %s does not say %q", dnsCut.Slug, want)
	}
}
