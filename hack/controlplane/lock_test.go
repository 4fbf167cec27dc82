package controlplane

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(path); !errors.Is(err, errLocked) {
		t.Fatalf("a second lock: %v, want errLocked", err)
	}

	waiting := make(chan struct{})
	got := make(chan error, 1)
	go func() {
		second, err := lock(t.Context(), path, func() { close(waiting) })
		if err == nil {
			err = second.unlock()
		}
		got <- err
	}()
	<-waiting // it has seen the lock held
	select {
	case err := <-got:
		t.Fatalf("the lock was given away while held: %v", err)
	default:
	}
	if err := first.unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestLockEndsWithContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.unlock()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lock(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}
