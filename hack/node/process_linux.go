package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// process is a program that runs beside the node's pods, with a log.
type process struct {
	name, log string
	command   *exec.Cmd
	exited    chan struct{} // closed when it has ended
	err       error         // what it ended with, to be read then
}

// startProcess starts a program; what it prints goes into a file of dir. It ends with process 1 of the namespaces at the latest.
func startProcess(dir, program string, arguments ...string) (*process, error) {
	name := filepath.Base(program)
	p := &process{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
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
func (p *process) running() error {
	select {
	case <-p.exited:
		how := "with status 0"
		if p.err != nil {
			how = p.err.Error()
		}
		return fmt.Errorf("%s ended by itself (%s); the end of its log:\n%s", p.name, how, p.tail(20))
	default:
		return nil
	}
}

// tail gives the last lines of the log.
func (p *process) tail(lines int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
