package policy

import (
	"fmt"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// TestPluginNames: the config accepts exactly the plugins about which the snapshot knows something.
func TestPluginNames(t *testing.T) {
	if want, got := fmt.Sprint(cluster.Plugins()), fmt.Sprint(config.Plugins()); got != want {
		t.Errorf("the config accepts %s, the snapshot knows %s", got, want)
	}
}
