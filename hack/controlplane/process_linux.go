package controlplane

import "syscall"

// processAttributes puts a child into a process group of its own and has the kernel kill it when its parent dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
