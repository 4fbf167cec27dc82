package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// noop is the running webhook that allows everything.
type noop struct {
	address string
	cmd     *exec.Cmd
	exited  chan error
}

func startNoop(ctx context.Context, binary string, c *certificates, log string) (*noop, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	n := &noop{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), exited: make(chan error, 1)}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	n.cmd = exec.Command(binary, "-port", strconv.Itoa(port), "-certificate-dir", c.dir)
	n.cmd.Stdout, n.cmd.Stderr = file, file
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { n.exited <- n.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		connection, err := dial(ctx, target{name: "no-op", address: n.address, tls: c.client()})
		if err == nil {
			return n, connection.conn.Close()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("the no-op webhook does not answer: %w", err), n.stop())
		case err := <-n.exited:
			n.exited <- err
			text, _ := os.ReadFile(log)
			return nil, fmt.Errorf("the no-op webhook ended: %w\n%s", err, text)
		case <-tick.C:
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (n *noop) pid() int { return n.cmd.Process.Pid }

func (n *noop) stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case err := <-n.exited:
		n.exited <- err
		return err
	case <-time.After(10 * time.Second):
		return n.cmd.Process.Kill()
	}
}

// residence is what the kernel says about a process's memory, in bytes.
// Source: proc_pid_status(5).
type residence struct {
	RSS  int64 `json:"rss"`
	Peak int64 `json:"peak"` // highest RSS since the process began
	// Anon is the part that is the process's own: heap, stacks, runtime. The rest is mapped files: the binary.
	Anon int64 `json:"anonymous"`
}

func readResidence(pid int) (residence, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return residence{}, err
	}
	defer file.Close()
	return parseResidence(bufio.NewScanner(file))
}

func parseResidence(lines *bufio.Scanner) (residence, error) {
	out := residence{}
	fields := map[string]*int64{"VmRSS": &out.RSS, "VmHWM": &out.Peak, "RssAnon": &out.Anon}
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		to := fields[name]
		if to == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return out, fmt.Errorf("%s: %w", lines.Text(), err)
		}
		*to = kib << 10
		delete(fields, name)
	}
	if len(fields) > 0 {
		return out, fmt.Errorf("the kernel does not say %v", fields)
	}
	return out, lines.Err()
}

// cpuSeconds gives the processor time that a process has used so far, from /proc/PID/stat; it counts in hundredths.
func cpuSeconds(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("cannot read /proc/%d/stat", pid)
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, err
}
