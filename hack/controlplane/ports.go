package controlplane

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// port is a TCP port of the loopback interface that is reserved for a component for as long as the control plane lives.
//
// A port that was merely seen free can be taken by anyone before the component listens on it, or while the component is
// stopped in an outage test. So a socket stays bound to it, without listening. The components listen beside it because
// they set SO_REUSEPORT too, as Linux and the BSDs allow among processes of one user. While nothing listens, connections
// are refused as usual.
type port struct {
	number int
	socket int
}

func reservePort() (port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return port{}, fmt.Errorf("reserve a port: %w", err)
	}
	number, err := bindLoopback(socket)
	if err != nil {
		return port{}, errors.Join(fmt.Errorf("reserve a port on 127.0.0.1: %w", err), unix.Close(socket))
	}
	return port{number: number, socket: socket}, nil
}

func bindLoopback(socket int) (int, error) {
	unix.CloseOnExec(socket)
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		return 0, err
	}
	return address.(*unix.SockaddrInet4).Port, nil
}

// address returns the port as host:port.
func (p port) address() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }

// release gives the port back. The zero port, which was never reserved, needs none.
func (p port) release() error {
	if p.number == 0 {
		return nil
	}
	return unix.Close(p.socket)
}
