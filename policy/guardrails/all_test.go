package guardrails_test

import (
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

func TestFixtures(t *testing.T) { policytest.Run(t, guardrails.All(), "testdata") }

func TestFixesHold(t *testing.T) { policytest.CheckFixes(t, guardrails.All(), "testdata") }
