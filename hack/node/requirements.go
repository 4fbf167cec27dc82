package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// networkPluginDirs are where CNI plugins are: Debian's package puts them in the first, upstream's instructions in the second.
func networkPluginDirs() []string { return []string{"/usr/lib/cni", "/opt/cni/bin"} }

// findNetworkPlugins returns the directory that holds all plugins that the node uses.
func findNetworkPlugins() (string, error) {
	for _, dir := range networkPluginDirs() {
		if !slices.ContainsFunc([]string{"ptp", "host-local", "loopback"}, func(plugin string) bool {
			_, err := exec.LookPath(filepath.Join(dir, plugin))
			return err != nil
		}) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the CNI plugins ptp, host-local and loopback are in none of %s", strings.Join(networkPluginDirs(), ", "))
}

// missingPackages names the packages, as Debian and Ubuntu call them, of what is not on this machine: programs that cannot be built
// without a C compiler, and what kernels are managed with.
func missingPackages() []string {
	var missing []string
	for program, name := range map[string]string{"runc": "runc", "nft": "nftables", "ip": "iproute2", "mount": "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if _, err := findNetworkPlugins(); err != nil {
		missing = append(missing, "containernetworking-plugins")
	}
	slices.Sort(missing)
	return missing
}

// installPackages installs what is missing, with apt-get where there is one, and otherwise says what.
func installPackages(ctx context.Context) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	advice := fmt.Errorf("a node needs programs that this machine lacks: install the packages %s", strings.Join(missing, ", "))
	if _, err := exec.LookPath("apt-get"); err != nil {
		return advice
	}
	fmt.Fprintln(os.Stderr, "node: installing the packages", strings.Join(missing, ", "))
	for _, arguments := range [][]string{{"update", "-q"}, append([]string{"install", "-qy", "--no-install-recommends"}, missing...)} {
		command := exec.CommandContext(ctx, "apt-get", arguments...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := command.CombinedOutput(); err != nil {
			return errors.Join(advice, fmt.Errorf("apt-get %s: %w\n%s", arguments[0], err, out))
		}
	}
	if missing := missingPackages(); len(missing) > 0 {
		return fmt.Errorf("the packages %s were installed and what is needed of them is still not found", strings.Join(missing, ", "))
	}
	return nil
}
