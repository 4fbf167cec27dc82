package controlplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	workdirPattern = "bulkhead-controlplane-*"
	ownerLock      = "owner.lock"
)

// workdir is the directory that holds everything a control plane writes. Its owner holds a lock in it, by which others
// see that it is in use.
type workdir struct {
	path  string
	owner *fileLock
	// made says whether the directory was made here, and so is to be removed.
	made bool
}

// newWorkdir makes a temporary directory, or takes the one given, which must be empty or absent.
func newWorkdir(path string) (*workdir, error) {
	made := false
	switch entries, err := os.ReadDir(path); {
	case path == "":
		if err := sweepWorkdirs(os.TempDir()); err != nil {
			return nil, err
		}
		if path, err = os.MkdirTemp("", workdirPattern); err != nil {
			return nil, err
		}
		made = true
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		made = true
	case err != nil:
		return nil, err
	case len(entries) > 0:
		return nil, fmt.Errorf("the directory %s for the control plane is not empty: name another one, or empty it", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// The lock appears in the directory already held, so that a sweep by another process cannot come in between.
	hidden := filepath.Join(path, "."+ownerLock)
	owner, err := tryLock(hidden)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(hidden, filepath.Join(path, ownerLock)); err != nil {
		return nil, errors.Join(err, owner.unlock())
	}
	return &workdir{path: path, owner: owner, made: made}, nil
}

// sweepWorkdirs removes the directories of control planes whose process was killed and could not remove them.
func sweepWorkdirs(parent string) error {
	locks, err := filepath.Glob(filepath.Join(parent, workdirPattern, ownerLock))
	if err != nil {
		return err
	}
	for _, path := range locks {
		abandoned, err := tryLock(path)
		if err != nil { // in use, or another user's
			continue
		}
		if err := errors.Join(os.RemoveAll(filepath.Dir(path)), abandoned.unlock()); err != nil {
			return fmt.Errorf("remove what a killed control plane left: %w", err)
		}
	}
	return nil
}

// remove removes everything in the directory but the names in keep, and the directory itself if nothing is to be kept
// and it was made here.
func (w *workdir) remove(keep ...string) error {
	kept := map[string]bool{}
	for _, name := range keep {
		kept[name] = true
	}
	entries, err := os.ReadDir(w.path)
	errs := []error{err}
	for _, entry := range entries {
		if !kept[entry.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(w.path, entry.Name())))
		}
	}
	if w.made && len(keep) == 0 {
		errs = append(errs, os.RemoveAll(w.path))
	}
	return errors.Join(append(errs, w.owner.unlock())...)
}
