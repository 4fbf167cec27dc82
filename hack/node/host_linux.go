package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sysctls are values of the host's kernel, by their files.
type sysctls map[string]string

// readSysctls reads those that a kubelet sets and that no namespace has of its own.
func readSysctls() (sysctls, error) {
	read := sysctls{}
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		path := filepath.Join("/proc/sys", name)
		value, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // this kernel was built without it
			continue
		}
		if err != nil {
			return nil, err
		}
		read[path] = string(value)
	}
	return read, nil
}

// restore puts back what has changed.
func (s sysctls) restore() error {
	var errs []error
	for path, was := range s {
		now, err := os.ReadFile(path)
		if err == nil && string(now) != was {
			err = os.WriteFile(path, []byte(was), 0)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// cgroups is one control group in every hierarchy.
type cgroups struct {
	name string
	dirs []string
}

// makeCgroups makes a control group of that name in every hierarchy, for all pods of the node. Also where it fails, the result
// is to be removed.
func makeCgroups(name string) (cgroups, error) {
	groups := cgroups{name: name}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return groups, err
	}
	for _, mount := range strings.Split(strings.TrimSpace(string(mounts)), "\n") {
		fields := strings.Fields(mount) // fstab(5): source, target, type, options
		if len(fields) < 3 || fields[2] != "cgroup" && fields[2] != "cgroup2" {
			continue
		}
		if fields[2] == "cgroup2" {
			if err := delegate(fields[1]); err != nil {
				return groups, err
			}
		}
		dir := filepath.Join(fields[1], name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return groups, fmt.Errorf("make a control group: %w", err)
		}
		groups.dirs = append(groups.dirs, dir)
	}
	if len(groups.dirs) == 0 {
		return groups, errors.New("no control groups are mounted, and a kubelet needs them: mount them at /sys/fs/cgroup")
	}
	return groups, nil
}

// delegate lets the children of the root of a cgroup2 hierarchy use its controllers. An init system usually has done so.
func delegate(root string) error {
	available, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	control := filepath.Join(root, "cgroup.subtree_control")
	delegated, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(available)) {
		if slices.Contains(strings.Fields(string(delegated)), controller) {
			continue
		}
		if err := os.WriteFile(control, []byte("+"+controller), 0); err != nil {
			return fmt.Errorf("delegate the controller %s: %w", controller, err)
		}
	}
	return nil
}

// remove removes the control groups and those within. All of their processes have ended.
func (c cgroups) remove() error {
	var errs []error
	for _, root := range c.dirs {
		var dirs []string
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		errs = append(errs, err)
		for _, dir := range slices.Backward(dirs) { // children first
			errs = append(errs, os.Remove(dir))
		}
	}
	return errors.Join(errs...)
}
