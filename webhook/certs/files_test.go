package certs

import (
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// pair makes a serving pair that is valid for three hours from at.
func pair(t *testing.T, at time.Duration) *serving {
	t.Helper()
	return after(t, state{}, do(stepAddAuthority, at), do(stepIssueLeaf, at)).serving
}

func write(t *testing.T, directory string, certPEM, keyPEM []byte) {
	t.Helper()
	for name, data := range map[string][]byte{"tls.crt": certPEM, "tls.key": keyPEM} {
		if err := os.WriteFile(filepath.Join(directory, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newFiles(t *testing.T, directory string) (*Files, *clocktesting.FakeClock, *events) {
	t.Helper()
	now, seen := clocktesting.NewFakeClock(testStart), &events{}
	files, err := NewFiles(FilesOptions{
		Directory: directory, Clock: now, Logger: slog.New(slog.DiscardHandler), Observer: seen.observer(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, now, seen
}

func serial(t *testing.T, files *Files) string {
	t.Helper()
	certificate, err := files.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return certificate.Leaf.SerialNumber.String()
}

func TestFilesKeepTheLastGoodPair(t *testing.T) {
	good, next := pair(t, 0), pair(t, 0)
	expired, future := pair(t, -4*time.Hour), pair(t, time.Hour)
	tests := []struct {
		name         string
		cert, key    []byte
		err          string
		takesTheNext bool
	}{
		{"new pair", next.certPEM, next.keyPEM, "", true},
		{"new certificate, old key", next.certPEM, good.keyPEM, "not a usable pair", false},
		{"half a certificate", next.certPEM[:100], next.keyPEM, "not a usable pair", false},
		{"half a key", next.certPEM, next.keyPEM[:60], "not a usable pair", false},
		{"empty files", nil, nil, "not a usable pair", false},
		{"expired", expired.certPEM, expired.keyPEM, "expired at", false},
		{"not valid yet", future.certPEM, future.keyPEM, "not valid before", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			directory := t.TempDir()
			write(t, directory, good.certPEM, good.keyPEM)
			files, _, seen := newFiles(t, directory)
			before := serial(t, files)
			write(t, directory, test.cert, test.key)
			files.check(t.Context())
			if got := serial(t, files) != before; got != test.takesTheNext {
				t.Errorf("took the new pair: %t, want %t", got, test.takesTheNext)
			}
			if test.err != "" && (len(seen.failures) != 1 || !strings.Contains(seen.failures[0].Error(), test.err)) {
				t.Errorf("failures %v, want one that says %q", seen.failures, test.err)
			}
			write(t, directory, next.certPEM, next.keyPEM)
			files.check(t.Context())
			if serial(t, files) != next.certificate().SerialNumber.String() {
				t.Error("the good pair after that was not taken")
			}
		})
	}
}

func TestFilesTakeAnExpiredPairWhenTheServedOneIsNoBetter(t *testing.T) {
	directory := t.TempDir()
	old, newer := pair(t, 0), pair(t, time.Hour)
	write(t, directory, old.certPEM, old.keyPEM)
	files, now, seen := newFiles(t, directory)
	now.SetTime(testStart.Add(24 * time.Hour))
	write(t, directory, newer.certPEM, newer.keyPEM)
	files.check(t.Context())
	if !files.NotAfter().Equal(newer.certificate().NotAfter) || seen.served != 2 {
		t.Errorf("NotAfter %s, %d loads; want the newer of two expired ones", files.NotAfter(), seen.served)
	}
}

// TestFilesFollowTheKubelet swaps the ..data symlink as the kubelet does.
func TestFilesFollowTheKubelet(t *testing.T) {
	mount := t.TempDir()
	fill := func(version string, s *serving) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(mount, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(mount, version), s.certPEM, s.keyPEM)
		if err := os.Symlink(version, filepath.Join(mount, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	old, next := pair(t, 0), pair(t, 0)
	fill("..2026_1", old)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	files, now, _ := newFiles(t, mount)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- files.Run(ctx) }()

	fill("..2026_2", next)
	if err := os.RemoveAll(filepath.Join(mount, "..2026_1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new pair", func() bool {
		if now.HasWaiters() {
			now.Step(DefaultFilesInterval)
		}
		return serial(t, files) == next.certificate().SerialNumber.String()
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestFilesBundleVerifiesExactlyTheServedPair(t *testing.T) {
	directory := t.TempDir()
	served, other := pair(t, 0), pair(t, 0)
	write(t, directory, served.certPEM, served.keyPEM)
	files, _, _ := newFiles(t, directory)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files.CABundle()) {
		t.Fatal("the bundle is no PEM")
	}
	options := x509.VerifyOptions{Roots: roots, CurrentTime: testStart}
	if _, err := served.certificate().Verify(options); err != nil {
		t.Errorf("served certificate: %v", err)
	}
	if _, err := other.certificate().Verify(options); err == nil {
		t.Error("a certificate that is not served verifies too")
	}
}

func TestFilesNeedAUsablePairAtStart(t *testing.T) {
	directory := t.TempDir()
	if _, err := NewFiles(FilesOptions{Directory: directory}); err == nil || !strings.Contains(err.Error(), "tls.crt") {
		t.Errorf("error %v, want one that names the missing file", err)
	}
	write(t, directory, []byte("x"), []byte("y"))
	if _, err := NewFiles(FilesOptions{Directory: directory}); err == nil || !strings.Contains(err.Error(), directory) {
		t.Errorf("error %v, want one that names the files", err)
	}
}
