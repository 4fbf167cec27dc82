package replica

import "syscall"

// childAttributes gives the child a process group of its own, so that Ctrl-C in a terminal reaches it only through the
// parent.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
