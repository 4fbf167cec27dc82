//go:build unix

package webhook

import "syscall"

// readable looks at the first byte of a socket without taking it. The socket is
// non-blocking, as all of Go's are.
func readable(descriptor uintptr) bool {
	n, _, err := syscall.Recvfrom(int(descriptor), make([]byte, 1), syscall.MSG_PEEK)
	return err == nil && n > 0
}
