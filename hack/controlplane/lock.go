package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockInterval is how often a held lock is tried again.
const lockInterval = 100 * time.Millisecond

// fileLock is an advisory lock (flock(2)) on a file. The kernel releases it when the process ends, however it ends.
type fileLock struct{ file *os.File }

// errLocked says that another process, or another lock of this one, holds the lock.
var errLocked = errors.New("locked by another process")

// tryLock takes the lock on path, or returns errLocked at once.
func tryLock(path string) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &fileLock{file: file}, nil
}

// lock takes the lock on path and waits for it as long as ctx lives. It calls waiting once if it has to wait.
func lock(ctx context.Context, path string, waiting func()) (*fileLock, error) {
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for first := true; ; first = false {
		held, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return held, err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock %s: %w", path, ctx.Err())
		case <-ticker.C:
		}
	}
}

// unlock releases the lock.
func (l *fileLock) unlock() error { return l.file.Close() }
