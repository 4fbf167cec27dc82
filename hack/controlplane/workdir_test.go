package controlplane

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWorkdirIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	w, err := newWorkdir("")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(w.path, "logs", "etcd.log"), "x")
	if err := w.remove(); err != nil {
		t.Fatal(err)
	}
	wantNotExist(t, w.path)
}

func TestGivenWorkdir(t *testing.T) {
	given := t.TempDir()
	w, err := newWorkdir(given)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := newWorkdir(given); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a directory in use became %v, %v", second, err)
	}
	writeFile(t, filepath.Join(given, "logs", "etcd.log"), "x")
	writeFile(t, filepath.Join(given, "pki", "ca.key"), "x")
	if err := w.remove("logs"); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, given, "logs")
	wantEntries(t, filepath.Join(given, "logs"), "etcd.log")

	absent := filepath.Join(given, "not", "there", "yet")
	if w, err = newWorkdir(absent); err != nil {
		t.Fatal(err)
	}
	if err := w.remove(); err != nil {
		t.Fatal(err)
	}
	wantNotExist(t, absent)
}

func TestSweepRemovesOnlyWhatWasAbandoned(t *testing.T) {
	parent := t.TempDir()
	t.Setenv("TMPDIR", parent)
	running, err := newWorkdir("")
	if err != nil {
		t.Fatal(err)
	}
	defer running.remove()
	killed, err := newWorkdir("")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(killed.path, "etcd", "data"), "x")
	if err := killed.owner.unlock(); err != nil { // as the kernel does for a killed process
		t.Fatal(err)
	}
	keptLogs := filepath.Join(parent, strings.Replace(workdirPattern, "*", "kept", 1))
	writeFile(t, filepath.Join(keptLogs, "logs", "etcd.log"), "x")
	stranger := filepath.Join(parent, "stranger")
	writeFile(t, filepath.Join(stranger, ownerLock), "")

	if err := sweepWorkdirs(parent); err != nil {
		t.Fatal(err)
	}
	wantNotExist(t, killed.path)
	for _, path := range []string{running.path, keptLogs, stranger} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the sweep took away too much: %v", err)
		}
	}
}

func wantNotExist(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}
