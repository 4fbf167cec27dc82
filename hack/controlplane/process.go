package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// stopDeadline is how long a component may take after SIGTERM before it is killed.
	stopDeadline = 10 * time.Second
	// tailBytes is how much of a log an error shows.
	tailBytes = 4 << 10
)

// launcher starts processes from one operating system thread that lives until close. Linux sends a child its
// parent-death signal when the thread that started it ends, not when the whole parent does, and the Go runtime ends
// threads as it likes: hence the locked goroutine.
type launcher struct {
	requests chan launch
	ended    chan struct{}
}

type launch struct {
	command *exec.Cmd
	err     chan<- error
}

func newLauncher() *launcher {
	l := &launcher{requests: make(chan launch), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for request := range l.requests {
			request.err <- request.command.Start()
		}
	}()
	return l
}

// start starts the command. It must not be called after close.
func (l *launcher) start(command *exec.Cmd) error {
	result := make(chan error, 1)
	l.requests <- launch{command: command, err: result}
	return <-result
}

// close ends the thread, and on Linux with it every process that is still running.
func (l *launcher) close() {
	close(l.requests)
	<-l.ended
}

// process is a running, or ended, component.
type process struct {
	component Component
	command   *exec.Cmd
	log       string
	// exited is closed when the process has ended; exitErr, what it ended with, may be read then.
	exited  chan struct{}
	exitErr error
	// stopping is set before the process is asked to end.
	stopping atomic.Bool
}

// startProcess starts a component in a process group of its own, so that a Ctrl-C at the terminal reaches only the
// parent, which then stops the components in order. Output is appended to the file log.
func startProcess(l *launcher, component Component, command *exec.Cmd, log string) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }() // the child has its own descriptor
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = processAttributes()
	if err := l.start(command); err != nil {
		return nil, fmt.Errorf("start %s: %w", component, err)
	}
	p := &process{component: component, command: command, log: log, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		p.exitErr = command.Wait()
	}()
	return p, nil
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop ends the process and its group: with SIGTERM, and with SIGKILL once the deadline has passed.
func (p *process) stop(deadline time.Duration) error {
	p.stopping.Store(true)
	if !p.running() {
		return nil
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

func (p *process) signal(signal syscall.Signal) error {
	err := syscall.Kill(-p.command.Process.Pid, signal)
	if err != nil && !errors.Is(err, syscall.ESRCH) { // ended in the meantime
		return fmt.Errorf("send %s to %s: %w", signal, p.component, err)
	}
	return nil
}

// ended describes a process that ended without being asked to.
func (p *process) ended() error {
	how := "with status 0"
	if p.exitErr != nil {
		how = p.exitErr.Error()
	}
	return fmt.Errorf("%s ended by itself (%s)%s", p.component, how, p.tail())
}

// tail returns the end of the log, introduced by its name, for an error message.
func (p *process) tail() string {
	text, err := readTail(p.log, tailBytes)
	if err != nil {
		return fmt.Sprintf("; its log cannot be read: %v", err)
	}
	return fmt.Sprintf("; the end of %s:\n%s", p.log, text)
}

// readTail returns the last bytes of a file, at most limit, from the beginning of a line.
func readTail(path string, limit int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // only read from
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	offset := max(0, info.Size()-limit)
	text, err := io.ReadAll(io.NewSectionReader(file, offset, limit))
	if err != nil {
		return "", err
	}
	if offset > 0 {
		if _, whole, found := bytes.Cut(text, []byte("\n")); found {
			text = whole
		}
	}
	return string(text), nil
}
