package webhook

import "runtime/debug"

// What the linker writes into a release's binary (-X, see the Dockerfile); empty in all others. They are written nowhere else.
var release, commit string

// Commit gives the full hash of the commit that the binary was built from, with "-dirty" where the tree had other changes, or
// "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	switch revision := settings["vcs.revision"]; {
	case revision == "":
		return "unknown"
	case settings["vcs.modified"] == "true":
		return revision + "-dirty"
	default:
		return revision
	}
}
