package e2e

import "testing"

func (i *installation) testRights(t *testing.T) {}
