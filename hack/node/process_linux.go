package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopWithin is how long a process may take after SIGTERM before it is killed.
const stopWithin = 10 * time.Second

// Process is a program that runs beside the node's pods, with a log.
type Process struct {
	name, log string
	command   *exec.Cmd
	exited    chan struct{} // closed when it has ended
	err       error         // what it ended with, to be read then
}

// startProcess starts a program; what it prints goes into a file of dir. The namespace's process 1 outlives it, and takes it along
// otherwise.
func startProcess(dir, program string, arguments ...string) (*Process, error) {
	name := filepath.Base(program)
	p := &Process{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }() // the child has its own descriptor
	p.command = exec.Command(program, arguments...)
	p.command.Dir, p.command.Stdout, p.command.Stderr = dir, output, output
	// containerd looks for its shim beside itself last, and for runc in PATH alone.
	p.command.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.exited)
		p.err = p.command.Wait()
	}()
	return p, nil
}

// running gives an error with the end of the log if the process has ended.
func (p *Process) running() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s ended by itself (%v); the end of its log:\n%s", p.name, p.err, p.Tail(20))
	default:
		return nil
	}
}

// Stop ends the process: with SIGTERM, and with SIGKILL after a while. It may have ended before.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("%s did not end within %s", p.name, stopWithin), p.command.Process.Kill())
	}
}

// Tail gives the last lines of the log.
func (p *Process) Tail(lines int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
