package node

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
)

// connect makes the network of the node: the loopback interface, and an interface with the address that the API server
// advertises and the node has. Its other end leads nowhere. It has the default route, because an address of a Service is
// rewritten only after a route to it was found.
func connect() error {
	for _, command := range []string{
		"link set lo up",
		"link add eth0 type veth peer name wire0",
		"addr add " + controlplane.AdvertiseAddress + "/24 dev eth0",
		"link set wire0 up",
		"link set eth0 up",
		"route add default dev eth0",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, out)
		}
	}
	return nil
}
