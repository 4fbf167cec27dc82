package webhook

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

const (
	defaultConfigPoll   = time.Minute
	defaultConfigSettle = 100 * time.Millisecond
)

// ConfigFileOptions says which file to read and whom to tell.
type ConfigFileOptions struct {
	// Path of the configuration file, usually in a mounted ConfigMap.
	Path string
	// Specs of the guardrails that the file may set.
	Specs []config.Spec
	// PollInterval is how often the file is read even without a notification,
	// for filesystems that send none. One minute where zero.
	PollInterval time.Duration
	// Settle is how long to wait after a notification before reading, so that a
	// writer that truncates and writes is not read half-way. 100 ms where zero.
	Settle time.Duration
	// OnReload is called after each change of outcome: with the new
	// configuration, or with an error and the configuration that stays in force
	// (nil before the first good one). Calls do not overlap. It must not call
	// back into Load. Nil: nobody is told.
	OnReload func(cfg *config.Config, err error)
}

// ConfigFileState is what is known of the file beyond the configuration.
type ConfigFileState struct {
	// Err is why the file as it is now is not in force; nil if it is.
	Err error
	// Since is when Err last changed: from good to bad, back, or to another
	// error.
	Since time.Time
	// Loaded is when the configuration in force was last read from the file or
	// found there again; zero if none is in force.
	Loaded time.Time
	// WatchErr is why changes are found by polling alone; nil if they are
	// notified.
	WatchErr error
}

// ConfigFile keeps the configuration of a file: loaded once, then reloaded on
// change. A file that is broken, half-written or gone leaves the last good
// configuration in force.
type ConfigFile struct {
	options ConfigFileOptions
	current atomic.Pointer[config.Config]

	loading sync.Mutex // held from reading the file to the end of OnReload
	outcome [sha256.Size]byte
	good    [sha256.Size]byte

	mu    sync.Mutex // guards state
	state ConfigFileState
}

// NewConfigFile returns a ConfigFile that has read nothing yet.
func NewConfigFile(options ConfigFileOptions) *ConfigFile {
	if options.PollInterval <= 0 {
		options.PollInterval = defaultConfigPoll
	}
	if options.Settle <= 0 {
		options.Settle = defaultConfigSettle
	}
	if options.OnReload == nil {
		options.OnReload = func(*config.Config, error) {}
	}
	return &ConfigFile{options: options}
}

// Current returns the configuration in force, nil before the first good one.
// Take it once per request.
func (f *ConfigFile) Current() *config.Config { return f.current.Load() }

// State returns what is known of the file.
func (f *ConfigFile) State() ConfigFileState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Ready returns nil once a configuration is in force, and before that why none
// is. It stays nil when a later version of the file is broken.
func (f *ConfigFile) Ready() error {
	if f.Current() != nil {
		return nil
	}
	if err := f.State().Err; err != nil {
		return err
	}
	return fmt.Errorf("configuration file %s: not read yet", f.options.Path)
}

// Load reads the file and puts it into force. On error the configuration in
// force stays. Reading what was read before, good or bad, changes nothing and
// tells nobody.
func (f *ConfigFile) Load() error {
	f.loading.Lock()
	defer f.loading.Unlock()

	data, err := readConfigFile(f.options.Path)
	content := sha256.Sum256(data)
	outcome := content
	if err != nil {
		err = fmt.Errorf("configuration file %s: %w", f.options.Path, err)
		outcome = sha256.Sum256([]byte(err.Error()))
	}
	if f.outcome == outcome {
		return f.State().Err
	}
	f.outcome = outcome

	cfg := f.current.Load()
	if err == nil && (cfg == nil || f.good != content) {
		var parsed *config.Config
		if parsed, err = config.Parse(data, f.options.Specs); err != nil {
			err = fmt.Errorf("configuration file %s: %w", f.options.Path, err)
		} else {
			cfg = parsed
			f.good = content
			f.current.Store(cfg)
		}
	}
	f.record(err)
	f.options.OnReload(cfg, err)
	return err
}

// record notes the outcome of a reading that differs from the one before.
func (f *ConfigFile) record(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if err != nil || f.state.Err != nil || f.state.Since.IsZero() {
		f.state.Since = now
	}
	f.state.Err = err
	if err == nil {
		f.state.Loaded = now
	}
}

// readConfigFile reads a regular file of bounded size; opening a pipe would
// block and reading a device would not end.
func readConfigFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file but %s", info.Mode().Type())
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	defer file.Close() // read only: nothing to lose
	// One byte over the bound, so that Parse sees and names the excess.
	data, err := io.ReadAll(io.LimitReader(file, config.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	return data, nil
}

// Run loads the file and reloads it on change until ctx is done, when it
// returns nil. A bad file is no error of Run: it is reported through OnReload,
// State and Ready, and mended by the next good version.
func (f *ConfigFile) Run(ctx context.Context) error {
	watch := f.watch()
	defer watch.close()
	// Only now, so that no change between reading and watching is missed.
	f.reload()

	poll := time.NewTicker(f.options.PollInterval)
	defer poll.Stop()
	settle := time.NewTimer(f.options.Settle)
	settle.Stop()
	pending := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-watch.events():
			if !open {
				f.watchState(fsnotify.ErrClosed)
				watch = configWatch{}
				continue
			}
			// The first notification starts the wait and the ones that follow do
			// not prolong it: a busy directory must not put off the reload.
			if !pending {
				pending = true
				settle.Reset(f.options.Settle)
			}
		case err, open := <-watch.errors():
			if !open {
				f.watchState(fsnotify.ErrClosed)
				watch = configWatch{}
				continue
			}
			// A full queue lost notifications; the file tells what they were.
			f.watchState(ignoreOverflow(err))
			f.reload()
		case <-settle.C:
			pending = false
			f.reload()
		case <-poll.C:
			watch.add(f)
			f.reload()
		}
	}
}

// reload is Load for callers that hear of errors through OnReload.
func (f *ConfigFile) reload() {
	_ = f.Load() // it has told OnReload and State
}

func ignoreOverflow(err error) error {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		return nil
	}
	return err
}

func (f *ConfigFile) watchState(err error) {
	if err != nil {
		err = fmt.Errorf("watching %s, polling every %s instead: %w", f.directory(), f.options.PollInterval, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.WatchErr = err
}

func (f *ConfigFile) directory() string { return filepath.Dir(f.options.Path) }

// configWatch is a directory watch that may be missing: a node out of inotify
// instances must not keep the webhook from starting.
type configWatch struct {
	watcher *fsnotify.Watcher
}

// watch watches the file's directory, not the file: editors rename a new file
// over the old one, and the kubelet swaps the ..data link beside it, both of
// which leave a watch of the file on what is gone.
func (f *ConfigFile) watch() configWatch {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.watchState(err)
		return configWatch{}
	}
	w := configWatch{watcher: watcher}
	w.add(f)
	return w
}

// add starts the watch, again where the directory was replaced meanwhile; it
// does nothing where the watch stands.
func (w configWatch) add(f *ConfigFile) {
	if w.watcher != nil {
		f.watchState(w.watcher.Add(f.directory()))
	}
}

func (w configWatch) events() <-chan fsnotify.Event {
	if w.watcher == nil {
		return nil // blocks for ever in a select
	}
	return w.watcher.Events
}

func (w configWatch) errors() <-chan error {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Errors
}

func (w configWatch) close() {
	if w.watcher != nil {
		_ = w.watcher.Close() // nothing is read from it any more
	}
}
