package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The environment of the stages that Run goes through.
const (
	stageEnv  = "BULKHEAD_NODE_STAGE"
	dirEnv    = "BULKHEAD_NODE_DIR"
	cgroupEnv = "BULKHEAD_NODE_CGROUP"

	stageInit   = "init"   // process 1 of the new namespaces
	stageInside = "inside" // what the caller of Run wants to run there
)

// dirPattern names the directory for all that the node writes, below the one for temporary files.
const dirPattern = "bulkhead-node-"

// Run runs inside in namespaces that hold nothing but it and what it starts, and returns its status. Before that it runs
// prepare, with the host's network and as often as Run: it builds what inside needs. dir is for the files of both; it is
// removed at the end. SIGINT, SIGTERM, SIGQUIT and SIGHUP end everything.
func Run(prepare func(ctx context.Context, dir string) error, inside func() int) int {
	switch os.Getenv(stageEnv) {
	case stageInside:
		return inside()
	case stageInit:
		return report(initialize())
	default:
		return report(outside(prepare))
	}
}

// Dir is the directory that prepare was given, for code that runs inside.
func Dir() string { return os.Getenv(dirEnv) }

func report(status int, err error) int {
	if err == nil {
		return status
	}
	fmt.Fprintln(os.Stderr, "node:", err)
	return max(status, 1)
}

// outside prepares, runs the next stage in new namespaces and cleans up after it.
func outside(prepare func(context.Context, string) error) (status int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("a node makes namespaces, mounts and control groups: run this as root")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// The root file systems of containers are below it, and their users are to get there.
	if err := os.Chmod(dir, 0o711); err != nil {
		return 1, err
	}
	if err := prepare(ctx, dir); err != nil {
		return 1, err
	}
	sysctls, err := readSysctls()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, sysctls.restore()) }()
	groups, err := makeCgroups("/" + filepath.Base(dir))
	defer func() { err = errors.Join(err, groups.remove()) }()
	if err != nil {
		return 1, err
	}
	return enter(ctx, dir, groups.name)
}

// enter starts this program once more as process 1 of new namespaces, and waits for its end: the kernel lets that happen only
// after every other process in there has ended.
func enter(ctx context.Context, dir, cgroup string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	command := exec.CommandContext(ctx, self, os.Args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), stageEnv+"="+stageInit, dirEnv+"="+dir, cgroupEnv+"="+cgroup)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Setpgid:    true, // Ctrl-C is for this process, which has to clean up
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig comes with the end of the thread
	defer runtime.UnlockOSThread()
	err = command.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if ctx.Err() != nil {
			return 130, errors.New("interrupted")
		}
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// initialize makes the namespaces a node's, starts this program once more and waits for its end.
func initialize() (int, error) {
	if err := mountAll(Dir()); err != nil {
		return 1, err
	}
	if err := connect(); err != nil {
		return 1, err
	}
	child, err := startInside(filepath.Join(Dir(), "home"))
	if err != nil {
		return 1, err
	}
	return reap(child)
}

// startInside starts this program once more and gives its process. home is for the caches that kubectl and others leave.
func startInside(home string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return 0, err
	}
	// Of two values of a name the first counts, so that adding to os.Environ would not do.
	for name, value := range map[string]string{stageEnv: stageInside, "HOME": home, "TMPDIR": home} {
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	child, err := syscall.ForkExec(self, os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, fmt.Errorf("start %s once more: %w", self, err)
	}
	return child, nil
}

// reap waits until the child has ended, and gives its status as a shell would. It takes leave of all others that end meanwhile, as
// process 1 has to: the daemons that watch over containers are orphans by design.
func reap(child int) (int, error) {
	for {
		var status syscall.WaitStatus
		switch pid, err := syscall.Wait4(-1, &status, 0, nil); {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, fmt.Errorf("wait for processes: %w", err)
		case pid == child && status.Signaled():
			return 128 + int(status.Signal()), nil
		case pid == child:
			return status.ExitStatus(), nil
		}
	}
}

// mountAll gives the mount namespace a view of its own processes, and directories of its own where a node's programs write.
func mountAll(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts from the host: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, target := range []string{"/run", "/var/lib", "/var/log"} {
		source := filepath.Join(dir, "root", target)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", source, target, err)
		}
	}
	return nil
}
