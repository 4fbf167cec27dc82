//go:build !linux

package replica

import "syscall"

func childAttributes() *syscall.SysProcAttr { return nil }
