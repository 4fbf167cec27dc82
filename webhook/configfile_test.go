package webhook

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

const (
	configHeader = "apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\n"
	goodConfig   = configHeader + "maximumAction: Deny\n"
	otherConfig  = configHeader + "maximumAction: Audit\n"
	badConfig    = configHeader + "maximumAction: deny\n"
	badProblem   = `line 3: maximumAction: "deny" is not an action; did you mean "Deny"?`
)

type reloadOutcome struct {
	cfg *config.Config
	err error
}

// configFileTest runs a ConfigFile and hands over what it reports.
type configFileTest struct {
	*testing.T
	file    *ConfigFile
	reloads chan reloadOutcome
}

// runConfigFile starts a ConfigFile on path. Unless poll is set, it polls so
// seldom that only notifications can make a test pass.
func runConfigFile(t *testing.T, path string, poll time.Duration) *configFileTest {
	t.Helper()
	if poll == 0 {
		poll = time.Hour
	}
	reloads := make(chan reloadOutcome, 100)
	file := NewConfigFile(ConfigFileOptions{
		Path: path, PollInterval: poll, Settle: time.Millisecond,
		Specs:    []config.Spec{{Slug: "dns-cut", DefaultAction: config.Deny}},
		OnReload: func(cfg *config.Config, err error) { reloads <- reloadOutcome{cfg, err} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- file.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return &configFileTest{T: t, file: file, reloads: reloads}
}

func (t *configFileTest) next() reloadOutcome {
	t.Helper()
	select {
	case outcome := <-t.reloads:
		return outcome
	case <-time.After(10 * time.Second):
		t.Fatal("no reload within 10 s")
		return reloadOutcome{}
	}
}

// wantGood waits for a configuration with the maximum action; reports of
// half-written files may come before it.
func (t *configFileTest) wantGood(maximum config.Action) *config.Config {
	t.Helper()
	outcome := t.next()
	for outcome.err != nil || outcome.cfg.MaximumAction != maximum {
		outcome = t.next()
	}
	if t.file.Current() != outcome.cfg {
		t.Error("Current is not the configuration that was reported")
	}
	if state := t.file.State(); state.Err != nil || state.Since.IsZero() || state.Loaded.IsZero() {
		t.Errorf("state after a good file: %+v", state)
	}
	if err := t.file.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	return outcome.cfg
}

// wantBad waits for an error that says want, and checks that inForce stays.
func (t *configFileTest) wantBad(want string, inForce *config.Config) {
	t.Helper()
	outcome := t.next()
	for outcome.err == nil || !strings.Contains(outcome.err.Error(), want) {
		if outcome.err == nil {
			t.Fatalf("accepted %+v, want an error that says %q", outcome.cfg, want)
		}
		outcome = t.next()
	}
	if outcome.cfg != inForce || t.file.Current() != inForce {
		t.Errorf("in force: reported %p, current %p, want the last good %p", outcome.cfg, t.file.Current(), inForce)
	}
	if state := t.file.State(); state.Err == nil || state.Since.IsZero() {
		t.Errorf("state after a bad file: %+v", state)
	}
	if ready := t.file.Ready() == nil; ready != (inForce != nil) {
		t.Errorf("ready %t with configuration %p in force", ready, inForce)
	}
}

func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replaceConfig writes beside the file and renames, as editors do.
func replaceConfig(t *testing.T, path, text string) {
	t.Helper()
	writeConfig(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestConfigFileKeepsTheLastGoodConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bulkhead.yaml")
	writeConfig(t, path, goodConfig)
	run := runConfigFile(t, path, 0)
	good := run.wantGood(config.Deny)

	replaceConfig(t, path, badConfig)
	run.wantBad(badProblem, good)
	since := run.file.State().Since
	if err := run.file.Load(); err == nil || !strings.Contains(err.Error(), badProblem) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load of the same bad file: %v, want the path and %s", err, badProblem)
	}
	if got := run.file.State().Since; !got.Equal(since) {
		t.Errorf("the same error began at %s and then at %s", since, got)
	}

	replaceConfig(t, path, goodConfig)
	if again := run.wantGood(config.Deny); again != good {
		t.Error("the same content made a new configuration")
	}
	replaceConfig(t, path, otherConfig)
	if other := run.wantGood(config.Audit); other.Hash() == good.Hash() {
		t.Error("two configurations with the same hash")
	}
}

func TestConfigFileGarbageAtStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bulkhead.yaml")
	writeConfig(t, path, badConfig)
	run := runConfigFile(t, path, 0)
	run.wantBad(badProblem, nil)
	if err := run.file.Ready(); err == nil || !strings.Contains(err.Error(), "maximumAction") {
		t.Errorf("Ready must name the field, got %v", err)
	}
	var problems *config.Error
	if !errors.As(run.file.State().Err, &problems) || problems.Problems[0].Field != "maximumAction" {
		t.Errorf("the error does not hold the problems: %v", run.file.State().Err)
	}
	replaceConfig(t, path, goodConfig)
	run.wantGood(config.Deny)
}

func TestConfigFileMissingAtStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bulkhead.yaml")
	run := runConfigFile(t, path, 0)
	run.wantBad("no such file", nil)
	writeConfig(t, path, goodConfig)
	run.wantGood(config.Deny)
}

func TestConfigFileHalfWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bulkhead.yaml")
	writeConfig(t, path, goodConfig)
	run := runConfigFile(t, path, 0)
	good := run.wantGood(config.Deny)

	writeConfig(t, path, configHeader+"exempt: {users: [al")
	run.wantBad("not valid YAML", good)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("ice]}\nmaximumAction: Audit\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	run.wantGood(config.Audit)
}

func TestConfigFileDeletedAndBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bulkhead.yaml")
	writeConfig(t, path, goodConfig)
	run := runConfigFile(t, path, 0)
	good := run.wantGood(config.Deny)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	run.wantBad("no such file", good)
	if !errors.Is(run.file.State().Err, fs.ErrNotExist) {
		t.Errorf("state does not say that the file is missing: %v", run.file.State().Err)
	}
	writeConfig(t, path, otherConfig)
	run.wantGood(config.Audit)
}

// publish does what the kubelet does to update a ConfigMap volume: a new
// directory, a new link to it, the link renamed over ..data, the old directory
// removed (k8s.io/kubernetes pkg/volume/util/atomic_writer.go).
func publish(t *testing.T, mount, generation, text string) {
	t.Helper()
	data := filepath.Join(mount, "..data")
	old, err := os.Readlink(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	steps := []error{
		os.Mkdir(filepath.Join(mount, generation), 0o700),
		os.WriteFile(filepath.Join(mount, generation, "bulkhead.yaml"), []byte(text), 0o600),
		os.Symlink(generation, data+"_tmp"),
		os.Rename(data+"_tmp", data),
	}
	if old == "" {
		steps = append(steps, os.Symlink(filepath.Join("..data", "bulkhead.yaml"), filepath.Join(mount, "bulkhead.yaml")))
	} else {
		steps = append(steps, os.RemoveAll(filepath.Join(mount, old)))
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
}

func TestConfigFileInAConfigMapVolume(t *testing.T) {
	mount := t.TempDir()
	publish(t, mount, "..2026_01_01", goodConfig)
	run := runConfigFile(t, filepath.Join(mount, "bulkhead.yaml"), 0)
	good := run.wantGood(config.Deny)
	publish(t, mount, "..2026_01_02", badConfig)
	run.wantBad(badProblem, good)
	publish(t, mount, "..2026_01_03", otherConfig)
	run.wantGood(config.Audit)
	publish(t, mount, "..2026_01_04", goodConfig)
	run.wantGood(config.Deny)
}

func TestConfigFileSameContentIsNoReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bulkhead.yaml")
	writeConfig(t, path, goodConfig)
	run := runConfigFile(t, path, 0)
	good := run.wantGood(config.Deny)
	replaceConfig(t, path, goodConfig)
	if err := run.file.Load(); err != nil {
		t.Fatal(err)
	}
	replaceConfig(t, path, otherConfig)
	if outcome := run.next(); outcome.err != nil || outcome.cfg == good || outcome.cfg.MaximumAction != config.Audit {
		t.Errorf("first report after the same content: %+v, want the other configuration", outcome)
	}
}

// A link to a file in a directory that is not watched stands for filesystems
// without notifications.
func TestConfigFilePollsWhatIsNotNotified(t *testing.T) {
	target := filepath.Join(t.TempDir(), "elsewhere.yaml")
	path := filepath.Join(t.TempDir(), "bulkhead.yaml")
	writeConfig(t, target, goodConfig)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	run := runConfigFile(t, path, 5*time.Millisecond)
	run.wantGood(config.Deny)
	replaceConfig(t, target, otherConfig)
	run.wantGood(config.Audit)
}

func TestConfigFileWhoseDirectoryComesLater(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "bulkhead")
	path := filepath.Join(directory, "bulkhead.yaml")
	run := runConfigFile(t, path, 5*time.Millisecond)
	run.wantBad("no such file", nil)
	if err := run.file.State().WatchErr; err == nil || !strings.Contains(err.Error(), directory) {
		t.Errorf("WatchErr is %v, want it to name %s", err, directory)
	}
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, path, goodConfig)
	run.wantGood(config.Deny)
}

func TestConfigFileRefusesWhatIsNoFile(t *testing.T) {
	directory := t.TempDir()
	large := filepath.Join(directory, "large.yaml")
	writeConfig(t, large, strings.Repeat("#", 2*config.MaxBytes))
	for path, want := range map[string]string{
		directory:   "it is not a regular file but d",
		"/dev/zero": "it is not a regular file but D",
		large:       "the file has more than 1048576 bytes; shorten it",
	} {
		file := NewConfigFile(ConfigFileOptions{Path: path})
		if err := file.Ready(); err == nil || !strings.Contains(err.Error(), "not read yet") {
			t.Errorf("ready before reading: %v", err)
		}
		if err := file.Load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load of %s: %v, want %q", path, err, want)
		}
	}
}
