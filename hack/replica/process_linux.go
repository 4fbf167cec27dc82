package replica

import "syscall"

// childAttributes gives the child a process group of its own, so that Ctrl-C in a terminal reaches it only through the
// parent, and ends it where the parent dies without ending it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
