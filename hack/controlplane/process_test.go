package controlplane

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startShell starts a shell script as a component and waits until it has printed "up".
func startShell(t *testing.T, script string) *process {
	t.Helper()
	l := newLauncher()
	t.Cleanup(l.close)
	p, err := startProcess(l, Etcd, exec.Command("/bin/sh", "-c", script), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(0); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the script to be up", func() error {
		text, err := readTail(p.log, tailBytes)
		if err == nil && !strings.Contains(text, "up\n") {
			return fmt.Errorf("its log is %q", text)
		}
		return err
	})
	return p
}

// eventually polls a condition, as await does, and fails the test if it does not come true.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := await(ctx, what, nil, func(context.Context) error { return condition() }); err != nil {
		t.Fatal(err)
	}
}

func wantGone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the process to be gone", func() error {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			return fmt.Errorf("kill -0 %d: %w", pid, err)
		}
		return nil
	})
}

func TestStopTerminates(t *testing.T) {
	p := startShell(t, `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done`)
	if err := p.stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	if text := readFile(t, p.log); !strings.HasSuffix(text, "bye\n") {
		t.Errorf("the process could not end by itself; its log is %q", text)
	}
	wantGone(t, p.command.Process.Pid)
	if err := p.stop(time.Minute); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

func TestStopKillsTheGroupAtTheDeadline(t *testing.T) {
	p := startShell(t, `trap '' TERM; sleep 1000 & echo $!; echo up; wait`)
	var child int
	if _, err := fmt.Sscan(readFile(t, p.log), &child); err != nil {
		t.Fatal(err)
	}
	if err := p.stop(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	wantGone(t, p.command.Process.Pid)
	wantGone(t, child)
}

func TestAwaitReportsTheProcessThatEnded(t *testing.T) {
	p := startShell(t, `echo up; echo "flag provided but not defined" >&2; exit 3`)
	err := await(t.Context(), "etcd to be ready", []*process{p}, func(context.Context) error { return context.DeadlineExceeded })
	for _, want := range []string{"waiting for etcd to be ready", "etcd ended by itself (exit status 3)", "flag provided but not defined", p.log} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v lacks %q", err, want)
		}
	}
}

func TestAwaitEndsWithContext(t *testing.T) {
	p := startShell(t, `echo up; echo almost there; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancelCause(t.Context())
	err := await(ctx, "it", []*process{p}, func(context.Context) error {
		cancel(fmt.Errorf("enough"))
		return fmt.Errorf("not yet")
	})
	for _, want := range []string{"enough", "not yet", "almost there"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v lacks %q", err, want)
		}
	}
}

func TestReadTailBeginsWithALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	writeFile(t, path, "first line\nsecond\nthird\n")
	for limit, want := range map[int64]string{100: "first line\nsecond\nthird\n", 15: "second\nthird\n", 6: "third\n"} {
		// A cut within a line drops its rest; the byte before a line's beginning counts as one.
		if got, err := readTail(path, limit+1); err != nil || got != want {
			t.Errorf("the last %d bytes are %q, %v, want %q", limit+1, got, err, want)
		}
	}
}

func TestReservedPort(t *testing.T) {
	p, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	other, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer other.release()
	if other.number == p.number {
		t.Errorf("two reservations got the port %d", p.number)
	}
	if connection, err := net.Dial("tcp", p.address()); err == nil {
		connection.Close()
		t.Error("a port that nobody listens on accepted a connection")
	}
	if listener, err := net.Listen("tcp", p.address()); err == nil {
		listener.Close()
		t.Error("a stranger could listen on a reserved port")
	}

	sharing := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		controlErr := raw.Control(func(socket uintptr) {
			err = unix.SetsockoptInt(int(socket), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		if controlErr != nil {
			return controlErr
		}
		return err
	}}
	listener, err := sharing.Listen(t.Context(), "tcp", p.address())
	if err != nil {
		t.Fatalf("a component cannot listen on its port: %v", err)
	}
	for range 20 { // all connections reach the listener, none the reservation
		connection, err := net.Dial("tcp", p.address())
		if err != nil {
			t.Fatal(err)
		}
		connection.Close()
	}
	listener.Close()
	if err := p.release(); err != nil {
		t.Fatal(err)
	}
	listener, err = net.Listen("tcp", p.address())
	if err != nil {
		t.Fatalf("the port is busy after its release: %v", err)
	}
	listener.Close()
}

func TestMain(m *testing.M) {
	if log := os.Getenv(orphanEnv); log != "" {
		os.Exit(startOrphan(log))
	}
	os.Exit(m.Run())
}

// orphanEnv has the test binary play a parent that starts a component and waits to be killed.
const orphanEnv = "CONTROLPLANE_TEST_ORPHAN_LOG"

func startOrphan(log string) int {
	if _, err := startProcess(newLauncher(), Etcd, exec.Command("/bin/sh", "-c", "echo $$; exec sleep 1000"), log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("started")
	_, _ = os.Stdin.Read(make([]byte, 1)) // ends with the test at the latest
	return 0
}
