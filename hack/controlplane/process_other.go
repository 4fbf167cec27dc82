//go:build unix && !linux

package controlplane

import "syscall"

// processAttributes puts a child into a process group of its own. Outside Linux no signal tells a child that its parent
// was killed; a regular end of the parent stops the children everywhere.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
