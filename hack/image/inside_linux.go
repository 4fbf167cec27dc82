package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// userID is the number of the image's user and of its group.
const userID = 65532

// Numbers of prctl(2) that package syscall does not name. Source: linux/prctl.h
const (
	setParentDeathSignal  = 1
	dropFromBoundingSet   = 24
	setNoNewPrivileges    = 38
	highestCapabilityEver = 63
)

// inside turns this process into the program of a root file system, as the chart has a kubelet run it: read-only root, user and
// group 65532, no capabilities, no new privileges. args are the root's folder, a folder of this machine to mount read-only at the
// same place or nothing, and the command line. It returns only where that fails.
func inside(args []string) error {
	if len(args) < 3 {
		return errors.New("inside needs a root, what to mount, and a command")
	}
	root, mounted, command := args[0], args[1], args[2:]
	runtime.LockOSThread() // namespaces, root and privileges are the thread's, and exec keeps those of the thread that calls it
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if mounted != "" {
		if err := os.MkdirAll(filepath.Join(root, mounted), 0o755); err != nil {
			return err
		}
	}
	if err := mountReadOnly(root, root); err != nil {
		return err
	}
	if mounted != "" {
		if err := mountReadOnly(mounted, filepath.Join(root, mounted)); err != nil {
			return err
		}
	}
	if err := syscall.Chroot(root); err != nil {
		return err
	}
	if err := syscall.Chdir("/"); err != nil {
		return err
	}
	if err := dropPrivileges(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", command[0], syscall.Exec(command[0], command, []string{}))
}

// mountReadOnly makes a folder appear at another place, where nobody can write to it.
func mountReadOnly(source, target string) error {
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", source, err)
	}
	flags := uintptr(syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV)
	if err := syscall.Mount("", target, "", flags, ""); err != nil {
		return fmt.Errorf("mount %s read-only: %w", source, err)
	}
	return nil
}

func dropPrivileges() error {
	for capability := range uintptr(highestCapabilityEver + 1) {
		if err := prctl(dropFromBoundingSet, capability); err != nil && !errors.Is(err, syscall.EINVAL) { // past the kernel's last
			return err
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(userID); err != nil {
		return err
	}
	if err := syscall.Setuid(userID); err != nil { // this also empties the other capability sets, see capabilities(7)
		return err
	}
	if err := prctl(setNoNewPrivileges, 1); err != nil {
		return err
	}
	return prctl(setParentDeathSignal, uintptr(syscall.SIGKILL)) // the new user had lost it
}

func prctl(option, value uintptr) error {
	if _, _, code := syscall.RawSyscall6(syscall.SYS_PRCTL, option, value, 0, 0, 0, 0); code != 0 {
		return os.NewSyscallError("prctl", code)
	}
	return nil
}
